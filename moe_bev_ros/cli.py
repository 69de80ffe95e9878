"""``moe-bev``: the package from the command line, also where there is no ROS installation."""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {
    'demo': 'drive the simulated world in closed loop and report what happened',
    'up': 'start the stack as processes, with respawn (for machines without ros2 launch)',
    'replay': 'play a rosbag2 through the stack and report what came out',
    'record': 'record sensor and stack topics to a rosbag2',
    'bag': 'make and inspect rosbag2 files',
    'world': 'write data sets of the simulated world, look at them, say how hard they are',
    'train': 'train a network on the simulated world',
    'quantise': 'make INT8 engines of a trained network, and say what they lose',
    'model': 'say what a network is made of, and what it costs',
    'export': 'write a network as ONNX files, for any run-time',
    'build': 'build the engines that must be built on the machine that runs them',
    'bench': 'measure parts of the stack against a baseline in the same run',
    'evaluate': 'judge engines, planners and the world itself',
    'doctor': 'check this machine, one line a fact, with a cure',
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one subcommand; only that one is imported."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog='moe-bev', description=__doc__)
    subparsers = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if argv[:1] == [name]:
            module = importlib.import_module(f'moe_bev_ros.commands.{name}')
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as err:
        print(f'error: {err}', file=sys.stderr)  # noqa: T201
        return 2


if __name__ == '__main__':
    sys.exit(main())
