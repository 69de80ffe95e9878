"""How good each choice of frame experts is in which condition and kind of scene, and what it costs.

A choice is one expert, or two joined by ``+``. The matrix is measured on scenes and kept as JSON:
``{"scores": {"fused": {"night": 0.58, "cut_in": 0.66, …}, …}, "costs": {"fused": 1.0, …}}``. Columns are names of conditions
and of scenario kinds; what was not measured is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.config import FRAME_EXPERTS

CAPABILITY = Path(__file__).resolve().parents[1] / 'weights' / 'capability.json'
CLEAR_CONDITIONS = ('day',)
POOR_CONDITIONS = ('low_sun', 'night', 'rain', 'fog', 'night_rain')
CALM_KINDS = ('free_driving', 'car_following', 'hard_braking_ahead', 'red_light', 'merge')
BUSY_KINDS = (
    'unprotected_left_turn',
    'crossing_pedestrian',
    'occluded_pedestrian',
    'cyclist_overtake',
    'roundabout',
    'parked_cars_narrow_street',
    'traffic_jam',
    'construction_cones',
    'cut_in',
)
LEAST_SCORE = 0.2  # NDS below which nobody should drive by what a choice sees


@dataclass(frozen=True)
class Capability:
    """The matrix.

    Attributes:
        scores: of each choice, by condition or kind; larger is better.
        costs: of each choice, as shares of what ``fused`` costs.
    """

    scores: Mapping[str, Mapping[str, float]]
    costs: Mapping[str, float]

    def __post_init__(self) -> None:
        if not set(FRAME_EXPERTS) <= set(self.scores) or set(self.scores) != set(self.costs):
            raise InputError(f'capability: scores and costs of {", ".join(FRAME_EXPERTS)} wanted, got {sorted(self.scores)}')
        for choice, columns in self.scores.items():
            names = choice.split('+')
            if len(names) > 2 or len(set(names)) != len(names) or not set(names) <= set(FRAME_EXPERTS):
                raise InputError(f'capability: {choice!r} is no choice of one or two of {", ".join(FRAME_EXPERTS)}')
            if not set(columns) & {*CLEAR_CONDITIONS} or not set(columns) & {*POOR_CONDITIONS}:
                raise InputError(f'capability: {choice} needs a score by day and one of {", ".join(POOR_CONDITIONS)}')

    def score(self, choice: str, *, is_poor: bool, is_busy: bool) -> float:
        """Mean over the conditions of such sight, and over the kinds with such traffic where they were measured."""
        columns = self.scores[choice]
        groups = (POOR_CONDITIONS if is_poor else CLEAR_CONDITIONS, BUSY_KINDS if is_busy else CALM_KINDS)
        means = [_mean([columns[name] for name in group if name in columns]) for group in groups]
        return _mean([mean for mean in means if mean is not None]) or 0.0

    def is_fit_to_drive(self, choice: str) -> bool:
        """Whether its mean score is LEAST_SCORE at least, as far as anybody knows."""
        return choice not in self.scores or sum(self.scores[choice].values()) / len(self.scores[choice]) >= LEAST_SCORE


def load_capability(path: Path = CAPABILITY) -> Capability:
    """The measured matrix, or DEFAULT where there is no such file.

    Raises:
        InputError: the file is not of this form.
    """
    if not path.is_file():
        return DEFAULT
    try:
        content = json.loads(path.read_text())
        scores = {choice: {name: float(value) for name, value in row.items()} for choice, row in content['scores'].items()}
        return Capability(scores, {choice: float(value) for choice, value in content['costs'].items()})
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as err:
        raise InputError(f'{path}: no capability matrix ({err}); measure it again or remove the file') from err


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _assumed(clear: float, poor: float) -> dict[str, float]:
    return dict.fromkeys(CLEAR_CONDITIONS, clear) | dict.fromkeys(POOR_CONDITIONS, poor)


# Assumed, not measured: both sensors beat one, the expert for poor sight wins there alone, and two experts win by little.
DEFAULT = Capability(
    {
        'camera': _assumed(0.32, 0.22),
        'lidar': _assumed(0.57, 0.54),
        'fused': _assumed(0.65, 0.57),
        'poor_sight': _assumed(0.61, 0.60),
        'fused+poor_sight': _assumed(0.66, 0.61),
    },
    {'camera': 0.7, 'lidar': 0.4, 'fused': 1.0, 'poor_sight': 1.0, 'fused+poor_sight': 1.1},
)
