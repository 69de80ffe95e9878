"""The BEV node with an engine that works on two frames at once."""

import threading

import numpy as np
import pytest
from engine.small_network import small_weights
from nodes.bev_bench import STEP_NS, Bench, odometry, sweep
from rclpy.lifecycle import TransitionCallbackReturn

from harness import ros
from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.pipeline import Pipeline
from moe_bev_ros.engine.torch_network import torch_engine


def driven(monkeypatch, tmp_path, *, pipeline):
    """Places of what the network says in each of three frames, and how many frames were dropped."""
    weights = small_weights(tmp_path)
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, weights, tmp_path / 'none.json'))
    parameters = {'engine': 'torch', 'score_threshold': 0.0, 'precision': 'float32', 'pipeline': pipeline}
    with ros(parameters) as harness:
        bench = Bench(harness)
        for frame in (1, 2, 3):
            bench.odometry.publish(odometry(frame, 0.8 * frame, 8.0))
            harness.spin_until(lambda f=frame: bench.node.frames.odometry.at(f * STEP_NS) is not None)
            bench.sweeps.publish(sweep(frame))
            bench.wait(frame)
        assert isinstance(bench.node.steps, Pipeline) == pipeline
        places = [[(item.pose.position.x, item.pose.position.y) for item in message.objects] for message in bench.objects]
        return places, bench.node.counters['dropped_by_policy']


def test_objects_are_the_same_with_and_without_a_pipeline(monkeypatch, tmp_path):
    (with_one, dropped), (without, _) = (driven(monkeypatch, tmp_path, pipeline=pipeline) for pipeline in (True, False))
    assert dropped == 0
    assert len(with_one[2]) > 0
    for one, other in zip(with_one, without):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.fixture
def held(monkeypatch, tmp_path):
    """A node whose network finishes a frame only when it may."""
    engine = torch_engine(EngineSettings(), small_weights(tmp_path), tmp_path / 'none.json')
    engine.may_finish, finish = threading.Semaphore(1), engine.finish  # the node's own first frame
    monkeypatch.setattr(engine, 'finish', lambda begun: engine.may_finish.acquire() and finish(begun))
    monkeypatch.setitem(ENGINES, 'torch', lambda _: engine)
    with ros({'engine': 'torch', 'pipeline': True}) as harness:
        bench = Bench(harness)
        yield bench
        engine.may_finish.release(100)


def enter(bench, *frames):
    """Let frames come into the node, one after the other."""
    for frame in frames:
        bench.sweeps.publish(sweep(frame))
        bench.harness.spin_until(lambda frame=frame: bench.node.counters['frames'] == frame)


def test_frames_above_the_rate_of_the_engine_give_way_to_the_newest_and_are_counted(held):
    enter(held, 1, 2, 3, 4, 5)
    held.node.engine.may_finish.release(100)
    held.wait(3)
    stamps = [round((message.header.stamp.sec * 1e9 + message.header.stamp.nanosec) / STEP_NS) for message in held.objects]
    assert stamps == [1, 2, 5]
    held.harness.spin_until(lambda: held.node.counters['dropped_by_policy'] == 2)


def test_a_node_that_is_deactivated_waits_for_the_frame_inside_and_does_not_answer_it(held):
    enter(held, 1, 2)
    threading.Timer(0.1, held.node.engine.may_finish.release, (100,)).start()
    assert held.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert held.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    enter(held, 3)
    held.wait(1)
    assert held.objects[0].header.stamp.nanosec == 3 * STEP_NS
    held.harness.spin_until(lambda: held.node.counters['dropped_by_policy'] == 2)


def test_an_error_in_a_thread_of_the_engine_is_counted_and_the_next_frame_is_answered(held, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(held.node.engine, 'finish', lambda _: 1 / 0)
        enter(held, 1)
        held.harness.spin_until(lambda: held.node.counters['failures'] == 1)
    held.node.engine.may_finish.release(100)
    enter(held, 2)
    assert held.wait(1).header.stamp.nanosec == 2 * STEP_NS
