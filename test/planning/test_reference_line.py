import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.planning.reference_line import smooth_line, straight_line


def arc(radius=20.0, angle=np.pi / 2, num=30):
    turn = np.linspace(0.0, angle, num)
    return np.column_stack([radius * np.sin(turn), radius * (1.0 - np.cos(turn))])


def test_curvature_of_a_coarse_arc_is_that_of_its_circle():
    line = smooth_line(arc(), np.full(30, 10.0))
    np.testing.assert_allclose(line.curvature_n[15:-15], 1 / 20.0, rtol=0.1)


def test_corner_is_rounded_and_both_ends_stay():
    points = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 30.0]])
    line = smooth_line(points, np.full(3, 10.0))
    np.testing.assert_allclose(line.xy_n2[[0, -1]], points[[0, -1]], atol=1e-6)
    assert np.abs(line.curvature_n).max() < 1.0


def test_projection_and_position_are_inverse():
    line = smooth_line(arc(), np.full(30, 10.0))
    s_t = np.linspace(1.0, line.s_n[-1] - 1.0, 40)
    xy, yaw, _ = line.at(s_t)
    aside = xy + 1.2 * np.column_stack([-np.sin(yaw), np.cos(yaw)])
    s_p, d_p = line.project(aside)
    np.testing.assert_allclose(s_p, s_t, atol=0.05)
    np.testing.assert_allclose(d_p, 1.2, atol=0.02)


def test_line_goes_on_straight_beyond_its_ends():
    s_p, d_p = straight_line(np.zeros(2), 0.0, 10.0, 'end').project(np.array([[-4.0, 1.0], [30.0, -2.0]]))
    np.testing.assert_allclose(s_p, [-4.0, 30.0])
    np.testing.assert_allclose(d_p, [1.0, -2.0])


def test_window_keeps_the_positions_of_the_whole():
    line = straight_line(np.zeros(2), 0.3, 100.0, 'end')
    part = line.window(20.0, 30.0)
    assert part.s_n[0] <= 20.0
    assert part.s_n[-1] >= 30.0
    np.testing.assert_allclose(part.at(np.array([25.0]))[0], line.at(np.array([25.0]))[0])
    assert len(line.window(500.0, 600.0).s_n) == 2


def test_points_that_are_equal_or_not_finite_are_refused():
    with pytest.raises(InputError, match='two different points'):
        smooth_line(np.zeros((3, 2)), np.full(3, 10.0))
    with pytest.raises(InputError, match='finite'):
        smooth_line(np.array([[0.0, 0.0], [np.nan, 1.0]]), np.full(2, 10.0))


def test_distance_is_that_to_the_nearest_sample_also_beyond_the_end():
    line = straight_line(np.zeros(2), 0.0, 10.0, 'end')
    np.testing.assert_allclose(line.distance(np.array([[3.0, -4.0], [13.0, 4.0]])), [4.0, 5.0])
