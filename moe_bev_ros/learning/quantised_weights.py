"""A quantised network in one safetensors file: weights in float, ranges of its quantisers, and which layers have them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.quantisation_policy import QuantisedLayers
from moe_bev_ros.learning.quantisers import Bits, layer_of, quantised, quantisers_of, weight_quantisers
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.folding import folded
from moe_bev_ros.model.weights_file import read_config, write_tensors

_CURE = 'remove it, and moe-bev quantise makes it again'
AMAX = '._amax'


def save_quantised(model: BevModel, layers: QuantisedLayers, bits: Bits, path: Path) -> Path:
    """Write it; whoever reads meanwhile sees the old file or the new one.

    Raises:
        InputError: the disk refuses it; what was there stays.
    """
    about = {
        'config': json.dumps(dataclasses.asdict(model.config)),
        'layers': json.dumps(dataclasses.asdict(layers)),
        'bits': json.dumps(dataclasses.asdict(bits)),
        'leading': json.dumps(model.attention.first),
    }
    return write_tensors(model, path, about)


def load_quantised(path: Path) -> BevModel:
    """The folded network with its quantisers, ready to infer.

    Raises:
        InputError: there is no such file, or it is damaged or of another version.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such weights; {_CURE}')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        layers, bits, leading = (json.loads(metadata[name]) for name in ('layers', 'bits', 'leading'))
        model = quantised(
            folded(BevModel(read_config(metadata['config'], path))),
            QuantisedLayers(tuple(layers['inputs']), tuple(layers['outputs'])),
            Bits(**bits),
        )
        fill(model, tensors)
        model.attention.first = leading
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as err:
        raise InputError(f'{path}: damaged, or of another version ({err}); {_CURE}') from err
    return model.eval()


def fill(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a network with quantisers its weights and its ranges.

    Raises:
        RuntimeError: they are those of another network.
    """
    for name, quantiser in quantisers_of(model).items():
        quantiser.amax = tensors[name + AMAX]
    model.load_state_dict(tensors)


def quantised_bytes(model: BevModel) -> int:
    """Of its weights as they would be stored: whole bits a quantised weight, four bytes a scale and everything else."""
    weights = weight_quantisers(model)
    bits = {layer_of(name) + '.weight': quantiser.num_bits for name, quantiser in weights.items()}
    scales = sum(quantiser.amax.numel() for quantiser in quantisers_of(model).values())
    values = sum(value.numel() * bits.get(name, 32) for name, value in model.named_parameters())
    return values // 8 + 4 * scales
