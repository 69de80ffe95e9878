"""A small LiDAR detector with learned weights, on torch: a yardstick for what LiDAR alone gives."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array, transform_points
from moe_bev_ros.engine.base import EngineError, EngineOutput
from moe_bev_ros.model.pillars import PillarNet, padded, pillar_features
from moe_bev_ros.perception.centre_boxes import decode_centres

WEIGHTS = Path(__file__).resolve().parents[1] / 'weights' / 'pillars.safetensors'
F32 = NDArray[np.float32]
LAGS = (0, 3)  # frames that are laid over one another
POINTS_STEP = 16384


def stack_sweeps(history: deque[F32]) -> F32:
    """(N, 5) points of the frames of LAGS, newest first in ``history``, all in the newest frame's base_link.

    The last column is how old a point's frame is, in tenths of a second and below zero.
    """
    sweeps = []
    for lag in LAGS:
        if lag < len(history):
            points_n5 = history[lag].copy()
            points_n5[:, 4] = -0.1 * lag
            sweeps.append(points_n5)
    return np.concatenate(sweeps)


class PillarsEngine:
    """Detects from the last sweeps; without LiDAR it says that it cannot see."""

    name = 'pillars'
    image_size = None
    least_scores = dict.fromkeys(Label, 0.05)

    def __init__(self, weights: Path = WEIGHTS) -> None:
        from safetensors.torch import load_file

        if not weights.is_file():
            raise EngineError(f'{weights}: no weights of the pillars engine; make them with moe-bev train')
        self.model = PillarNet().eval()
        try:
            self.model.load_state_dict(load_file(weights))
        except RuntimeError as err:
            raise EngineError(f'{weights}: weights of another network; train again with moe-bev train ({err})') from err
        self._history: deque[F32] = deque(maxlen=max(LAGS) + 1)

    def reset(self) -> None:
        """Forget earlier sweeps."""
        self._history.clear()

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """Detect in one frame; earlier sweeps count only as long as the vehicle's motion is known."""
        clock = [time.perf_counter()]
        if base_link_now_se3_before is None:
            self._history.clear()
        else:
            for points_n5 in self._history:
                points_n5[:, :3] = transform_points(base_link_now_se3_before, points_n5[:, :3])
        if frame.lidar is None or not len(frame.lidar.points_n5):
            self._history.clear()
            return EngineOutput(Detections.empty(), perception_valid=False)
        self._history.appendleft(frame.lidar.points_n5[np.isfinite(frame.lidar.points_n5).all(axis=1)])
        features_nf, pillar_n = pillar_features(stack_sweeps(self._history), self.model.grid)
        clock.append(time.perf_counter())
        inputs = [torch.from_numpy(padded(rows_n, POINTS_STEP)) for rows_n in (features_nf, pillar_n)]
        with torch.inference_mode():
            heat, boxes = self.model(*inputs, 1)
            scores_khw, boxes_bhw = heat[0].sigmoid().numpy(), boxes[0].numpy()
        clock.append(time.perf_counter())
        detections = decode_centres(scores_khw, boxes_bhw, self.model.grid.cell_m, self.model.grid.half_m)
        clock.append(time.perf_counter())
        stage_ms = dict(zip(('pillars', 'network', 'boxes'), 1e3 * np.diff(clock)))
        memory = sum(points_n5.nbytes for points_n5 in self._history)
        return EngineOutput(detections, True, None, stage_ms, memory_bytes=memory)
