"""Ratios from rounds that are given."""

import pytest

from moe_bev_ros.evaluation.bench.rounds import Ratio, Round, figures_of, least, median, ratio, stages_of


def one_round(quick, slow, foreign=0.0):
    return Round({'quick': [{'network': ms} for ms in quick], 'slow': [{'network': ms} for ms in slow]}, foreign)


def test_a_ratio_is_that_of_the_medians_of_each_round():
    rounds = [one_round([10, 20, 90], [40, 50, 60]), one_round([10], [30]), one_round([40], [160])]
    found = ratio(rounds, ('slow', 'network'), ('quick', 'network'))
    assert found == Ratio(minimum=2.5, median=3.0, of_minima=3.0)  # 50 / 20, 30 / 10, 160 / 40; 30 / 10
    assert not found.agrees


def test_a_ratio_that_is_the_same_in_every_round_agrees():
    found = ratio([one_round([10], [30]), one_round([20], [62])], ('slow', 'network'), ('quick', 'network'))
    assert found is not None
    assert found.agrees


def test_a_ratio_with_an_engine_that_never_ran_is_none():
    rounds = [Round({'quick': [{'network': 1.0}]}, 0.0)]
    assert ratio(rounds, ('gone', 'network'), ('quick', 'network')) is None
    assert stages_of(rounds, 'gone') == ()


def test_the_least_and_the_median_look_at_the_steps_of_all_rounds():
    rounds = [one_round([10, 20], [1]), one_round([30], [1])]
    assert least(rounds, 'quick', 'network') == 10
    assert median(rounds, 'quick', 'network') == 20
    assert stages_of(rounds, 'quick') == ('network',)


def test_sums_of_a_step_are_told_apart():
    stages = {'inputs': 2.0, 'camera_encoder': 10.0, 'camera_attention': 4.0, 'expert_fused': 3.0, 'heads': 5.0, 'boxes': 1.0}
    figures = figures_of(stages)
    assert figures['network'] == pytest.approx(22.0)
    assert figures['convolution'] == pytest.approx(18.0)
    assert figures['pre_post'] == pytest.approx(3.0)
    assert figures['step'] == pytest.approx(25.0)
    assert stages.items() <= figures.items()
