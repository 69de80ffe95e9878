"""Steps of a stream as tensors on the device of the network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_bev_ros.learning.bev_targets import Targets
from moe_bev_ros.learning.streams import Step
from moe_bev_ros.model.bev_model import Inputs

IMAGE_MEAN, IMAGE_DEVIATION = 0.45, 0.225  # of values in 0..1; as perception.network_inputs has it


class Batch(NamedTuple):
    """One time step of all lanes; ``conditions`` are the names of their weather and light."""

    inputs: Inputs
    targets: Targets
    conditions: tuple[str, ...]


def to_batch(step: Step, device: torch.device) -> Batch:
    """Images leave as bytes and are normalised on the device."""

    def there(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(device, non_blocking=True)

    images = there(step.images).permute(0, 1, 4, 2, 3).float().div_(255.0).sub_(IMAGE_MEAN).div_(IMAGE_DEVIATION)
    images = images * there(step.camera_valid)[:, :, None, None, None]
    maps = (there(values) for values in (step.depth, step.pixel, step.bin, step.pillars, step.motion, step.dt))
    return Batch(Inputs(images, *maps), Targets(*map(there, step.targets)), step.conditions)
