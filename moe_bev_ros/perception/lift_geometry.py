"""Which image block sees a cell of the BEV map, and how far away it is: tables that change only with the calibration.

Looking cells up in the images, instead of throwing image features into cells, follows Simple-BEV (Harley et al. 2023).
Legend: N cameras, h w blocks of an image, Z heights, G cells a side of the inner map, C = G * G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.model.config import IMAGE_STRIDE, ModelConfig


@dataclass(frozen=True)
class LiftTable:
    """Where every cell looks, per height, and how that was found.

    Attributes:
        projections_n34: of `block_projections`.
        pixel_zc: (Z, G * G) int64 index n * h * w + row * w + column of the block; N * h * w where no camera sees the cell.
        bin_zc: (Z, G * G) int64 depth bin of the cell in that camera; 0 where there is none.
    """

    projections_n34: Array
    pixel_zc: NDArray[np.int64]
    bin_zc: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixel_zc.ndim != 2 or self.pixel_zc.shape != self.bin_zc.shape:
            raise ValueError(f'pixel_zc {self.pixel_zc.shape} and bin_zc {self.bin_zc.shape} must both be (Z, G * G)')


def block_projections(config: ModelConfig, intrinsics_n33: NDArray[np.float32], base_link_se3_camera_n44: Array) -> Array:
    """(n, 3, 4) matrices that take a point of base_link (x, y, z, 1) to (column * depth, row * depth, depth).

    Columns and rows are those of image blocks: 0 <= column < 1 is block 0, hence pixels -0.5 .. 7.5. Depth is optical z [m].

    Raises:
        InputError: there are more cameras than the network takes.
    """
    if len(intrinsics_n33) > config.num_cameras:
        raise InputError(
            f'{len(intrinsics_n33)} cameras, but the network {config.name!r} takes {config.num_cameras}; '
            f'choose {config.num_cameras} of them, or use a profile made for {len(intrinsics_n33)}'
        )
    share = 1.0 / IMAGE_STRIDE
    blocks_33 = np.array([[share, 0.0, 0.5 * share], [0.0, share, 0.5 * share], [0.0, 0.0, 1.0]])
    projections_n34 = np.empty((len(intrinsics_n33), 3, 4))
    for camera, (matrix_33, base_link_se3_camera) in enumerate(zip(intrinsics_n33, base_link_se3_camera_n44)):
        projections_n34[camera] = blocks_33 @ matrix_33.astype(float) @ inverse(base_link_se3_camera)[:3]
    return projections_n34


def lift_table(
    config: ModelConfig,
    intrinsics_n33: NDArray[np.float32],
    base_link_se3_camera_n44: Array,
    valid_n: NDArray[np.bool_],
) -> LiftTable:
    """Find the block that sees each cell's centre at each height.

    Of several valid cameras that see it further away than ``config.min_depth_m``, the one in which it lies nearest to the
    middle column. There may be fewer cameras than the network takes.

    Raises:
        InputError: there are more cameras than the network takes.
    """
    num_rows, num_columns = config.block_shape
    points_4m = _cell_points(config)
    pixel_m = np.full(points_4m.shape[1], config.num_cameras * config.num_blocks)
    depth_m, nearest_m = np.zeros(points_4m.shape[1]), np.full(points_4m.shape[1], np.inf)
    projections_n34 = block_projections(config, intrinsics_n33, base_link_se3_camera_n44)
    for camera in np.flatnonzero(valid_n):
        column_m, row_m, camera_depth_m = projections_n34[camera] @ points_4m
        ahead = camera_depth_m > config.min_depth_m
        with np.errstate(divide='ignore', invalid='ignore'):
            column_m, row_m = column_m / camera_depth_m, row_m / camera_depth_m
        off_m = np.abs(column_m - num_columns / 2)
        seen = ahead & (column_m >= 0) & (column_m < num_columns) & (row_m >= 0) & (row_m < num_rows)
        here = np.flatnonzero(seen & (off_m < nearest_m))
        first = camera * config.num_blocks
        pixel_m[here] = first + row_m[here].astype(np.int64) * num_columns + column_m[here].astype(np.int64)
        depth_m[here], nearest_m[here] = camera_depth_m[here], off_m[here]
    bin_m = np.clip(np.searchsorted(config.depth_edges_m, depth_m, side='right') - 1, 0, config.num_depth_bins - 1)
    shape = (len(config.lift_heights_m), config.num_cells**2)
    return LiftTable(projections_n34, pixel_m.reshape(shape), bin_m.astype(np.int64).reshape(shape))


class LiftCache:
    """Keeps the last table as long as nothing that it was made from changes."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._key: tuple[NDArray[Any], ...] = ()
        self._table: LiftTable | None = None

    def table(
        self, intrinsics_n33: NDArray[np.float32], base_link_se3_camera_n44: Array, valid_n: NDArray[np.bool_]
    ) -> LiftTable:
        """As ``lift_table``; the same object again for the same intrinsics, poses and validity."""
        key: tuple[NDArray[Any], ...] = (intrinsics_n33, base_link_se3_camera_n44, valid_n)
        if self._table is None or not all(np.array_equal(now, before) for now, before in zip(key, self._key)):
            self._table = lift_table(self._config, intrinsics_n33, base_link_se3_camera_n44, valid_n)
            self._key = tuple(part.copy() for part in key)
        return self._table


def _cell_points(config: ModelConfig) -> Array:
    """(4, Z * G * G) centres of the inner cells at each height, homogeneous [m, base_link]; x runs fastest, z slowest."""
    centre_m = (np.arange(config.num_cells) + 0.5) * config.cell_m - config.half_m
    z_m, y_m, x_m = np.meshgrid(config.lift_heights_m, centre_m, centre_m, indexing='ij')
    return np.stack([x_m.ravel(), y_m.ravel(), z_m.ravel(), np.ones(z_m.size)])
