"""The clustering on scenes of known shapes: points on the visible sides of boxes, on a ground with rings."""

import numpy as np
import pytest

from moe_bev_ros.core.frame import EgoMotion, Frame, LidarPoints
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.engine.base import BevGrid, EngineError, EngineSettings
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.engine.engines import ENGINES


def road(slope=0.0, radii=None):
    radii = np.arange(3.0, 50.0, 0.5) if radii is None else radii
    angle = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    xy = np.stack([np.outer(radii, np.cos(angle)), np.outer(radii, np.sin(angle))], -1).reshape(-1, 2)
    return np.column_stack([xy, slope * xy[:, 0]])


def box(x, y, length, width, height, yaw=0.0, base=0.0, step=0.08):
    """Points on the sides of a box that face the origin."""
    along, across = np.arange(-length / 2, length / 2 + 1e-6, step), np.arange(-width / 2, width / 2 + 1e-6, step)
    up = np.arange(0.1, height + 1e-6, 0.15)
    sides = [(np.stack([along, np.full_like(along, s * width / 2)], -1), (0, s)) for s in (-1, 1)]
    sides += [(np.stack([np.full_like(across, s * length / 2), across], -1), (s, 0)) for s in (-1, 1)]
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    parts = []
    for local, normal in sides:
        middle = turn @ (np.array(normal) * [length / 2, width / 2]) + [x, y]
        if (turn @ np.array(normal, float)) @ middle < 0:
            world = local @ turn.T + [x, y]
            parts += [np.column_stack([world, np.full(len(world), base + z)]) for z in up]
    return np.concatenate(parts)


def detect(*parts):
    xyz = np.concatenate(parts)
    points = np.zeros((len(xyz), 5), np.float32)
    points[:, :3] = xyz
    return ClusteringEngine().step(Frame(0, None, LidarPoints(points), None), None)


def nearest(detections, x, y):
    distance = np.hypot(detections.boxes_n7[:, 0] - x, detections.boxes_n7[:, 1] - y)
    return int(distance.argmin()), float(distance.min())


def test_without_a_sweep_perception_is_not_valid():
    output = ClusteringEngine().step(Frame(0, None, None, None), None)
    assert not output.perception_valid
    assert len(output.detections) == 0


def test_a_sweep_without_points_is_no_perception():
    assert not detect(np.zeros((0, 3))).perception_valid


def test_an_empty_road_has_no_obstacle():
    output = detect(road())
    assert output.perception_valid
    assert len(output.detections) == 0


@pytest.mark.parametrize('yaw', [0.0, 0.5, -1.2])
def test_a_car_is_found_with_its_place_size_and_heading(yaw):
    found = detect(road(), box(15, 5, 4.5, 1.9, 1.5, yaw)).detections
    assert len(found) == 1
    assert found.labels_n[0] == Label.CAR
    np.testing.assert_allclose(found.boxes_n7[0, :2], [15, 5], atol=0.3)
    np.testing.assert_allclose(found.boxes_n7[0, 3:6], [4.5, 1.9, 1.5], atol=0.35)
    assert abs(np.sin(found.boxes_n7[0, 6] - yaw)) < 0.08


def test_of_a_car_seen_from_behind_the_whole_length_is_given():
    found = detect(road(), box(20, 0, 4.4, 1.8, 1.5)).detections
    assert found.labels_n[0] == Label.CAR
    assert abs(found.boxes_n7[0, 0] - 20) < 0.5
    assert abs(np.sin(found.boxes_n7[0, 6])) < 0.1


def test_a_pedestrian_beside_a_car_stays_a_pedestrian():
    found = detect(road(), box(14, 4, 4.5, 1.9, 1.5), box(14, 2.4, 0.5, 0.5, 1.75)).detections
    index, distance = nearest(found, 14, 2.4)
    assert found.labels_n[index] == Label.PEDESTRIAN
    assert distance < 0.3
    assert Label.CAR in found.labels_n


def test_a_slope_of_eight_percent_is_ground_and_what_stands_on_it_is_not():
    found = detect(road(slope=0.08), box(25, 0, 0.5, 0.5, 1.75, base=2.0)).detections
    assert len(found) == 1
    assert found.labels_n[0] == Label.PEDESTRIAN


