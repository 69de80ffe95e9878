"""The shipped network reads the lights of a drive that it never saw; one frame alone counts for nothing."""

from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages, Frame
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.datasets.world_runs import WorldRun
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.lights import LightReader
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import draw_scenario

SEED = 1_000_003  # of the validation split
RIG = replace(NUSCENES_RIG, cameras=NUSCENES_RIG.cameras[:1], image_width=352, image_height=128)


@pytest.fixture(scope='module')
def drive():
    """Frames with their poses, the true lights by id, and the places of the lights."""
    scenario = draw_scenario(SEED, kind='red_light', condition='day')
    run = WorldRun(scenario, RIG)
    moments = list(run.drive(36, first=30))
    run.close()
    frames = [(frame_of(moment), moment.ego.odom_se3_base_link) for moment in moments]
    states = {light.element_id: light.state for light in moments[-1].lights}
    return frames, states, light_places(scenario.scene.lights, scenario.terrain)


@pytest.fixture
def reader():
    return LightReader()


def frame_of(moment):
    camera = RIG.cameras[0]
    matrix_133 = camera.intrinsics_33(352, 128).astype(np.float32)[None]
    matrix_133[:, :2, 2] -= 0.5
    pose_144 = camera.base_link_se3_camera[None]
    images = CameraImages(moment.sensed.images_nhw3, matrix_133, pose_144, np.ones(1, np.bool_), (camera.name,))
    return Frame(moment.stamp_ns, images, None, moment.ego)


def states_of(seen):
    return {item.light.element_id: item.light.state for item in seen}


def test_the_light_ahead_is_read_and_those_of_others_are_unknown(drive, reader):
    frames, states, places = drive
    for frame, pose in frames:
        seen = reader.read(frame, pose, places)
    assert len(seen) == len(states) == 4
    told = {light: state for light, state in states_of(seen).items() if state is not LightState.UNKNOWN}
    assert len(told) == 1
    assert told.items() <= states.items()
    assert all((item.score > 0.6) == (item.light.element_id in told) for item in seen)


def test_a_state_counts_once_two_of_three_frames_show_it(drive, reader):
    (frame, pose), _, places = drive[0][-1], drive[1], drive[2]
    blind = replace(frame, cameras=None)
    looks = [frame, frame, blind, blind, frame, frame]
    told = [any(state for state in states_of(reader.read(look, pose, places)).values()) for look in looks]
    assert told == [False, True, True, False, False, True]
    reader.reset()
    assert not any(states_of(reader.read(frame, pose, places)).values())


def test_without_places_there_is_nothing_to_tell(drive, reader):
    frame, pose = drive[0][0]
    assert reader.read(frame, pose, ()) == ()


def test_weights_that_are_missing_or_of_another_network_are_named(tmp_path):
    from safetensors.torch import save_file
    from torch import zeros

    with pytest.raises(EngineError, match=r'none\.safetensors: no weights.*moe-bev train --profile lights'):
        LightReader(tmp_path / 'none.safetensors')
    save_file({'other': zeros(3)}, tmp_path / 'other.safetensors')
    (tmp_path / 'cut.safetensors').write_bytes((tmp_path / 'other.safetensors').read_bytes()[:20])
    for name in ('other', 'cut'):
        with pytest.raises(EngineError, match=rf'{name}\.safetensors: not the weights'):
            LightReader(tmp_path / f'{name}.safetensors')
