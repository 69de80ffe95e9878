"""The runs of ``moe-bev bench graph``: each plays a bag through a stack of its own."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from moe_bev_ros.commands.replay import Playing, play_through
from moe_bev_ros.commands.running_stack import say
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.engine.manifest import file_sha256
from moe_bev_ros.engine.shipped import WEIGHTS
from moe_bev_ros.evaluation.bench import graph as bench_graph
from moe_bev_ros.evaluation.bench import tables as bench_tables
from moe_bev_ros.evaluation.bench.bag import KINDS, bag_of
from moe_bev_ros.evaluation.bench.foreign_load import cpu_times, foreign_share
from moe_bev_ros.evaluation.bench.graph import DENSE, ROWS, WEIGHTS_VARIABLE
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.stack import BEV, Stack, load_stack, with_engine, with_parameters
from moe_bev_ros.runtime.threads import num_threads_of

DENSE_KIND = '704x256'
SHORT_SECONDS = 60.0
DENSE_MODULE = 'moe_bev_ros.commands.bench_dense_node'
RATE_HZ = 10


def stack_of(args: argparse.Namespace) -> Stack:
    """With the engine that was asked for."""
    stack = with_engine(load_stack(config_dir() / 'stack.yaml'), args.engine)
    chosen: dict[str, Any] = {'precision': args.precision}
    if args.threads:
        chosen['num_threads'] = args.threads
    if args.in_turn:
        chosen['pipeline'] = False
    return with_parameters(stack, BEV, **chosen)


def measured_row(name: str, args: argparse.Namespace, stack: Stack) -> dict[str, Any] | None:
    """One run; None where it was broken off."""
    kind = KINDS[DENSE_KIND if name == DENSE else name]
    say(f'{name}: bag of {kind.seconds:g} s in {args.cache} (made if it is not there)')
    bag = bag_of(kind, args.cache)
    num_frames = _num_frames(bag)
    seconds = args.seconds if name == ROWS[0] else min(args.seconds, SHORT_SECONDS)
    laps = math.ceil(RATE_HZ * seconds / num_frames)
    with tempfile.TemporaryDirectory(prefix='moe_bev_bench_graph_') as work:
        chosen = _dense(stack, args.cache) if name == DENSE else stack
        before = cpu_times([os.getpid()])
        summary, damage = play_through(Playing(bag, laps=laps), chosen, Path(work))
        foreign = foreign_share(before, cpu_times([os.getpid()]))  # the nodes are ended, so their time is ours
    if damage:
        raise InputError(f'{bag}: {damage}; remove it, then the same command')
    settings = {
        'bag': kind.name,
        'seconds': kind.seconds,
        'laps': laps,
        'num_threads': num_threads_of(chosen[BEV]),
    }
    one = bench_graph.row(name, settings, summary, foreign)
    is_whole = one['frames_in'] == laps * num_frames
    say(f'{name}: {bench_tables.graph_line(one)}{"" if is_whole else "; broken off"}')
    return one if is_whole else None


def _dense(stack: Stack, cache: Path) -> Stack:
    """With the dense twin in eager torch."""
    from moe_bev_ros.model.twin_weights import write_dense_twin

    weights = cache / f'{WEIGHTS.stem}_dense_{file_sha256(WEIGHTS)[:12]}.safetensors'
    os.environ[WEIGHTS_VARIABLE] = str(write_dense_twin(WEIGHTS, weights).resolve())
    stack = with_parameters(stack, BEV, engine='torch', precision='float32')
    return Stack(
        tuple(dataclasses.replace(spec, executable=DENSE_MODULE) if spec.name == BEV else spec for spec in stack.nodes)
    )


def _num_frames(bag: Path) -> int:
    with BagReader(bag) as reader:
        return max(topic.num_messages for topic in reader.topics.values() if topic.type_name.endswith('Image'))
