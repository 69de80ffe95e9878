from dataclasses import replace

import numpy as np
import pytest
from perception.camera_ring import HEIGHT, WIDTH, ring

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import se3_from_xyz_rpy, transform_points
from moe_bev_ros.model.config import profile
from moe_bev_ros.perception.depth_maps import depth_map
from moe_bev_ros.perception.lift_geometry import block_projections, lift_table
from moe_bev_ros.perception.network_inputs import NetworkInputs, se2_of
from moe_bev_ros.perception.pillar_maps import pillar_map

CONFIG = profile('tiny')
NONE = 6 * CONFIG.num_blocks


@pytest.fixture(scope='module')
def inputs():
    return NetworkInputs(CONFIG)


def cameras(num=6, width=WIDTH, valid_n=None):
    images = np.random.default_rng(1).integers(0, 256, (num, HEIGHT, width, 3), dtype=np.uint8)
    valid_n = np.ones(num, bool) if valid_n is None else np.array(valid_n)
    return CameraImages(images, *ring(max(num, 1)), valid_n, tuple(f'camera{at}' for at in range(num)))


def lidar(num=500):
    points_n5 = np.random.default_rng(2).uniform([-40, -40, -1, 0, -0.1], [40, 40, 4, 1, 0], (num, 5))
    return LidarPoints(points_n5.astype(np.float32))


def normalised(images_nhw3):
    return ((images_nhw3 / 255.0 - 0.45) / 0.225).transpose(0, 3, 1, 2)


def test_a_whole_frame_becomes_its_parts(inputs):
    frame = Frame(0, cameras(), lidar(), None)
    found = inputs.make(frame)
    calibration = (frame.cameras.intrinsics_n33, frame.cameras.base_link_se3_camera_n44)
    np.testing.assert_allclose(found.images_n3hw, normalised(frame.cameras.images_nhw3), atol=1e-6)
    depth_nhw = np.empty_like(found.depth_nhw)
    depth_map(frame.lidar.points_n5, block_projections(CONFIG, *calibration), frame.cameras.valid_n, depth_nhw)
    np.testing.assert_array_equal(found.depth_nhw, depth_nhw)
    np.testing.assert_array_equal(found.pillars_pss, pillar_map(frame.lidar.points_n5, 51.2, 0.4))
    np.testing.assert_array_equal(found.pixel_zc, lift_table(CONFIG, *calibration, frame.cameras.valid_n).pixel_zc)
    assert found.camera_valid_n.all()
    assert found.lidar_valid
    kinds = [found.images_n3hw.dtype, found.depth_nhw.dtype, found.pixel_zc.dtype, found.bin_zc.dtype, found.pillars_pss.dtype]
    assert kinds == [np.float32, np.float32, np.int64, np.int64, np.float32]


def test_an_invalid_camera_is_zero_whatever_its_image_holds(inputs):
    valid_n = [True, True, True, False, True, True]
    found = inputs.make(Frame(0, cameras(valid_n=valid_n), lidar(), None))
    assert found.camera_valid_n.tolist() == valid_n
    assert not found.images_n3hw[3].any()
    assert found.images_n3hw[4].any()
    assert not found.depth_nhw[3].any()
    assert found.depth_nhw[4].any()
    assert 3 not in found.pixel_zc // CONFIG.num_blocks


