"""``moe-bev demo``: the simulated street and the whole stack in closed loop, judged at the end."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_bev_ros.commands.picture_recorder import PictureRecorder
from moe_bev_ros.commands.running_stack import RunningStack, say
from moe_bev_ros.core.files import write_json
from moe_bev_ros.evaluation.summary import RunLog, table
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.stack import BEV, CAMERA, WORLD, Stack, load_stack, sim_stack, with_engine, with_parameters

STANDSTILL_MPS = 0.3
WORLD_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 5.0
DIAGNOSTICS_S = 1.3
PROGRESS_S = 1.0
SECONDS_TO_JUDGE = 20.0
DISTANCE_M = 80.0
# A world in lock-step waits, and so may the stack: a slow machine then changes nothing but the wall time. Longest waits for a
# command, and for the other sensors of a frame, of which a run that goes blind waits for three.
PATIENT_COMMAND_S, PATIENT_SENSORS_S = 5.0, 0.8


@dataclass(frozen=True)
class Verdict:
    """One thing that the run had to show."""

    holds: bool
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, which street, and what is taken away."""
    parser.add_argument('--seconds', type=float, default=20.0, help='of simulated time')
    parser.add_argument('--seed', type=int, default=1, help='which street')
    parser.add_argument('--engine', default='', metavar='NAME', help='of bev_node (default: that of its parameter file)')
    parser.add_argument('--blind', choices=('lidar', 'cameras'), help='the world keeps these sensors silent')
    parser.add_argument('--realtime', action='store_true', help='the world does not wait for commands')
    parser.add_argument(
        '--out', type=Path, default=Path('demo'), metavar='DIR', help='for summary.json, strip.png, drive.mp4 and logs'
    )


def run(args: argparse.Namespace) -> int:
    """Returns 0 if every verdict holds, else 1."""
    if not args.seconds > 0.0:
        raise ValueError(f'--seconds must be above 0, got {args.seconds}')
    stack = demo_stack(seconds=args.seconds, seed=args.seed, realtime=args.realtime, blind=args.blind, engine=args.engine)
    pictures = PictureRecorder(args.seconds)
    with RunningStack(stack, args.out / 'logs') as running:
        summary, speed_mps = _drive(args, running, pictures)
    verdicts = judge(summary, seconds=args.seconds, speed_mps=speed_mps, blind=args.blind)
    summary['verdicts'] = [{'holds': verdict.holds, 'text': verdict.text} for verdict in verdicts]
    write_json(args.out / 'summary.json', summary)
    say(table(summary))
    for verdict in verdicts:
        say(f'{"pass" if verdict.holds else "FAIL"}      {verdict.text}')
    files = ['summary.json', *pictures.write(args.out)]
    say(f'written to {args.out}: {", ".join(files)}')
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def demo_stack(*, seconds: float, seed: int, realtime: bool, blind: str | None, engine: str = '') -> Stack:
    """The shipped stack in front of the simulated world.

    Raises:
        InputError: there is no such engine.
    """
    config = config_dir()
    stack = with_engine(load_stack(config / 'stack.yaml'), engine)
    stack = sim_stack(stack, config, seed=seed, realtime=realtime, blind=blind or 'none', duration_s=seconds)
    if realtime:
        return stack
    stack = with_parameters(stack, WORLD, lockstep_timeout_s=PATIENT_COMMAND_S)
    for name in (CAMERA, BEV):
        stack = with_parameters(stack, name, wait_s=PATIENT_SENSORS_S)
    return stack


def judge(summary: dict[str, Any], *, seconds: float, speed_mps: float, blind: str | None) -> tuple[Verdict, ...]:
    """What the run had to show; without LiDAR the vehicle has to stand, unless its engine sees enough with cameras."""
    inactive = [node['name'] for node in summary['nodes'] if node['state'] != 'active']
    verdicts = [
        Verdict(summary['collisions'] == 0, f'no collision ({summary["collisions"]})'),
        Verdict(
            summary['frames_in'] > 0 and summary['frames_lost'] == 0,
            f'no frame lost ({summary["frames_lost"]} of {summary["frames_in"]})',
        ),
        Verdict(not inactive, f'all nodes active at the end{": not " + ", ".join(inactive) if inactive else ""}'),
    ]
    if blind == 'lidar':
        if not summary['perception_valid_at_end']:
            verdicts.append(Verdict(speed_mps < STANDSTILL_MPS, f'without LiDAR it stands ({speed_mps:.2f} m/s at the end)'))
    elif seconds >= SECONDS_TO_JUDGE:
        distance_m = summary['distance_m']
        verdicts.append(Verdict(distance_m >= DISTANCE_M, f'it drove at least {DISTANCE_M:.0f} m ({distance_m:.1f} m)'))
    return tuple(verdicts)


def _drive(args: argparse.Namespace, running: RunningStack, pictures: PictureRecorder) -> tuple[dict[str, Any], float]:
    """Run the world for the wanted time; the summary, and the speed at the end [m/s]."""
    scorer, log = running.scorer, running.scorer.log
    pictures.listen(scorer)
    running.wait_until_active()
    say(f'{len(running.stack.managed_names)} nodes are active; seed {args.seed}, {args.seconds:.0f} s')
    running.engage()
    try:
        _watch(args, running)
    except KeyboardInterrupt:
        say('stopping')
        log.end_ns = log.sim_ns
    running.spin_until(lambda: log.frames_lost <= 0, ANSWER_TIMEOUT_S)
    running.spin_until(lambda: False, DIAGNOSTICS_S)
    return log.summary(), scorer.truth.ego_speed if scorer.truth is not None else 0.0


def _watch(args: argparse.Namespace, running: RunningStack) -> None:
    """Until the world has sent its last frame, or stands still; one line of progress a second."""
    scorer, log = running.scorer, running.scorer.log
    moved_s, moved_ns = time.monotonic(), 0
    while not running.spin_until(lambda: log.sim_s > args.seconds - 1e-3, PROGRESS_S):
        if log.sim_ns != moved_ns:
            moved_s, moved_ns = time.monotonic(), log.sim_ns
        elif time.monotonic() - moved_s > WORLD_TIMEOUT_S:
            say(f'the world has stood still for {WORLD_TIMEOUT_S:.0f} s; see the logs in {running.log_dir}')
            return
        say(_progress(scorer.truth, log))


def _progress(truth: Any, log: RunLog) -> str:
    if truth is None:
        return 'waiting for the world'
    reason = log.last_reason or 'following the plan'
    motion = f'{truth.distance:6.1f} m  {truth.ego_speed:5.1f} m/s'
    return f'{log.sim_ns / 1e9:6.1f} s  {motion}  collisions {truth.collisions}  {reason}'
