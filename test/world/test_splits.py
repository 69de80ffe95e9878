from __future__ import annotations

import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.world.scenario_kinds import KINDS
from moe_bev_ros.world.splits import check_seed, kind_of, seeds_of, split_of


def test_a_seed_belongs_to_one_split():
    assert [split_of(seed) for seed in (0, 999_999, 1_000_000, 1_999_999, 2_000_000, 2_999_999)] == [
        'train', 'train', 'val', 'val', 'test', 'test',
    ]  # fmt: skip


@pytest.mark.parametrize('seed', [-1, 3_000_000])
def test_a_seed_beyond_all_splits_is_refused_with_the_ranges(seed):
    with pytest.raises(InputError, match='2000000 to 2999999'):
        split_of(seed)


def test_every_kind_gets_its_share_of_a_split():
    kinds = [kind_of(seed) for seed in seeds_of('test', 3 * len(KINDS))]
    assert {kinds.count(kind) for kind in KINDS} == {3}
    assert all(split_of(seed) == 'test' for seed in seeds_of('test', 50))


def test_a_seed_of_another_split_is_refused_with_the_range_of_this_one():
    check_seed(1_000_000, 'val')
    with pytest.raises(InputError, match='1000000 to 1999999'):
        check_seed(5, 'val')


@pytest.mark.parametrize(('split', 'num'), [('night', 3), ('val', 1_000_001)])
def test_seeds_that_there_are_not_are_refused(split, num):
    with pytest.raises(InputError, match='split'):
        seeds_of(split, num)
