"""Between keyframes boxes lie on straight lines, and futures are what later keyframes say."""

import numpy as np
import pytest
from datasets.small_tree import CAR_MPS, SIZE, SPEED_MPS, TICKS, car_box, ego_pose, write_small_tree

from moe_bev_ros.core.attributes import ATTRIBUTES
from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.learning.drives import points_in_boxes
from moe_bev_ros.learning.tree_drives import KeyframeTable, TreeSource, drive_of, record_of, truth_at

SCENE = 'world-1000000'


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return open_tree(write_small_tree(tmp_path_factory.mktemp('tree')))


@pytest.fixture(scope='module')
def record(tree):
    return record_of(tree, SCENE)


def table_of(times, centres, yaws):
    num = len(times)
    return KeyframeTable(
        np.array(times, float),
        ('one',),
        np.zeros(1, np.uint8),
        np.array(centres, float).reshape(num, 1, 3),
        np.ones((num, 1, 3)),
        np.array(yaws, float).reshape(num, 1),
        np.zeros((num, 1, 2)),
        np.ones((num, 1), np.int64),
        np.zeros((num, 1), np.int64),
        np.ones((num, 1)),
    )


def test_boxes_move_straight_between_keyframes(record):
    frames = list(drive_of(record, SIZE, (0, *(1,) * 20)))
    assert len(frames) == TICKS
    for tick, item in enumerate(frames):
        (box,) = item.truth.boxes_n7
        (centre,) = transform_points(inverse(ego_pose(tick)), car_box(tick)[None, :3])
        np.testing.assert_allclose(box, [*centre, 4.5, 1.9, 1.6, 0.0], atol=1e-3)
        np.testing.assert_allclose(item.truth.velocities_n2, [[CAR_MPS, 0.0]], atol=1e-3)
        assert ATTRIBUTES[item.truth.attributes_n[0]] == 'vehicle.moving'


def test_points_are_annotated_at_keyframes_and_counted_between_them(record):
    frames = list(drive_of(record, SIZE, (0, 2)))
    assert frames[0].truth.num_lidar_n.tolist() == [3]
    counted = points_in_boxes(frames[1].truth.boxes_n7, frames[1].frame.lidar.points_n5)
    assert frames[1].truth.num_lidar_n.tolist() == counted.tolist()


def test_futures_end_with_the_scene(record):
    (item,) = drive_of(record, SIZE, (2,))
    futures = item.truth.futures_n12x2[0]  # the last keyframe lies 1.3 s ahead
    np.testing.assert_allclose(futures[:2], [[0.5 * CAR_MPS, 0.0], [CAR_MPS, 0.0]], atol=1e-3)
    assert np.isnan(futures[2:]).all()


def test_only_chosen_frames_are_read(record, tree, tmp_path):
    frames = list(drive_of(record, SIZE, (1, 3, 5)))
    assert [round(item.dt_s, 6) for item in frames] == [0.0, 0.3, 0.5]
    assert frames[0].base_link_now_se3_before is None
    np.testing.assert_allclose(frames[2].base_link_now_se3_before[:2, 3], [-0.5 * SPEED_MPS, 0.0], atol=1e-6)
    (away,) = (tree.root / 'sweeps' / 'CAM_FRONT').glob(f'*{record.ticks[2].stamp_ns // 1000}*')
    moved = away.rename(tmp_path / 'gone.jpg')
    try:
        assert len(list(drive_of(record, SIZE, (1, 3)))) == 2
    finally:
        moved.rename(away)


def test_yaw_turns_the_shorter_way_and_who_is_not_in_both_keyframes_is_not_there(record):
    table = table_of([0.0, 0.5, 1.0], [[10, 0, 0], [11, 0, 0], [np.nan] * 3], [3.0, -3.0, 0.0])
    made = type(record)('s', '', '', record.ticks[0].stamp_ns, record.ticks, table, None)
    at_origin = [type(tick)(tick.stamp_ns, np.eye(4), tick.images, tick.sweep, '') for tick in record.ticks[:8]]
    truths = [truth_at(made, tick, None) for tick in at_origin]
    assert [len(truth) for truth in truths] == [1] * 6 + [0] * 2
    middle = float(truths[2].boxes_n7[0, 6])
    assert np.cos(middle - (3.0 + 0.4 * (2 * np.pi - 6.0))) == pytest.approx(1.0, abs=1e-6)


def test_a_source_varies_a_drive_by_its_seed_alone(tree):
    source = TreeSource(tree, '', SIZE)
    assert source.num_drives == 1
    first, again, other = (list(source.drive(0, seed).frames()) for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(first[0].truth.boxes_n7, again[0].truth.boxes_n7)
    assert not np.array_equal(first[0].truth.boxes_n7[0], other[0].truth.boxes_n7[0])
    as_recorded = list(TreeSource(tree, '', SIZE, varied=False).drive(0, (0, 1)).frames())
    assert len(as_recorded) == TICKS
