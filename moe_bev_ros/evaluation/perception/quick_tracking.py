"""nuScenes' TrackingEval in a fraction of its time, with the same figures.

The devkit tries 40 thresholds a class and spends most of each in pandas. What is spared while its code runs:

- Scenes are joined as lists and made into one table; the devkit appends table to table, one scene after the other.
- Fragments, for which every road user is looked at by itself, are counted at the one threshold whose values are published, that
  with the best MOTA, and not at all 40. Gaps and the time to a first hit (``tid``, ``lgd``), which take as long, are left out.
- scikit-learn does not check its arguments again for every frame.

Matches, thresholds, metrics and means are the devkit's own code; a test compares the figures with those of the devkit alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

FRAGMENTS, LEFT_OUT = 'num_fragmentations_custom', ('tid', 'lgd')


def quick_evaluate(evaluation: Any) -> Any:
    """The devkit's TrackingMetrics of its TrackingEval; ``tid`` and ``lgd`` are NaN."""
    import sklearn
    from nuscenes.eval.tracking import algo
    from nuscenes.eval.tracking.mot import MOTAccumulatorCustom

    at_all = {name: short for name, short in algo.MOT_METRIC_MAP.items() if name not in (FRAGMENTS, *LEFT_OUT)}
    accumulate = algo.TrackingEvaluation.accumulate

    def accumulate_with_fragments(of_class: Any) -> Any:
        return _with_fragments(of_class, accumulate(of_class))

    with ExitStack() as stack:
        stack.enter_context(sklearn.config_context(assume_finite=True, skip_parameter_validation=True))
        stack.enter_context(_replaced(MOTAccumulatorCustom, 'merge_event_dataframes', staticmethod(_merged)))
        stack.enter_context(_replaced(algo, 'MOT_METRIC_MAP', at_all))
        stack.enter_context(_replaced(algo.TrackingEvaluation, 'accumulate', accumulate_with_fragments))
        metrics, _ = evaluation.evaluate()
    return metrics


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _with_fragments(of_class: Any, data: Any) -> Any:
    """The TrackingMetricData of a class with fragments at its best threshold; NaN at the others, and where there is none."""
    from nuscenes.eval.tracking.utils import create_motmetrics

    if np.isnan(data.mota).all() or np.isnan(data.confidence).all():
        return data
    best = int(np.nanargmax(data.mota))
    events, _ = of_class.accumulate_threshold(data.confidence[best])
    values = create_motmetrics().compute(events, metrics=[FRAGMENTS], return_dataframe=False)
    data.frag = np.where(np.arange(len(data.mota)) == best, float(values[FRAGMENTS]), np.nan)
    return data


def _merged(scenes: Sequence[Any]) -> Any:
    """The events of all scenes in one table: frames go on counting, and the same id in two scenes is two road users."""
    from nuscenes.eval.tracking.mot import MOTAccumulatorCustom

    indices: dict[str, list[Any]] = {'FrameId': [], 'Event': []}
    events: dict[str, list[Any]] = {'Type': [], 'OId': [], 'HId': [], 'D': []}
    num_frames = 0
    for number, scene in enumerate(scenes):
        frames = scene._indices['FrameId']
        indices['FrameId'] += [num_frames + frame for frame in frames]
        indices['Event'] += scene._indices['Event']
        for name in ('Type', 'D'):
            events[name] += scene._events[name]
        for name in ('OId', 'HId'):
            events[name] += [f'{number}/{known}' if isinstance(known, str) else known for known in scene._events[name]]
        num_frames += max(frames, default=-1) + 1
    return MOTAccumulatorCustom.new_event_dataframe_with_data(indices, events)
