"""Pedal maps: which acceleration a pedal gives at a speed, and back.

The files have the format of Autoware's raw_vehicle_cmd_converter, so that a vehicle calibrated for Autoware works
here: the first row is ``default,v0,v1,…`` [m/s], the first column the pedal position [0..1], the cells accelerations
[m/s2]. As there, a lookup first interpolates over |v|, then over the acceleration, and both ends of the map hold
beyond it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moe_bev_ros.control.limits import clipped
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array


@dataclass(frozen=True)
class PedalMap:
    """One pedal.

    Attributes:
        pedals_p: (P,) rising positions [0..1].
        speeds_v: (V,) rising speeds [m/s].
        accelerations_pv: (P, V) [m/s2]; along P it never falls (accelerator) or never rises (brake).
    """

    pedals_p: Array
    speeds_v: Array
    accelerations_pv: Array

    def acceleration_mps2(self, pedal: float, speed_mps: float) -> float:
        """What the pedal does at this speed."""
        return float(np.interp(pedal, self.pedals_p, self._column(speed_mps)))

    def pedal(self, acceleration_mps2: float, speed_mps: float) -> float:
        """The position that gives this acceleration, or the end of the map that comes closest to it."""
        column_p, pedals_p = self._column(speed_mps), self.pedals_p
        if column_p[-1] < column_p[0]:
            column_p, pedals_p = column_p[::-1], pedals_p[::-1]
        return max(0.0, float(np.interp(acceleration_mps2, column_p, pedals_p)))  # rounding may pass 0

    def released_mps2(self, speed_mps: float) -> float:
        """Acceleration with the pedal at its lowest position."""
        return float(self._column(speed_mps)[0])

    def _column(self, speed_mps: float) -> Array:
        speeds_v, speed_mps = self.speeds_v, clipped(abs(speed_mps), float(self.speeds_v[0]), float(self.speeds_v[-1]))
        right = min(max(int(speeds_v.searchsorted(speed_mps)), 1), len(speeds_v) - 1)
        share = (speed_mps - speeds_v[right - 1]) / (speeds_v[right] - speeds_v[right - 1])
        return (1.0 - share) * self.accelerations_pv[:, right - 1] + share * self.accelerations_pv[:, right]


@dataclass(frozen=True)
class Pedals:
    """Both pedals; never pressed together.

    Attributes:
        max_throttle: highest throttle that is asked for [0..1].
        max_brake: highest brake that is asked for in normal driving [0..1]; an emergency presses it fully.
    """

    accelerator: PedalMap
    brake: PedalMap
    max_throttle: float = 1.0
    max_brake: float = 1.0

    def positions(self, acceleration_mps2: float, speed_mps: float) -> tuple[float, float]:
        """Throttle and brake for a wanted acceleration; at most one of them is above 0."""
        if acceleration_mps2 > self.accelerator.released_mps2(speed_mps):
            return min(self.accelerator.pedal(acceleration_mps2, speed_mps), self.max_throttle), 0.0
        return 0.0, min(self.brake.pedal(acceleration_mps2, speed_mps), self.max_brake)

    def acceleration_mps2(self, throttle: float, brake: float, speed_mps: float) -> float:
        """What the vehicle does with these pedals: the inverse of ``positions``, for a vehicle model."""
        if brake > 0.0:
            return self.brake.acceleration_mps2(brake, speed_mps)
        return self.accelerator.acceleration_mps2(throttle, speed_mps)


def load_pedals(accelerator_csv: Path, brake_csv: Path, *, max_throttle: float = 1.0, max_brake: float = 1.0) -> Pedals:
    """Read both maps.

    Raises:
        InputError: a file is missing or malformed.
    """
    accelerator, brake = load_pedal_map(accelerator_csv), load_pedal_map(brake_csv)
    _check_direction(accelerator, accelerator_csv, sign=1)
    _check_direction(brake, brake_csv, sign=-1)
    return Pedals(accelerator, brake, max_throttle, max_brake)


def load_pedal_map(path: Path) -> PedalMap:
    """Read one CSV.

    Raises:
        InputError: missing or malformed; names the file, the line and the fact.
    """
    try:
        lines = [(number, row) for number, row in enumerate(csv.reader(path.read_text().splitlines()), 1) if any(row)]
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f'{path}: cannot be read ({err}); give the path of a pedal map') from err
    if len(lines) < 3:
        raise InputError(f'{path}: {len(lines)} lines; wanted a header and at least two pedal positions')
    rows = [_numbers(path, number, row[1:] if number == lines[0][0] else row) for number, row in lines]
    speeds_v = np.array(rows[0])
    for (number, _), row in zip(lines[1:], rows[1:]):
        if len(row) != len(speeds_v) + 1:
            raise InputError(f'{path}:{number}: {len(row)} values; wanted {len(speeds_v) + 1}, a pedal and one per speed')
    table = np.array(rows[1:])
    if len(speeds_v) < 2 or np.any(np.diff(speeds_v) <= 0.0) or speeds_v[0] < 0.0:
        raise InputError(f'{path}:{lines[0][0]}: speeds must rise from 0 or more, at least two; got {speeds_v.tolist()}')
    for (number, _), pedal, before in zip(lines[1:], table[:, 0], [-1.0, *table[:, 0]]):
        if not (0.0 <= pedal <= 1.0 and pedal > before):
            raise InputError(f'{path}:{number}: pedal {pedal} must lie in [0, 1] and above that of the line before')
    return PedalMap(table[:, 0], speeds_v, table[:, 1:])


def _numbers(path: Path, number: int, cells: list[str]) -> list[float]:
    values = []
    for cell in cells:
        try:
            value = float(cell)
        except ValueError as err:
            raise InputError(f'{path}:{number}: {cell.strip()!r} is no number') from err
        if not np.isfinite(value):
            raise InputError(f'{path}:{number}: {cell.strip()!r} is not finite')
        values.append(value)
    return values


def _check_direction(pedal_map: PedalMap, path: Path, sign: int) -> None:
    wrong = np.argwhere(sign * np.diff(pedal_map.accelerations_pv, axis=0) < 0.0)
    if len(wrong):
        row, column = wrong[0]
        what = 'fall' if sign > 0 else 'rise'
        raise InputError(
            f'{path}: at {pedal_map.speeds_v[column]:g} m/s the acceleration must not {what} from pedal '
            f'{pedal_map.pedals_p[row]:g} to {pedal_map.pedals_p[row + 1]:g}'
        )
