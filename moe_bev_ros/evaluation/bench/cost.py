"""How the time of a frame grows with its work: one size of the network, or of the frame, at a time.

Networks have random weights, and frames are noise: no shape depends on either. All sizes of a sweep take turns, each in a
process of its own (`bench_turns`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from moe_bev_ros.evaluation.bench.frames import drawn_frames, save_frames
from moe_bev_ros.evaluation.bench.network import fastest, machine
from moe_bev_ros.evaluation.bench.rounds import Round, least, median
from moe_bev_ros.evaluation.bench.sources import NUM_FRAMES, RUN_TIMES, exported
from moe_bev_ros.evaluation.bench.turns import Turns
from moe_bev_ros.evaluation.bench.worker import Variant
from moe_bev_ros.model.config import ModelConfig

POINTS = 35_000
BEND_SHARE = 0.3  # by which the slope must change, of the steeper one, and
BEND_ERROR = 0.5  # what two lines may leave of one line's error, to be called a bend


@dataclass(frozen=True)
class Sweep:
    """One size.

    Attributes:
        axis: what is counted.
        per: units of the slope; so many of the axis.
        sizes: (count, network, points of a frame).
    """

    name: str
    axis: str
    per: int
    sizes: tuple[tuple[int, ModelConfig, int], ...]


@dataclass(frozen=True)
class Bend:
    """Where one line becomes another.

    Attributes:
        at: on the axis.
        before, after: slopes [ms per unit].
    """

    at: float
    before: float
    after: float


def sweeps_of(config: ModelConfig) -> dict[str, Sweep]:
    """All of them, around a network."""

    def network(name: str, axis: str, per: int, field: str, values: Sequence[int]) -> Sweep:
        sizes = tuple((value, replace(config, **cast(Any, {field: value})), POINTS) for value in values)
        return Sweep(name, axis, per, sizes)

    most = config.num_blocks
    key_points = [value for value in (16, 64, 128, 256, 512) if value < most] + [most]
    cells = tuple(replace(config, pillar_m=2 * config.half_m / side) for side in (128, 192, 256, 384, 512))
    found = (
        network('cameras', 'cameras', 1, 'num_cameras', (1, 2, 4, 6, 8, 10, 12)),
        network('key_points', 'key points a camera', 100, 'num_key_points', key_points),
        network('experts', 'patch experts', 1, 'num_experts', (2, 4, 8, 12, 16, 24)),
        Sweep('cells', 'cells of the inner map', 1000, tuple((item.num_cells**2, item, POINTS) for item in cells)),
        Sweep('points', 'LiDAR points', 10_000, tuple((num, config, num) for num in (5_000, 20_000, 35_000, 70_000, 140_000))),
    )
    return {sweep.name: sweep for sweep in found}


def run(
    config: ModelConfig,
    chosen: Sequence[Sweep],
    num_threads: int,
    num_rounds: int,
    max_foreign: float,
    cache: Path,
    say: Callable[[str], None],
    engine: str = '',
) -> dict[str, Any]:
    """Measure in FP32; everything for JSON.

    Args:
        cache: folder for networks and frames.
        engine: empty: the fastest one.
    """
    engine = engine or _fastest_engine(config, num_threads, max_foreign, cache, say)
    results = {}
    for sweep in chosen:
        say(f'{sweep.name}: {", ".join(str(count) for count, _, _ in sweep.sizes)}')
        variants = [_variant(str(count), engine, network, points, num_threads, cache) for count, network, points in sweep.sizes]
        with Turns(variants, num_threads) as turns:
            rounds = turns.rounds(num_rounds, max_foreign, say)
            thrown = len(turns.thrown)
        results[sweep.name] = {**summary(sweep, rounds), 'thrown_away': thrown}
    facts = {'profile': config.name, 'engine': f'{engine} float32', 'threads': num_threads, 'rounds': num_rounds}
    return {**facts, 'machine': machine(), 'sweeps': results}


def summary(sweep: Sweep, rounds: Sequence[Round]) -> dict[str, Any]:
    """Times by size, their slope, and where it bends, from rounds that are given."""
    rows = []
    for count, _, _ in sweep.sizes:
        times = {f'{figure}_ms': median(rounds, str(count), figure) for figure in ('step', 'network', 'pre_post')}
        rows.append({'count': count, **times, 'least_ms': least(rounds, str(count), 'step')})
    counts, times_ms = np.array([row['count'] for row in rows]) / sweep.per, np.array([row['step_ms'] for row in rows])
    slope, offset = (float(value) for value in np.polyfit(counts, times_ms, 1))
    found = bend(counts, times_ms)
    facts = {'axis': sweep.axis, 'per': sweep.per, 'slope_ms': slope, 'offset_ms': offset}
    return {**facts, 'bend': None if found is None else {**asdict(found), 'at': found.at * sweep.per}, 'rows': rows}


def bend(counts: np.ndarray[Any, Any], times_ms: np.ndarray[Any, Any]) -> Bend | None:
    """Where two lines that meet at one of the inner sizes tell much more than one line; None: nowhere."""
    straight = _fit(counts, times_ms)
    knots = counts[1:-1]
    if len(counts) < 5 or straight[1] <= 1e-9:
        return None
    fits = [_fit(counts, times_ms, knot) for knot in knots]
    (_, before, more), error = min(fits, key=lambda fit: fit[1])
    at = float(knots[[fit[1] for fit in fits].index(error)])
    after = before + more
    if error > BEND_ERROR * straight[1] or abs(more) < BEND_SHARE * max(abs(before), abs(after)):
        return None
    return Bend(at, float(before), float(after))


def _fit(counts: np.ndarray[Any, Any], times_ms: np.ndarray[Any, Any], knot: float | None = None) -> tuple[Any, float]:
    """Coefficients of one line, or of two that meet at a knot, and what they leave: squares of shares of each time."""
    columns = [np.ones_like(counts), counts, *([] if knot is None else [np.maximum(counts - knot, 0.0)])]
    table = np.stack(columns, axis=1) / times_ms[:, None]
    coefficients = np.linalg.lstsq(table, np.ones_like(times_ms), rcond=None)[0]
    return coefficients, float(np.sum((table @ coefficients - 1.0) ** 2))


def _fastest_engine(config: ModelConfig, num_threads: int, max_foreign: float, cache: Path, say: Callable[[str], None]) -> str:
    variants = [_variant(name, name, config, POINTS, num_threads, cache) for name in RUN_TIMES]
    with Turns(variants, num_threads) as turns:
        engine = fastest(turns.rounds(2, max_foreign, lambda _: None), RUN_TIMES)
    say(f'{engine} is the fastest of {", ".join(RUN_TIMES)} in float32')
    return engine


def _variant(name: str, engine: str, config: ModelConfig, points: int, num_threads: int, cache: Path) -> Variant:
    """Of one size; its network is exported where it was not yet."""
    from moe_bev_ros.model.twin_weights import write_untrained

    size = f'{config.num_cameras}_{config.num_key_points}_{config.num_experts}_{config.num_pillars}'
    weights = write_untrained(config, cache / 'cost' / f'{config.name}_{size}.safetensors')
    frames = cache / 'cost' / f'{config.name}_{config.num_cameras}_{points}.npz'
    save_frames(frames, drawn_frames(config, points, NUM_FRAMES))
    return Variant(name, engine, 'float32', str(exported(weights)), str(frames), num_threads)
