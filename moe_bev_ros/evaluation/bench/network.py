"""Every engine of one network against the others, in processes of their own that take turns; see `bench_turns`.

The yardstick is the dense twin: the same widths with every image block a query and every expert on every patch. Its weights are
those of the trained network where the two are alike, so it finds about as many boxes. All engines see the same frames of the
world, with the same frame expert. Ratios are of the network alone, without what is before and after it, unless they say so.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.evaluation.bench.rounds import Ratio, Round, least, median, ratio, stages_of
from moe_bev_ros.evaluation.bench.sources import RUN_TIMES, Sources
from moe_bev_ros.evaluation.bench.turns import Turns
from moe_bev_ros.evaluation.bench.worker import EXPERTS, RATE, Variant
from moe_bev_ros.model.config import ModelConfig

EAGER, LAST = 'dense torch float32 channels-first', 'dense torch float32'
OURS = (
    'torch float32',
    'torch bfloat16',
    *(f'{name} {kind}' for name in RUN_TIMES for kind in ('float32', 'bfloat16', 'int8')),
)
GOALS = {
    'int8_over_fp32_same_runtime': 3.2,
    'int8_over_bf16_same_runtime': 1.7,
    'int8_over_fp32_convolution': 3.7,
    'sparse_int8_over_dense_fp32_same_runtime': 4.0,
    'best_over_dense_fp32_eager': 8.0,
    'best_over_dense_fp32_channels_last': 6.0,
}
MOST = {'pre_post_over_network': 0.25}
LIMIT_GOAL = 0.4
INT8_OPERATORS = ('QLinearConv', 'QLinearMatMul', 'QGemm', 'MatMulInteger', 'ConvInteger')  # of onnxruntime
Pair = tuple[tuple[str, str], tuple[str, str]]


def variants(sources: Sources, num_threads: int) -> list[Variant]:
    """One process each."""
    frames = str(sources.frames)

    def of(name: str, source: Path, *, channels_first: bool = False) -> Variant:
        engine, precision = name.removeprefix('dense ').split()[:2]
        return Variant(name, engine, precision, str(source), frames, num_threads, channels_first)

    return [
        of(EAGER, sources.dense_weights, channels_first=True),
        of(LAST, sources.dense_weights),
        *(of(f'dense {name} float32', sources.dense_folder) for name in RUN_TIMES),
        *(of(f'torch {precision}', sources.weights) for precision in ('float32', 'bfloat16')),
        *(of(f'{name} float32', sources.folder) for name in RUN_TIMES),
        of('openvino bfloat16', sources.folder),
        *(of(f'{name} int8', sources.int8) for name in RUN_TIMES),
        *(Variant(f'rate {name}', name, '', str(sources.scratch), '', num_threads, kind=RATE) for name in RUN_TIMES),
    ]


def run(
    sources: Sources, chosen: Sequence[Variant], num_rounds: int, max_foreign: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the chosen variants, which all have as many threads; everything for JSON.

    Raises:
        InputError: others used too much of the processors, or nothing runs.
    """
    num_threads = chosen[0].num_threads
    config = load_manifest(sources.folder).config
    with Turns(chosen, num_threads) as turns:
        for worker in turns.workers:
            say(f'{worker.variant.name}: {worker.error or "ready"}')
        rounds = turns.rounds(num_rounds, max_foreign, say)
        traces = {worker.variant.name: worker.ask('trace') or {} for worker in turns.workers if 'int8' in worker.variant.name}
        errors = {worker.variant.name: worker.error for worker in turns.workers if worker.error}
    return {
        'profile': config.name,
        'threads': num_threads,
        'frame_experts': list(EXPERTS),
        'machine': machine(),
        'rounds': len(rounds),
        'thrown_away': [round(share, 3) for share in turns.thrown],
        'foreign': round(statistics.median(item.foreign for item in rounds), 3),
        **summary(rounds, active_macs(config)),
        'rows': [_row(rounds, item.name, errors.get(item.name, '')) for item in chosen if item.kind != RATE],
        'traces': traces,
        'share_outside_int8': {name: share_outside_int8(trace) for name, trace in traces.items() if trace},
    }


def summary(rounds: Sequence[Round], macs: int) -> dict[str, Any]:
    """Ratios and the share of the limit, from rounds that are given."""
    found = ratios(rounds)
    return {
        'ratios': {name: one.median for name, (_, one) in found.items()},
        'ratio_details': {name: {**asdict(one), 'agrees': one.agrees, 'of': of} for name, (of, one) in found.items()},
        **limits(rounds, macs),
    }


