"""Key points by what the network itself depends on: one step looks everywhere, the next one where its gradient is largest.

It costs a whole step with every block a query, and its gradient: the teacher of the learned scorer, and what that is compared
with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from moe_bev_ros.model.memory import State

if TYPE_CHECKING:
    from moe_bev_ros.model.bev_model import BevModel, Inputs

NUM_LIKELIEST = 100  # cells and classes whose scores are summed
SMALLEST = 1e-12


def gradient_points(model: BevModel, inputs: Inputs, state: State, experts: tuple[str, ...]) -> Tensor | None:
    """(B N, K) key points by the magnitude of the gradient of the likeliest objects' scores at the features.

    None where no expert looks at images.
    """
    if not set(experts) - {'lidar'}:
        return None
    with torch.inference_mode(False), torch.enable_grad():
        own = inputs._replace(**{name: value.detach().clone() for name, value in inputs._asdict().items()})
        held = {name: value.detach().clone() for name, value in state.items()}
        images = inputs.images.shape[0] * inputs.images.shape[1]
        every_block = torch.arange(model.config.num_blocks, device=inputs.images.device).expand(images, -1)
        outputs, _ = model(own, held, experts, chosen=every_block)
        assert outputs.hints.seen is not None
        scores = outputs.heat.sigmoid().flatten()
        likeliest = scores.topk(min(len(inputs.images) * NUM_LIKELIEST, len(scores))).values
        (gradient,) = torch.autograd.grad(likeliest.sum(), outputs.hints.seen.features)
    return model.key_points(gradient.float().norm(dim=1).clamp(min=SMALLEST).log())
