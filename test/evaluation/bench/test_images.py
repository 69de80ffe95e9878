from __future__ import annotations

from moe_bev_ros.evaluation.bench import images as bench_images


def test_every_encoding_and_size_is_measured() -> None:
    rows = bench_images.run(1)
    assert len({row.name for row in rows}) == 8
    assert all(row.ours_ms_min > 0 and row.baseline_ms_min > 0 for row in rows)
