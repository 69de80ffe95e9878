"""Overlap of boxes seen from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.footprints import footprints_of, overlap

Boxes = NDArray[np.float32]


def overlaps(box_7: Boxes, boxes_n7: Boxes) -> NDArray[np.bool_]:
    """Which of N boxes share ground with one box; touching does not count."""
    return overlap(footprints_of(box_7), footprints_of(boxes_n7))
