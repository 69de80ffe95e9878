import torch
from model.small_model import random_inputs, small_model

from moe_bev_ros.learning.distillation import EVERYWHERE, BevFeatures, block_weights, cell_weights


def test_cells_of_road_users_weigh_most():
    heat = torch.zeros(1, 11, 8, 8)
    heat[0, 3, 4, 6] = 1.0
    weights = cell_weights(heat, 4).view(4, 4)
    assert weights[2, 3] == 1.0
    assert (weights.flatten().sort().values[:-1] == EVERYWHERE).all()


def test_blocks_weigh_what_the_cells_weigh_that_look_them_up():
    weight_bq = torch.tensor([[1.0, 0.5, 0.1, 0.1]])
    pixel_bzq = torch.tensor([[[0, 0, 2, 4], [1, 4, 2, 4]]])  # 4: no camera sees the cell
    found = block_weights(weight_bq, pixel_bzq, 4)
    torch.testing.assert_close(found, torch.tensor([[0.75, 1.0, 0.1, EVERYWHERE]]))


def test_the_maps_that_heads_read_are_kept_once_a_step():
    model = small_model()
    with torch.no_grad(), BevFeatures(model) as features:
        for seed in range(2):
            model(random_inputs(seed=seed), model.empty_memory(1), ('fused',))
    assert [tuple(one.shape) for one in features.maps_bcgg] == [(1, 16, 16, 16)] * 2
    with torch.no_grad():
        model(random_inputs(), model.empty_memory(1), ('fused',))
    assert len(features.maps_bcgg) == 2
