import numpy as np

from moe_bev_ros.evaluation.bench import points as bench_points


def test_every_layout_is_measured_on_both_sides():
    rows = bench_points.run(repeats=1)
    assert len(rows) == 2 * len(bench_points.LAYOUTS) + 1
    assert all(row.ours_ms_min > 0 and row.baseline_ms_min > 0 for row in rows)


def test_both_sides_read_the_same_points():
    kinds = bench_points.LAYOUTS['uint16 ring, float64 s, 26 bytes']
    dtype = np.dtype([(name, '<' + kind) for name, kind in kinds.items()])
    data = bench_points._scan(dtype).tobytes()
    read, whole = bench_points._ours(bench_points._layout(dtype), data, bench_points._odometry())
    cloud, sweep = read(), whole()
    np.testing.assert_array_equal(cloud.column('x')[0], bench_points._stacked(dtype, data)()[:, 0])
    assert sweep.motion_compensated
    assert len(sweep.points.points_n5) == len(bench_points._numpy_sweep(dtype, data)())
