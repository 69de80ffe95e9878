"""Heads know where they look."""

import torch
from model.small_model import CONFIG

from moe_bev_ros.model.heads import Heads


def test_what_is_usual_at_a_place_is_said_there_alone():
    torch.manual_seed(0)
    heads = Heads(CONFIG).eval()
    cells = CONFIG.num_cells
    coarse = torch.zeros(1, CONFIG.channels, cells, cells)
    fine = torch.zeros(1, CONFIG.lidar_channels, 2 * cells, 2 * cells)
    with torch.no_grad():
        before = heads(coarse, fine)[1]
        heads.place.row[:, 2] = 3.0
        after = heads(coarse, fine)[1]
    changed = (after - before).abs().amax(dim=(0, 1, 3)) > 1e-6
    assert changed[4:6].all()  # the fine rows of that coarse one
    assert not changed[8:].any()
