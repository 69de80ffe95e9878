"""The BEV network on torch: the network that was trained, as it is.

On a GPU each choice of frame experts is captured as two CUDA graphs, in bfloat16: at batch 1 starting the kernels takes longer
than they do. This way was never run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings, computes_bfloat16
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.capability import CAPABILITY
from moe_bev_ros.engine.network import F32, Clock, Encoded, NetworkOutputs
from moe_bev_ros.engine.shipped import WEIGHTS
from moe_bev_ros.model.bev_model import BevModel, Inputs, Outputs, Seen
from moe_bev_ros.model.memory import State
from moe_bev_ros.model.weights_file import load_weights
from moe_bev_ros.perception.centre_boxes import CentreMaps
from moe_bev_ros.perception.network_inputs import NetworkArrays

PRECISIONS = ('auto', 'float32', 'bfloat16')
WARM_UP_RUNS = 3  # before a graph is captured
Lidar = tuple[Tensor, Tensor]


def torch_engine(
    settings: EngineSettings | None = None, weights: Path = WEIGHTS, capability: Path = CAPABILITY
) -> BevEngine[TorchNetwork]:
    """The engine ``torch``.

    Raises:
        EngineError: as TorchNetwork and BevEngine.
    """
    return BevEngine(TorchNetwork(settings or EngineSettings(), weights), capability)


class TorchNetwork:
    """See `Network`.

    Args:
        load: makes the network from the file of weights.

    Raises:
        EngineError: the weights are missing, broken, or of another network; a precision or device that torch does not have.
    """

    name = 'torch'

    def __init__(
        self, settings: EngineSettings, weights: Path = WEIGHTS, load: Callable[[Path], BevModel] = load_weights
    ) -> None:
        self.device = chosen_device(settings.device)
        self.precision = chosen_precision(settings.precision, self.device.type)
        torch.set_num_threads(settings.num_threads)
        try:
            self.model = load(weights).to(self.device).channels_last()
        except InputError as err:
            raise EngineError(str(err)) from err
        self.config = self.model.config
        self._graphs: dict[tuple[str, tuple[str, ...]], CapturedGraph] = {}
        self.drop_memory()

    @property
    def memory_bytes(self) -> int:
        """See `Network`."""
        return sum(values.numel() * values.element_size() for values in self._memory.values())

    def drop_memory(self) -> None:
        """See `Network`."""
        self._memory = self.model.empty_memory(1)

    def encode(self, arrays: NetworkArrays, experts: tuple[str, ...], clock: Clock) -> Encoded:
        """See `Network`; key points by gradient need the memory, and wait for `conclude`."""
        inputs = Inputs(*(value.to(self.device) for value in tensors_of(arrays, np.eye(3, dtype=np.float32), 0.0)))
        if self.config.selection == 'gradient':
            return Encoded({'inputs': inputs})
        seen, lidar = self._run('encode', experts, clock, inputs)
        return Encoded({'inputs': inputs, 'seen': seen, 'lidar': lidar})

    def conclude(self, encoded: Encoded, motion_33: F32, dt_s: float, experts: tuple[str, ...], clock: Clock) -> NetworkOutputs:
        """See `Network`."""
        motion, dt = torch.from_numpy(motion_33)[None].to(self.device), torch.tensor([dt_s], device=self.device)
        values = {**encoded.values, 'inputs': encoded.values['inputs']._replace(motion=motion, dt=dt)}
        outputs, self._memory = self._run('conclude', experts, clock, values, self._memory)
        seen, patches_es = outputs.hints.seen, outputs.hints.routing.patch_bes[0]
        num_key_points = 0 if seen is None else seen.chosen.shape[1]
        return NetworkOutputs(maps_of(outputs), array_of(outputs.road), num_key_points, patches_es.numel())

    def _encode(self, experts: tuple[str, ...], clock: Clock, inputs: Inputs) -> tuple[Seen | None, Lidar | None]:
        seen = self.model.see(inputs, clock) if set(experts) - {'lidar'} else None
        lidar = self.model.lidar_encoder(inputs.pillars) if set(experts) - {'camera'} else None
        clock('lidar_encoder')
        return seen, lidar

    def _conclude(self, experts: tuple[str, ...], clock: Clock, values: dict[str, Any], state: State) -> tuple[Outputs, State]:
        if 'seen' not in values:
            return self.model(values['inputs'], state, experts, clock)
        return self.model.conclude(values['seen'], values['lidar'], values['inputs'], state, experts, clock)

    def _run(self, half: str, experts: tuple[str, ...], clock: Clock, *given: Any) -> Any:
        """One half of a step: on the CPU at once, on a GPU as the graph of this choice of experts."""
        function = self._encode if half == 'encode' else self._conclude
        with torch.inference_mode(), autocast(self.precision, self.device.type):
            if self.device.type == 'cpu' or self.config.selection == 'gradient':
                return function(experts, clock, *given)
            if (half, experts) not in self._graphs:
                self._graphs[half, experts] = CapturedGraph(partial(function, experts, _no_clock), *given)
            outputs = self._graphs[half, experts](*given)
            torch.cuda.synchronize()
        clock(half)
        return outputs


class CapturedGraph:
    """A function of tensors, in any nesting, as a CUDA graph: one start for all its kernels."""

    def __init__(self, run: Callable[..., Any], *given: Any) -> None:
        self._inputs = pytree.tree_map_only(Tensor, torch.clone, given)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                run(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = run(*self._inputs)

    def __call__(self, *given: Any) -> Any:
        """Its outputs for other tensors of the same shapes."""
        for held, value in zip(pytree.tree_leaves(self._inputs), pytree.tree_leaves(given)):
            if isinstance(held, Tensor):
                held.copy_(value)
        self._graph.replay()
        return pytree.tree_map_only(Tensor, torch.clone, self._outputs)


def _no_clock(_: str) -> None:
    """Within a graph no stage can be told from the next."""


def chosen_device(wanted: str) -> torch.device:
    """A GPU where there is one, unless the CPU is asked for.

    Raises:
        EngineError: a GPU is asked for, and torch finds none.
    """
    has_gpu = torch.cuda.is_available()
    if wanted not in ('auto', 'cpu', 'gpu') or (wanted == 'gpu' and not has_gpu):
        raise EngineError(f'engine torch: no device {wanted!r} that torch can use; set device: auto')
    return torch.device('cuda' if has_gpu and wanted != 'cpu' else 'cpu')


def chosen_precision(wanted: str, device: str = 'cpu') -> str:
    """bfloat16 takes two thirds of the time of float32 where the processor has instructions for it, and longer elsewhere.

    Raises:
        EngineError: torch does not compute in this one.
    """
    if wanted not in PRECISIONS:
        raise EngineError(f'engine torch: precision {wanted!r} is none of {", ".join(PRECISIONS)}')
    if wanted != 'auto':
        return wanted
    return 'bfloat16' if device == 'cuda' or computes_bfloat16() else 'float32'


def autocast(precision: str, device: str = 'cpu') -> AbstractContextManager[object]:
    """Within it the network computes in this precision, float32 or bfloat16."""
    return torch.autocast(device, torch.bfloat16) if precision == 'bfloat16' else nullcontext()


def tensors_of(arrays: NetworkArrays, motion_33: F32, dt_s: float) -> Inputs:
    """One frame as a batch of one."""
    fields = (
        arrays.images_n3hw,
        arrays.depth_nhw,
        arrays.pixel_zc,
        arrays.bin_zc,
        arrays.pillars_pss,
        motion_33,
        np.float32(dt_s),
    )
    return Inputs(*(torch.from_numpy(np.asarray(values)[None]) for values in fields))


def array_of(values: Tensor) -> F32:
    """The first of a batch."""
    return np.asarray(values[0].float().cpu().numpy())


def maps_of(outputs: Outputs) -> CentreMaps:
    """Of the first of a batch."""
    maps = (outputs.heat, outputs.boxes, outputs.log_sigma, outputs.attributes, outputs.forecast)
    return CentreMaps(*(array_of(values) for values in maps))
