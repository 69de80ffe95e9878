import argparse

import pytest

from moe_bev_ros.commands.bench_transport import add_arguments, measure, run


def test_six_raw_cameras_lose_nothing_when_reliable():
    result = measure(cameras=6, rate_hz=10.0, seconds=1.0, reliable=True)
    assert (result.sent, result.lost) == (60, 0)
    assert 0.0 < result.p50_ms <= result.p99_ms <= result.max_ms


@pytest.mark.slow
def test_six_raw_cameras_lose_nothing_in_thirty_seconds(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args([])) == 0
    assert 'best effort' in capsys.readouterr().out
