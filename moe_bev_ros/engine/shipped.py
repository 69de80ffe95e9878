"""Where networks lie: those that come with the package, and those that were exported from them."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import MANIFEST, Manifest, file_sha256, load_manifest

PACKAGE = Path(__file__).resolve().parents[1]
FOLDER = PACKAGE / 'weights'
PROFILE = 'tiny'
WEIGHTS = FOLDER / f'{PROFILE}.safetensors'
EXPORTERS = ('model/*.py', 'engine/export.py', 'engine/manifest.py')  # whose change makes another export


def cache_folder(weights: Path) -> Path:
    """Where these weights are exported to: the cache folder of the user, under the hash of what the export is made from.

    Raises:
        EngineError: there are no such weights.
    """
    if not weights.is_file():
        raise EngineError(
            f'{weights}: no such weights; train them with moe-bev train, or take the file that this version ships'
        )
    made_from = hashlib.sha256(weights.read_bytes())
    for path in sorted(path for pattern in EXPORTERS for path in PACKAGE.glob(pattern)):
        made_from.update(path.read_bytes())
    caches = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return caches / 'moe_bev_ros' / 'engines' / f'{weights.stem}-float32-{made_from.hexdigest()[:16]}'


def int8_folder(weights: Path) -> Path:
    """Where the quantised network of these weights lies."""
    return weights.with_name(f'{weights.stem}_int8')


def network_folder(settings: EngineSettings, weights: Path = WEIGHTS) -> tuple[Manifest, Path]:
    """The exported network that the settings ask for; by itself that of these weights, which is exported if need be.

    Raises:
        EngineError: it is not there and cannot be made, was edited, or has another precision.
    """
    folder = settings.engine_dir
    if folder is None and settings.precision == 'int8':
        folder = int8_folder(weights)
        if not (folder / MANIFEST).is_file():
            raise EngineError(f'{folder}: there is no int8 network; make one with moe-bev quantise, or set precision: float32')
    if folder is None:
        folder = cache_folder(weights)
        if not (folder / MANIFEST).is_file():
            _export(weights, folder)
    manifest = load_manifest(folder)
    if settings.precision in ('float32', 'int8') and settings.precision != manifest.precision:
        raise EngineError(f'{folder}: holds a network in {manifest.precision}; set precision: auto, or another engine_dir')
    return manifest, folder


def _export(weights: Path, folder: Path) -> None:
    try:
        from moe_bev_ros.engine.export import export_engine
        from moe_bev_ros.model.weights_file import load_weights
    except ModuleNotFoundError as err:
        cure = 'install moe-bev-ros[torch], or set engine_dir to a folder that moe-bev export made elsewhere'
        raise EngineError(f'{weights}: cannot be exported: {err}; {cure}') from err
    sys.stderr.write(f'exporting {weights.name} to {folder}, once\n')
    try:
        export_engine(load_weights(weights), file_sha256(weights), folder, replaces=False)
    except InputError as err:
        raise EngineError(f'{err} (XDG_CACHE_HOME, or engine_dir with a folder that moe-bev export made)') from err
