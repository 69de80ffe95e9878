from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world.layout_curves import Curve, bend, beside_line, pose_on, turned


def test_a_full_circle_ends_where_it_began():
    radius = 25.0
    circle = Curve.through((3.0, -2.0, 0.4), [(2 * np.pi * radius, 1 / radius, 1 / radius)])
    assert circle.points_k2[-1] == pytest.approx([3.0, -2.0], abs=1e-6)
    middle = np.array([3.0 - radius * np.sin(0.4), -2.0 + radius * np.cos(0.4)])
    assert np.linalg.norm(circle.points_k2 - middle, axis=1) == pytest.approx(radius)
    inner = circle.points(np.linspace(0.0, circle.length_m, 50), 5.0)
    assert np.linalg.norm(inner - middle, axis=1) == pytest.approx(radius - 5.0, abs=0.01)


def test_a_clothoid_turns_by_its_mean_curvature():
    curve = Curve.through((0.0, 0.0, 0.0), [(10.0, 0.0, 0.0), (40.0, 0.0, 0.02), (30.0, 0.02, 0.02)])
    assert curve.length_m == pytest.approx(80.0)
    assert curve.pose(50.0)[2] == pytest.approx(0.4)
    assert curve.pose(80.0, turn_rad=np.pi / 2)[2] == pytest.approx(1.0 + np.pi / 2)
    yaws = 0.00025 * ((np.arange(100_000) + 0.5) * 40.0 / 100_000) ** 2
    assert curve.pose(50.0)[:2] == pytest.approx([10.0 + 40.0 * np.cos(yaws).mean(), 40.0 * np.sin(yaws).mean()], abs=1e-3)


def test_a_reversed_curve_goes_back_on_the_other_side():
    curve = Curve.through((5.0, 1.0, 0.3), [(30.0, 0.0, 0.03)])
    back = curve.reversed()
    there, here = curve.pose(12.0, 2.0), back.pose(18.0, -2.0)
    assert here[:2] == pytest.approx(there[:2], abs=1e-3)
    assert turned(here[2]) == pytest.approx(there[2], abs=1e-6)


@pytest.mark.parametrize('turn', [0.5, np.pi / 2, -2.0])
def test_a_bend_between_places_on_a_circle_is_nearly_that_circle(turn):
    radius = 12.0
    end = radius * np.array([np.sin(abs(turn)), np.sign(turn) * (1 - np.cos(turn))])
    line = bend(np.zeros(2), np.array([1.0, 0.0]), end, np.array([np.cos(turn), np.sin(turn)]))
    assert line[0].tolist() == [0.0, 0.0]
    assert line[-1] == pytest.approx(end)
    assert np.linalg.norm(line - (0.0, np.sign(turn) * radius), axis=1) == pytest.approx(radius, abs=0.05)


def test_a_bend_between_parallel_lanes_is_an_s():
    ahead = np.array([1.0, 0.0])
    line = bend(np.zeros(2), ahead, np.array([30.0, 3.0]), ahead)
    assert (np.diff(line[:, 0]) > 0.0).all()
    assert (np.diff(line[:, 1]) >= 0.0).all()
    assert pose_on(line, 0.0)[2] == pytest.approx(0.0, abs=0.02)


def test_beside_a_line_is_to_its_left():
    line = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    assert beside_line(line, np.full(3, 2.0)).tolist() == [[-2.0, 0.0], [-2.0, 1.0], [-2.0, 2.0]]


def test_turned_stays_in_range():
    assert turned(3.0) == pytest.approx(3.0 - np.pi)
    assert turned(0.0) == pytest.approx(-np.pi)
