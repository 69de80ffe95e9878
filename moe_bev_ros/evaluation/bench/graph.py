"""Rows of the graph benchmark: a bag at 10 Hz through all nodes, from the anchor image to the command; and how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moe_bev_ros.evaluation.summary import SENSOR_TO_COMMAND

DENSE = 'dense torch float32'
ROWS = ('704x256', '1600x900', '1600x900_jpeg', DENSE)  # kinds of bags, and the yardstick
WEIGHTS_VARIABLE = 'MOE_BEV_BENCH_WEIGHTS'  # tells the node of the yardstick its network
GOAL_ROW = '704x256'
GOALS_MS = {'p50': 60.0, 'p99': 85.0}
FEW = 3000  # frames, from which on a row counts for the goal
COUNTED = ('frames_in', 'frames_out', 'dropped_by_policy', 'frames_lost', 'frames_overcounted')


def row(name: str, settings: Mapping[str, Any], summary: Mapping[str, Any], foreign: float) -> dict[str, Any]:
    """One run, from the summary of a replay.

    Args:
        settings: of the engine and the bag.
        foreign: share of the processors that other processes used meanwhile.
    """
    return {
        'name': name,
        **settings,
        **{key: summary[key] for key in COUNTED},
        'latency_ms': summary['latency_ms'],
        'engine_stage_ms': summary['engine']['stage_ms'],
        'experts': summary['engine']['expert_share'],
        'restarts': sum(node['restarts'] for node in summary['nodes']),
        'foreign': round(foreign, 3),
    }


def total_ms(one: Mapping[str, Any], key: str) -> float | None:
    """A percentile of the whole way; None where no frame was answered."""
    times = one['latency_ms'].get(SENSOR_TO_COMMAND)
    return None if times is None else float(times[key])


def verdict(one: Mapping[str, Any]) -> str:
    """What comes of the goal; empty for rows without one."""
    if one['name'] != GOAL_ROW:
        return ''
    late = [key for key, most in GOALS_MS.items() if (ms := total_ms(one, key)) is None or ms > most]
    reasons = [*(f'{key} above {GOALS_MS[key]:g} ms' for key in late), *(['frames lost'] if one['frames_lost'] else [])]
    few = f' ({one["frames_in"]} frames; {FEW} are wanted)' if one['frames_in'] < FEW else ''
    return f'{"missed: " + ", ".join(reasons) if reasons else "met"}{few}'


def ratios(rows: Sequence[Mapping[str, Any]], dense: str) -> dict[str, float]:
    """p50 of the row with the dense network over that of the others with the same images."""
    found = next((one for one in rows if one['name'] == dense), None)
    if found is None or (dense_ms := total_ms(found, 'p50')) is None:
        return {}
    return {
        one['name']: dense_ms / ms
        for one in rows
        if one['name'] != dense and one['bag'] == found['bag'] and (ms := total_ms(one, 'p50'))
    }
