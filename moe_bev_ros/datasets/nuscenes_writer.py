"""Writes a nuScenes v1.0 tree scene by scene, so that it can be broken off at any time and go on later.

A scene is written in this order: its images and sweeps, its map, its file in ``world/``, and last, atomically, its rows as
``scenes/<name>.json``. Only a scene with its rows counts; what a broken run left of another is written anew under the same
names. `TreeWriter.merge` makes the official tables from the rows of all scenes that count.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import disk_error, write_text, write_texts
from moe_bev_ros.datasets.nuscenes_tables import LIDAR, SCENE_TABLES, Rows, common_tables

VERSION = 'v1.0-world'
SPLITS = ('world_train', 'world_val', 'world_test')


class TreeWriter:
    """A tree on disk that scenes are added to.

    Args:
        settings: what every scene of the tree has in common, as JSON values.

    Raises:
        InputError: the folder holds scenes with other settings, or something else.
    """

    def __init__(self, root: Path, settings: dict[str, Any], version: str = VERSION) -> None:
        self.root, self.folder = root, root / version
        path = self.folder / 'settings.json'
        if not path.is_file() and any(other.is_file() for other in root.rglob('*')):
            raise InputError(f'{root}: not empty, and no {version}/settings.json in it; give a new or an empty folder')
        if path.is_file():
            _check_settings(path, settings)
        for name in ('scenes', 'world', ''):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (root / 'maps').mkdir(exist_ok=True)
        if not path.is_file():
            write_text(path, json.dumps(settings, indent=1))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside of it no other process that asks for the same writes to the tree.

        Raises:
            InputError: another one does.
        """
        with (self.folder / '.lock').open('w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise InputError(f'{self.root}: another run writes here; wait for its end, or give another --out') from err
            yield

    def has_scene(self, name: str) -> bool:
        """Whether a scene is whole."""
        return self._rows_path(name).is_file()

    def data_file(self, scene: str, channel: str, stamp_us: int, *, keyframe: bool) -> str:
        """Where an image or sweep goes, relative to the root, as nuScenes names it."""
        suffix = 'pcd.bin' if channel == LIDAR else 'jpg'
        return f'{"samples" if keyframe else "sweeps"}/{channel}/{scene}__{channel}__{stamp_us}.{suffix}'

    def write_data(self, file: str, data: bytes) -> None:
        """Write one file, relative to the root; it counts once its scene does.

        Raises:
            InputError: it cannot be written.
        """
        path = self.root / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as err:
            raise disk_error(err, path) from err

    def finish_scene(self, name: str, split: str, rows: Rows, extra: dict[str, Any]) -> None:
        """The scene's data are all written: from now on it counts."""
        write_text(self.folder / 'world' / f'{name}.json', json.dumps(extra))
        write_text(self._rows_path(name), json.dumps({'split': split, 'rows': rows}))

    def drop_scene(self, name: str) -> None:
        """Remove what there is of a scene that was broken off."""
        self._rows_path(name).unlink(missing_ok=True)
        for pattern in (f'samples/*/{name}__*', f'sweeps/*/{name}__*', f'maps/{name}.*'):
            for path in self.root.glob(pattern):
                path.unlink(missing_ok=True)

    def merge(self) -> list[str]:
        """Write the tables and splits.json from all scenes that count; returns their names."""
        tables: Rows = {**common_tables(), **{name: [] for name in SCENE_TABLES}}
        splits: dict[str, list[str]] = {name: [] for name in SPLITS}
        paths = sorted((self.folder / 'scenes').glob('*.json'), key=lambda path: (len(path.stem), path.stem))
        for path in paths:
            content = _scene_rows(path)
            splits.setdefault(content['split'], []).append(path.stem)
            for table, rows in content['rows'].items():
                tables[table].extend(rows)
        texts = {self.folder / f'{table}.json': json.dumps(rows) for table, rows in tables.items()}
        write_texts({**texts, self.folder / 'splits.json': json.dumps(splits, indent=1)})
        return [path.stem for path in paths]

    def _rows_path(self, name: str) -> Path:
        return self.folder / 'scenes' / f'{name}.json'


@contextmanager
def whole_or_nothing(writer: TreeWriter, scene: str) -> Iterator[None]:
    """Inside of it a scene is written; whatever ends that early, also Ctrl-C, removes it, also one that stood before.

    Raises:
        InputError: a file cannot be written; the text names it, and what to do.
    """
    stood_before = writer.has_scene(scene)
    try:
        yield
    except BaseException as err:
        writer.drop_scene(scene)
        if stood_before:  # the tables shall not name what is gone
            with suppress(InputError):
                writer.merge()
        if isinstance(err, OSError):
            raise disk_error(err, Path(err.filename or writer.root)) from err
        raise


def _scene_rows(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as err:
        raise InputError(
            f'{path}: {err}; remove this file and give the same command again, which writes the scene anew'
        ) from err


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    try:
        found = json.loads(path.read_text())
    except ValueError as err:
        raise InputError(f'{path}: {err}; give a new folder') from err
    wanted = json.loads(json.dumps(settings))
    other = [f'{name} {found.get(name)} (now {value})' for name, value in wanted.items() if found.get(name) != value]
    if other or set(found) != set(wanted):
        facts = ', '.join(other) or 'other settings'
        raise InputError(f'{path}: the scenes here have {facts}; give the same values, or another --out')
