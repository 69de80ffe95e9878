"""A small plain LiDAR detector, a yardstick.

Pillars after PointPillars (Lang et al. 2019), centre heads after CenterPoint (Yin, Zhou, Kraehenbuehl 2021).
Legend: N points, P occupied pillars, B batch, C channels, H W cells of the output map, K boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

NUM_CLASSES = 10
NUM_FEATURES = 8
# Channels of the box map: offset in x and y [cells], height of the centre [m], log of length, width and height,
# sine and cosine of yaw, velocity in x and y [m/s].
NUM_BOX_CHANNELS = 10


@dataclass(frozen=True)
class PillarGrid:
    """A square around base_link.

    Attributes:
        half_m: reach to every side.
        pillar_m: side of a pillar; a cell of the output is twice as wide.
        min_z_m, max_z_m: points outside are left out.
    """

    half_m: float = 51.2
    pillar_m: float = 0.4
    min_z_m: float = -1.5
    max_z_m: float = 4.5

    @property
    def num_pillars(self) -> int:
        """Along one side."""
        return round(2 * self.half_m / self.pillar_m)

    @property
    def cell_m(self) -> float:
        """Side of a cell of the output."""
        return 2 * self.pillar_m

    @property
    def num_cells(self) -> int:
        """Of the output, along one side."""
        return self.num_pillars // 2


def pillar_features(points_n5: NDArray[np.float32], grid: PillarGrid) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N', NUM_FEATURES) features of the points inside the grid, and the flat pillar index (row along y) of each.

    Args:
        points_n5: x, y, z [m, base_link], intensity [0..1], time relative to the stamp [s].
    """
    inside = np.all(np.abs(points_n5[:, :2]) < grid.half_m - 1e-3, axis=1)
    inside &= (points_n5[:, 2] > grid.min_z_m) & (points_n5[:, 2] < grid.max_z_m)
    points = points_n5[inside]
    place = (points[:, :2] + grid.half_m) / grid.pillar_m
    cell = place.astype(np.int64)
    features = np.empty((len(points), NUM_FEATURES), np.float32)
    features[:, :2] = place - cell - 0.5
    features[:, 2:4] = points[:, :2] / grid.half_m
    features[:, 4] = points[:, 2]
    features[:, 5] = points[:, 3]
    features[:, 6] = 5.0 * points[:, 4]
    features[:, 7] = np.linalg.norm(points[:, :2], axis=1) / grid.half_m
    return features, cell[:, 1] * grid.num_pillars + cell[:, 0]


def padded(rows_n: NDArray[Any], step: int) -> NDArray[Any]:
    """Rows repeated up to a multiple of ``step``: a maximum does not mind, and oneDNN keeps memory for every shape it meets."""
    return np.resize(rows_n, (-(-len(rows_n) // step) * step, *rows_n.shape[1:]))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class PillarNet(nn.Module):
    """Points in, a map of class scores and a map of boxes out; 0.5 million parameters."""

    def __init__(self, grid: PillarGrid | None = None) -> None:
        super().__init__()
        self.grid = grid or PillarGrid()
        self.points = nn.Sequential(nn.Linear(NUM_FEATURES, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(inplace=True))
        self.near = nn.Sequential(_block(32, 64, 2), _block(64, 64))
        self.far = nn.Sequential(_block(64, 128, 2), _block(128, 128), _block(128, 128))
        self.up = nn.Sequential(nn.ConvTranspose2d(128, 64, 2, 2, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.neck = _block(64, 64)
        self.heat = nn.Conv2d(64, NUM_CLASSES, 1)
        self.boxes = nn.Sequential(_block(64, 64), nn.Conv2d(64, NUM_BOX_CHANNELS, 1))
        nn.init.constant_(self.heat.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, features_nf: Tensor, pillar_n: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """Logits (B, NUM_CLASSES, H, W) and boxes (B, NUM_BOX_CHANNELS, H, W); row 0 at the smallest y.

        Args:
            pillar_n: flat index of each point's pillar, plus the sample's number times the pillars of a grid.
        """
        side = self.grid.num_pillars
        values_nc = self.points(features_nf)
        canvas_pc = values_nc.new_zeros((batch * side * side, values_nc.shape[1]))
        canvas_pc = canvas_pc.scatter_reduce(0, pillar_n[:, None].expand_as(values_nc), values_nc, 'amax')
        canvas = canvas_pc.view(batch, side, side, -1).permute(0, 3, 1, 2)
        near = self.near(canvas)
        bev = self.neck(near + self.up(self.far(near)))
        return self.heat(bev), self.boxes(bev)
