import numpy as np
import pytest

from moe_bev_ros.perception.point_cloud import CloudLayout, read_cloud
from moe_bev_ros.perception.sweep import SensorCloud
from moe_bev_ros.perception.sweep_gatherer import DEAD_AFTER, SweepGatherer

MS = 1_000_000


def cloud(stamp_ms):
    return SensorCloud(read_cloud(CloudLayout((), 0, 0, 0, 0), b'', stamp_ms * MS), stamp_ms * MS, np.eye(4))


@pytest.fixture
def gatherer():
    return SweepGatherer(2, anchor=0, tolerance_s=0.03, wait_s=0.05)


def test_one_sensor_never_waits():
    assert len(SweepGatherer(1, 0, 0.03, 0.05).add(0, cloud(100), now_s=0.0)) == 1


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
def test_a_sweep_goes_out_when_the_last_cloud_comes(gatherer, order):
    stamps = {0: 100, 1: 110}
    assert gatherer.add(order[0], cloud(stamps[order[0]]), now_s=0.0) == []
    (gathered,) = gatherer.add(order[1], cloud(stamps[order[1]]), now_s=0.01)
    assert gathered.anchor.stamp_ns == 100 * MS
    assert [item.stamp_ns for item in gathered.clouds] == [100 * MS, 110 * MS]


def test_a_late_sensor_is_masked_after_the_wait(gatherer):
    gatherer.add(0, cloud(100), now_s=0.0)
    assert gatherer.poll(0.04) == []
    (gathered,) = gatherer.poll(0.05)
    assert gathered.clouds[1] is None
    assert gatherer.add(1, cloud(100), now_s=0.06) == []


def test_a_cloud_outside_the_tolerance_is_not_used(gatherer):
    gatherer.add(1, cloud(50), now_s=0.0)
    assert gatherer.add(0, cloud(100), now_s=0.01) == []
    assert gatherer.poll(1.0)[0].clouds[1] is None


def test_the_nearest_cloud_is_taken(gatherer):
    for stamp_ms in (75, 95, 120):
        gatherer.add(1, cloud(stamp_ms), now_s=0.0)
    assert gatherer.add(0, cloud(100), now_s=0.0)[0].clouds[1].stamp_ns == 95 * MS


def test_a_newer_anchor_pushes_the_older_out(gatherer):
    gatherer.add(0, cloud(100), now_s=0.0)
    assert [item.anchor.stamp_ns for item in gatherer.add(0, cloud(200), now_s=0.01)] == [100 * MS]


def test_nobody_waits_for_a_dead_sensor_until_it_is_back(gatherer):
    for index in range(DEAD_AFTER):
        gatherer.add(0, cloud(100 * index), now_s=0.1 * index)
        assert len(gatherer.poll(0.1 * index + 0.06)) == 1
    assert len(gatherer.add(0, cloud(1000), now_s=1.0)) == 1
    gatherer.add(1, cloud(1100), now_s=1.1)
    assert gatherer.add(0, cloud(1100), now_s=1.1)[0].clouds[1] is not None
    assert gatherer.add(0, cloud(1200), now_s=1.2) == []


def test_clear_forgets_what_waits(gatherer):
    gatherer.add(0, cloud(100), now_s=0.0)
    gatherer.clear()
    assert gatherer.poll(9.0) == []