def test_fewer_cameras_than_the_network_takes_leave_the_others_empty(inputs):
    rig = cameras(4)
    found = inputs.make(Frame(0, rig, lidar(), None))
    assert found.camera_valid_n.tolist() == [True] * 4 + [False] * 2
    np.testing.assert_allclose(found.images_n3hw[:4], normalised(rig.images_nhw3), atol=1e-6)
    assert found.images_n3hw.shape[0] == found.depth_nhw.shape[0] == 6
    assert not found.images_n3hw[4:].any()
    assert not found.depth_nhw[4:].any()
    assert set(np.unique(found.pixel_zc // CONFIG.num_blocks)) == {0, 1, 2, 3, 6}


def test_no_cameras_are_an_empty_view(inputs):
    found = inputs.make(Frame(0, None, lidar(), None))
    assert not found.images_n3hw.any()
    assert not found.depth_nhw.any()
    assert not found.camera_valid_n.any()
    assert (found.pixel_zc == NONE).all()
    assert not found.bin_zc.any()
    assert found.lidar_valid
    assert found.pillars_pss.any()


@pytest.mark.parametrize('sweep', [None, lidar(0), LidarPoints(np.full((3, 5), np.nan, np.float32))])
def test_no_usable_point_is_no_lidar(inputs, sweep):
    found = inputs.make(Frame(0, cameras(), sweep, None))
    assert not found.lidar_valid
    assert not found.pillars_pss.any()
    assert not found.depth_nhw.any()
    assert found.images_n3hw.any()


def test_points_that_are_not_finite_are_left_out(inputs):
    good = lidar()
    bad = np.full((4, 5), np.inf, np.float32)
    bad[:, 1] = np.nan
    found = inputs.make(Frame(0, cameras(), LidarPoints(np.concatenate([bad, good.points_n5])), None))
    wanted = inputs.make(Frame(0, cameras(), good, None))
    np.testing.assert_array_equal(found.pillars_pss, wanted.pillars_pss)
    np.testing.assert_array_equal(found.depth_nhw, wanted.depth_nhw)
    assert found.lidar_valid


def test_arrays_that_may_not_be_written_are_read(inputs):
    rig, sweep = cameras(), lidar()
    for array in (rig.images_nhw3, sweep.points_n5):
        array.setflags(write=False)
    assert inputs.make(Frame(0, rig, sweep, None)).images_n3hw.any()


def test_frames_do_not_share_what_they_were_filled_with(inputs):
    first = inputs.make(Frame(0, cameras(), lidar(), None))
    images, pillars = first.images_n3hw.copy(), first.pillars_pss.copy()
    inputs.make(Frame(1, None, lidar(7), None))
    np.testing.assert_array_equal(first.images_n3hw, images)
    np.testing.assert_array_equal(first.pillars_pss, pillars)


def test_two_sets_of_arrays_in_turn_hold_what_new_ones_would():
    in_turn, before = NetworkInputs(CONFIG, num_sets=2), None
    in_part = cameras(valid_n=[True, True, True, False, True, True])
    frames = [
        Frame(0, cameras(), lidar(), None),
        Frame(1, None, lidar(7), None),
        Frame(2, in_part, None, None),
        Frame(3, cameras(), lidar(0), None),
        Frame(4, cameras(4), lidar(900), None),
        Frame(5, None, None, None),
    ]
    for frame in frames * 2:
        found = in_turn.make(frame), NetworkInputs(CONFIG).make(frame)
        for pair in filter(None, (found, before)):
            for name in ('images_n3hw', 'depth_nhw', 'pillars_pss', 'pixel_zc', 'camera_valid_n', 'lidar_valid'):
                np.testing.assert_array_equal(*(getattr(arrays, name) for arrays in pair), err_msg=f'{frame.stamp_ns} {name}')
        before = found


def test_a_frame_that_is_refused_takes_no_arrays_of_another_one():
    in_turn = NetworkInputs(CONFIG, num_sets=2)
    kept = in_turn.make(Frame(0, cameras(), lidar(), None))
    images_n3hw = kept.images_n3hw.copy()
    with pytest.raises(InputError):
        in_turn.make(Frame(1, cameras(width=320), None, None))
    in_turn.make(Frame(2, None, None, None))
    np.testing.assert_array_equal(kept.images_n3hw, images_n3hw)


def test_a_changed_calibration_is_seen_in_the_next_frame(inputs):
    rig = cameras()
    before = inputs.make(Frame(0, rig, None, None))
    assert inputs.make(Frame(1, rig, None, None)).pixel_zc is before.pixel_zc
    moved = replace(rig, base_link_se3_camera_n44=np.roll(rig.base_link_se3_camera_n44, 1, axis=0))
    assert (inputs.make(Frame(2, moved, None, None)).pixel_zc != before.pixel_zc).any()


def test_too_many_cameras_and_wrong_images_are_refused_with_the_facts(inputs):
    with pytest.raises(InputError, match="8 cameras, but the network 'tiny' takes 6"):
        inputs.make(Frame(0, cameras(8), None, None))
    with pytest.raises(InputError, match=r'images of 320 x 128, .* takes 352 x 128'):
        inputs.make(Frame(0, cameras(width=320), None, None))


def test_the_motion_in_the_plane_moves_points_like_the_whole_motion():
    now_se3_before = se3_from_xyz_rpy(-1.2, 0.3, 0.05, 0.0, 0.0, -0.2)
    points_n3 = np.random.default_rng(4).uniform(-50, 50, (20, 3))
    motion = se2_of(now_se3_before)
    assert motion.dtype == np.float32
    flat_n3 = np.concatenate([points_n3[:, :2], np.ones((20, 1))], axis=1)
    np.testing.assert_allclose((flat_n3 @ motion.T)[:, :2], transform_points(now_se3_before, points_n3)[:, :2], atol=1e-4)
    np.testing.assert_array_equal(motion[2], [0.0, 0.0, 1.0])


def test_the_motion_in_the_plane_stays_rigid_on_a_slope():
    rotation = se2_of(se3_from_xyz_rpy(1.0, 0.0, 0.1, 0.1, -0.2, 0.4))[:2, :2]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=1e-6)


def test_a_network_of_ten_sweeps_gets_ages_and_only_the_newest_depth():
    config = replace(CONFIG, memory='sweeps10')
    old, new = lidar(300), lidar(500)
    old.points_n5[:, 4], new.points_n5[:, 4] = -0.3, 0.0
    old.points_n5[:, 1] *= -1.0
    both = Frame(0, cameras(), LidarPoints(np.concatenate([new.points_n5, old.points_n5])), None)
    found, alone = NetworkInputs(config).make(both), NetworkInputs(CONFIG).make(replace(both, lidar=new))
    assert found.pillars_pss.shape[0] == config.pillar_channels == 18
    assert found.pillars_pss[16:].max() == pytest.approx(0.3)
    np.testing.assert_array_equal(found.depth_nhw, alone.depth_nhw)
    assert (found.pillars_pss[0] > 0).sum() > (alone.pillars_pss[0] > 0).sum()
