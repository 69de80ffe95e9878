"""Ranges of a network's activations from calibration frames, by three rules: the largest value, a percentile, or the range
that loses least information (KL divergence, Migacz 2017), computed by nvidia-modelopt's calibrators.

The branch of the cameras, that of the point cloud and what follows on both differ in how their values are spread, so each
branch takes the rule that suits it best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.batches import Batch
from moe_bev_ros.learning.quantisers import activation_quantisers, layer_of, quantisers_of
from moe_bev_ros.model.bev_model import BevModel, Inputs, Outputs
from moe_bev_ros.model.config import FRAME_EXPERTS
from moe_bev_ros.model.memory import State

RULES = ('max', 'entropy', 'percentile')
BRANCHES = {
    'camera': ('camera_encoder.', 'key_points.', 'attention.', 'lift.', 'camera.'),
    'lidar': ('lidar_encoder.', 'lidar.'),
}
PERCENTILE = 99.99
ENTROPY_STRIDE = 16  # bins of 2048 between the ranges that are tried
TINY = 1e-300
SMALLEST = 1e-4  # of a range: what is always zero still needs a scale
Ranges = Mapping[str, Mapping[str, float]]  # by rule, then by quantiser


def branch_of(quantiser: str) -> str:
    """camera, lidar, or map for what follows on both."""
    return next((branch for branch, prefixes in BRANCHES.items() if quantiser.startswith(prefixes)), 'map')


@dataclass
class EveryExpert:
    """Runs a network on frames with each of the frame experts in turn; the memory is that of ``fused``."""

    model: BevModel

    def __post_init__(self) -> None:
        self._state = self.model.empty_memory(1)

    def step(self, inputs: Inputs, experts: Iterable[str] = FRAME_EXPERTS) -> dict[str, Outputs]:
        """The outputs of each expert."""
        seen, lidar = self.model.see(inputs), self.model.lidar_encoder(inputs.pillars)
        found: dict[str, Outputs] = {}
        after: State = self._state
        for name in experts:
            found[name], state = self.model.conclude(seen, lidar, inputs, self._state, (name,))
            after = state if name == 'fused' else after
        self._state = after
        return found


def measured_ranges(model: BevModel, frames: Iterable[Batch], bits: int, say: Callable[[str], None]) -> Ranges:
    """Ranges of all activation quantisers, by each rule, as the float network has its activations.

    Args:
        frames: gone through twice.

    Raises:
        InputError: a quantiser saw nothing.
    """
    from modelopt.torch.quantization import calib

    quantisers = activation_quantisers(model)
    largest = {name: calib.MaxCalibrator(bits, None, False) for name in quantisers}
    _collect(model, frames, largest)
    ranges = {'max': {name: _range_of(name, calibrator.compute_amax()) for name, calibrator in largest.items()}}
    say(f'largest values of {len(quantisers)} tensors found; now how they are spread')
    histograms = {name: calib.HistogramCalibrator(bits, None, False) for name in quantisers}
    for name, calibrator in histograms.items():
        calibrator.collect(torch.tensor([ranges['max'][name]]))  # so that the bins reach far enough from the first frame on
    _collect(model, frames, histograms)
    ranges['percentile'] = {
        name: max(SMALLEST, float(one.compute_amax('percentile', percentile=PERCENTILE))) for name, one in histograms.items()
    }
    ranges['entropy'] = {name: max(SMALLEST, entropy_range(*_counts(one), bits)) for name, one in histograms.items()}
    return ranges


def set_ranges(model: BevModel, ranges: Ranges, rules: Mapping[str, str]) -> None:
    """Give each activation quantiser its range, by the rule of its branch."""
    for name, quantiser in activation_quantisers(model).items():
        quantiser.amax = torch.tensor(ranges[rules[branch_of(name)]][name])


def entropy_range(counts_n: NDArray[np.float64], edges_n: NDArray[np.float64], bits: int) -> float:
    """The range whose rounded distribution tells least less than that of the values (KL divergence, Migacz 2017).

    The same as modelopt's ``compute_amax('entropy', stride=ENTROPY_STRIDE, start_bin=levels)``, which takes seconds a tensor.

    Args:
        counts_n: of magnitudes.
        edges_n: (N + 1) of their bins.
    """
    levels = 2 ** (bits - 1)
    counts_n = counts_n.copy()
    counts_n[0] = counts_n[1]  # zeros are exact in any range
    ends = range(levels, len(counts_n) + 1, ENTROPY_STRIDE)
    lost = [_divergence(counts_n, end, levels) for end in ends]
    best = len(lost) - 1 - int(np.argmin(lost[::-1]))
    return float(edges_n[ends[best]])


def _divergence(counts_n: NDArray[np.float64], end: int, levels: int) -> float:
    """Of the counts, with what lies beyond the range put into its last bin, from what is left of them on so many levels."""
    inside = counts_n[:end]
    level_n = np.arange(end) * levels // end
    filled = inside > 0
    sums = np.bincount(level_n[filled], inside[filled], levels)
    sizes = np.bincount(level_n[filled], minlength=levels)
    left = np.where(filled, (sums / np.maximum(sizes, 1))[level_n], 0.0)
    wanted = inside.copy()
    wanted[-1] += counts_n[end:].sum()
    present = wanted > 0
    ratio = (wanted[present] / wanted.sum()) / np.maximum(left[present] / left.sum(), TINY)
    return float(wanted[present] @ np.log(ratio) / wanted.sum())


def _counts(calibrator: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a histogram calibrator, and the edges of its bins."""
    return calibrator._calib_hist.double().numpy(), calibrator._calib_bin_edges.double().numpy()


def _range_of(name: str, largest: Tensor | None) -> float:
    if largest is None:
        raise InputError(f'{layer_of(name)} read nothing during calibration; set it to float in the policy')
    return max(SMALLEST, float(largest))


def _collect(model: BevModel, frames: Iterable[Batch], calibrators: Mapping[str, Any]) -> None:
    runner = EveryExpert(model)
    with torch.no_grad(), collecting(model, calibrators):
        for frame in frames:
            runner.step(frame.inputs)


@contextmanager
def collecting(model: BevModel, calibrators: Mapping[str, Any]) -> Iterator[None]:
    """Within it the network is float, and these calibrators see what goes through quantisers."""
    every, quantisers = quantisers_of(model).values(), activation_quantisers(model)
    for part in every:
        part.disable_quant()
    for name, quantiser in quantisers.items():
        quantiser._calibrator = calibrators[name]
        quantiser.enable_calib()
    try:
        yield
    finally:
        for quantiser in quantisers.values():
            quantiser.disable_calib()
        for part in every:
            part.enable_quant()
