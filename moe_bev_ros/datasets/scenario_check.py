"""Whether the scenes of a tree are still what the generator makes of their seeds, and of their split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.world.scenario import LOG_REPLAY, ON_MAP, draw_scenario
from moe_bev_ros.world.splits import SPLITS, check_seed, scenario_hash


def scenario_facts(tree: NuscenesTree, scenes: Sequence[str]) -> dict[str, Any]:
    """The digest of all scenarios of these scenes, by which a split is frozen; empty for a tree that no seeds drew.

    Recorded drives and those on a given map are left out: no seed alone tells what they hold.

    Raises:
        InputError: a seed outside its split, or a scene that the generator makes otherwise by now.
    """
    worlds = {scene: tree.world(scene) for scene in scenes}
    worlds = {scene: world for scene, world in worlds.items() if world.get('kind') not in (LOG_REPLAY, ON_MAP)}
    if not worlds or not all('seed' in world for world in worlds.values()):
        return {}
    for split in SPLITS:
        for scene in set(tree.own_splits.get(f'world_{split}', ())) & set(worlds):
            check_seed(worlds[scene]['seed'], split)
    scenarios = {
        scene: draw_scenario(world['seed'], world['kind'], world['condition'], world['style'])
        for scene, world in worlds.items()
    }
    for scene, scenario in scenarios.items():
        if scenario_hash([scenario]) != worlds[scene]['scenario_hash']:
            raise InputError(f'{tree.root}: {scene} was written by another version of the generator; write it anew')
    return {'scenario_hash': scenario_hash(scenarios.values())}
