import math

import pytest

from moe_bev_ros.core.trace import Trace


def test_stages_and_the_ways_between_them_add_up_to_the_total() -> None:
    trace = Trace(1_000_000).passed('camera_node', 2_000_000, 5_000_000).passed('bev_node', 7_000_000, 20_000_000)
    parts = trace.stage_ms()
    assert parts == pytest.approx({'camera_node_wait': 1.0, 'camera_node': 3.0, 'bev_node_wait': 2.0, 'bev_node': 13.0})
    assert sum(parts.values()) == pytest.approx(trace.total_ms) == pytest.approx(19.0)


def test_an_unknown_start_gives_no_latency() -> None:
    assert math.isnan(Trace().passed('bev_node', 1, 2).total_ms)
