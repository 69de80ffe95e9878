"""Times in the tests are milliseconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_bev_ros.perception.synchroniser import Bundle, Synchroniser


def synchroniser(num: int = 2, anchor: int = 0, rate_hz: float = 10.0) -> Synchroniser[int]:
    return Synchroniser(num, anchor, tolerance_s=0.05, wait_s=0.04, max_rate_hz=rate_hz)


def play(sync: Synchroniser[int], events: list[tuple[float, int, float]]) -> list[tuple[float, Bundle[int]]]:
    """Feed (arrival, camera, stamp) in order of arrival, polling every 5 ms while an image waits; what comes out and when."""
    result: list[tuple[float, Bundle[int]]] = []
    now = min(event[0] for event in events)
    for arrival, camera, stamp in sorted(events):
        while now + 5 < arrival:
            now += 5
            if sync.is_waiting:
                result += [(now, bundle) for bundle in sync.poll(now / 1e3)]
        now = arrival
        result += [(now, bundle) for bundle in sync.add(camera, round(stamp * 1e6), round(stamp), now / 1e3)]
    for _ in range(20):
        now += 5
        if sync.is_waiting:
            result += [(now, bundle) for bundle in sync.poll(now / 1e3)]
    assert not sync.is_waiting
    return result


def validity(bundle: Bundle[int]) -> list[bool]:
    return [image is not None for image in bundle.images]


def test_a_bundle_goes_out_with_the_last_image_and_not_later() -> None:
    out = play(synchroniser(3), [(0, 0, 0), (7, 1, 3), (12, 2, -2)])
    assert [now for now, _ in out] == [12]
    assert [image.content for image in out[0][1].images if image] == [0, 3, -2]


def test_an_image_outside_the_tolerance_is_masked() -> None:
    ((_, bundle),) = play(synchroniser(), [(0, 0, 0), (1, 1, 60)])
    assert validity(bundle) == [True, False]


def test_the_nearest_image_is_taken() -> None:
    events = [(t, 1, t) for t in range(0, 200, 20)] + [(101, 0, 97)]
    out = play(synchroniser(), events)
    assert [image.content for image in out[0][1].images if image] == [97, 100]


def test_an_image_serves_only_one_bundle() -> None:
    out = play(synchroniser(), [(0, 0, 0), (0, 1, 40), (80, 0, 80)])
    assert [validity(bundle) for _, bundle in out] == [[True, True], [True, False]]


def test_staggered_cameras_do_not_wait_for_their_next_round() -> None:
    shifts = [0, 8, 16, 25, 35, -8]  # as the six of nuScenes
    events = [(t + shift, camera, t + shift) for t in range(0, 1000, 100) for camera, shift in enumerate(shifts)]
    out = play(synchroniser(6), events)
    assert len(out) == 10
    assert all(all(validity(bundle)) for _, bundle in out)
    assert [now for now, _ in out] == [t + 35 for t in range(0, 1000, 100)]


def test_a_dead_camera_delays_a_few_bundles_and_then_none() -> None:
    events = [(t, camera, t) for t in range(0, 1500, 100) for camera in (0, 1)]
    events += [(t, 2, t) for t in [*range(0, 300, 100), *range(1000, 1500, 100)]]
    out = play(synchroniser(3), events)
    delays = [now - bundle.stamp_ns / 1e6 for now, bundle in out]
    assert len(out) == 15
    assert all(delay >= 40 for delay in delays[3:6])
    assert all(delay == 0 for delay in delays[:3] + delays[6:])
    valid = [validity(bundle)[2] for _, bundle in out]
    assert valid[:10] == [True] * 3 + [False] * 7
    assert valid[11:] == [True] * 4  # the first one back finds its bundle gone, as nobody waited


def test_a_camera_that_lags_too_far_does_not_delay_for_ever() -> None:
    events = [(t, 0, t) for t in range(0, 3000, 100)] + [(t + 90, 1, t) for t in range(0, 3000, 100)]
    out = play(synchroniser(), events)
    delays = [now - bundle.stamp_ns / 1e6 for now, bundle in out]
    assert len(out) == 30
    assert max(delays[4:]) == 0


def test_a_punctual_camera_is_waited_for_again() -> None:
    events = [(t, 0, t) for t in range(0, 2000, 100)] + [(t + 20, 1, t) for t in range(1000, 2000, 100)]
    out = play(synchroniser(), events)
    assert [validity(bundle)[1] for _, bundle in out[11:]] == [True] * 9


def test_a_slow_camera_is_waited_for_only_when_due() -> None:
    events = [(t, 0, t) for t in range(0, 3000, 100)] + [(t + 10, 1, t) for t in range(0, 3000, 500)]
    out = play(synchroniser(), events)
    assert len(out) == 30
    assert sum(validity(bundle)[1] for _, bundle in out) == 5
    assert all(now - bundle.stamp_ns / 1e6 <= 10 for now, bundle in out[8:])


def test_a_dead_anchor_is_replaced_and_comes_back() -> None:
    events = [(t, 0, t) for t in [*range(0, 500, 100), *range(2000, 2500, 100)]]
    events += [(t + 3, camera, t + 3) for t in range(0, 2500, 100) for camera in (1, 2)]
    out = play(synchroniser(3), events)
    anchors = [bundle.anchor for _, bundle in out]
    assert anchors[:5] == [0] * 5
    assert set(anchors[5:-5]) == {1}
    assert anchors[-4:] == [0] * 4
    stamps = [bundle.stamp_ns for _, bundle in out]
    assert stamps == sorted(set(stamps))
    assert np.diff(stamps).max() <= 450e6


def test_an_anchor_that_comes_back_does_not_repeat_a_stamp() -> None:
    events = [(t, 0, t) for t in [*range(0, 500, 100), *range(2000, 2500, 100)]]
    events += [(t - 1, 1, t) for t in [*range(0, 1500, 100), *range(2000, 2500, 100)]]  # both silent for a while
    stamps = [bundle.stamp_ns for _, bundle in play(synchroniser(), events)]
    assert stamps == sorted(set(stamps))


def test_an_anchor_that_never_came_is_replaced() -> None:
    out = play(synchroniser(3, anchor=1), [(t, camera, t) for t in range(0, 1000, 100) for camera in (0, 2)])
    assert {bundle.anchor for _, bundle in out} == {2}


def test_keyframes_at_2_hz_do_not_change_the_anchor() -> None:
    shifts = [0, 8, 16, 25, 35, -8]
    events = [(t + shift, camera, t + shift) for t in range(0, 2000, 500) for camera, shift in enumerate(shifts)]
    out = play(synchroniser(6), events)
    assert [bundle.anchor for _, bundle in out] == [0] * 4
    assert all(all(validity(bundle)) for _, bundle in out)


@pytest.mark.parametrize('rate_hz', [12, 15, 20, 30, 60])
def test_faster_anchors_are_thinned_to_the_rate_and_counted(rate_hz: float) -> None:
    sync = synchroniser(1)
    stamps = np.arange(0, 5000, 1000 / rate_hz)
    out = play(sync, [(t, 0, t) for t in stamps])
    assert 45 <= len(out) <= 51
    assert len(out) + sync.dropped_by_policy == len(stamps)


def test_anchors_that_wait_when_time_jumps_are_counted() -> None:
    sync = synchroniser(2)
    sync.add(0, 100_000_000, 'image', 0.0)
    sync.reset()
    assert sync.dropped_by_policy == 1
    assert not sync.poll(9.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-25, 25), min_size=30, max_size=30))
def test_a_jittering_camera_of_the_wanted_rate_loses_nothing(jitter: list[float]) -> None:
    sync = synchroniser(1)
    out = play(sync, [(100 * i + shift, 0, 100 * i + shift) for i, shift in enumerate(jitter)])
    assert len(out) == 30
    assert sync.dropped_by_policy == 0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_anchor_comes_out_once_in_order_and_soon(data: st.DataObject) -> None:
    delay = st.floats(0, 80)
    events = [(t + data.draw(delay), camera, t) for t in range(0, 1000, 100) for camera in range(3)]
    arrivals: dict[int, float] = {}
    ordered = []
    for camera in range(3):  # one camera's messages do not overtake each other
        latest = 0.0
        for arrival, _, stamp in [event for event in events if event[1] == camera]:
            latest = max(latest, arrival)
            ordered.append((latest, camera, stamp))
            if camera == 0:
                arrivals[stamp] = latest
    out = play(synchroniser(3), ordered)
    assert [round(bundle.stamp_ns / 1e6) for _, bundle in out] == list(range(0, 1000, 100))
    assert all(now - arrivals[round(bundle.stamp_ns / 1e6)] <= 45 + 1e-6 for now, bundle in out)


def test_a_bag_at_another_rate_gives_the_same_bundles() -> None:
    base = [(t + 4 * camera, camera, t + 3 * camera) for t in range(0, 1000, 100) for camera in range(3)]
    expected = [bundle for _, bundle in play(synchroniser(3), base)]
    for rate in (0.5, 5.0):
        events = [(arrival / rate, camera, stamp) for arrival, camera, stamp in base]
        assert [bundle for _, bundle in play(synchroniser(3), events)] == expected
