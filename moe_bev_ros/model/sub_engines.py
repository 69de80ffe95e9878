"""The network cut into sub-engines: modules with tensors alone going in and coming out, in fixed shapes and a fixed order.

Nothing else goes between two of them, so a run-time may hold each in its own graph, on its own device and in its own precision,
and run those frame experts that were chosen. The maps of two frame experts are averaged in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_bev_ros.model.bev_model import BevModel, Inputs
from moe_bev_ros.model.config import PILLAR_CHANNELS, ModelConfig
from moe_bev_ros.model.memory import Recalled
from moe_bev_ros.model.router import Routing

MAPS = ('heat', 'boxes', 'log_sigma', 'attributes', 'road', 'forecast')
Run = Callable[..., Sequence[Tensor]]
Stage = tuple[Run, Sequence[str], Sequence[str]]  # with the names of what goes in and of what comes out


@dataclass(frozen=True)
class SubEngine:
    """One of them.

    Attributes:
        module: takes the inputs by position and gives a tuple of the outputs.
        inputs: an example, batch 1.
    """

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.input_names):
            raise ValueError(f'{self.name}: {len(self.inputs)} inputs with {len(self.input_names)} names')


class _Part(nn.Module):
    """A stage as a module; it holds the whole network, of which the stage uses its part."""

    def __init__(self, model: BevModel, stage: Run) -> None:
        super().__init__()
        self.model, self.stage = model, stage

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, by position."""
        return tuple(self.stage(*inputs))


def sub_engines(model: BevModel) -> dict[str, SubEngine]:
    """All of them, in the order in which they run, each with inputs that came out of those before it.

    A tensor keeps its name from one to the next. What the memory holds is named as in `BevModel.empty_memory`; between reading
    and writing with ``moved_`` before, and after that with ``next_``.
    """
    state = model.empty_memory(1)
    known = {**example_inputs(model.config, next(model.parameters()).device)._asdict(), **state}
    engines = {}
    with torch.no_grad():
        stages = {**_seeing(model), **_remembering(model, tuple(state), _moved_names(model, known))}
        for name, (run, input_names, output_names) in stages.items():
            module = _Part(model, run).eval()
            inputs = tuple(known[input_name] for input_name in input_names)
            known |= zip(output_names, module(*inputs))
            engines[name] = SubEngine(name, module, inputs, tuple(input_names), tuple(output_names))
    return engines


def _moved_names(model: BevModel, known: dict[str, Tensor]) -> tuple[str, ...]:
    """What the memory hands from reading to writing."""
    recalled = model.memory.recall(model.empty_memory(1), known['motion'], known['dt'])
    model.memory.merge(torch.zeros_like(recalled.prior_bcgg), recalled)
    return tuple(recalled.moved)


def _seeing(model: BevModel) -> dict[str, Stage]:
    """From the sensors to the maps of the frame experts."""

    def attention(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen = model.attend(*inputs)
        return seen.map_bcgg, seen.chosen

    maps, lidar_maps = ('now', 'fine'), ('lidar_map', 'lidar_fine')
    both = ('camera_map', *lidar_maps)
    return {
        'camera_encoder': (lambda images: model.camera_encoder(images.flatten(0, 1)), ('images',), ('features', 'coarse')),
        'camera_attention': (attention, ('features', 'coarse', 'depth', 'pixel', 'bin'), ('camera_map', 'chosen')),
        'lidar_encoder': (model.lidar_encoder, ('pillars',), lidar_maps),
        'expert_camera': (model.camera, ('camera_map',), maps),
        'expert_lidar': (model.lidar, lidar_maps, maps),
        'expert_fused': (model.fused, both, maps),
        'expert_poor_sight': (model.poor_sight, both, maps),
    }


def _remembering(model: BevModel, state_names: tuple[str, ...], moved_names: tuple[str, ...]) -> dict[str, Stage]:
    """From the map of the present, through memory and patch experts, to what is said."""

    def read(now: Tensor, motion: Tensor, dt: Tensor, *state: Tensor) -> list[Tensor]:
        recalled = model.memory.recall(dict(zip(state_names, state)), motion, dt)
        return [model.memory.merge(now, recalled), recalled.prior_bcgg, *(recalled.moved[name] for name in moved_names)]

    def experts(now: Tensor, prior: Tensor, patches: Tensor, gates: Tensor) -> list[Tensor]:
        return [model.patch_experts(now, prior, Routing(patches, gates, gates))]

    def write(mixed: Tensor, prior: Tensor, *moved: Tensor) -> list[Tensor]:
        after, _, _ = model.memory.write(mixed, Recalled(prior, dict(zip(moved_names, moved))))
        return [after[name] for name in state_names]

    moved, after = ([f'{group}_{name}' for name in names] for group, names in (('moved', moved_names), ('next', state_names)))
    return {
        'memory_read': (read, ('now', 'motion', 'dt', *state_names), ('merged', 'prior', *moved)),
        'router': (model.router, ('merged',), ('patches', 'gates', 'objects')),
        'patch_experts': (experts, ('merged', 'prior', 'patches', 'gates'), ('mixed',)),
        'memory_write': (write, ('mixed', 'prior', *moved), after),
        'heads': (model.heads, ('mixed', 'fine'), MAPS),
    }


def example_inputs(config: ModelConfig, device: torch.device | str = 'cpu') -> Inputs:
    """Zeros in the shapes of one frame."""
    rows, columns = config.block_shape
    table = torch.zeros(1, len(config.lift_heights_m), config.num_cells**2, dtype=torch.int64, device=device)
    return Inputs(
        images=torch.zeros(1, config.num_cameras, 3, config.image_height, config.image_width, device=device),
        depth=torch.zeros(1, config.num_cameras, rows, columns, device=device),
        pixel=table,
        bin=table,
        pillars=torch.zeros(1, PILLAR_CHANNELS, config.num_pillars, config.num_pillars, device=device),
        motion=torch.eye(3, device=device)[None],
        dt=torch.full((1,), 0.1, device=device),
    )
