"""``moe-bev evaluate frames``: what an engine finds in single recorded frames, and how long it takes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.datasets.frames import RecordedFrame, read_frames
from moe_bev_ros.engine.base import Engine, EngineOutput, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.recall import MATCH_M, MIN_POINTS, DistanceRecall, recall_by_distance, recall_table

NUM_STEPS = 10  # each frame so often, for the times
EGO_BOX_M = (-1.0, 3.8, -1.05, 1.05)  # the recording vehicle itself: x_min, x_max, y_min, y_max in base_link


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The engine and the frames."""
    parser.add_argument('--engine', choices=sorted(ENGINES), default='clustering')
    parser.add_argument(
        '--frames',
        type=Path,
        required=True,
        help='folder with frame.json, with 0/frame.json and so on, or with calibration.json',
    )


def run(args: argparse.Namespace) -> int:
    """Print recall and precision by distance, and the time of each stage."""
    cv2.setNumThreads(1)
    frames = [frame for frame in read_frames(args.frames).frames if frame.cloud is not None]
    if not frames:
        raise InputError(f'{args.frames}: no frame has a LiDAR cloud, and the engine {args.engine} needs one')
    engine = ENGINES[args.engine](EngineSettings())
    table: tuple[DistanceRecall, ...] = ()
    times_ms: dict[str, list[float]] = {}
    for recorded in frames:
        output = _step(engine, _frame(recorded), times_ms)
        if recorded.boxes is not None:
            rows = recall_by_distance(output.detections, recorded.boxes)
            table = tuple(row.plus(more) for row, more in zip(table, rows)) if table else rows
    _print(f'{args.engine}: {len(frames)} frames of {args.frames}')
    _print(f'a match: centres within {MATCH_M:g} m, one to one; boxes asked for: those with {MIN_POINTS} points or more')
    _print(recall_table(table) if table else 'nothing is annotated in these frames')
    total_ms = float(np.median(np.sum(list(times_ms.values()), axis=0)))
    stages = ', '.join(f'{name} {np.median(values):.1f}' for name, values in times_ms.items())
    _print(f'median time: {total_ms:.1f} ms a frame ({stages})')
    return 0


def _frame(recorded: RecordedFrame) -> Frame:
    """What the LiDAR node would hand over: points in base_link at the frame's stamp, without the vehicle itself."""
    assert recorded.cloud is not None
    points_n5 = recorded.cloud.points_base_link_n5()
    x_min, x_max, y_min, y_max = EGO_BOX_M
    x_n, y_n = points_n5[:, 0], points_n5[:, 1]
    points_n5 = points_n5[~((x_n > x_min) & (x_n < x_max) & (y_n > y_min) & (y_n < y_max))]
    points_n5[:, 4] = 0.0
    if recorded.map_se3_base_link is not None and recorded.cloud.map_se3_base_link is not None:
        now_se3_then = inverse(recorded.map_se3_base_link) @ recorded.cloud.map_se3_base_link
        points_n5[:, :3] = transform_points(now_se3_then, points_n5[:, :3])
    return Frame(recorded.stamp_ns, None, LidarPoints(points_n5), None)


def _step(engine: Engine, frame: Frame, times_ms: dict[str, list[float]]) -> EngineOutput:
    """Run the engine on a frame several times, each with nothing remembered; the times go into ``times_ms``."""
    for _ in range(NUM_STEPS):
        engine.reset()
        output = engine.step(frame, None)
        for name, value in output.stage_ms.items():
            times_ms.setdefault(name, []).append(value)
    return output


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
