"""Where the traffic lights of a tree's scene hang."""

from __future__ import annotations

from typing import Any

from moe_bev_ros.core.traffic_light import LightPlace
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.planning.lanelet_map import load_light_places
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.scenario import draw_scenario
from moe_bev_ros.world.splits import scenario_hash


def scene_light_places(tree: NuscenesTree, scene: str) -> list[LightPlace]:
    """The housings of a scene's lights, in the tree's map; none where nothing tells.

    They stand in the Lanelet2 file. Older trees of ours lack them there: then the scenario is drawn again from its seed,
    and counts if it is still the one that was driven.

    Raises:
        InputError: the scene's map is broken.
    """
    world = tree.world(scene)
    if 'lanelet2' not in world or not any(world.get('lights', {}).values()):
        return []
    path = tree.root / world['lanelet2']
    found = load_light_places(path) if path.is_file() else []
    return found or _drawn_again(world)


def _drawn_again(world: dict[str, Any]) -> list[LightPlace]:
    scenario = draw_scenario(world['seed'], world['kind'], world['condition'], world['style'])
    if scenario_hash([scenario]) != world['scenario_hash']:
        return []
    x, y = world['map_offset_xy_m']
    return light_places(scenario.scene.lights, scenario.terrain, (x, y))
