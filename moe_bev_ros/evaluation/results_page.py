"""RESULTS.md: what stands between ``<!-- results:NAME -->`` and ``<!-- /results -->`` is made from files in ``results/``.

Prose between the blocks is written by hand and stays. A block whose file is missing says which command makes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation import results_tables
from moe_bev_ros.evaluation.ablation import tables as ablation_tables
from moe_bev_ros.evaluation.bench import roofline
from moe_bev_ros.evaluation.bench import tables as bench_tables
from moe_bev_ros.evaluation.experts import tables as expert_tables
from moe_bev_ros.evaluation.quantisation import tables as quantisation_tables

PAGE, FOLDER = 'RESULTS.md', 'results'
MARK = re.compile(r'<!-- (results:(\S+)|/results) -->')


@dataclass(frozen=True)
class Block:
    """One kind of block.

    Attributes:
        files: glob in ``results/``; the block shows all that match, in order of their names.
        command: makes such a file.
        render: Markdown of the files' contents, by name without ``.json``.
    """

    files: str
    command: str
    render: Callable[[dict[str, Any]], str]


_PERCEPTION = 'moe-bev evaluate perception --data DIR --split world_test --engine NAME --json results/perception_NAME.json'
BLOCKS: dict[str, Block] = {
    'perception': Block('perception_*.json', _PERCEPTION, results_tables.perception),
    'perception_classes': Block('perception_*.json', _PERCEPTION, results_tables.perception_classes),
    'perception_metrics': Block('perception_*.json', _PERCEPTION, results_tables.perception_metrics),
    'perception_strata': Block('perception_*.json', _PERCEPTION, results_tables.perception_strata),
    'through_ros': Block('perception_*.json', f'{_PERCEPTION} --through-ros', results_tables.through_ros),
    'drive': Block('drive_*.json', 'moe-bev evaluate drive --suite NAME --json results/drive_NAME.json', results_tables.drive),
    'drive_kinds': Block(
        'drive_*.json', 'moe-bev evaluate drive --suite NAME --json results/drive_NAME.json', results_tables.drive_kinds
    ),
    'realism': Block('realism.json', 'moe-bev evaluate realism --data DIR --json results/realism.json', results_tables.realism),
    'real_frames': Block(
        'real_frames.json',
        'moe-bev evaluate frames --engine clustering pillars torch --frames DIR --json results/real_frames.json',
        results_tables.real_frames,
    ),
    'world_test': Block(
        'world_test.json',
        'moe-bev world stats --data DIR --split world_test --json results/world_test.json',
        results_tables.world_test,
    ),
    'ablation': Block(
        'ablation.json',
        'moe-bev evaluate ablation --data DIR --train-data DIR --out DIR --json results/ablation.json',
        ablation_tables.ablation,
    ),
    'experts': Block(
        'experts*.json',
        'moe-bev evaluate experts --data DIR --split world_val --json results/experts.json, and the same with --dispatch',
        expert_tables.experts,
    ),
    'sensor_loss': Block(
        'sensor_loss_*.json',
        'moe-bev evaluate experts --data DIR --split world_test --lose SENSOR --json results/sensor_loss_SENSOR.json',
        expert_tables.sensor_loss,
    ),
    'quantisation': Block(
        'quantisation.json',
        'moe-bev quantise --data DIR --judge-data DIR --out DIR --json results/quantisation.json',
        quantisation_tables.quantisation,
    ),
    'bench_world': Block(
        'bench_world*.json', 'moe-bev bench world --json results/bench_world.json', results_tables.bench_world
    ),
    'bench_network': Block(
        'bench_network*.json', 'moe-bev bench --profile tiny --json results/bench_network.json', bench_tables.network_markdown
    ),
    'bench_cost': Block('bench_cost.json', 'moe-bev bench cost --json results/bench_cost.json', bench_tables.cost_markdown),
    'bench_graph': Block(
        'bench_graph*.json',
        'moe-bev bench graph --engine NAME --json results/bench_graph_NAME.json',
        bench_tables.graph_markdown,
    ),
    'roofline': Block('roofline.json', 'moe-bev model roofline --json results/roofline.json', roofline.markdown),
}


def rewritten(page: str, results: Path) -> str:
    """The page with every block made anew.

    Args:
        page: text of RESULTS.md.
        results: the folder of the JSON files.

    Raises:
        InputError: a block is unknown or does not end, or a file is damaged; the text says which.
    """
    parts, end = [], 0
    marks = list(MARK.finditer(page))
    for index in range(0, len(marks), 2):
        begin = marks[index]
        close = marks[index + 1] if index + 1 < len(marks) else None
        if begin[2] is None or close is None or close[2] is not None:
            line = page.count('\n', 0, begin.start()) + 1
            raise InputError(
                f'{PAGE}:{line}: {begin[0]} has no partner; a block goes from <!-- results:NAME --> to <!-- /results -->'
            )
        parts += [page[end : begin.end()], '\n', block_text(begin[2], results), '\n', close[0]]
        end = close.end()
    return ''.join([*parts, page[end:]])


def block_text(name: str, results: Path) -> str:
    """The Markdown of one block.

    Raises:
        InputError: there is no such block, or one of its files is damaged.
    """
    if name not in BLOCKS:
        raise InputError(f'{PAGE}: no block {name!r}; there are {", ".join(BLOCKS)}')
    block = BLOCKS[name]
    paths = sorted(results.glob(block.files))
    if not paths:
        return f'Not measured yet: `{block.command}`'
    try:
        text = block.render({path.stem: _content(path) for path in paths})
    except (KeyError, TypeError) as err:
        fact = f'{", ".join(map(str, paths))}: not what the block {name} reads ({type(err).__name__} {err})'
        raise InputError(f'{fact}; make it again with `{block.command}`') from err
    return text or f'Not measured yet: `{block.command}`'


def stale_blocks(page: str, results: Path) -> Sequence[str]:
    """Names of the blocks that do not say what the files say.

    Raises:
        InputError: as `rewritten`.
    """
    return [name for name, now, then in zip(_names(page), _bodies(page), _bodies(rewritten(page, results))) if now != then]


def _names(page: str) -> list[str]:
    return [mark[2] for mark in MARK.finditer(page) if mark[2] is not None]


def _bodies(page: str) -> list[str]:
    marks = list(MARK.finditer(page))
    return [page[begin.end() : close.start()] for begin, close in zip(marks[::2], marks[1::2])]


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise InputError(f'{path}: {err}; make it again with its command') from err
