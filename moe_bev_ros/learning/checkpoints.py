"""All that a stopped training needs to go on as if it had not stopped."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import disk_error

_WITHOUT_EFFECT = {'threads', 'workers'}  # what may differ from run to run


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write it; a crash meanwhile leaves the old one.

    Raises:
        InputError: the disk refuses it.
    """
    temporary = path.with_name(f'.{path.name}')
    try:
        torch.save(dict(state), temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as err:  # torch's own writer tells a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        cause = err if isinstance(err, OSError) else OSError(0, str(err).splitlines()[0])
        raise disk_error(cause, path) from err


def load_checkpoint(path: Path, config: Mapping[str, Any], *, plateau_steps: int) -> dict[str, Any] | None:
    """What the file holds, or None where there is none.

    Args:
        config: nested values that the run was started with; what a checkpoint must have under ``config``.
        plateau_steps: of this run, before its rate falls: until there the number of frames may have been another.

    Raises:
        InputError: truncated, no checkpoint, or made with another config.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
        made_with, step, _ = flat(state['config']), int(state['step']), state['streams']
    except (OSError, EOFError, RuntimeError, BadZipFile, pickle.UnpicklingError, KeyError, TypeError, AttributeError) as err:
        raise InputError(
            f'{path}: truncated or no checkpoint of this training ({type(err).__name__}); remove it, or give another --out'
        ) from err
    wanted = flat(config)
    names = sorted(name for name in made_with.keys() | wanted.keys() if made_with.get(name) != wanted.get(name))
    names = [name for name in names if name.split('.')[-1] not in _WITHOUT_EFFECT]
    if names == ['training.num_frames'] and step <= plateau_steps and not state['decaying']:
        return state
    if names:
        told = '; '.join(f'{name} was {made_with.get(name)!r}, now {wanted.get(name)!r}' for name in names)
        raise InputError(f'{path}: made with another config ({told}); give the old values, another --out, or remove it')
    return state


def flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested values under dotted names; tuples become lists, as files have them."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f'{prefix}{name}.')
        else:
            result[prefix + name] = list(value) if isinstance(value, tuple) else value
    return result