def test_a_curb_is_no_obstacle():
    ground = road()
    ground[ground[:, 1] > 5, 2] += 0.15
    assert len(detect(ground).detections) == 0


def test_no_box_of_a_bent_wall_covers_the_road_inside():
    angle = np.linspace(-0.9, 0.9, 800)
    arc = np.stack([20 * np.cos(angle), 20 * np.sin(angle)], -1)
    wall = np.concatenate([np.column_stack([arc, np.full(len(arc), z)]) for z in np.arange(0.1, 2.5, 0.2)])
    found = detect(road(radii=np.arange(3.0, 19.5, 0.5)), wall).detections
    assert len(found) > 5
    assert (found.labels_n == Label.UNKNOWN).all()
    assert (found.scores_n < 0.3).all()
    assert np.hypot(found.boxes_n7[:, 0], found.boxes_n7[:, 1]).min() > 19


def test_pieces_of_a_wall_stay_in_place_while_the_vehicle_drives():
    x, z = np.meshgrid(np.arange(-20, 20, 0.1), np.arange(0.1, 2.5, 0.2))
    wave = 9 + 2.5 * np.sin(x / 2)  # deep enough that it is no single box
    wall = np.column_stack([x.ravel(), wave.ravel(), z.ravel()])
    places = []
    for driven in (0.0, 0.7):
        points = np.zeros((len(wall), 5), np.float32)
        points[:, :3] = wall - [driven, 0, 0]
        motion = EgoMotion(0, se3_from_xy_yaw(1000.0 + driven, 50.0, 0.0), 7.0, 0.0)
        found = ClusteringEngine().step(Frame(0, None, LidarPoints(points), motion), None).detections
        near = np.abs(found.boxes_n7[:, 0]) < 15
        places.append(found.boxes_n7[near, :2] + [driven, 0])
    distance = np.linalg.norm(places[0][:, None] - places[1][None], axis=2).min(axis=1)
    assert len(places[0]) > 5
    assert np.median(distance) < 0.1


def test_what_hangs_above_the_road_is_no_obstacle():
    sign = np.column_stack([np.full(400, 20.0), np.tile(np.linspace(-3, 3, 40), 10), np.repeat(np.linspace(3.5, 5, 10), 40)])
    assert len(detect(road(), sign).detections) == 0


def test_not_finite_points_are_ignored():
    assert len(detect(road(), np.full((100, 3), np.nan)).detections) == 0


def test_turning_the_scene_turns_the_boxes():
    scene = np.concatenate([road(), box(15, 5, 4.5, 1.9, 1.5, 0.3), box(10, -6, 0.5, 0.5, 1.75)])
    turned = scene.copy()
    turned[:, 0], turned[:, 1] = -scene[:, 1], scene[:, 0]
    before, after = detect(scene).detections, detect(turned).detections
    assert len(before) == len(after)
    for x, y in before.boxes_n7[:, :2]:
        assert nearest(after, -y, x)[1] < 0.15


def test_the_map_knows_free_occupied_and_unseen_cells():
    output = detect(road(radii=np.arange(3.0, 30.0, 0.2)), box(15, 0, 4.5, 1.9, 1.5))
    grid = output.segmentation
    assert grid.occupancy_hw.shape == (BevGrid().num_cells,) * 2

    def at(x, y):
        return grid.occupancy_hw[int((y + 50) / grid.resolution_m), int((x + 50) / grid.resolution_m)]

    assert at(8.05, 0.02) == 0
    assert at(12.76, 0.0) == 100
    assert at(45.0, 20.0) == -1


def test_stages_are_named_and_timed():
    assert list(detect(road()).stage_ms) == ['ground', 'clusters', 'boxes', 'grid']


def test_engines_are_made_by_name():
    for name in ('clustering', 'pillars'):
        assert ENGINES[name](EngineSettings()).name == name


def test_the_network_is_reached_by_name():
    with pytest.raises(EngineError, match='precision'):
        ENGINES['torch'](EngineSettings(precision='int4'))
