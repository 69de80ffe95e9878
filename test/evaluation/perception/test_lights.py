"""Lights are asked for by whom they shine at, and read where their housings are known."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation.small_tree import KnowingEngine, write_tree

from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.traffic_light import LightPlace, LightState, TrafficLight
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.world_scene import SceneJob, write_scene
from moe_bev_ros.evaluation.perception.lights import lights_tally
from moe_bev_ros.evaluation.perception.perceived import see_scene

SCENE = 'world-1000000'
MINE = TrafficLight(7, (40.0, 2.0), LightState.RED)
OTHERS = TrafficLight(8, (42.0, 2.0), LightState.GREEN)
PLACES = (
    LightPlace(7, MINE.stop_xy_m, (42.0, 0.0, 3.0), np.pi, 1.0),
    LightPlace(8, OTHERS.stop_xy_m, (42.0, 4.0, 3.0), 0.0, 1.0),
)


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    tree = write_tree(tmp_path_factory.mktemp('tree'), 1)
    return see_scene(tree, SCENE, KnowingEngine(tree, SCENE), (96, 64), keyframes_only=True)


def shares(seen, told, places=PLACES):
    """Each metric over all distances."""
    facts = {'lights': (MINE, OTHERS), 'predicted_lights': told, 'light_places': places}
    keyframe = replace(seen.keyframes[0], map_se3_base_link=se3_from_xy_yaw(10.0, 2.0, 0.0), **facts)
    tally = lights_tally(replace(seen, keyframes=(keyframe,)))
    return {name: tuple(sums.sum(axis=0)) for name, sums in tally.items()}


def test_a_light_that_shines_for_others_counts_in_all_but_not_in_facing(seen):
    assert shares(seen, (MINE,)) == {
        'light_accuracy': (1, 2),
        'light_facing': (1, 1),
        'light_facing_red': (1, 1),
        'light_precision': (1, 1),
    }


def test_an_untold_light_is_wrong_but_does_not_harm_precision(seen):
    found = shares(seen, (replace(MINE, state=LightState.UNKNOWN), OTHERS))
    assert found == {'light_accuracy': (1, 2), 'light_facing': (0, 1), 'light_facing_red': (0, 1)}
    assert shares(seen, (replace(MINE, state=LightState.GREEN),))['light_precision'] == (0, 1)


def test_where_nobody_knows_how_lights_hang_all_are_asked_alike(seen):
    assert shares(seen, (MINE,), ()) == {'light_accuracy': (1, 2)}


def test_lights_of_a_tree_are_read_beside_the_network_and_beside_no_other_engine(tmp_path):
    job = SceneJob(tmp_path, 'val', 1_000_000, 'red_light', '', (96, 64), 0.5, {})
    write_scene(job)
    TreeWriter(tmp_path, {}).merge()
    tree = open_tree(tmp_path)
    engine = KnowingEngine(tree, SCENE)
    (keyframe,) = see_scene(tree, SCENE, engine, (96, 64)).keyframes
    assert keyframe.predicted_lights is None
    engine.name = 'torch'
    (keyframe,) = see_scene(tree, SCENE, engine, (96, 64)).keyframes
    assert [light.element_id for light in keyframe.predicted_lights] == sorted(light.element_id for light in keyframe.lights)
    assert len(keyframe.light_places) == 2 * len(keyframe.lights) == 8
