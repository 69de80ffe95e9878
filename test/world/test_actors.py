from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world import actors
from moe_bev_ros.world.parts import CX, CY, CZ, HX, HY, HZ, local_table

BUILDERS = (actors.car, actors.truck, actors.pedestrian, actors.bicycle, actors.cone)


@pytest.mark.parametrize('build', BUILDERS)
def test_every_part_lies_within_the_annotated_box(build):
    for seed in range(20):
        body = build(np.random.default_rng(seed))
        table = local_table(body.parts)
        length, width, height = body.size_3
        assert (np.abs(table[:, CX]) + table[:, HX]).max() <= length / 2 + 0.05
        assert (np.abs(table[:, CY]) + table[:, HY]).max() <= width / 2 + 0.1
        assert (table[:, CZ] + table[:, HZ]).max() <= height + 0.05
        assert (table[:, CZ] - table[:, HZ]).min() >= -1e-9


@pytest.mark.parametrize('build', BUILDERS)
def test_bodies_differ_by_seed_and_repeat_by_seed(build):
    assert build(np.random.default_rng(1)) == build(np.random.default_rng(1))
    assert build(np.random.default_rng(1)) != build(np.random.default_rng(2))


@pytest.mark.parametrize('build', BUILDERS[:4])
def test_road_users_have_several_parts(build):
    assert len(build(np.random.default_rng(0)).parts) >= 6
