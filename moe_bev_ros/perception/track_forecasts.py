"""The possible futures of a track: those that an engine gave for what was detected, or constant velocity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import FORECAST_STEP_S, Detections, Forecast

F32 = NDArray[np.float32]
NUM_FORECAST_STEPS = 6  # of constant velocity


def forecasts_of(
    source_k: NDArray[np.int64], detections: Detections, box_k7: F32, velocity_k2: F32
) -> list[tuple[Forecast, ...]]:
    """Of each track: those of its detection, moved with it to where the track is, or constant velocity.

    Args:
        source_k: index of the track's detection, -1 for none.
        box_k7, velocity_k2: of the tracks, in base_link.
    """
    time_t = FORECAST_STEP_S * np.arange(1, NUM_FORECAST_STEPS + 1, dtype=np.float32)
    steady_kt2 = box_k7[:, None, :2] + time_t[:, None] * velocity_k2[:, None, :]
    futures, probabilities = detections.futures_nmt2, detections.probabilities_nm
    if futures is None or probabilities is None or not len(detections):
        return [(Forecast(1.0, FORECAST_STEP_S, steady_t2),) for steady_t2 in steady_kt2]
    shift_k2 = box_k7[:, :2] - detections.boxes_n7[source_k, :2]
    future_kmt2, probability_km = futures[source_k] + shift_k2[:, None, None], probabilities[source_k].tolist()
    return [
        (Forecast(1.0, FORECAST_STEP_S, steady_t2),)
        if source < 0
        else tuple(
            Forecast(probability, FORECAST_STEP_S, future_t2) for probability, future_t2 in zip(probability_m, future_mt2)
        )
        for source, steady_t2, probability_m, future_mt2 in zip(source_k.tolist(), steady_kt2, probability_km, future_kmt2)
    ]
