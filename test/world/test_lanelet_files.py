from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.traffic_light import LightPlace, LightState
from moe_bev_ros.planning.lanelet_map import load_lane_graph, load_lanelet_map, load_light_places
from moe_bev_ros.world.lanelet_files import read_network, write_lanelet2
from moe_bev_ros.world.layouts import LAYOUTS, Layout
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.network import LineKind, Surface
from moe_bev_ros.world.scene import Signal
from moe_bev_ros.world.terrain import Terrain

ORIGIN = (49.0, 8.41)


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_written_network_is_read_back_as_it_was(name, tmp_path):
    layout = LAYOUTS[name](np.random.default_rng(2))
    path = tmp_path / 'map.osm'
    write_lanelet2(layout.network, path, housings(layout))
    assert [file.name for file in tmp_path.iterdir()] == ['map.osm']
    expected, graph = layout.network.graph, load_lane_graph(path)
    assert graph.warnings == ()
    assert set(graph.lanes) == set(expected.lanes)
    for lane_id, lane in expected.lanes.items():
        read = graph.lanes[lane_id]
        assert np.abs(in_pieces(read.centre_m3) - in_pieces(lane.centre_m3)).max() < 0.01
        assert set(read.successors) == set(lane.successors)
        assert (read.left, read.right) == (lane.left, lane.right)
        assert read.speed_limit_mps == pytest.approx(lane.speed_limit_mps)
        assert [light.element_id for light in read.traffic_lights] == [light.element_id for light in lane.traffic_lights]
        for one, other in zip(read.traffic_lights, lane.traffic_lights):
            assert np.linalg.norm(one.stop_xy_2 - other.stop_xy_2) < 0.01


def test_crossings_dividers_and_stop_lines_come_back(tmp_path):
    layout = LAYOUTS['junction'](np.random.default_rng(0))
    path = tmp_path / 'map.osm'
    write_lanelet2(layout.network, path, housings(layout))
    network = read_network(path)
    for read, crossing in zip(network.crossings, layout.network.crossings, strict=True):
        assert np.abs(np.concatenate([read.start_2 - crossing.start_2, read.end_2 - crossing.end_2])).max() < 0.01
        assert read.width_m == pytest.approx(crossing.width_m, abs=0.01)
    kinds = [line.kind for line in network.lines]
    assert kinds.count(LineKind.STOP) == 4
    assert kinds.count(LineKind.DASHED) >= 4
    assert {area.surface for area in network.areas} == {Surface.FOREGROUND, Surface.PAVEMENT, Surface.KERB, Surface.ASPHALT}
    for way in network.walkways:
        centres = np.concatenate([lane.centre_m3[:, :2] for lane in network.graph.lanes.values()])
        assert np.linalg.norm(way[:, None] - centres[None], axis=2).min() > 2.0


def test_a_recorded_map_becomes_a_network(data_dir):
    network = read_network(data_dir / 'maps' / 'mapping_example.osm', ORIGIN)
    assert len(network.borders) == len(network.graph.lanes) > 300
    assert len(network.crossings) == 8
    assert {line.kind for line in network.lines} == {LineKind.SOLID, LineKind.DASHED, LineKind.STOP}
    assert len(network.walkways) > 20


def test_housings_come_back_where_they_hang_as_autoware_draws_them(tmp_path):
    layout = LAYOUTS['junction'](np.random.default_rng(0))
    path = tmp_path / 'map.osm'
    written = sorted(housings(layout), key=lambda place: place.element_id)
    write_lanelet2(layout.network, path, written)
    read = load_light_places(path)
    assert len(read) == len(written) == 8
    for one, other in zip(read, written):
        assert one.element_id == other.element_id
        assert one.stop_xy_m == pytest.approx(other.stop_xy_m, abs=0.01)
        assert one.centre_xyz_m == pytest.approx(other.centre_xyz_m, abs=0.002)
        assert np.cos(one.yaw_rad - other.yaw_rad) > 0.9999
        assert one.height_m == other.height_m
    light = next(light for item in load_lanelet_map(path)[0].laneletLayer for light in item.trafficLights())
    place = next(place for place in written if place.element_id == light.id)
    edge = light.trafficLights[0]
    assert edge[0].z == edge[-1].z == pytest.approx(place.centre_xyz_m[2] - 0.5 * place.height_m, abs=0.002)
    looking = np.arctan2(edge[-1].y - edge[0].y, edge[-1].x - edge[0].x) + np.pi / 2  # of who sees the lamps
    assert np.cos(looking - place.yaw_rad) < -0.9999


def test_a_light_without_a_height_has_no_place(tmp_path):
    layout = LAYOUTS['junction'](np.random.default_rng(0))
    write_lanelet2(layout.network, tmp_path / 'map.osm')
    assert load_light_places(tmp_path / 'map.osm') == []


def test_a_map_without_lanes_is_named(tmp_path):
    path = tmp_path / 'empty.osm'
    path.write_text('<?xml version="1.0"?>\n<osm version="0.6"><node id="1" lat="0" lon="0"/></osm>\n')
    with pytest.raises(InputError, match=r'empty\.osm.*none that a car may use; check subtype'):
        read_network(path, (0.0, 0.0))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    network = LAYOUTS['street'](np.random.default_rng(0)).network
    (tmp_path / 'map.osm').mkdir()
    with pytest.raises(InputError, match=r'map\.osm: Is a directory; make room'):
        write_lanelet2(network, tmp_path / 'map.osm')
    assert [file.name for file in tmp_path.iterdir()] == ['map.osm']


def housings(layout: Layout) -> list[LightPlace]:
    signals = [Signal(s.element_id, s.stop_xy, LightState.RED, s.x, s.y, s.yaw_rad) for s in layout.signals]
    return light_places(signals, Terrain(np.full((2, 2), 1.5, np.float32)))


def in_pieces(points_m3: np.ndarray) -> np.ndarray:
    s_m = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_m3, axis=0), axis=1))])
    return np.column_stack([np.interp(np.linspace(0.0, s_m[-1], 50), s_m, column) for column in points_m3.T])
