"""``moe-bev evaluate frames``: what engines find in single recorded frames, and how long it takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moe_bev_ros.commands.image_size import image_size
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.datasets.single_frames import SingleFrame, read_single_frames
from moe_bev_ros.engine.base import Engine, EngineError, EngineOutput, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.perception.real_frames import real_frames_results
from moe_bev_ros.evaluation.perception.recall import MATCH_M, MIN_POINTS, DistanceRecall, recall_by_distance, recall_table
from moe_bev_ros.runtime.threads import limit_threads

NUM_STEPS = 5  # each frame so often, for the times


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The engines, the frames, and where the figures go."""
    parser.add_argument('--engine', nargs='+', choices=sorted(ENGINES), default=['clustering'], help='one or several')
    parser.add_argument(
        '--frames',
        type=Path,
        required=True,
        help='folder with frames of nuScenes (frame.json), KITTI (calibration.json) or Argoverse 2 in it or below',
    )
    parser.add_argument(
        '--image-size', type=image_size, default=(352, 128), metavar='WxH', help='that the engine gets: 352x128'
    )
    parser.add_argument('--weights', type=Path, metavar='F', help='of the engine torch; default: those that ship')
    parser.add_argument('--json', type=Path, metavar='F', help='write how many cars are found to this file')


def run(args: argparse.Namespace) -> int:
    """Print recall and precision by distance, and the time of each stage."""
    limit_threads(1)
    frames = tuple(read_single_frames(args.frames, args.image_size))
    outputs = {name: _judge(name, frames, args) for name in dict.fromkeys(map(str, args.engine))}
    if args.json:
        write_json(args.json, real_frames_results(frames, outputs))
    return 0


def _judge(name: str, frames: Sequence[SingleFrame], args: argparse.Namespace) -> list[EngineOutput]:
    """Print one engine's figures; its answers, one a frame."""
    times_ms: dict[str, list[float]] = {}
    try:
        engine = _built(name, args.weights)
        outputs = [_step(engine, item.frame, times_ms) for item in frames]
    except EngineError as err:
        raise InputError(str(err)) from err
    judged = [(item, output) for item, output in zip(frames, outputs) if output.perception_valid]
    if not judged:
        raise InputError(f'{args.frames}: no frame has the LiDAR cloud that the engine {name} needs; give frames that have one')
    table: tuple[DistanceRecall, ...] = ()
    for item, output in judged:
        if item.boxes is not None:
            rows = recall_by_distance(output.detections, item.boxes)
            table = tuple(row.plus(more) for row, more in zip(table, rows)) if table else rows
    _print(f'{name}: {len(judged)} frames of {args.frames}')
    _print(f'a match: centres within {MATCH_M:g} m, one to one; boxes asked for: those with {MIN_POINTS} points or more')
    _print(recall_table(table) if table else 'nothing is annotated in these frames')
    stages = ', '.join(f'{stage} {np.median(values):.1f}' for stage, values in times_ms.items())
    _print(f'median times of the stages: {stages} ms')
    return outputs


def _built(name: str, weights: Path | None) -> Engine:
    if weights is None or name != 'torch':
        return ENGINES[name](EngineSettings())
    from moe_bev_ros.engine.torch_network import torch_engine

    return torch_engine(weights=weights)


def _step(engine: Engine, frame: Frame, times_ms: dict[str, list[float]]) -> EngineOutput:
    """Run the engine on a frame several times, each with nothing remembered; the times go into ``times_ms``."""
    for _ in range(NUM_STEPS):
        engine.reset()
        output = engine.step(frame, None)
        for name, value in output.stage_ms.items() if output.perception_valid else ():
            times_ms.setdefault(name, []).append(value)
    return output


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
