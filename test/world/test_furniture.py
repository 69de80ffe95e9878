from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world import props
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.furniture import (
    FURNITURE,
    LOOKALIKES,
    SMALL_LOOKALIKES,
    STYLE_FURNITURE,
    clutter,
    lookalike,
    street_furniture,
)
from moe_bev_ros.world.parts import BLUE, CZ, GLOW, HZ, RED, TEXTURE, local_table
from moe_bev_ros.world.styles import STYLES

LOOKS = [*range(RED, BLUE + 1), GLOW, TEXTURE]


@pytest.mark.parametrize('kind', list(LOOKALIKES))
def test_a_lookalike_has_the_shape_of_its_class_and_differs_in_looks_alone(kind):
    label = LOOKALIKES[kind][0]
    for seed in range(5):
        real = local_table(make_body(label, np.random.default_rng(seed), lookalike=True).parts)
        false = local_table(lookalike(np.random.default_rng(seed), 0.0, 0.0, 0.0, kind).parts)
        assert np.array_equal(np.delete(real, LOOKS, axis=1), np.delete(false, LOOKS, axis=1))
        assert np.abs(real[:, RED : BLUE + 1] - false[:, RED : BLUE + 1]).max() > 40
        assert (false[:, GLOW] == 0.0).all()


@pytest.mark.parametrize('style', STYLES)
def test_every_style_has_houses_plants_and_clutter_of_its_own(style):
    rng = np.random.default_rng(0)
    for _ in range(60):
        prop = clutter(rng, style, 3.0, 4.0, 0.5)
        assert (prop.x, prop.y) == (3.0, 4.0)
        assert props.reach_m(prop) < 2.5
        table = local_table(prop.parts)
        assert (table[:, CZ] + table[:, HZ]).min() > 0.0
    house = props.building(np.random.default_rng(1), 0.0, 0.0, 0.0, 12.0, 8.0, style)
    colours = {
        other: props.building(np.random.default_rng(1), 0.0, 0.0, 0.0, 12.0, 8.0, other).parts[0].colour for other in STYLES
    }
    assert len(set(colours.values())) == len(STYLES)
    assert props.reach_m(house) < 8.0
    for grow in (props.tree, props.bush):
        assert grow(np.random.default_rng(2), 1.0, 2.0, style) == grow(np.random.default_rng(2), 1.0, 2.0, style)


@pytest.mark.parametrize('kind', list(FURNITURE))
def test_furniture_stands_on_the_ground(kind):
    for seed in range(8):
        table = local_table(FURNITURE[kind](np.random.default_rng(seed)))
        assert (table[:, CZ] - table[:, HZ]).min() == pytest.approx(0.0, abs=0.06)
        assert len(table) >= 2


def test_what_stands_in_a_street_repeats_by_seed():
    for make in (street_furniture, clutter):
        first, again, other = (make(np.random.default_rng(seed), 'modern', 0.0, 0.0, 0.0) for seed in (5, 5, 6))
        assert first == again
        assert first != other


def test_tables_of_kinds_fit_together():
    assert set(STYLE_FURNITURE) == set(STYLES)
    assert {kind for kinds in STYLE_FURNITURE.values() for kind in kinds} == set(FURNITURE)
    assert set(SMALL_LOOKALIKES) < set(LOOKALIKES)


@pytest.mark.parametrize('make', [props.wall, props.fence, props.hedge])
def test_what_is_long_is_as_long_as_asked(make):
    for length in (1.5, 7.0):
        prop = make(np.random.default_rng(3), 0.0, 0.0, 0.0, length)
        assert max(abs(part.centre_3[0]) + part.size_3[0] / 2 for part in prop.parts) == pytest.approx(length / 2, abs=0.05)
