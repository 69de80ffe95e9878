"""``moe-bev evaluate results``: make the tables of RESULTS.md from results/*.json, or say whether they are true to them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_text
from moe_bev_ros.evaluation.results_page import FOLDER, PAGE, rewritten, stale_blocks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the page is."""
    parser.add_argument('--root', type=Path, default=Path(), metavar='DIR', help=f'folder with {PAGE} and {FOLDER}/')
    parser.add_argument('--check', action='store_true', help='change nothing; say which blocks differ from their files')


def run(args: argparse.Namespace) -> int:
    """Returns 1 where --check finds a difference."""
    page, results = args.root / PAGE, args.root / FOLDER
    try:
        text = page.read_text()
    except OSError as err:
        raise InputError(f'{page}: {err.strerror}; give the folder of {PAGE} with --root') from err
    stale = stale_blocks(text, results)
    if args.check:
        for name in stale:
            _print(f'{page}: block {name} is not what {results} says; run `moe-bev evaluate results`')
        return 1 if stale else 0
    if stale:
        write_text(page, rewritten(text, results))
    _print(f'{page}: {len(stale)} blocks changed')
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
