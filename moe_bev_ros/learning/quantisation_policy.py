"""Which layers of a folded network compute in INT8: patterns of their names, read from a YAML file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.blocks import Sum

INT8, FLOAT = 'int8', 'float'
NUM_NEAREST = 3
Rule = tuple[str, str]  # a pattern, and INT8 or FLOAT


@dataclass(frozen=True)
class Policy:
    """What is wanted, by patterns as of the shell.

    Attributes:
        layers: of convolutions, matrices and sums, whose inputs and weights are INT8; the last pattern that matches decides.
        outputs: of layers whose result is INT8 too, since nothing that reads it would make it so.
    """

    layers: tuple[Rule, ...]
    outputs: tuple[str, ...]

    def with_rules(self, *rules: Rule) -> Policy:
        """The same, with more rules at the end."""
        return Policy((*self.layers, *rules), self.outputs)


@dataclass(frozen=True)
class QuantisedLayers:
    """What a policy means for one network: names of layers, in the network's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        InputError: names the file, and what is wrong in it.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as err:
        raise InputError(f'{path}: {err.strerror}; give a file as config/quantisation/tiny.yaml') from err
    except yaml.YAMLError as err:
        raise InputError(f'{path}: not YAML ({err}); mend it') from err
    if not isinstance(document, dict) or set(document) != {'layers', 'outputs'}:
        raise InputError(f'{path}: must hold layers and outputs, and nothing else; see config/quantisation/tiny.yaml')
    return Policy(_rules(document['layers'], path), _patterns(document['outputs'], path))


def layers_of(model: BevModel) -> tuple[str, ...]:
    """Names of what can compute in INT8: 2D convolutions, matrices, sums."""
    return tuple(name for name, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.Linear | Sum))


def quantised_layers(policy: Policy, model: BevModel, path: Path) -> QuantisedLayers:
    """Apply a policy to a folded network.

    Args:
        path: of the policy, for what is said of it.

    Raises:
        InputError: a pattern matches no layer; the text names it and the nearest ones, or nothing is INT8.
    """
    layers = layers_of(model)
    makers = tuple(name for name, part in model.named_modules() if isinstance(part, nn.ReLU | nn.Conv2d | nn.Linear))
    chosen = dict.fromkeys(layers, FLOAT)
    for pattern, precision in policy.layers:
        chosen |= dict.fromkeys(_matched(pattern, layers, path), precision)
    inputs = tuple(name for name, precision in chosen.items() if precision == INT8)
    if not inputs:
        raise InputError(f'{path}: no layer is {INT8}; let one be')
    wanted = {name for pattern in policy.outputs for name in _matched(pattern, makers, path)}
    return QuantisedLayers(inputs, tuple(name for name in makers if name in wanted))


def _matched(pattern: str, names: Sequence[str], path: Path) -> list[str]:
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if not matched:
        raise InputError(f'{path}: {pattern!r} is no layer of this network; nearest are {", ".join(nearest(pattern, names))}')
    return matched


def nearest(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that look most like it."""
    names = list(names)
    return difflib.get_close_matches(pattern, names, NUM_NEAREST, 0.0)


def _rules(value: Any, path: Path) -> tuple[Rule, ...]:
    if not isinstance(value, dict) or not value or not set(map(str, value.values())) <= {INT8, FLOAT}:
        raise InputError(f'{path}: layers must say {INT8} or {FLOAT} of each pattern, got {value!r}')
    return tuple((str(pattern), str(precision)) for pattern, precision in value.items())


def _patterns(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f'{path}: outputs must be a list of patterns, got {value!r}')
    return tuple(value)
