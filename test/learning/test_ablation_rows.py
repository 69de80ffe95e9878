from dataclasses import replace

import pytest
from model.small_model import CONFIG

from moe_bev_ros.learning.ablation_rows import REFERENCE, ablation_rows, first_config, first_training, row_training
from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import MEMORIES, ROUTINGS, SELECTIONS, profile
from moe_bev_ros.model.description import describe
from moe_bev_ros.model.sparse_attention import attention_macs, scorer_macs

TINY = profile('tiny')


def test_every_mechanism_that_a_config_knows_has_a_row():
    rows = ablation_rows(TINY)
    assert rows[0].name == REFERENCE
    assert rows[0].config == TINY
    assert {row.config.selection for row in rows} == set(SELECTIONS)
    assert {row.config.routing for row in rows} == set(ROUTINGS)
    assert {row.config.memory for row in rows} == set(MEMORIES)
    assert {row.experts for row in rows} == {('fused',), (), ('camera',), ('lidar',)}
    assert len({row.slug for row in rows}) == len(rows)


@pytest.mark.parametrize('row', ablation_rows(TINY), ids=lambda row: row.slug)
def test_a_row_differs_from_the_reference_in_one_mechanism(row):
    allowed = {
        'attention': {'selection', 'num_key_points'},
        'routing': {'routing', 'sparsity', 'num_experts'},
        'memory': {'memory'},
    }.get(row.part, set())
    assert {name for name, value in vars(row.config).items() if value != getattr(TINY, name)} <= allowed


def test_points_without_a_scorer_make_up_for_it_in_number():
    random = next(row.config for row in ablation_rows(TINY) if row.config.selection == 'random')
    spent = attention_macs(random, random.num_key_points)
    assert spent == pytest.approx(attention_macs(TINY, TINY.num_key_points) + 6 * scorer_macs(TINY), rel=0.01)


def test_dense_experts_cost_about_what_the_routed_ones_cost():
    dense = next(row.config for row in ablation_rows(TINY) if row.config.routing == 'dense')
    macs = [next(c.macs for c in describe(config).costs if c.name == 'patch_experts') for config in (TINY, dense)]
    assert macs[1] == pytest.approx(macs[0], rel=0.15)


def test_all_rows_begin_with_a_network_that_is_dense_and_remembers_nothing():
    config = first_config(CONFIG)
    assert (config.num_key_points, config.capacity) == (CONFIG.num_blocks, CONFIG.num_patches)
    assert BevModel(config).empty_memory(1) == {}
    assert config.name != CONFIG.name


def test_rows_learn_from_as_many_frames_each():
    training = TrainConfig(num_frames=1000, specialise_share=0.3)
    assert first_training(training, 800).num_frames == 800
    rows = [row_training(training, 400, seed) for seed in (0, 1)]
    assert [row.num_frames for row in rows] == [400, 400]
    assert rows[1] == replace(rows[0], seed=1)
