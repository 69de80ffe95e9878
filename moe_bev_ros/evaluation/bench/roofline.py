"""What a profile would take on an Orin, predicted from counted work and published limits; nothing is measured.

Each operation takes the longer of two times: its multiply-adds at UTILISATION of the unit's dense rate, and its bytes at
BANDWIDTH of the memory's (the roofline model, Williams, Waterman, Patterson 2009). Stages run one after another; launches of
kernels, and what the CPU does before and after, are not in it.

INT8 takes half as long as FP16 on the tensor cores, and moves half of its bytes. FP16_STAGES are those most of whose layers
`config/quantisation` keeps in floating point. On a DLA a stage runs in INT8; the images of the camera encoder are shared
between both DLAs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.report import Table, number
from moe_bev_ros.model.config import FRAME_EXPERTS, ModelConfig

if TYPE_CHECKING:
    from moe_bev_ros.model.operations import Operation

CHIPS = Path(__file__).with_name('orin.yaml')
UTILISATION = 0.35
BANDWIDTH = 0.7
FP16_STAGES = ('camera_attention', 'router', 'memory_write')
ON_BOTH_DLAS = ('camera_encoder',)
EXPERT = 'fused'  # runs in the predicted frame, alone
GOAL_MS, GOAL_MODE = 85.0, ('orin_nx', '15 W')


@dataclass(frozen=True)
class PowerMode:
    """Limits of a chip in one mode.

    Attributes:
        gpu_tops, dla_tops: dense INT8 operations [10^12 / s], of the GPU and of one DLA; a multiply-add is two.
        gigabytes_per_s: of the memory.
    """

    name: str
    gpu_tops: float
    dla_tops: float
    gigabytes_per_s: float


@dataclass(frozen=True)
class Chip:
    """A module, and where its figures were read."""

    name: str
    sources: tuple[str, ...]
    modes: tuple[PowerMode, ...]


@dataclass(frozen=True)
class Stage:
    """The work of one sub-engine.

    Attributes:
        dla: a DLA could take all of it.
    """

    name: str
    operations: tuple[Operation, ...]
    dla: bool

    @property
    def precision(self) -> str:
        """INT8, or FP16."""
        return 'FP16' if self.name in FP16_STAGES else 'INT8'

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return sum(operation.macs for operation in self.operations)

    @property
    def moved_bytes(self) -> int:
        """Read and written in its precision."""
        return sum(_bytes(operation, self.precision) for operation in self.operations)


@dataclass(frozen=True)
class Predicted:
    """Of one stage in one power mode [ms]; None: not for a DLA."""

    gpu_ms: float
    dla_ms: float | None

    @property
    def best_ms(self) -> float:
        """On the quicker of the two."""
        return self.gpu_ms if self.dla_ms is None else min(self.gpu_ms, self.dla_ms)


def read_chip(profile: str, path: Path = CHIPS) -> Chip:
    """The module that a profile was made for.

    Raises:
        InputError: there is none.
    """
    chips = yaml.safe_load(path.read_text())
    if profile not in chips:
        raise InputError(f'{path}: no chip for profile {profile!r}; there are {", ".join(chips)}')
    entry = chips[profile]
    modes = tuple(PowerMode(name, **limits) for name, limits in entry['modes'].items())
    return Chip(entry['chip'], tuple(entry['sources']), modes)


def stages_of(config: ModelConfig) -> tuple[Stage, ...]:
    """What runs in a frame with the expert EXPERT, in order; counted without computing."""
    from moe_bev_ros.model.description import describe
    from moe_bev_ros.model.operations import stage_operations

    for_dla = {cost.name for cost in describe(config).costs if not cost.part_of and not cost.not_on_dla}
    idle = {f'expert_{name}' for name in FRAME_EXPERTS if name != EXPERT}
    operations = stage_operations(config).items()
    return tuple(Stage(name, made_of, name in for_dla) for name, made_of in operations if name not in idle)


def predicted(stage: Stage, mode: PowerMode) -> Predicted:
    """The time of a stage."""
    rate = mode.gpu_tops * (1.0 if stage.precision == 'INT8' else 0.5)
    gpu_ms = _milliseconds(stage.operations, rate, mode.gigabytes_per_s, stage.precision)
    if not stage.dla or stage.precision != 'INT8':
        return Predicted(gpu_ms, None)
    dlas = 2 if stage.name in ON_BOTH_DLAS else 1
    return Predicted(gpu_ms, _milliseconds(stage.operations, dlas * mode.dla_tops, mode.gigabytes_per_s, 'INT8'))


def values(profiles: Iterable[ModelConfig]) -> dict[str, Any]:
    """Everything for JSON."""
    return {
        'utilisation': UTILISATION,
        'bandwidth': BANDWIDTH,
        'expert': EXPERT,
        'goal_ms': GOAL_MS,
        'profiles': {config.name: _profile(read_chip(config.name), stages_of(config)) for config in profiles},
    }


def tables(results: Mapping[str, Any]) -> list[Table]:
    """One a profile: a row a stage, and their sums."""
    return [_table(name, profile) for name, profile in results['profiles'].items()]


def markdown(files: Mapping[str, Any]) -> str:
    """For RESULTS.md, from ``roofline.json``."""
    results = files['roofline']
    return '\n\n'.join([note(results), *(table.markdown() for table in tables(results))])


def note(results: Mapping[str, Any]) -> str:
    """What the figures rest on, and what comes of the goal where its profile is among them."""
    lines = [
        f'Predicted, not measured: {results["utilisation"]:.0%} of the dense rate, {results["bandwidth"]:.0%} of the memory, '
        f'the expert {results["expert"]}, one stage after another; what the CPU does and launches of kernels are not in it.'
    ]
    profile, mode = GOAL_MODE
    if profile in results['profiles']:
        gpu_ms = results['profiles'][profile]['total_ms'][mode]['gpu_ms']
        word = 'met' if gpu_ms <= results['goal_ms'] else 'missed'
        lines.append(
            f'{profile} at {mode}, GPU alone: {gpu_ms:.1f} ms predicted; goal {results["goal_ms"]:g} ms: {word} on paper.'
        )
    return '\n'.join(lines)


def _profile(chip: Chip, stages: tuple[Stage, ...]) -> dict[str, Any]:
    rows = []
    for stage in stages:
        times = {mode.name: asdict(predicted(stage, mode)) for mode in chip.modes}
        facts = {'name': stage.name, 'precision': stage.precision, 'dla': stage.dla}
        rows.append({**facts, 'macs': stage.macs, 'moved_bytes': stage.moved_bytes, 'predicted_ms': times})
    totals = {}
    for mode in chip.modes:
        each = [predicted(stage, mode) for stage in stages]
        totals[mode.name] = {'gpu_ms': sum(one.gpu_ms for one in each), 'best_ms': sum(one.best_ms for one in each)}
    limits = [asdict(mode) for mode in chip.modes]
    return {'chip': chip.name, 'sources': list(chip.sources), 'limits': limits, 'stages': rows, 'total_ms': totals}


def _table(name: str, profile: Mapping[str, Any]) -> Table:
    modes = [mode['name'] for mode in profile['limits']]
    columns = (f'{name}: {profile["chip"]}', 'precision', 'GMAC', 'MB moved', *(f'{mode}: ms' for mode in modes))
    rows = [
        (
            stage['name'],
            stage['precision'],
            number(stage['macs'] / 1e9, 2),
            number(stage['moved_bytes'] / 1e6, 1),
            *(_times(stage['predicted_ms'][mode]) for mode in modes),
        )
        for stage in profile['stages']
    ]
    giga_macs = sum(stage['macs'] for stage in profile['stages']) / 1e9
    megabytes = sum(stage['moved_bytes'] for stage in profile['stages']) / 1e6
    for title, key in (('all, GPU alone', 'gpu_ms'), ('all, each where it is quicker', 'best_ms')):
        times = (number(profile['total_ms'][mode][key], 1) for mode in modes)
        rows.append((title, '', number(giga_macs, 2), number(megabytes, 1), *times))
    return Table(name, columns, tuple(rows))


def _times(row: Mapping[str, float | None]) -> str:
    text = number(row['gpu_ms'], 2)
    return text if row['dla_ms'] is None else f'{text} (DLA {number(row["dla_ms"], 2)})'


def _milliseconds(operations: Iterable[Operation], tops: float, gigabytes_per_s: float, precision: str) -> float:
    per_mac_ms = 2e3 / (tops * 1e12 * UTILISATION)
    per_byte_ms = 1e3 / (gigabytes_per_s * 1e9 * BANDWIDTH)
    return sum(max(item.macs * per_mac_ms, _bytes(item, precision) * per_byte_ms) for item in operations)


def _bytes(operation: Operation, precision: str) -> int:
    """Indices are INT32 on the GPU."""
    return operation.values * (1 if precision == 'INT8' else 2) + 4 * operation.indices
