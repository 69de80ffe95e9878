"""``moe-bev replay``: a recorded bag through the whole stack, with every frame accounted for."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_bev_ros.commands.running_stack import RunningStack, say
from moe_bev_ros.core.files import write_json
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_streams import SensorStreams, sensor_streams
from moe_bev_ros.evaluation.summary import frame_stamps, table
from moe_bev_ros.nodes.player_node import EXIT_DAMAGED
from moe_bev_ros.perception.pairing import PairingConfig
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.stack import NodeSpec, Stack, load_stack, with_parameters, with_params_file, without_goal

ANSWER_TIMEOUT_S = 15.0
DIAGNOSTICS_S = 1.3  # counters travel once a second
CLOCK_RUNS_ON_S = ANSWER_TIMEOUT_S + 5.0
EXIT_LOST = 1


@dataclass(frozen=True)
class Playing:
    """How a bag is played.

    Attributes:
        loop: until Ctrl-C; else ``laps`` times.
        start_s: of the beginning, which is skipped.
        engage: let control follow the plans.
    """

    bag: Path
    rate: float = 1.0
    loop: bool = False
    laps: int = 1
    start_s: float = 0.0
    engage: bool = False

    def __post_init__(self) -> None:
        if not self.rate > 0.0 or not self.start_s >= 0.0:
            raise ValueError(f'--rate must be above 0 and --start at least 0, got {self.rate} and {self.start_s}')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bag, and how to play it."""
    parser.add_argument('bag', type=Path, help='folder or storage file of a rosbag2 (sqlite3 or MCAP)')
    parser.add_argument('--rate', type=float, default=1.0, help='speed of playing; 1: as recorded')
    parser.add_argument('--loop', action='store_true', help='again and again, until Ctrl-C')
    parser.add_argument('--start', type=float, default=0.0, metavar='S', help='skip this much of the beginning [s]')
    parser.add_argument('--out', type=Path, metavar='DIR', help='for summary.json and the logs of the nodes')
    parser.add_argument('--params', type=Path, metavar='FILE', help='parameter file laid over the shipped ones')
    parser.add_argument(
        '--engage',
        action='store_true',
        help='let control follow the plans, from the first until time jumps; only where no vehicle listens',
    )


def run(args: argparse.Namespace) -> int:
    """Returns 0; 1 where frames were lost; 3 where the bag is damaged."""
    playing = Playing(args.bag, args.rate, args.loop, start_s=args.start, engage=args.engage)
    work = args.out or Path(tempfile.mkdtemp(prefix='moe_bev_replay_'))
    stack = load_stack(config_dir() / 'stack.yaml')
    if args.params:
        stack = with_params_file(stack, args.params)
    summary, damage = play_through(playing, stack, work)
    write_json(work / 'summary.json', summary)
    say(table(summary))
    if damage:
        say(f'damage    {damage}')
    if args.out:
        say(f'written to {args.out / "summary.json"}')
    elif not summary['frames_lost']:
        shutil.rmtree(work)
    else:
        say(f'logs of the nodes in {work / "logs"}')
    return EXIT_DAMAGED if damage else EXIT_LOST if summary['frames_lost'] else 0


def replay_stack(stack: Stack, streams: SensorStreams) -> Stack:
    """The stack with the cameras and LiDARs of a bag, on the bag's clock."""
    stack = without_goal(with_parameters(stack, '*', use_sim_time=True))  # no vehicle listens, and the path is wanted
    if streams.cameras:
        stack = with_parameters(
            stack,
            'camera_node',
            camera_names=tuple(camera.name for camera in streams.cameras),
            image_topics=tuple(camera.topic for camera in streams.cameras),
            anchor_camera=streams.cameras[0].name,
        )
    if streams.lidars:
        stack = with_parameters(
            stack,
            'lidar_node',
            lidar_names=tuple(lidar.name for lidar in streams.lidars),
            points_topics=tuple(lidar.topic for lidar in streams.lidars),
        )
    return stack


def play_through(playing: Playing, stack: Stack, work: Path) -> tuple[dict[str, Any], str]:
    """Start the stack on the sensors of a bag, play it, and stop it.

    Args:
        work: for the logs of the nodes.

    Returns:
        The summary, and what is wrong with the bag.
    """
    with BagReader(playing.bag) as bag:
        streams = sensor_streams(bag.topics.values())
        topics = tuple(bag.topics)
    stack = replay_stack(stack, streams)
    report_path = work / 'played.json'
    report_path.unlink(missing_ok=True)
    with RunningStack(stack, work / 'logs') as running:
        log = running.scorer.log
        running.wait_until_active()
        wait_for = tuple(f'{topic}={count}' for topic, count in running.num_subscriptions(topics).items() if count)
        say(f'{len(stack.managed_names)} nodes are active; playing {playing.bag}')
        player = running.start_beside(_player(playing, streams, wait_for, report_path))

        def is_over() -> bool:
            return (report_path.exists() and not playing.loop) or not player.pids

        try:
            if playing.engage and (refusal := running.engage(is_over, math.inf)):
                say(f'not engaged: {refusal}')
            running.spin_until(is_over, math.inf)
        except KeyboardInterrupt:
            say('stopping')
            player.stop()
        played = _played(report_path, work)
        log.frames_in = _num_frames(played, streams)
        log.sim_s, log.wall_s = played['sim_s'], played['wall_s']
        running.spin_until(lambda: log.frames_lost <= 0, ANSWER_TIMEOUT_S)
        running.spin_until(lambda: False, DIAGNOSTICS_S)
        player.stop()
        return log.summary(), played['damage']


def _player(playing: Playing, streams: SensorStreams, wait_for: tuple[str, ...], report: Path) -> NodeSpec:
    anchors = [streams.cameras[0].topic] if streams.cameras else []
    clouds = [streams.lidars[0].topic] if streams.lidars else []
    return NodeSpec(
        name='player_node',
        executable='player_node',
        managed=False,
        respawn=False,
        raw_images=True,
        parameters={
            'bag': str(playing.bag),
            'rate': playing.rate,
            'loop': playing.loop,
            'laps': playing.laps,
            'start_s': playing.start_s,
            'tail_s': CLOCK_RUNS_ON_S,
            'wait_for': wait_for,
            'count_topics': (*anchors, *clouds),
            'report': str(report),
        },
    )


def _played(report: Path, work: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(report.read_text())
    except OSError as err:
        raise ValueError(f'nothing was played; see {work / "logs" / "player_node.log"}') from err
    return content


def _num_frames(played: dict[str, Any], streams: SensorStreams) -> int:
    """Frames at the source: images of the anchor camera, and clouds of the anchor LiDAR that have none near them."""
    stamps = played['stamps_ns']
    anchors = stamps[streams.cameras[0].topic] if streams.cameras else []
    clouds = stamps[streams.lidars[0].topic] if streams.lidars else []
    return len(frame_stamps(anchors, clouds, PairingConfig()))