def ratios(rounds: Sequence[Round]) -> dict[str, tuple[str, Ratio]]:
    """By name: which two, and their ratio; of several run-times the best one. What was not measured is left out."""
    best = fastest(rounds, OURS)
    pairs = {
        'int8_over_fp32_same_runtime': _of_run_times('{} float32', '{} int8', 'network'),
        'int8_over_bf16_same_runtime': _of_run_times('{} bfloat16', '{} int8', 'network'),
        'int8_over_fp32_convolution': _of_run_times('{} float32', '{} int8', 'convolution'),
        'sparse_int8_over_dense_fp32_same_runtime': _of_run_times('dense {} float32', '{} int8', 'network'),
        'best_over_dense_fp32_eager': [((EAGER, 'network'), (best, 'network'))],
        'best_over_dense_fp32_channels_last': [((LAST, 'network'), (best, 'network'))],
        'pre_post_over_network': [((best, 'pre_post'), (best, 'network'))],
    }
    result = {}
    for name, each in pairs.items():
        known = [(f'{first[0]} : {second[0]}', one) for first, second in each if (one := ratio(rounds, first, second))]
        if known:
            result[name] = max(known, key=lambda item: item[1].median)
    return result


def fastest(rounds: Sequence[Round], names: Sequence[str]) -> str:
    """Whose network takes the least time; empty where none ran."""
    ran = [name for name in names if stages_of(rounds, name)]
    return min(ran, key=lambda name: median(rounds, name, 'network'), default='')


def limits(rounds: Sequence[Round], macs: int) -> dict[str, Any]:
    """What the machine computes [10^9 operations/s], and what the best INT8 engine does of it with its whole network."""
    rates: dict[str, float] = {}
    for name in RUN_TIMES:
        engine = f'rate {name}'
        rates |= {f'{name} {graph}': 1e6 / median(rounds, engine, graph) for graph in stages_of(rounds, engine)}
    int8 = fastest(rounds, [f'{name} int8' for name in RUN_TIMES])
    peak = max((rate for name, rate in rates.items() if name.endswith('int8')), default=0.0)
    if not int8 or not peak:
        return {'rates_gops': rates, 'share_of_int8_limit': None}
    reached = 2e-6 * macs / median(rounds, int8, 'network')
    return {'rates_gops': rates, 'int8_gops': reached, 'share_of_int8_limit': reached / peak, 'fastest_int8': int8}


def share_outside_int8(kernels: Mapping[str, float]) -> float:
    """Of a frame's time in the run-time's kernels; those that compute in INT8 say so in their names."""
    outside = sum(ms for name, ms in kernels.items() if not is_int8(name))
    return outside / sum(kernels.values())


def is_int8(kernel: str) -> bool:
    """Whether a kernel multiplies in INT8, by its name in onnxruntime, or in OpenVINO: such as ``Convolution i8``."""
    multiplies = kernel.startswith(('Convolution', 'GroupConvolution', 'FullyConnected', 'MatMul'))
    return (multiplies and kernel.endswith(' i8')) or kernel.startswith(INT8_OPERATORS)


def active_macs(config: ModelConfig) -> int:
    """Multiply-adds of a frame with the expert that all engines run."""
    from moe_bev_ros.model.description import describe

    return describe(config).active_macs[EXPERTS[0]]


def machine() -> dict[str, Any]:
    """Processor and versions."""
    names = [line.partition(':')[2].strip() for line in _lines(Path('/proc/cpuinfo')) if line.startswith('model name')]
    return {
        'processor': names[0] if names else '',
        'cores': os.cpu_count(),
        **{name: _version(name) for name in ('torch', *RUN_TIMES)},
    }


def _of_run_times(first: str, second: str, figure: str) -> list[Pair]:
    return [((first.format(name), figure), (second.format(name), figure)) for name in RUN_TIMES]


def _row(rounds: Sequence[Round], name: str, error: str) -> dict[str, Any]:
    figures = {
        figure: {'min': round(least(rounds, name, figure), 3), 'median': round(median(rounds, name, figure), 3)}
        for figure in stages_of(rounds, name)
    }
    return {'name': name, 'error': error, 'ms': figures}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ''


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
