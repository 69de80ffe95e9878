"""``moe-bev bench``: measure parts of the stack against a baseline in the same run."""

from __future__ import annotations

import argparse

from moe_bev_ros.commands import bench_cost, bench_graph, bench_network, bench_nodes, bench_transport, bench_world

BENCHES = {
    'network': (
        bench_network,
        'ms of every engine of the network, in turn, against the dense twin in eager torch (the default)',
    ),
    'cost': (bench_cost, 'how the time of a frame grows with cameras, key points, experts, cells and points'),
    'graph': (bench_graph, 'ms of a frame through the whole graph, from the sensor message to the VehicleCommand'),
    'nodes': (bench_nodes, 'ms per image and per 100,000 points in the sensor nodes, against bare np.frombuffer'),
    'world': (bench_world, 'frames/s of the simulated cameras and LiDAR on two threads, against plain numpy'),
    'transport': (bench_transport, 'six raw cameras from one process to another: what arrives, and how late'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand a benchmark, and the network's without one; what is measured is imported only when it runs."""
    bench_network.add_arguments(parser)
    parser.set_defaults(run_bench=bench_network.run)
    benches = parser.add_subparsers(dest='bench', metavar='[BENCH]')
    for name, (module, text) in BENCHES.items():
        bench = benches.add_parser(name, help=text, description=text)
        module.add_arguments(bench)
        bench.set_defaults(run_bench=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen one."""
    return int(args.run_bench(args))
