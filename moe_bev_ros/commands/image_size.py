"""Sizes of images on the command line."""

from __future__ import annotations

import argparse
import re

LEAST_PIXELS = 16


def image_size(text: str) -> tuple[int, int]:
    """Width and height [pixels] of a word such as 704x256, for ``add_argument(type=…)``."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None or min(int(match[1]), int(match[2])) < LEAST_PIXELS:
        raise argparse.ArgumentTypeError(f'{text!r} is no size such as 704x256')
    return int(match[1]), int(match[2])
