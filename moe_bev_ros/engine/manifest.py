"""What lies in the folder of an exported network: its sub-engines as ONNX files, told by a manifest with their hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.model.config import ModelConfig, config_of

MANIFEST = 'manifest.json'
ONNX_PRECISIONS = ('float32', 'int8')
CURE = 'remove the folder and export it again: moe-bev export'


@dataclass(frozen=True)
class Tensor:
    """One input or output.

    Attributes:
        shape: fixed, with the batch of 1.
        dtype: as numpy names it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Part:
    """One sub-engine.

    Attributes:
        file: its name within the folder.
        sha256: of the file.
    """

    file: str
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Manifest:
    """A whole network.

    Attributes:
        precision: one of ONNX_PRECISIONS; int8: convolutions and matrix products between quantise and dequantise nodes.
        opset: of ONNX.
        weights_sha256: of the file of weights that it came from.
        parts: by name, in the order in which they run.
    """

    config: ModelConfig
    precision: str
    opset: int
    weights_sha256: str
    parts: Mapping[str, Part]

    def __post_init__(self) -> None:
        if self.precision not in ONNX_PRECISIONS:
            raise ValueError(f'precision {self.precision!r} is none of {", ".join(ONNX_PRECISIONS)}')


def part_of(path: Path, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Part:
    """A file that was written just now."""
    return Part(path.name, file_sha256(path), inputs, outputs)


def file_sha256(path: Path) -> str:
    """Hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write it, once all files are there: a folder without one is not yet an engine.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    write_json(folder / MANIFEST, dataclasses.asdict(manifest))
    return folder / MANIFEST


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a folder whose files are all there, as they were written.

    Raises:
        EngineError: a file is missing or was edited, or it is no manifest of this version.
    """
    path = folder / MANIFEST
    try:
        manifest = _read(json.loads(path.read_text()))
    except OSError as err:
        raise EngineError(f'{path}: {err.strerror}; {CURE}') from err
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as err:
        raise EngineError(f'{path}: no manifest of this version ({err}); {CURE}') from err
    for part in manifest.parts.values():
        _check(folder / part.file, part.sha256)
    return manifest


def _read(content: dict[str, Any]) -> Manifest:
    parts = {name: _read_part(part) for name, part in content['parts'].items()}
    config = config_of(content['config'])
    return Manifest(config, content['precision'], int(content['opset']), content['weights_sha256'], parts)


def _read_part(content: dict[str, Any]) -> Part:
    tensors = ([Tensor(t['name'], tuple(t['shape']), t['dtype']) for t in content[side]] for side in ('inputs', 'outputs'))
    return Part(content['file'], content['sha256'], *(tuple(side) for side in tensors))


def _check(path: Path, sha256: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as err:
        raise EngineError(f'{path}: {err.strerror}; {CURE}') from err
    if found != sha256:
        raise EngineError(f'{path}: was edited since it was exported; {CURE}')
