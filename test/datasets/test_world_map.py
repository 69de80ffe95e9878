import numpy as np
import pytest

from moe_bev_ros.datasets.world_map import PIXELS_PER_M, map_mask, map_offset, moved_network
from moe_bev_ros.world.layouts import LAYOUTS


@pytest.fixture(scope='module')
def network():
    return LAYOUTS['junction'](np.random.default_rng(3)).network


def test_everything_lies_beyond_the_maps_origin(network):
    offset = map_offset(network)
    moved = moved_network(network, offset)
    corners = np.concatenate([area.outline_n2 for area in moved.areas])
    assert corners.min() >= 20.0
    assert np.array_equal(offset, np.round(offset))


def test_lanes_are_on_the_mask_and_the_meadow_is_not(network):
    offset = map_offset(network)
    mask = map_mask(network, offset)
    centres = np.concatenate([lane.centre_m3[:, :2] for lane in moved_network(network, offset).graph.lanes.values()])
    columns, rows = np.round(centres * PIXELS_PER_M).astype(int).T
    assert mask[mask.shape[0] - 1 - rows, columns].mean() > 0.99 * 255
    assert set(np.unique(mask)) == {0, 255}
    assert not mask[0].any()
    assert not mask[-1].any()


def test_a_moved_network_keeps_its_shape(network):
    offset = np.array([7.0, -3.0])
    moved = moved_network(network, offset)
    assert moved.graph.lanes.keys() == network.graph.lanes.keys()
    for lane_id, lane in network.graph.lanes.items():
        np.testing.assert_allclose(
            moved.graph.lanes[lane_id].centre_m3 - lane.centre_m3, np.tile([7, -3, 0], (len(lane.centre_m3), 1))
        )
        assert moved.graph.lanes[lane_id].length_m == pytest.approx(lane.length_m)
        for light, before in zip(moved.graph.lanes[lane_id].traffic_lights, lane.traffic_lights):
            np.testing.assert_allclose(light.stop_xy_2 - before.stop_xy_2, offset)
    assert all(np.allclose(new - old, offset) for new, old in zip(moved.walkways, network.walkways))
