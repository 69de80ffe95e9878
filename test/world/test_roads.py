from __future__ import annotations

import lanelet2
import numpy as np
import pytest
from lanelet2.projection import LocalCartesianProjector

from moe_bev_ros.world.roads import LANE_WIDTH_M, Road, turned, write_lanelet2


@pytest.mark.parametrize('curvature', [0.0, 0.004, -0.006])
def test_locate_undoes_pose(curvature):
    road = Road(curvature_per_m=curvature)
    for station in (-40.0, 0.0, 3.0, 120.0):
        for offset in (-5.0, 0.0, 3.5):
            x, y, _ = road.pose(station, offset)
            assert road.locate(x, y) == pytest.approx((station, offset), abs=1e-6)


def test_a_step_along_the_road_follows_its_heading():
    road = Road(curvature_per_m=0.01)
    (x0, y0, yaw), (x1, y1, _) = road.pose(50.0), road.pose(50.001)
    assert np.arctan2(y1 - y0, x1 - x0) == pytest.approx(yaw, abs=1e-4)


def test_lanelet2_reads_both_lanes_in_their_directions(tmp_path):
    path = tmp_path / 'road.osm'
    write_lanelet2(Road(curvature_per_m=0.002), path)
    lanelet_map = lanelet2.io.load(str(path), LocalCartesianProjector(lanelet2.io.Origin(0.0, 0.0)))
    ego, oncoming = lanelet_map.laneletLayer[9001], lanelet_map.laneletLayer[9002]
    for lanelet, direction in ((ego, 1.0), (oncoming, -1.0)):
        line = [(p.x, p.y) for p in lanelet.centerline]
        assert direction * (line[-1][0] - line[0][0]) > 100.0
    gap = lanelet2.geometry.distance(ego.rightBound[5], ego.leftBound[5])
    assert gap == pytest.approx(LANE_WIDTH_M, abs=0.1)


def test_turned_stays_in_range():
    assert turned(3.0) == pytest.approx(3.0 - np.pi)
    assert turned(0.0) == pytest.approx(-np.pi)
