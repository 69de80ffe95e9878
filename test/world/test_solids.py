from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moe_bev_ros.world.scene import Shape
from moe_bev_ros.world.solids import MISS, TAPER_X, TAPER_Y, cast_row, noise

FLOATS = st.floats(-1.0, 1.0)
STILL = (0.0, 0.0, 0.0)


def hit(shape: Shape, origin: np.ndarray, direction: np.ndarray) -> float:
    """Distance to a solid, by the kernel's own way: from a point near the solid."""
    middle = -float(origin @ direction)
    best, ids = np.full(1, MISS, np.float32), np.full(1, -1, np.int32)
    near = tuple(origin + middle * direction)
    cast_row(int(shape), near, STILL, tuple(direction), STILL, middle, np.zeros(1, np.float32), 0.0, best, ids, 7)
    assert (ids[0] == 7) == (best[0] < MISS)
    return float(best[0])


def inside(shape: Shape, points_n3: np.ndarray) -> np.ndarray:
    x, y, z = points_n3.T
    within = np.abs(points_n3).max(axis=1) <= 1.0
    if shape is Shape.CONE:
        return within & (x * x + y * y <= (0.5 * (1 - z)) ** 2)
    if shape is Shape.CABIN:
        return within & (abs(x) <= 1 - TAPER_X * (1 + z)) & (abs(y) <= 1 - TAPER_Y * (1 + z))
    radii = {Shape.ELLIPSOID: x * x + y * y + z * z, Shape.CYLINDER: x * x + y * y, Shape.WHEEL: x * x + z * z}
    return within & (radii.get(shape, 0.0 * x) <= 1.0)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(Shape)), st.tuples(FLOATS, FLOATS, FLOATS), st.floats(0.0, 6.28), st.floats(-0.6, 1.2))
@example(Shape.CABIN, (0.0, 1.0, 0.0), 0.0, 0.0)  # along a leaning side, beside the solid
def test_a_ray_enters_where_marching_along_it_enters(shape, target, azimuth, elevation):
    away = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    origin = np.array(target) * 0.95 + 5.0 * away
    distances = np.linspace(0.0, 8.0, 8_001)
    found = inside(shape, origin - distances[:, None] * away)
    t = hit(shape, origin, -away)
    if t < MISS:
        near = np.array([t - 0.002, t - 0.001, t, t + 0.001, t + 0.002])
        assert inside(shape, 0.999 * (origin - near[:, None] * away)).any()
    if found.sum() > 20:
        assert t == pytest.approx(distances[int(np.argmax(found))], abs=0.003)


def test_noise_is_even_and_repeats():
    values = np.array([noise(seed, 3, 7) for seed in range(4000)])
    assert noise(5, 3, 7) == values[5]
    assert values.min() >= 0.0
    assert values.max() < 1.0
    assert values.mean() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.06
