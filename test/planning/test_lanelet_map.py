import numpy as np
import pytest
from planning.lanelet_files import LIGHT_ID, write_two_lane_road

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.planning.lanelet_map import lane_graph_from_bytes, load_lane_graph


def test_local_tags_give_exact_metres_and_the_drawn_direction(tmp_path):
    graph = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm'))
    lane = graph.lanes[20]
    np.testing.assert_allclose(lane.centre_m3[[0, -1]], [[0.0, 0.0, 19.5], [50.0, 0.0, 19.5]], atol=1e-9)
    assert lane.speed_limit_mps == pytest.approx(10.0)


def test_neighbours_and_followers_are_read(tmp_path):
    lanes = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm')).lanes
    assert lanes[20].successors == (21,)
    assert (lanes[20].left, lanes[20].right) == (22, None)
    assert lanes[22].right == 20


def test_traffic_light_stops_where_the_stop_line_meets_the_lane(tmp_path):
    (light,) = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm')).lanes[20].traffic_lights
    assert light.element_id == LIGHT_ID
    np.testing.assert_allclose(light.stop_xy_2, [45.0, 0.0], atol=0.2)


def test_latitude_and_longitude_need_an_origin(tmp_path):
    path = write_two_lane_road(tmp_path / 'map.osm', local=False)
    with pytest.raises(InputError, match='map_origin'):
        load_lane_graph(path)
    graph = load_lane_graph(path, (0.0, 0.0))
    np.testing.assert_allclose(graph.lanes[21].centre_m3[-1, :2], [120.0, 0.0], atol=0.1)


def test_binary_map_is_read_as_its_osm(tmp_path):
    lanelet2 = pytest.importorskip('lanelet2')
    path = write_two_lane_road(tmp_path / 'map.osm', local=False)
    origin = lanelet2.io.Origin(0.0, 0.0)
    lanelet_map = lanelet2.io.load(str(path), lanelet2.projection.LocalCartesianProjector(origin))
    lanelet2.io.write(str(tmp_path / 'map.bin'), lanelet_map, origin)
    graph = lane_graph_from_bytes((tmp_path / 'map.bin').read_bytes())
    np.testing.assert_allclose(graph.lanes[20].centre_m3, load_lane_graph(path, (0.0, 0.0)).lanes[20].centre_m3)
    assert graph.lanes[20].traffic_lights[0].element_id == LIGHT_ID


@pytest.mark.parametrize(
    ('name', 'content', 'fact'),
    [
        ('cut.osm', '<osm><node id="1" lat="0" lon=', 'not a Lanelet2 map'),
        ('cut_local.osm', '<osm><node id="1"><tag k="local_x"', 'not a Lanelet2 map'),
        ('half.osm', '<osm><node id="1"><tag k="local_x" v="1"/></node></osm>', 'local_y'),
        (
            'words.osm',
            '<osm><node id="1"><tag k="local_x" v="far"/><tag k="local_y" v="1"/></node></osm>',
            'not a Lanelet2 map',
        ),
        ('empty.osm', '<osm></osm>', 'none that a car may use'),
        ('map.bin', 'no archive', 'not a Lanelet2 map'),
    ],
)
def test_malformed_map_is_refused_with_its_name_and_the_fact(tmp_path, name, content, fact):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=fact) as caught:
        load_lane_graph(path, (0.0, 0.0))
    assert name in str(caught.value)


def test_missing_map_is_refused(tmp_path):
    with pytest.raises(InputError, match='no such map file'):
        load_lane_graph(tmp_path / 'none.osm')


def test_recorded_city_map_has_lanes_lights_and_ways(data_dir):
    graph = load_lane_graph(data_dir / 'maps' / 'mapping_example.osm', (49.0, 8.41))
    assert len(graph.lanes) > 300
    assert sum(len(lane.traffic_lights) for lane in graph.lanes.values()) > 3
    for lane in graph.lanes.values():
        for follower in lane.successors:
            gap = np.linalg.norm(graph.lanes[follower].centre_m3[0, :2] - lane.centre_m3[-1, :2])
            assert gap < 0.5, (lane.lane_id, follower)
