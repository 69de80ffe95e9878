"""Sizes of the BEV network: one frozen value a profile; a variant is a function of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError

FRAME_EXPERTS = ('camera', 'lidar', 'fused', 'poor_sight')
SELECTIONS = ('learned', 'gradient', 'random', 'grid', 'dense')
ROUTINGS = ('two_stage', 'random', 'dense')
MEMORIES = ('sparse', 'none', 'recurrent', 'queue', 'stack2', 'sweeps10')
PILLAR_CHANNELS = 16
AGE_CHANNELS = 2  # beside them, where several sweeps are stacked
IMAGE_STRIDE = 8
ROAD_CLASSES = ('drivable', 'divider', 'crossing', 'stop_line', 'vehicles')


@dataclass(frozen=True)
class ModelConfig:
    """What a network is made of.

    Attributes:
        num_cameras, image_height, image_width: of its input [pixels].
        camera_channels: of the stages at stride 2, 4, 8, 16.
        camera_blocks: 3 x 3 convolutions after the one that halves, at each stage.
        channels: of image features, of the inner map and of its experts.
        num_key_points: queries a camera.
        attention_heads: of the sparse attention.
        num_depth_bins, min_depth_m, max_depth_m: of the lift.
        lift_heights_m: where a cell looks up its image, above the ground in base_link [m].
        lidar_channels: of the map with twice the inner resolution, and of the heads' skip.
        half_m, pillar_m: reach of the maps to every side, and side of a pillar [m]; a cell of the heads is two pillars wide, an
            inner one four.
        patch: side of a BEV patch [inner cells].
        num_experts: patch experts; the first half convolves, the others attend, the last of all looks back in time.
        coarse_share: share of the experts that the coarse stage leaves to a patch.
        sparsity: share of (expert, patch) pairs that are not computed.
        num_tokens: dynamic cells that are remembered.
        static_channels: of the static and of the semi-static memory.
        static_every, semi_every: frames between two rewritings.
        head_channels: of the heads' branches.
        selection, routing, memory: which mechanism; others than the first are there to be compared with.
    """

    name: str = 'tiny'
    num_cameras: int = 6
    image_height: int = 128
    image_width: int = 352
    camera_channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    camera_blocks: tuple[int, int, int, int] = (0, 1, 1, 2)
    channels: int = 64
    num_key_points: int = 64
    attention_heads: int = 4
    num_depth_bins: int = 32
    min_depth_m: float = 2.0
    max_depth_m: float = 58.0
    lift_heights_m: tuple[float, ...] = (0.2, 0.9, 1.7)
    lidar_channels: int = 32
    half_m: float = 51.2
    pillar_m: float = 0.4
    patch: int = 4
    num_experts: int = 8
    coarse_share: float = 0.75
    sparsity: float = 0.65
    num_tokens: int = 512
    static_channels: int = 16
    static_every: int = 10
    semi_every: int = 5
    head_channels: int = 48
    selection: str = 'learned'
    routing: str = 'two_stage'
    memory: str = 'sparse'

    def __post_init__(self) -> None:
        for name, value, known in (
            ('selection', self.selection, SELECTIONS),
            ('routing', self.routing, ROUTINGS),
            ('memory', self.memory, MEMORIES),
        ):
            if value not in known:
                raise InputError(f'{name} {value!r} is none of {", ".join(known)}')
        if self.image_height % 16 or self.image_width % 16:
            raise InputError(f'image sides must be multiples of 16, got {self.image_width} x {self.image_height}')
        if self.num_cells % self.patch:
            raise InputError(f'{self.num_cells} cells a side are no multiple of a patch of {self.patch}')
        if self.num_key_points > self.num_blocks:
            raise InputError(f'{self.num_key_points} key points, but an image has {self.num_blocks} blocks')
        if not 0.0 <= self.sparsity < 1.0:
            raise InputError(f'sparsity must be in 0..1, got {self.sparsity}')

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of an image's feature map."""
        return self.image_height // IMAGE_STRIDE, self.image_width // IMAGE_STRIDE

    @property
    def num_blocks(self) -> int:
        """Of one image's feature map."""
        return self.block_shape[0] * self.block_shape[1]

    @property
    def num_pillars(self) -> int:
        """Along one side."""
        return round(2 * self.half_m / self.pillar_m)

    @property
    def num_sweeps(self) -> int:
        """That are stacked into one pillar map."""
        return 10 if self.memory == 'sweeps10' else 1

    @property
    def pillar_channels(self) -> int:
        """Of the pillar map."""
        return PILLAR_CHANNELS + (AGE_CHANNELS if self.num_sweeps > 1 else 0)

    @property
    def num_head_cells(self) -> int:
        """Of the heads' maps, along one side."""
        return self.num_pillars // 2

    @property
    def num_cells(self) -> int:
        """Of the inner map, along one side."""
        return self.num_pillars // 4

    @property
    def cell_m(self) -> float:
        """Side of an inner cell."""
        return 4 * self.pillar_m

    @property
    def head_cell_m(self) -> float:
        """Side of a cell of the heads' maps."""
        return 2 * self.pillar_m

    @property
    def num_patches(self) -> int:
        """Of the inner map."""
        return (self.num_cells // self.patch) ** 2

    @property
    def capacity(self) -> int:
        """Patches that each expert takes."""
        return max(1, round((1.0 - self.sparsity) * self.num_patches))

    @property
    def depth_edges_m(self) -> NDArray[np.float64]:
        """(D + 1,) edges of the depth bins, wider with distance (linear-increasing, Reading et al. 2021, CaDDN)."""
        step = np.arange(self.num_depth_bins + 1)
        share = step * (step + 1) / (self.num_depth_bins * (self.num_depth_bins + 1))
        return self.min_depth_m + (self.max_depth_m - self.min_depth_m) * share


def dense_twin(config: ModelConfig) -> ModelConfig:
    """The same widths with every block a query, every expert run on every patch, and memory as one full map."""
    return replace(
        config,
        name=f'{config.name}_dense',
        num_key_points=config.num_blocks,
        sparsity=0.0,
        selection='dense',
        routing='dense',
        memory='recurrent',
    )


def config_of(fields: Mapping[str, Any]) -> ModelConfig:
    """A config from its fields as JSON has them.

    Raises:
        InputError: they are other ones than this version's.
    """
    differing = {field.name for field in dataclasses.fields(ModelConfig)} ^ set(fields)
    if differing:
        raise InputError(f'differs in {", ".join(sorted(differing))}')
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return ModelConfig(**values)


def profile(name: str) -> ModelConfig:
    """A network by its name: tiny, orin_nx, orin_agx; with ``_dense`` its dense twin.

    Raises:
        InputError: there is no such profile.
    """
    if name.endswith('_dense'):
        return dense_twin(profile(name.removesuffix('_dense')))
    if name not in PROFILES:
        raise InputError(f'no profile {name!r}; there are {", ".join(PROFILES)}, and <profile>_dense')
    return PROFILES[name]


_ORIN_NX = ModelConfig(
    name='orin_nx',
    image_height=256,
    image_width=704,
    camera_channels=(64, 64, 128, 256),
    camera_blocks=(1, 3, 3, 3),
    channels=128,
    num_key_points=256,
    num_depth_bins=64,
    lift_heights_m=(0.2, 0.9, 1.7, 2.5),
    lidar_channels=64,
    pillar_m=0.2,
    num_tokens=1024,
    static_channels=32,
    head_channels=64,
)
PROFILES = {
    'tiny': ModelConfig(),
    'orin_nx': _ORIN_NX,
    'orin_agx': replace(
        _ORIN_NX,
        name='orin_agx',
        camera_channels=(64, 128, 256, 512),
        camera_blocks=(1, 4, 6, 6),
        channels=192,
        head_channels=96,
    ),
}
