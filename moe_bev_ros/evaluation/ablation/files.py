"""What is kept of a finished row of an ablation: its figures as JSON, and beside it the matches from which any choice of scenes
can be scored, so that rows can be compared scene by scene later.

The JSON file is written last: where it is, the row is finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import disk_error, write_json
from moe_bev_ros.evaluation.perception.detection import CONFIG
from moe_bev_ros.evaluation.perception.detection_table import ClassMatches, DetectionTable
from moe_bev_ros.evaluation.tally import Tally

FIELDS = tuple(field.name for field in fields(ClassMatches))
METRICS = ('min_ade_5_moving', 'hidden_recall')  # that are compared from scene to scene


@dataclass(frozen=True)
class RowRun:
    """One row with one seed.

    Attributes:
        figures: what goes into the JSON file.
        tallies: one a scene, of METRICS.
    """

    figures: dict[str, Any]
    table: DetectionTable
    tallies: tuple[Tally, ...]


def save_row(path: Path, run: RowRun) -> None:
    """Write ``path`` (JSON), and the matches beside it.

    Raises:
        InputError: the disk refuses it.
    """
    arrays = {f'class/{name}/{field}': getattr(found, field) for name, found in run.table.classes.items() for field in FIELDS}
    for scene, tally in enumerate(run.tallies):
        arrays |= {f'tally/{scene}/{name}': tally[name] for name in METRICS if name in tally}
    matches, temporary = path.with_suffix('.npz'), path.with_name(f'.{path.stem}.npz')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(temporary, num_scenes=len(run.tallies), **arrays)
        temporary.replace(matches)
    except OSError as err:
        raise disk_error(err, path) from err
    write_json(path, run.figures)


def load_row(path: Path, plan: Mapping[str, Any]) -> RowRun | None:
    """A finished row; None where it is not finished.

    Args:
        plan: with what it must have been made, under ``plan`` of its figures.

    Raises:
        InputError: it was made with another plan, or a file is damaged.
    """
    from nuscenes.eval.common.config import config_factory

    if not path.is_file():
        return None
    try:
        figures = json.loads(path.read_text())
        differing = sorted(name for name in {*plan, *figures['plan']} if plan.get(name) != figures['plan'].get(name))
        if differing:
            raise InputError(f'{path}: made with another {", ".join(differing)}; give another --out, or remove the file')
        with np.load(path.with_suffix('.npz')) as arrays:
            known = dict(arrays)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as err:
        raise InputError(f'{path}: damaged ({err}); remove it, and the row is made again') from err
    num_scenes, config = int(known.pop('num_scenes')), config_factory(CONFIG)
    classes = {name: ClassMatches(**{field: known[f'class/{name}/{field}'] for field in FIELDS}) for name in config.class_names}
    return RowRun(figures, DetectionTable(config, num_scenes, classes), _tallies(known, num_scenes))


def _tallies(arrays: Mapping[str, Any], num_scenes: int) -> tuple[Tally, ...]:
    names: Sequence[str] = METRICS
    return tuple(
        {name: arrays[key] for name in names if (key := f'tally/{scene}/{name}') in arrays} for scene in range(num_scenes)
    )
