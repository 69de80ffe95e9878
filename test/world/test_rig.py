"""Rigs: where a camera looks, what a crop keeps, and what bad tables are answered with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import inverse, se3_from_quaternion, transform_points
from moe_bev_ros.world.rig import HDL_32E_RAD, HDL_64E_RAD, CameraMount, Lens, LidarMount, Rig
from moe_bev_ros.world.rigs import CHANNELS, FISHEYE_RIG, NUSCENES_RIG, pixel_lens, random_rig, rigs_from_nuscenes


def test_the_demo_rig_has_the_cameras_it_always_had():
    rig = Rig()
    front, back = rig.cameras[0], rig.cameras[3]
    assert front.intrinsics_33(352, 128) == pytest.approx(np.array([[251.354, 0, 176], [0, 251.354, 64], [0, 0, 1]]), abs=1e-3)
    assert back.intrinsics_33(352, 128)[0, 0] == pytest.approx(176 / np.tan(np.radians(55.0)))
    assert front.base_link_se3_camera[:3, :3] @ (0.0, 0.0, 1.0) == pytest.approx((1.0, 0.0, 0.0))
    assert rig.lidar.base_link_se3_lidar[:3, :3] == pytest.approx(np.eye(3))


def test_pitch_looks_down_and_roll_lowers_the_right_side():
    down = CameraMount('c', (0.0, 0.0, 1.0), 0.0, Lens.of_view(70.0), pitch_deg=10.0).base_link_se3_camera
    assert (down[:3, :3] @ (0.0, 0.0, 1.0))[2] == pytest.approx(-np.sin(np.radians(10.0)))
    rolled = CameraMount('c', (0.0, 0.0, 1.0), 0.0, Lens.of_view(70.0), roll_deg=10.0).base_link_se3_camera
    assert (rolled[:3, :3] @ (1.0, 0.0, 0.0))[2] == pytest.approx(-np.sin(np.radians(10.0)))


def test_a_crop_cuts_rows_from_the_top():
    mount = CameraMount('c', (0.0, 0.0, 1.0), 0.0, pixel_lens(1250.0, 1240.0, 830.0, 470.0))
    whole, cut = mount.intrinsics_33(1600, 900), mount.intrinsics_33(704, 256)
    assert whole == pytest.approx(np.array([[1250.0, 0.0, 830.5], [0.0, 1240.0, 470.5], [0.0, 0.0, 1.0]]))
    assert cut[1, 1] == pytest.approx(1240.0 * 0.44)
    assert cut[1, 2] == pytest.approx(470.5 * 0.44 - (900 * 0.44 - 256))
    assert cut[0, 2] == pytest.approx(830.5 * 0.44)


def test_beam_tables_rise_and_have_their_ends():
    for table, count, low, high in ((HDL_32E_RAD, 32, -30.67, 10.67), (HDL_64E_RAD, 64, -24.33, 2.0)):
        assert len(table) == count
        assert np.all(np.diff(table) > 0.0)
        assert np.degrees([table[0], table[-1]]) == pytest.approx([low, high])
    steps = np.degrees(np.diff(HDL_64E_RAD))
    assert steps.min() < 0.34 < 0.49 < steps.max()


def test_random_rigs_differ_a_little_and_repeat_by_seed():
    first, again = (random_rig(np.random.default_rng(3)) for _ in range(2))
    assert first == again
    others = [random_rig(np.random.default_rng(seed)) for seed in range(20)]
    assert {len(rig.lidar.elevations_rad) for rig in others} == {32, 64}
    for rig in others:
        for camera, base in zip(rig.cameras, NUSCENES_RIG.cameras):
            assert 0.0 < np.abs(np.subtract(camera.xyz_3, base.xyz_3)).max() < 0.6
            assert 0.0 < abs(camera.yaw_deg - base.yaw_deg) < 8.0
            assert camera.intrinsics_33(352, 128)[0, 0] != base.intrinsics_33(352, 128)[0, 0]
    assert random_rig(np.random.default_rng(1), FISHEYE_RIG).cameras[0].lens.kind == 'fisheye'


def test_official_tables_give_the_published_poses_and_matrices(data_dir: Path):
    folder = data_dir / 'nuscenes' / 'rigs'
    rigs = rigs_from_nuscenes(folder)
    assert 2 <= len(rigs) < 10
    sensors = {row['token']: row['channel'] for row in json.loads((folder / 'sensor.json').read_text())}
    rows = json.loads((folder / 'calibrated_sensor.json').read_text())
    first = {sensors[row['sensor_token']]: row for row in reversed(rows)}
    mounts = {camera.name: camera.base_link_se3_camera for camera in rigs[0].cameras}
    mounts['LIDAR_TOP'] = rigs[0].lidar.base_link_se3_lidar
    for channel, pose in mounts.items():
        w, x, y, z = first[channel]['rotation']
        assert pose == pytest.approx(se3_from_quaternion(first[channel]['translation'], (x, y, z, w)), abs=1e-9)
    k = np.array(first['CAM_BACK']['camera_intrinsic'])
    k[:2, 2] += 0.5
    assert rigs[0].cameras[3].intrinsics_33(1600, 900) == pytest.approx(k)


def test_the_remembered_rig_is_one_of_the_official_ones(data_dir: Path):
    def apart(rig: Rig) -> float:
        both = zip(rig.cameras, NUSCENES_RIG.cameras)
        sizes = [np.linalg.norm(inverse(a.base_link_se3_camera) @ b.base_link_se3_camera - np.eye(4)) for a, b in both]
        return float(max(sizes))

    assert min(apart(rig) for rig in rigs_from_nuscenes(data_dir / 'nuscenes' / 'rigs')) < 0.03


def test_nuscenes_lidar_has_x_to_the_right_and_y_ahead():
    ahead = transform_points(inverse(NUSCENES_RIG.lidar.base_link_se3_lidar), np.array([[10.98, 0.0, 1.84]]))
    assert ahead == pytest.approx(np.array([[0.0, 10.0, 0.0]]), abs=0.4)
    assert replace(LidarMount(), yaw_deg=90.0).base_link_se3_lidar[:3, 0] == pytest.approx((0.0, 1.0, 0.0))


def _tables(folder: Path, focal: float = 1250.0, channels: tuple[str, ...] = (*CHANNELS, 'LIDAR_TOP')) -> Path:
    k = [[focal, 0.0, 800.0], [0.0, focal, 450.0], [0.0, 0.0, 1.0]]
    sensors = [{'token': name, 'channel': name, 'modality': ''} for name in channels]
    rows = [
        {
            'token': name,
            'sensor_token': name,
            'translation': [0, 0, 1],
            'rotation': [0.5, -0.5, 0.5, -0.5],
            'camera_intrinsic': k,
        }
        for name in channels
    ]
    (folder / 'sensor.json').write_text(json.dumps(sensors))
    (folder / 'calibrated_sensor.json').write_text(json.dumps(rows))
    return folder


def test_bad_rigs_are_refused_with_a_cure(tmp_path: Path):
    assert len(rigs_from_nuscenes(_tables(tmp_path))) == 1
    with pytest.raises(InputError, match=r'CAM_FRONT is singular.*calibrated'):
        rigs_from_nuscenes(_tables(tmp_path, focal=0.0))
    with pytest.raises(InputError, match='rig without CAM_BACK, LIDAR_TOP'):
        rigs_from_nuscenes(_tables(tmp_path, channels=tuple(name for name in CHANNELS if name != 'CAM_BACK')))
    (tmp_path / 'sensor.json').write_text('[{')
    with pytest.raises(InputError, match=r'sensor\.json is no JSON'):
        rigs_from_nuscenes(tmp_path)
    with pytest.raises(InputError, match='give the folder of a nuScenes version'):
        rigs_from_nuscenes(tmp_path / 'absent')
    with pytest.raises(InputError, match='camera c: its intrinsic matrix is singular'):
        CameraMount('c', (0.0, 0.0, 1.0), 0.0, Lens((0.0, 0.7)))
    with pytest.raises(InputError, match='a fisheye lens has 4 coefficients'):
        Lens((0.3, 0.3), None, 'fisheye')
