"""What in the images made the network see an object: Grad-CAM beside the key points that it chose to look at.

Grad-CAM (Selvaraju et al. 2017): the gradient of an output at a feature map, averaged over the map, weighs its channels; what
is left of their sum above zero is where the output comes from. Here the map is that of the images at stride 8, and the output
the sum of the heat logits of some objects. Key points are chosen by a scorer that never saw these objects' gradient: where both
agree, it looks at the right places.

Legend: N cameras, h w blocks of an image, K key points of a camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Label
from moe_bev_ros.model.bev_model import BevModel, Inputs, Outputs, Seen
from moe_bev_ros.model.config import IMAGE_STRIDE, ModelConfig
from moe_bev_ros.perception.network_inputs import NetworkInputs

F32 = NDArray[np.float32]
BLOCK_CENTRE = (IMAGE_STRIDE - 1) / 2  # of the first block [pixels]


@dataclass(frozen=True)
class Subject:
    """The objects to be explained.

    Attributes:
        label: of their class.
        num_objects: the best so many peaks of this class.
        near_xy_m: place in base_link; of these peaks the one nearest to it alone is explained. None: all of them.
    """

    label: Label = Label.CAR
    num_objects: int = 5
    near_xy_m: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.label is Label.UNKNOWN:
            raise InputError('the network knows no class UNKNOWN; name one of the ten')
        if self.num_objects < 1:
            raise InputError(f'{self.num_objects} objects to be explained; give 1 or more')


@dataclass(frozen=True)
class Explanation:
    """One frame explained.

    Attributes:
        influence_nhw: Grad-CAM, 0..1; the strongest block of all cameras is 1, all 0 where the images had no say.
        importance_nhw: what the learned scorer gives, 0..1 from the least to the most important block of all cameras.
        key_points_nk2: (N, K, 2) float32 column and row of the blocks' centres [pixels], the most important first.
        num_first: of these, with a branch of their own.
        centres_m2: (M, 2) float32 middle of the explained objects' cells in base_link [m], the surest first.
        scores_m: (M,) float32 0..1 of these.
        label: of these.
    """

    influence_nhw: F32
    importance_nhw: F32
    key_points_nk2: F32
    num_first: int
    centres_m2: F32
    scores_m: F32
    label: Label


def explain_frame(model: BevModel, frame: Frame, subject: Subject, inputs: NetworkInputs | None = None) -> Explanation:
    """Explain a frame on its own, without what was remembered: by its images, and its LiDAR where there is one.

    Args:
        model: in evaluation mode.
        inputs: maker for this model's config; None: a new one, which takes a while.

    Raises:
        InputError: no valid image, more cameras than the network takes, or images of another size.
    """
    if not frame.camera_valid:
        raise InputError('no valid image, and what comes from the images is to be explained; wait for the cameras')
    arrays = (inputs or NetworkInputs(model.config)).make(frame)
    fields = (arrays.images_n3hw, arrays.depth_nhw, arrays.pixel_zc, arrays.bin_zc, arrays.pillars_pss)
    images, depth, pixel, bins, pillars = (torch.from_numpy(np.asarray(values)[None]) for values in fields)
    tensors = Inputs(images, depth, pixel, bins, pillars, torch.eye(3)[None], torch.zeros(1))
    return explain(model, tensors, ('fused',) if arrays.lidar_valid else ('camera',), subject)


def explain(model: BevModel, inputs: Inputs, experts: tuple[str, ...], subject: Subject) -> Explanation:
    """Explain one step (a batch of one) from an empty memory.

    Args:
        experts: of the frame, at least one that looks at images.
    """
    with torch.enable_grad():
        images = inputs.images.detach().clone().requires_grad_()
        outputs, _ = model(inputs._replace(images=images), model.empty_memory(1), experts)
        seen = outputs.hints.seen
        if seen is None:
            raise InputError(f'frame experts {experts} look at no image; there is nothing to be explained')
        rows, columns = _peaks(outputs, subject, model.config)
        logits_m = outputs.heat[0, subject.label, rows, columns]
        (gradient,) = torch.autograd.grad(logits_m.sum(), seen.features, allow_unused=True)
    influence = torch.zeros_like(seen.importance) if gradient is None else _grad_cam(seen.features, gradient)
    return Explanation(
        _array(influence / influence.max().clamp_min(1e-12)),
        _array(_stretched(seen.importance)),
        _pixels(seen, model.config),
        model.attention.first,
        _centres(rows, columns, model.config),
        _array(logits_m.sigmoid()),
        subject.label,
    )


def _grad_cam(features_nchw: Tensor, gradient_nchw: Tensor) -> Tensor:
    """(N, h, w), not below 0."""
    weights_nc11 = gradient_nchw.mean(dim=(2, 3), keepdim=True)
    return functional.relu((weights_nc11 * features_nchw).sum(dim=1))


def _peaks(outputs: Outputs, subject: Subject, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Rows and columns of the cells to be explained, the surest first."""
    heat_kk = outputs.heat[0, subject.label].detach().float()
    is_peak_kk = functional.max_pool2d(heat_kk[None], 3, stride=1, padding=1)[0] == heat_kk
    rows, columns = torch.nonzero(is_peak_kk, as_tuple=True)
    order = heat_kk[rows, columns].argsort(descending=True)[: subject.num_objects]
    if subject.near_xy_m is not None:
        gaps_m = np.linalg.norm(_centres(rows[order], columns[order], config) - subject.near_xy_m, axis=1)
        order = order[int(gaps_m.argmin())][None]
    return rows[order], columns[order]


def _centres(rows_m: Tensor, columns_m: Tensor, config: ModelConfig) -> F32:
    cells_m2 = torch.stack([columns_m, rows_m], dim=1).numpy()
    return ((cells_m2 + 0.5) * config.head_cell_m - config.half_m).astype(np.float32)


def _pixels(seen: Seen, config: ModelConfig) -> F32:
    """(N, K, 2)."""
    blocks_nk = seen.chosen[0].view(config.num_cameras, -1) % config.num_blocks
    rows_nk, columns_nk = blocks_nk // config.block_shape[1], blocks_nk % config.block_shape[1]
    return (torch.stack([columns_nk, rows_nk], dim=-1).numpy() * IMAGE_STRIDE + BLOCK_CENTRE).astype(np.float32)


def _stretched(values: Tensor) -> Tensor:
    """From 0 to 1."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp_min(1e-12)


def _array(values: Tensor) -> F32:
    return np.asarray(values.detach().float().numpy(), np.float32)
