"""The pillar network sees points where they are."""

import numpy as np
import torch

from moe_bev_ros.model.pillars import NUM_FEATURES, PillarGrid, PillarNet, pillar_features

GRID = PillarGrid()


def test_features_say_where_in_its_pillar_a_point_lies():
    points = np.array([[0.1, -0.3, 1.0, 0.5, -0.3], [60.0, 0.0, 1.0, 0.5, 0.0], [1.0, 1.0, 9.0, 0.5, 0.0]], np.float32)
    features, pillar = pillar_features(points, GRID)
    assert features.shape == (1, NUM_FEATURES)
    column, row = int((0.1 + GRID.half_m) / GRID.pillar_m), int((-0.3 + GRID.half_m) / GRID.pillar_m)
    assert pillar[0] == row * GRID.num_pillars + column
    np.testing.assert_allclose(features[0, :2], (-0.25, -0.25), atol=1e-4)


def test_a_point_changes_the_map_only_around_itself_and_in_its_sample():
    torch.manual_seed(0)
    net = PillarNet(PillarGrid(half_m=25.6)).eval()
    side = net.grid.num_pillars
    point = torch.ones((1, NUM_FEATURES))
    with torch.inference_mode():
        nothing, _ = net(torch.zeros((0, NUM_FEATURES)), torch.zeros(0, dtype=torch.int64), 2)
        heat, boxes = net(point, torch.tensor([side * side + 64 * side + 100]), 2)
    assert heat.shape == (2, 10, 64, 64)
    assert boxes.shape == (2, 10, 64, 64)
    changed = (heat - nothing).abs().sum(dim=1) > 1e-6
    assert not changed[0].any()
    assert changed[1, 32, 50]
    assert not changed[1, :, :20].any()
