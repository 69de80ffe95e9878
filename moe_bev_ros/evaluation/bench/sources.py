"""The networks that a benchmark compares: the trained one, its dense twin, and the frames that all of them see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import file_sha256
from moe_bev_ros.engine.shipped import FOLDER, network_folder
from moe_bev_ros.evaluation.bench.frames import save_frames, world_frames

RUN_TIMES = ('onnxruntime', 'openvino')
NUM_FRAMES = 12


@dataclass(frozen=True)
class Sources:
    """Where the networks lie.

    Attributes:
        weights, dense_weights: for torch.
        folder, dense_folder: exported in FP32.
        int8: quantised.
        frames: of `save_frames`.
        scratch: folder to write to.
    """

    weights: Path
    dense_weights: Path
    folder: Path
    dense_folder: Path
    int8: Path
    frames: Path
    scratch: Path


def shipped_weights(profile: str) -> Path:
    """Of a trained network.

    Raises:
        InputError: none ships for this profile.
    """
    path = FOLDER / f'{profile}.safetensors'
    if not path.is_file():
        raise InputError(f'{path}: no trained network of this profile ships; name another, or give its file with --weights')
    return path


def prepare(weights: Path, int8: Path, cache: Path, num_frames: int = NUM_FRAMES) -> Sources:
    """Export what was not exported yet, and render the frames.

    Raises:
        InputError: the weights cannot be read, or the disk is too small.
    """
    from moe_bev_ros.model.twin_weights import write_dense_twin
    from moe_bev_ros.model.weights_file import load_weights

    dense = cache / f'{weights.stem}_dense_{file_sha256(weights)[:12]}.safetensors'
    if not dense.exists():
        write_dense_twin(weights, dense)
    config = load_weights(weights).config
    frames = cache / f'{config.name}_frames.npz'
    save_frames(frames, world_frames((config.image_width, config.image_height), num_frames))
    folder, dense_folder = exported(weights), exported(dense)
    return Sources(weights, dense, folder, dense_folder, int8, frames, cache)


def exported(weights: Path) -> Path:
    """The folder of a network in FP32, in the user's cache.

    Raises:
        InputError: it cannot be made.
    """
    try:
        return network_folder(EngineSettings(precision='float32'), weights)[1]
    except EngineError as err:
        raise InputError(str(err)) from err
