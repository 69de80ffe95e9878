"""The judge of realism on frames made from the world itself, whose ratio is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import se3_from_xyz_rpy
from moe_bev_ros.datasets.frames import RecordedBox
from moe_bev_ros.evaluation.realism.ratios import (
    ObjectCount,
    bin_ratios,
    count_objects,
    ground_rings,
    inside,
    intensity_counts,
    joined,
    unjudged,
)
from moe_bev_ros.evaluation.realism.sweeps import _sweep, boxes_in, by_stamp, read_sweeps, twin_points
from moe_bev_ros.world.rig import HDL_32E_RAD

LIDAR_POSE = se3_from_xyz_rpy(0.9, 0.0, 1.84, 0.0, 0.02, 0.0) @ se3_from_xyz_rpy(0.0, 0.0, 0.0, 0.0, 0.0, -np.pi / 2)
SIZES = {Label.CAR: (4.5, 1.9, 1.6), Label.PEDESTRIAN: (0.7, 0.7, 1.75)}


def placed_boxes(num=10):
    """Road users around the sensor, all of one bin, none behind another, in base_link."""
    boxes = []
    for index in range(num):
        for label, radius in ((Label.CAR, 24.0), (Label.PEDESTRIAN, 14.0)):
            angle = 2 * np.pi * (index + (0.5 if label is Label.PEDESTRIAN else 0.0)) / num
            length, width, height = (value + 0.01 * index for value in SIZES[label])
            x, y = 0.9 + radius * np.cos(angle), radius * np.sin(angle)
            box_7 = np.array([x, y, height / 2, length, width, height, angle + 1.0], np.float32)
            boxes.append(RecordedBox(label, label.name.lower(), box_7, np.zeros(2, np.float32), 9))
    return boxes


def grid_sweep():
    """Every beam comes back from far away in every direction, so that the mount knows them all."""
    azimuth = np.linspace(0.0, 2 * np.pi, 400, endpoint=False)
    elevation = np.array(HDL_32E_RAD)
    a, e = (grid.ravel() for grid in np.meshgrid(azimuth, elevation))
    return 90.0 * np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], axis=1), np.repeat(np.arange(32), 400)


@pytest.fixture(scope='module')
def frame_folder(tmp_path_factory):
    """A keyframe in the shared frames' layout whose points come from the world."""
    folder = tmp_path_factory.mktemp('frames')
    xyz, rings = grid_sweep()
    ahead = LIDAR_POSE @ se3_from_xyz_rpy(0.0, 0.0, 0.0, 0.0, 0.0, np.pi / 2)
    boxes = placed_boxes()
    bare = _sweep('nuscenes', 'made', ahead, xyz, np.zeros(len(xyz), np.float32), rings, boxes, 1084)
    points = twin_points(bare, 77)
    turned = np.stack([-points[:, 1], points[:, 0], points[:, 2]], axis=1)  # x to the right, y ahead
    raw = np.concatenate([turned, 255 * points[:, 3:4], points[:, 4:5]], axis=1).astype(np.float32)
    (folder / 'a').mkdir()
    raw.tofile(folder / 'a/LIDAR_TOP.bin')
    local = boxes_in(np.linalg.inv(LIDAR_POSE), np.array([box.box_7 for box in boxes]))
    items = [
        {'category': box.category, 'xyz_lwh_yaw': row.tolist(), 'velocity_xy': [0.0, 0.0], 'num_lidar_pts': 9}
        for box, row in zip(boxes, local)
    ]
    content = {
        'stamp_us': 1_000_000,
        'global_SE3_ego': np.eye(4).tolist(),
        'ego_SE3_lidar': LIDAR_POSE.tolist(),
        'lidar_file': 'LIDAR_TOP.bin',
        'cameras': {},
        'boxes': items,
    }
    (folder / 'a/frame.json').write_text(json.dumps(content))
    return folder


def test_the_world_against_itself_gives_a_ratio_of_one(frame_folder):
    (sweep,) = read_sweeps(frame_folder)
    counts = count_objects(sweep, 0)
    rows = bin_ratios(counts, 0)
    assert [(row.label, row.low_m, row.num_objects) for row in rows] == [(Label.CAR, 20.0, 10), (Label.PEDESTRIAN, 10.0, 10)]
    for row in rows:
        assert row.ratio == pytest.approx(1.0, abs=0.2)
        assert row.low < row.ratio < row.high
        assert row.has_goal
        assert row.is_met
    assert count_objects(sweep, 0) == counts


def test_points_lost_in_the_recording_raise_the_ratio(frame_folder):
    (sweep,) = read_sweeps(frame_folder)
    thinned = type(sweep)(
        **{**vars(sweep), 'points_n4': sweep.points_n4[::3].copy(), 'rings_n': sweep.rings_n[::3].copy()},
    )
    for row, thin in zip(bin_ratios(count_objects(sweep, 0), 0), bin_ratios(count_objects(thinned, 0), 0)):
        assert thin.ratio == pytest.approx(3 * row.ratio, rel=0.2)
        assert not thin.is_met


