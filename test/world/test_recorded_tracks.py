from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.network import Surface
from moe_bev_ros.world.recorded_tracks import read_tracks

T = 5


def write_scene(path: Path, **changes: object) -> Path:
    """Two lanes side by side, each followed by another; an ego, a bus, and somebody who is seen twice."""
    meta = {
        'scene': 'two lanes',
        'stamps_s': [0.1 * step for step in range(T)],
        'ego_id': 'ego',
        'tracks': {
            'ego': {'index': 0, 'type': 'VEHICLE'},
            'bus': {'index': 1, 'type': 'VEHICLE'},
            'walker': {'index': 2, 'type': 'PEDESTRIAN'},
        },
        'map': {
            **{f'lane {i}': {'index': i, 'type': 'LANE_SURFACE_STREET'} for i in range(4)},
            'divider': {'index': 4, 'type': 'ROAD_LINE_BROKEN_SINGLE_WHITE'},
            'boundary_0': {'index': 5, 'type': 'ROAD_LINE_SOLID_SINGLE_WHITE'},
        },
    }
    arrays: dict[str, object] = {}
    sizes = {0: (4.0, 1.7, 1.5), 1: (11.0, 2.9, 3.4), 2: (0.7, 0.7, 1.8)}
    for index, size in sizes.items():
        arrays[f't{index}_position'] = np.array([[1000.0 + step, 500.0 + 3.4 * index, 0.0] for step in range(T)])
        arrays[f't{index}_heading'] = np.zeros(T)
        arrays[f't{index}_velocity'] = np.tile([10.0, 0.0], (T, 1))
        arrays[f't{index}_valid'] = np.array([1, 1, 0, 0, 0] if index == 2 else [1] * T, np.float32)
        for name, value in zip(('length', 'width', 'height'), size):
            arrays[f't{index}_{name}'] = np.full((T, 1), value)
    for lane, (x0, x1, y) in enumerate([(990, 1040, 500), (1040, 1080, 500), (990, 1040, 503.4), (1040, 1080, 503.4)]):
        arrays[f'm{lane}_polyline'] = np.array([[x0, y, 0.0], [x1, y, 0.0]])
        arrays[f'm{lane}_polygon'] = np.array([[x0, y - 1.7], [x1, y - 1.7], [x1, y + 1.7], [x0, y + 1.7]])
    arrays['m4_polyline'] = np.array([[990.0, 501.7], [1080.0, 501.7]])
    arrays['m5_polyline'] = np.array([[980, 490], [980, 510], [1090, 510], [1090, 490], [980, 490]], float)
    arrays['meta'] = json.dumps({**meta, **changes.pop('meta', {})})
    np.savez(path, **{**arrays, **changes})
    return path


def test_tracks_and_lanes_are_moved_to_where_the_ego_begins(tmp_path):
    scene = read_tracks(write_scene(tmp_path / 'scene.npz'))
    assert scene.origin_xy_m == (1000.0, 500.0)
    assert scene.ego_poses_t3[-1].tolist() == [4.0, 0.0, 0.0]
    bus, walker = scene.tracks
    assert (bus.label, walker.label) == (Label.BUS, Label.PEDESTRIAN)
    assert bus.size_3 == (11.0, 2.9, 3.4)
    assert bus.poses_t3[0].tolist() == [0.0, pytest.approx(3.4), 0.0]
    assert walker.valid_t.tolist() == [True, True, False, False, False]
    assert np.isnan(walker.poses_t3[2:]).all()
    assert walker.speeds_t.tolist() == [10.0, 10.0, 0.0, 0.0, 0.0]


def test_lanes_find_successors_neighbours_and_borders(tmp_path):
    network = read_tracks(write_scene(tmp_path / 'scene.npz')).network
    lanes = network.graph.lanes
    right, left = network.graph.nearest(np.zeros(2)), network.graph.nearest(np.array([0.0, 3.4]))
    assert (lanes[left].right, lanes[right].left) == (right, left)
    assert (lanes[left].left, lanes[right].right) == (None, None)
    (after,) = lanes[right].successors
    assert lanes[after].centre_m3[0, :2].tolist() == [40.0, 0.0]
    assert lanes[after].successors == ()
    border = network.borders[right][0]
    assert border[:, 1] == pytest.approx(1.7)
    rings = [area for area in network.areas if area.surface is Surface.ASPHALT and np.ptp(area.outline_n2[:, 0]) > 100.0]
    assert len(rings) == 1


def test_a_solid_line_keeps_lanes_apart(tmp_path):
    meta = json.loads(str(np.load(write_scene(tmp_path / 'scene.npz'))['meta']))
    meta['map']['divider']['type'] = 'ROAD_LINE_SOLID_SINGLE_WHITE'
    network = read_tracks(write_scene(tmp_path / 'scene.npz', meta=meta)).network
    assert all(lane.left is None and lane.right is None for lane in network.graph.lanes.values())


@pytest.mark.parametrize(('name', 'way_m'), [('0061', 92.0), ('0553', 0.0), ('1077', 255.0)])
def test_the_ego_of_a_recording_follows_lanes(data_dir, name, way_m):
    scene = read_tracks(data_dir / 'tracks' / f'scene-{name}.npz')
    graph, ego = scene.network.graph, scene.ego_poses_t3
    assert np.hypot(*np.diff(ego[:, :2], axis=0).T).sum() == pytest.approx(way_m, abs=2.0)
    lanes = [graph.nearest(pose[:2], pose[2]) for pose in (ego[0], ego[-1])]
    path = graph.shortest_path(*lanes)
    centres = np.concatenate([graph.lanes[lane_id].centre_m3[:, :2] for lane_id in path])
    gaps = np.linalg.norm(ego[:, None, :2] - centres[None], axis=2).min(axis=1)
    assert np.percentile(gaps, 90) < 2.5
    assert {Label.CAR, Label.BARRIER} <= {track.label for track in scene.tracks}


def test_bad_files_are_named(tmp_path):
    missing = tmp_path / 'missing.npz'
    with pytest.raises(InputError, match=r'missing\.npz: no such file'):
        read_tracks(missing)
    text = tmp_path / 'text.npz'
    text.write_text('hello')
    with pytest.raises(InputError, match=r'text\.npz: not a recorded scene'):
        read_tracks(text)
    cut = tmp_path / 'cut.npz'
    cut.write_bytes(write_scene(tmp_path / 'whole.npz').read_bytes()[:3000])
    with pytest.raises(InputError, match=r'cut\.npz: not a recorded scene'):
        read_tracks(cut)
    short = write_scene(tmp_path / 'short.npz', meta={'stamps_s': [0.0, 0.1]})
    with pytest.raises(InputError, match=r'short\.npz: .*a pose at every stamp'):
        read_tracks(short)
    bare = write_scene(tmp_path / 'bare.npz', meta={'map': {}})
    with pytest.raises(InputError, match=r'bare\.npz: holds no lane within 120 m'):
        read_tracks(bare)
