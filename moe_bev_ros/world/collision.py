"""Overlap of boxes seen from above, by the separating axis theorem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def corners_of(boxes_n7: Boxes) -> NDArray[np.float64]:
    """(N, 4, 2) corners of footprints."""
    boxes = np.asarray(boxes_n7, np.float64)
    cos, sin = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    along = np.stack([cos, sin], axis=-1) * boxes[:, 3, None] / 2
    across = np.stack([-sin, cos], axis=-1) * boxes[:, 4, None] / 2
    offsets = np.stack([along + across, along - across, -along - across, -along + across], axis=1)
    return boxes[:, None, :2] + offsets


def overlaps(box_7: Boxes, boxes_n7: Boxes) -> NDArray[np.bool_]:
    """Which of N boxes share ground with one box; touching does not count."""
    if len(boxes_n7) == 0:
        return np.zeros(0, np.bool_)
    own_42, others_n42 = corners_of(box_7[None])[0], corners_of(boxes_n7)
    apart = np.zeros(len(boxes_n7), np.bool_)
    own_axes = np.stack([own_42[0] - own_42[1], own_42[0] - own_42[3]])
    other_axes = np.stack([others_n42[:, 0] - others_n42[:, 1], others_n42[:, 0] - others_n42[:, 3]], axis=1)
    for axes_n2 in (*np.broadcast_to(own_axes[:, None], (2, len(boxes_n7), 2)), other_axes[:, 0], other_axes[:, 1]):
        own = axes_n2 @ own_42.T
        other = np.einsum('nk,nck->nc', axes_n2, others_n42)
        apart |= (own.max(axis=1) <= other.min(axis=1)) | (other.max(axis=1) <= own.min(axis=1))
    return ~apart