def test_what_stopped_a_recorded_beam_stops_its_twin(frame_folder):
    (sweep,) = read_sweeps(frame_folder)
    direction = twin_points(sweep, 0)
    near = direction.copy()
    near[:, :3] *= (5.0 / np.linalg.norm(direction[:, :3], axis=1))[:, None]
    fields = {**vars(sweep), 'points_n4': near[:, :4], 'rings_n': near[:, 4].astype(int)}
    counts = count_objects(type(sweep)(**fields), 0)
    assert sum(count.blocked for count in counts) < 0.2 * sum(count.alone for count in counts)
    assert sum(count.recorded for count in counts) == 0


def test_the_foot_of_a_box_is_not_counted_and_its_margin_is():
    box = np.array([[0.0, 0.0, 1.0, 4.0, 2.0, 2.0, np.pi / 2]], np.float32)
    points = np.array(
        [[0, 0, 1, 0], [0, 2.05, 1, 0], [0, 2.2, 1, 0], [1.05, 0, 1, 0], [0, 0, 0.15, 0], [0, 0, 2.05, 0]], np.float32
    )
    assert inside(points, box, 0.1, 0.2)[0].tolist() == [True, True, False, True, False, True]


def test_counts_of_two_sensors_add_up():
    one = ObjectCount('av2', Label.CAR, SIZES[Label.CAR], 12.0, 3, 4.0, 2.0)
    assert joined([[one], [one]]) == (ObjectCount('av2', Label.CAR, SIZES[Label.CAR], 12.0, 6, 8.0, 4.0),)


def test_an_object_of_several_sweeps_is_drawn_as_one():
    counts = [ObjectCount('av2', Label.CAR, (float(size), 2.0, 1.5), 12.0, 10, 9.0, 5.0 + size) for size in range(8)]
    once, twice = bin_ratios(counts, 0)[0], bin_ratios([*counts, *counts], 0)[0]
    assert (twice.num_boxes, twice.num_objects) == (16, 8)
    assert (twice.low, twice.ratio, twice.high) == pytest.approx((once.low, once.ratio, once.high))
    assert once.high - once.low > 0.2


def test_bins_with_few_objects_or_no_point_are_left_out():
    seven = [ObjectCount('a', Label.CAR, (float(size), 2.0, 1.5), 5.0, 3, 3.0, 3.0) for size in range(7)]
    unseen = [ObjectCount('a', Label.CAR, (float(size), 2.0, 1.5), 15.0, 0, 3.0, 3.0) for size in range(9)]
    assert bin_ratios([*seven, *unseen], 0) == ()
    assert unjudged([*seven, *unseen]) == (('a', Label.CAR, 0.0, 7),)
    assert len(bin_ratios([*seven, seven[0]], 0)) == 1


def test_grounds_and_intensities_are_counted(frame_folder):
    (sweep,) = read_sweeps(frame_folder)
    rings = ground_rings(sweep, 0)
    assert len(rings) == len(sweep.mount.elevations_rad)
    assert sum(ring.synthetic for ring in rings) > 5000
    recorded, synthetic = intensity_counts(sweep, 0)
    assert recorded.sum() == pytest.approx(synthetic.sum(), rel=0.2)
    assert by_stamp((sweep, sweep)) == ((sweep, sweep),)


def test_the_command_prints_ratios_and_writes_json_and_plot(frame_folder, tmp_path, capsys):
    pytest.importorskip('matplotlib')
    out = tmp_path / 'new/realism.json'
    arguments = ['evaluate', 'realism', '--data', str(frame_folder), '--json', str(out), '--out', str(tmp_path / 'plots')]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert 'pedestrian' in printed
    assert 'met' in printed
    content = json.loads(out.read_text())
    assert {row['label'] for row in content['ratios']} == {'car', 'pedestrian'}
    assert content['brightness'] == {'recorded': [0.0] * 32, 'synthetic': [0.0] * 32}
    assert (tmp_path / 'plots/realism.png').stat().st_size > 10_000
    assert not out.with_suffix('.partial').exists()


def test_a_folder_without_sweeps_is_refused(tmp_path):
    with pytest.raises(InputError, match=r'no frame\.json with a LiDAR sweep'):
        read_sweeps(tmp_path)


def test_a_missing_sweep_is_named(frame_folder, tmp_path):
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b/frame.json').write_text((frame_folder / 'a/frame.json').read_text())
    with pytest.raises(InputError, match=r'LIDAR_TOP\.bin: missing'):
        read_sweeps(tmp_path)


def test_an_argoverse_log_that_is_cut_off_is_named(tmp_path):
    pytest.importorskip('pyarrow')
    (tmp_path / 'calibration').mkdir()
    (tmp_path / 'calibration/egovehicle_SE3_sensor.feather').write_bytes(b'ARROW1 cut off')
    with pytest.raises(InputError, match=r'egovehicle_SE3_sensor\.feather'):
        read_sweeps(tmp_path)


def test_recorded_cars_and_pedestrians_meet_the_goal(data_dir):
    pytest.importorskip('pyarrow')
    counts = [
        count for same in by_stamp(read_sweeps(data_dir)) for count in joined([count_objects(sweep, 0) for sweep in same])
    ]
    rows = [row for row in bin_ratios(counts, 0) if row.has_goal]
    assert {row.label for row in rows} == {Label.CAR, Label.PEDESTRIAN}
    assert all(row.is_met for row in rows), rows
