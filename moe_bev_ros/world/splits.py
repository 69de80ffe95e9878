"""Which seeds belong to which split, and a digest of what seeds give, by which a split is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.world.roles import Traffic
from moe_bev_ros.world.scenario_kinds import KINDS

if TYPE_CHECKING:
    from moe_bev_ros.world.scenario import Scenario

SPLITS: dict[str, range] = {
    'train': range(1_000_000),
    'val': range(1_000_000, 2_000_000),
    'test': range(2_000_000, 3_000_000),
}


def split_of(seed: int) -> str:
    """The split that a seed belongs to.

    Raises:
        InputError: to none.
    """
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    ranges = ', '.join(f'{name} {_text(seeds)}' for name, seeds in SPLITS.items())
    raise InputError(f'seed {seed} belongs to no split; the splits are {ranges}')


def seeds_of(split: str, num: int) -> tuple[int, ...]:
    """The first seeds of a split; their kinds take turns.

    Raises:
        InputError: no such split, or it has fewer seeds.
    """
    if split not in SPLITS:
        raise InputError(f'no split {split!r}; use one of {", ".join(SPLITS)}')
    if not 0 <= num <= len(SPLITS[split]):
        raise InputError(f'split {split} has {len(SPLITS[split])} seeds, not {num}; ask for fewer')
    return tuple(SPLITS[split][:num])


def check_seed(seed: int, split: str) -> None:
    """Refuse a seed that is not of a split.

    Raises:
        InputError: naming the split's range.
    """
    if split not in SPLITS or seed not in SPLITS[split]:
        seeds = SPLITS.get(split, range(0))
        raise InputError(f'seed {seed} is outside split {split!r}, whose seeds are {_text(seeds)}; use one of those')


def kind_of(seed: int) -> str:
    """The scenario kind of a seed that is given none."""
    return KINDS[seed % len(KINDS)]


def scenario_hash(scenarios: Iterable[Scenario]) -> str:
    """SHA-256 over what scenarios say: poses and parts of everything, lights, light and weather, lanes, roles."""
    digest = hashlib.sha256()
    for scenario in scenarios:
        digest.update(f'{scenario.seed} {scenario.kind} {scenario.style} {scenario.scene.condition}'.encode())
        for actor in scenario.scene.actors:
            pose = _rounded((actor.x, actor.y, actor.yaw_rad, actor.speed_mps))
            digest.update(f'{actor.track_id} {pose} {actor.body}'.encode())
        for prop in scenario.scene.props:
            digest.update(f'{_rounded((prop.x, prop.y, prop.yaw_rad))} {prop.parts}'.encode())
        digest.update(f'{scenario.scene.lights} {scenario.cycles} {_rounded(scenario.goal_3)} {scenario.start}'.encode())
        for lane in scenario.network.graph.lanes.values():
            digest.update(f'{lane.lane_id} {lane.successors} {_rounded(lane.centre_m3.ravel())}'.encode())
        if isinstance(scenario.traffic, Traffic):
            digest.update(f'{scenario.traffic.drivers}'.encode())
        digest.update(np.round(scenario.terrain.heights_hw, 3).tobytes())
    return digest.hexdigest()


def _rounded(values: Iterable[float]) -> str:
    """Millimetres, without a sign on zero."""
    return ' '.join(f'{round(float(value) * 1e3)}' for value in values)


def _text(seeds: range) -> str:
    return f'{seeds.start} to {seeds.stop - 1}'
