"""Weights of a BEV network as one safetensors file, which says in its metadata what network they belong to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import disk_error
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import ModelConfig, config_of

_CURE = 'train it anew with moe-bev train, or take the file that this version ships'


def save_weights(model: BevModel, config: ModelConfig, path: Path) -> Path:
    """Write the weights; whoever reads meanwhile sees the old file or the new one. Returns the path.

    Raises:
        InputError: the disk refuses it; what was there stays.
    """
    return write_tensors(model, path, {'config': json.dumps(dataclasses.asdict(config))})


def write_tensors(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Write the weights of any network; as `save_weights`."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    temporary = path.with_name(f'.{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=metadata)
        return temporary.replace(path)
    except (OSError, SafetensorError) as err:  # safetensors tells a full disk as its own error
        temporary.unlink(missing_ok=True)
        raise disk_error(err if isinstance(err, OSError) else OSError(0, str(err)), path) from err


def load_weights(path: Path) -> BevModel:
    """The network that the file describes, with its weights, ready to infer (in evaluation mode).

    Raises:
        InputError: there is no such file, it is truncated, or it belongs to a network that this version cannot make.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such weights; {_CURE}')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError) as err:
        raise InputError(f'{path}: truncated or not safetensors ({err}); {_CURE}') from err
    model = BevModel(read_config(metadata.get('config', '{}'), path))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as err:
        first = str(err).splitlines()[1].strip() if '\n' in str(err) else str(err)
        raise InputError(f'{path}: its weights are those of another network ({first}); {_CURE}') from err
    return model.eval()


def read_config(text: str, path: Path) -> ModelConfig:
    """A config from the JSON that a file of weights holds.

    Raises:
        InputError: it has other fields than this version's.
    """
    try:
        return config_of(json.loads(text))
    except (json.JSONDecodeError, InputError) as err:
        raise InputError(f'{path}: another config ({err}); {_CURE}') from err
