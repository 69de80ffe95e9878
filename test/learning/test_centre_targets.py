"""Targets and their decoding are inverse, and the loss knows the truth from an error."""

import numpy as np
import torch

from moe_bev_ros.core.objects import Label
from moe_bev_ros.learning.centre_targets import Truth, centre_loss, make_targets
from moe_bev_ros.learning.lidar_samples import LidarSample
from moe_bev_ros.model.pillars import PillarGrid
from moe_bev_ros.perception.centre_boxes import decode_centres

GRID = PillarGrid()


def truth_of(*rows):
    boxes = np.array([row[:7] for row in rows], np.float32)
    return Truth(boxes, np.array([row[7] for row in rows], np.uint8), np.array([row[8:] for row in rows], np.float32))


TRUTH = truth_of(
    (10.3, -4.2, 0.8, 4.4, 1.9, 1.6, 0.6, Label.CAR, 5.0, 1.0),
    (-30.0, 22.0, 0.9, 0.6, 0.7, 1.8, -2.0, Label.PEDESTRIAN, 0.0, 1.2),
)


def maps_that_tell(targets):
    boxes = torch.zeros((len(targets.heat_bkhw), GRID.num_cells, GRID.num_cells, 10))
    boxes.view(-1, 10)[targets.index_m] = targets.boxes_mc
    return boxes.permute(0, 3, 1, 2)


def test_decoded_targets_are_the_boxes():
    targets = make_targets([TRUTH], GRID.num_cells, GRID.cell_m, GRID.half_m)
    found = decode_centres(
        targets.heat_bkhw[0].numpy(), maps_that_tell(targets)[0].numpy(), GRID.cell_m, GRID.half_m, min_score=0.9
    )
    order = np.argsort(found.labels_n)
    np.testing.assert_allclose(found.boxes_n7[order], TRUTH.boxes_n7, atol=1e-4)
    np.testing.assert_allclose(found.velocities_n2[order], TRUTH.velocities_n2, atol=1e-5)


def test_boxes_off_the_map_are_left_out():
    away = truth_of((80.0, 0.0, 0.8, 4.4, 1.9, 1.6, 0.0, Label.CAR, 0.0, 0.0))
    targets = make_targets([away], GRID.num_cells, GRID.cell_m, GRID.half_m)
    assert len(targets.index_m) == 0
    assert not targets.heat_bkhw.any()


def test_the_loss_is_lowest_at_the_truth():
    targets = make_targets([TRUTH], GRID.num_cells, GRID.cell_m, GRID.half_m)
    right = torch.where(targets.heat_bkhw == 1.0, 8.0, -8.0)
    heat, boxes = centre_loss(right, maps_that_tell(targets), targets)
    worse_heat, worse_boxes = centre_loss(-right, maps_that_tell(targets) + 0.1, targets)
    assert heat < 0.01
    assert boxes == 0.0
    assert worse_heat > 1.0
    assert worse_boxes > 0.1


def test_a_turned_and_mirrored_scene_keeps_its_geometry():
    points = np.concatenate([TRUTH.boxes_n7[:, :3], np.zeros((2, 2), np.float32)], axis=1)
    turned = LidarSample(7, points, TRUTH).turned(0.3, mirrored=True)
    np.testing.assert_allclose(turned.points_n5[:, :2], turned.truth.boxes_n7[:, :2], rtol=1e-5)
    x, y = TRUTH.boxes_n7[0, :2]
    assert np.isclose(np.arctan2(*turned.truth.boxes_n7[0, 1::-1]), np.arctan2(-y, x) + 0.3)
    assert np.isclose(turned.truth.boxes_n7[0, 6], -0.6 + 0.3)
    speed = np.linalg.norm(turned.truth.velocities_n2, axis=1)
    np.testing.assert_allclose(speed, np.linalg.norm(TRUTH.velocities_n2, axis=1), rtol=1e-5)
