"""How evenly a router spreads patches over its experts, and whether what matters is among them.

Measured over a whole scene:
- A slot is *filled* if it holds a patch that no other slot of its expert holds, with a gate of at least LEAST_GATE: with less,
  what the expert says hardly reaches the map. An expert's *load* is the number of its filled slots.
- ``load_entropy``: entropy of the experts' shares of the load, over the logarithm of their number; 1 is even.
- ``max_violation``: by how much the largest load is above the mean, as a share of it (MaxVio of Wang et al. 2024,
  Auxiliary-Loss-Free Load Balancing).
- ``filled_slots``: share of the slots.
- ``served_object_patches``: share of the patches with an object that stand in a filled slot of at least one expert. A patch has
  an object where the centre of an annotated road user lies in it that a sensor sees, at keyframes. Experts that choose (Zhou et
  al. 2022, Expert Choice) are even by construction, but may all choose the same patches: this tells.

Legend: E experts, S slots of an expert, T patches of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.datasets.nuscenes_tree import TreeBoxes
from moe_bev_ros.evaluation.perception.hidden import is_hidden
from moe_bev_ros.model.config import ModelConfig

LEAST_GATE = 0.01
MEASURES = ('load_entropy', 'max_violation', 'filled_slots', 'served_object_patches')

Measures = dict[str, float]


@dataclass(frozen=True)
class RoutedFrame:
    """What the router did with one frame.

    Attributes:
        patch_es: (E, S) patch of each slot.
        gate_es: (E, S) 0..1.
    """

    patch_es: NDArray[np.int64]
    gate_es: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.patch_es.ndim != 2 or self.patch_es.shape != self.gate_es.shape:
            raise ValueError(f'patch_es {self.patch_es.shape} and gate_es {self.gate_es.shape} must both be (E, S)')

    @property
    def filled_es(self) -> NDArray[np.bool_]:
        """(E, S) see the module."""
        first_es = np.zeros(self.patch_es.shape, np.bool_)
        for patch_s, first_s in zip(self.patch_es, first_es):
            first_s[np.unique(patch_s, return_index=True)[1]] = True
        return first_es & (self.gate_es >= LEAST_GATE)


def object_patches(truth: TreeBoxes, config: ModelConfig) -> NDArray[np.int64]:
    """Patches of the map with an object, each once; rows are along y as in the router's pooling."""
    side_m, side = config.patch * config.cell_m, config.num_cells // config.patch
    cells_n2 = np.floor((truth.boxes_n7[~is_hidden(truth), :2] + config.half_m) / side_m).astype(np.int64)
    inside_n2 = cells_n2[((cells_n2 >= 0) & (cells_n2 < side)).all(axis=1)]
    return np.unique(inside_n2[:, 1] * side + inside_n2[:, 0])


def scene_measures(frames: Sequence[RoutedFrame], objects: Mapping[int, NDArray[np.int64]]) -> Measures:
    """MEASURES of a scene; NaN where they are not defined.

    Args:
        objects: patches with an object, by index into ``frames``.
    """
    if not frames:
        return dict.fromkeys(MEASURES, float('nan'))
    filled = [frame.filled_es for frame in frames]
    load_e = np.sum([filled_es.sum(axis=1) for filled_es in filled], axis=0).astype(float)
    slots = sum(filled_es.size for filled_es in filled)
    served = asked = 0
    for index, patches in objects.items():
        served += int(np.isin(patches, frames[index].patch_es[filled[index]]).sum())
        asked += len(patches)
    return {
        'load_entropy': load_entropy(load_e),
        'max_violation': float(load_e.max() / load_e.mean() - 1.0) if load_e.any() else float('nan'),
        'filled_slots': float(load_e.sum() / slots),
        'served_object_patches': served / asked if asked else float('nan'),
    }


def load_entropy(load_e: NDArray[np.float64]) -> float:
    """0 where one expert does everything, 1 where all do the same."""
    if not load_e.any() or len(load_e) < 2:
        return float('nan')
    share_e = load_e[load_e > 0] / load_e.sum()
    return float(-(share_e * np.log(share_e)).sum() / np.log(len(load_e)))


def by_condition(scenes: Sequence[tuple[str, Measures]]) -> dict[str, Measures]:
    """Mean over the scenes of each condition."""
    conditions = sorted({condition for condition, _ in scenes})
    return {name: _mean([measures for condition, measures in scenes if condition == name]) for name in conditions}


def worst(conditions: Mapping[str, Measures]) -> Measures:
    """Of each measure its value in the condition where it is worst."""
    rows = list(conditions.values())
    return {
        name: float((np.nanmax if name == 'max_violation' else np.nanmin)([row[name] for row in rows] or [np.nan]))
        for name in MEASURES
    }


def _mean(rows: Sequence[Measures]) -> Measures:
    known = {name: [row[name] for row in rows if np.isfinite(row[name])] for name in MEASURES}
    return {name: float(np.mean(values)) if values else float('nan') for name, values in known.items()}
