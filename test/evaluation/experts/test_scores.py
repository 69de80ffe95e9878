"""Choices of experts that see more score more, part by part, and only at the keyframes that are judged."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from evaluation.small_tree import TRAITS, KnowingEngine, write_tree

from moe_bev_ros.engine.capability import Capability
from moe_bev_ros.evaluation.experts.scores import (
    ChosenScene,
    FoundKeyframe,
    capability_results,
    dispatch_results,
    judge_runs,
    loss_results,
    usage,
)

COSTS = {'fused': 1.0, 'lidar': 0.5, 'fused+poor_sight': 1.5}


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('small') / 'tree', num_scenes=3)


def found(tree, scene, choice='fused', shift_m=0.0):
    """What an engine finds that is wrong by so much; None: that finds nothing."""
    engine, keyframes = KnowingEngine(tree, scene, shift_m or 0.0), []
    for item in tree.frames(scene, (96, 64), keyframes_only=True):
        detections = engine.step(item.frame, None).detections
        if shift_m is None:
            detections = replace(
                detections, scores_n=np.zeros(len(detections), np.float32), hidden_n=np.ones(len(detections), bool)
            )
        keyframes.append(FoundKeyframe(item.sample_token, item.frame.stamp_ns, item.map_se3_base_link, detections))
    return ChosenScene(tuple(keyframes), (choice,) * len(keyframes))


def test_the_matrix_tells_which_choice_is_good_in_which_part(tree):
    scenes, shifts = (
        tree.scenes(),
        {'fused': (0.0, 0.0, 0.0), 'poor_sight': (1.5, 0.0, 0.0), 'camera': (None,) * 3, 'lidar': (1.5,) * 3},
    )
    runs = {name: [found(tree, s, name, shift) for s, shift in zip(scenes, by_scene)] for name, by_scene in shifts.items()}
    times_ms = {'fused': 20.0, 'poor_sight': 20.0, 'camera': 15.0, 'lidar': 8.0}
    results = capability_results(judge_runs(tree, scenes, runs), TRAITS, times_ms, 20)
    scores = results['scores']
    assert set(scores['fused']) == {'day', 'night', 'free_driving', 'cut_in'}
    assert scores['fused']['night'] == scores['poor_sight']['night'] > 0.95
    assert scores['fused']['day'] > scores['poor_sight']['day'] + 0.1
    assert scores['camera']['day'] == 0.0
    assert results['costs'] == {'fused': 1.0, 'poor_sight': 1.0, 'camera': 0.75, 'lidar': 0.4}
    assert results['scenes_of'] == {'day': 1, 'night': 2, 'cut_in': 2, 'free_driving': 1}
    low, high = results['intervals']['poor_sight']['night']
    assert low <= scores['poor_sight']['night'] <= high
    matrix = Capability(scores, results['costs'])
    assert matrix.score('fused', is_poor=False, is_busy=False) > matrix.score('poor_sight', is_poor=False, is_busy=False)


def test_a_dispatcher_that_finds_more_is_above_what_it_is_compared_with(tree):
    scenes = tree.scenes()
    runs = {
        'dispatcher': [found(tree, scene, 'fused+poor_sight') for scene in scenes],
        'always lidar': [found(tree, scene, 'lidar', 1.5) for scene in scenes],
        'the same': [found(tree, scene) for scene in scenes],
    }
    first, second, third = dispatch_results(judge_runs(tree, scenes, runs), runs, COSTS, 20)
    assert 'dispatcher_above' not in first
    assert (first['mean_active_experts'], first['mean_cost'], second['mean_cost']) == (2.0, 1.5, 0.5)
    assert second['dispatcher_above']['low'] > 0.1
    assert second['dispatcher_above']['value'] == pytest.approx(first['nds']['value'] - second['nds']['value'])
    assert third['dispatcher_above']['value'] == 0.0


def test_only_the_keyframes_after_the_loss_count(tree):
    scenes = tree.scenes()
    runs = {'lost': [], 'without': [], 'intact': []}
    for scene in scenes:
        good, bad = found(tree, scene), found(tree, scene, 'lidar', 1.5)
        runs['intact'].append(good)
        runs['without'].append(bad)
        runs['lost'].append(ChosenScene(bad.keyframes[:5] + good.keyframes[5:], bad.choices))
    ends = [scene.keyframes[5].stamp_ns for scene in runs['lost']]
    tables = judge_runs(tree, scenes, runs, lambda index, keyframe: keyframe.stamp_ns >= ends[index])
    results = loss_results(tables, 20)
    assert tables['lost'].classes['bus'].num_truth_s.tolist() == [10, 10, 10]
    assert results['lost']['nds']['value'] == results['intact']['nds']['value']
    assert results['lost_above_intact']['value'] == 0.0
    assert results['lost_above_without']['low'] > 0.1


def test_costs_and_experts_are_means_over_the_frames():
    told = usage(['fused', 'fused', 'lidar', 'fused+poor_sight'], COSTS)
    assert told['mean_active_experts'] == 1.25
    assert told['mean_cost'] == 1.0
    assert told['shares'] == {'fused': 0.5, 'lidar': 0.25, 'fused+poor_sight': 0.25}
