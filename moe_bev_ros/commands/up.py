"""``moe-bev up``: the stack as processes with respawn, for machines without ``ros2 launch``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.environment import config_dir, node_environment
from moe_bev_ros.runtime.processes import Launcher
from moe_bev_ros.runtime.stack import Stack, load_stack, sim_stack, with_engine, with_parameters, with_params_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to start, and with which values."""
    parser.add_argument('--config', type=Path, metavar='DIR', help='folder with stack.yaml (default: the shipped one)')
    parser.add_argument(
        '--params', type=Path, action='append', default=[], metavar='FILE', help='laid over the parameter files'
    )
    parser.add_argument('--set', action='append', default=[], metavar='NODE.PARAM=VALUE', help='one value; NODE may be *')
    parser.add_argument('--engine', default='', metavar='NAME', help='of bev_node (default: that of its parameter file)')
    parser.add_argument('--sim', action='store_true', help='with the simulated world, in real time')
    parser.add_argument('--log-dir', type=Path, metavar='DIR', help='one log file per node (default: all to this terminal)')


def run(args: argparse.Namespace) -> int:
    """Start the stack and look after it until Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: the background job of a shell ignores it otherwise
        signal.signal(number, _interrupt)
    with Launcher(stack_of(args), node_environment(os.environ), log_dir=args.log_dir) as launcher:
        pids = ', '.join(f'{name} {pid}' for name, pid in launcher.pids.items())
        sys.stderr.write(f'[launcher] up: {pids}; Ctrl-C stops them\n')
        try:
            launcher.run()
        except KeyboardInterrupt:
            sys.stderr.write('[launcher] stopping\n')
    return 0


def stack_of(args: argparse.Namespace) -> Stack:
    """The stack that the command line asks for."""
    config = args.config or config_dir()
    stack = load_stack(config / 'stack.yaml')
    if args.sim:
        stack = sim_stack(stack, config_dir(), realtime=True)
    for path in args.params:
        stack = with_params_file(stack, path)
    stack = with_engine(stack, args.engine)
    for text in args.set:
        target, equals, value = text.partition('=')
        name, dot, parameter = target.partition('.')
        if not (name and dot and parameter and equals):
            raise InputError(f'--set {text}: wanted NODE.PARAM=VALUE, such as control_node.max_speed_mps=5.0')
        stack = with_parameters(stack, name, **{parameter: yaml.safe_load(value)})
    return stack


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
