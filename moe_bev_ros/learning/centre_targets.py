"""What a centre-based detector shall say, and how wrong it was.

CenterPoint (Yin, Zhou, Kraehenbuehl 2021) with the focal loss of CornerNet (Law, Deng 2018).

Legend: B batch, K classes, H W cells, N boxes of a sample, M boxes of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_bev_ros.learning.heat_maps import draw_peaks, peak_radius
from moe_bev_ros.model.pillars import NUM_BOX_CHANNELS, NUM_CLASSES

F32 = NDArray[np.float32]
# Weight of each channel of the box map: offset, height, size, heading, velocity.
CHANNEL_WEIGHTS = (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.4, 0.4)
BOX_WEIGHT = 0.6


@dataclass(frozen=True)
class Truth:
    """The boxes of one sample in base_link.

    Attributes:
        boxes_n7: x, y, z, length, width, height, yaw [m, rad].
        labels_n: values of Label.
        velocities_n2: over ground, in base_link's axes [m/s].
    """

    boxes_n7: F32
    labels_n: NDArray[np.uint8]
    velocities_n2: F32


@dataclass(frozen=True)
class Targets:
    """Of one batch.

    Attributes:
        heat_bkhw: 1 at a box's cell, falling off around it.
        index_m: flat cell (sample, row, column) of each box.
        boxes_mc: (M, NUM_BOX_CHANNELS) what the box map shall hold there.
    """

    heat_bkhw: Tensor
    index_m: Tensor
    boxes_mc: Tensor


def make_targets(truths: list[Truth], num_cells: int, cell_m: float, half_m: float) -> Targets:
    """Targets of the boxes whose centre lies on the map."""
    heat = np.zeros((len(truths), NUM_CLASSES, num_cells, num_cells), np.float32)
    index, values = [], []
    for sample, truth in enumerate(truths):
        place_n2 = (truth.boxes_n7[:, :2] + half_m) / cell_m
        on_map = np.flatnonzero(np.all((place_n2 >= 0.0) & (place_n2 < num_cells), axis=1))
        radii = peak_radius(truth.boxes_n7[on_map, 3], truth.boxes_n7[on_map, 4], cell_m)
        columns, rows = place_n2[on_map].astype(np.int64).T
        draw_peaks(heat[sample], truth.labels_n[on_map].astype(np.int64), rows, columns, radii)
        for n in on_map:
            column, row = int(place_n2[n, 0]), int(place_n2[n, 1])
            _, _, z, length, width, height, yaw = truth.boxes_n7[n]
            index.append((sample * num_cells + row) * num_cells + column)
            size = np.log([length, width, height])
            offset = (place_n2[n, 0] - column, place_n2[n, 1] - row)
            values.append((*offset, z, *size, np.sin(yaw), np.cos(yaw), *truth.velocities_n2[n]))
    boxes = np.array(values, np.float32).reshape(-1, NUM_BOX_CHANNELS)
    return Targets(torch.from_numpy(heat), torch.tensor(index, dtype=torch.int64), torch.from_numpy(boxes))


def centre_loss(heat_bkhw: Tensor, boxes_bchw: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Loss of the logits and of the boxes, both per box of the batch."""
    logits, target = heat_bkhw.float(), targets.heat_bkhw
    num = max(1, len(targets.index_m))
    score = logits.sigmoid()
    is_centre = target == 1.0
    positive = -torch.nn.functional.logsigmoid(logits) * (1.0 - score) ** 2 * is_centre
    negative = -torch.nn.functional.logsigmoid(-logits) * score**2 * (1.0 - target) ** 4 * ~is_centre
    found = boxes_bchw.float().permute(0, 2, 3, 1).reshape(-1, NUM_BOX_CHANNELS)[targets.index_m]
    weight = found.new_tensor(CHANNEL_WEIGHTS)
    error = (found - targets.boxes_mc).abs() * weight
    return (positive.sum() + negative.sum()) / num, BOX_WEIGHT * error.sum() / num
