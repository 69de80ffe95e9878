"""Two frames at once: what comes out, in which order, and what a dropped frame leaves behind."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from engine.small_network import STEP_NS, cameras_of, frame_of, small_weights

from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.pipeline import WAITS, InTurn, Pipeline
from moe_bev_ros.engine.torch_network import torch_engine

AHEAD = se3_from_xy_yaw(0.7, 0.1, 0.05)
NUM = 40


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return small_weights(tmp_path_factory.mktemp('weights'))


def make(weights):
    return torch_engine(EngineSettings(precision='float32'), weights, weights.parent / 'none.json')


class Gate:
    """An engine that lets a frame out of its second half, or into its first one, only when it may."""

    def __init__(self, engine):
        self.engine, self.begun, self.finishing = engine, [], []
        self.may_begin, self.may_finish = threading.Semaphore(0), threading.Semaphore(0)

    def begin(self, frame, motion):
        self.begun.append(frame.stamp_ns // STEP_NS)
        self.may_begin.acquire()
        return self.engine.begin(frame, motion), frame.stamp_ns

    def finish(self, begun):
        half, stamp_ns = begun
        self.finishing.append(stamp_ns // STEP_NS)
        self.may_finish.acquire()
        return self.engine.finish(half)

    def reset(self):
        self.engine.reset()

    def open(self):
        self.may_begin.release(NUM)
        self.may_finish.release(NUM)


class Run:
    """A pipeline, and its answers."""

    def __init__(self, engine):
        self.answers, self._came = [], threading.Condition()
        self.pipeline = Pipeline(engine, self._keep)

    def _keep(self, answer):
        with self._came:
            self.answers.append(answer)
            self._came.notify_all()

    def submit(self, *indices, motion=AHEAD):
        for index in indices:
            self.pipeline.submit(index, frame_of(index, seed=index), motion)

    def until(self, condition):
        with self._came:
            assert self._came.wait_for(condition, timeout=20)

    @property
    def facts(self):
        """The frames in the order of their answers; dropped ones are negative."""
        return [-answer.context if answer.is_dropped else answer.context for answer in self.answers]


@pytest.fixture
def start():
    """Makes runs that are closed at the end of the test."""
    made = []

    def run(engine):
        made.append(Run(engine))
        return made[-1]

    yield run
    for one in made:
        if isinstance(one.pipeline._engine, Gate):
            one.pipeline._engine.open()
        one.pipeline.close()


def spin(condition):
    """Wait for what another thread does."""
    tick = threading.Event()
    for _ in range(4000):
        if condition():
            return
        tick.wait(0.005)
    raise AssertionError('condition not met within 20 s')


def same(one, other):
    """But for the last digits, which the place of an array in memory can change."""
    boxes, others = one.detections.boxes_n7, other.detections.boxes_n7
    return boxes.shape == others.shape and np.allclose(boxes, others, atol=1e-5)


def in_turn(engine, indices, motion=AHEAD):
    answers = []
    steps = InTurn(engine, answers.append)
    for index in indices:
        steps.submit(index, frame_of(index, seed=index), motion)
    return answers


def test_every_frame_is_answered_in_order_as_it_would_be_in_turn(weights, start):
    run = start(make(weights))
    for index in range(1, 7):
        run.submit(index)
        run.pipeline.wait()
    wanted = in_turn(make(weights), range(1, 7))
    assert run.facts == [1, 2, 3, 4, 5, 6]
    assert all(same(answer.output, other.output) for answer, other in zip(run.answers, wanted))
    assert len(run.answers[0].output.detections) > 0


def test_the_time_of_each_stage_and_of_waiting_is_told(weights, start):
    run = start(make(weights))
    run.submit(1)
    run.pipeline.wait()
    names = list(run.answers[0].output.stage_ms)
    assert tuple(names[:2]) == WAITS
    assert (names[2], names[-1]) == ('inputs', 'boxes')


def test_a_frame_is_begun_while_the_one_before_is_finished_and_no_further_one(weights, start):
    gate = Gate(make(weights))
    gate.may_begin.release(NUM)
    run = start(gate)
    run.submit(1)
    spin(lambda: gate.finishing == [1])
    run.submit(2)
    spin(lambda: run.pipeline._half is not None)
    run.submit(3)
    assert (gate.begun, gate.finishing) == ([1, 2], [1])
    gate.open()
    run.pipeline.wait()
    assert run.facts == [1, 2, 3]
    assert run.pipeline.dropped == 0


def test_above_the_rated_rate_the_newest_wins_and_the_memory_moves_through_what_was_dropped(weights, start):
    gate = Gate(make(weights))
    run = start(gate)
    run.submit(1)
    spin(lambda: gate.begun == [1])
    run.submit(2, 3, 4)
    gate.open()
    run.pipeline.wait()
    assert run.facts == [1, -2, -3, 4]
    assert run.pipeline.dropped == 2
    engine = make(weights)
    engine.step(frame_of(1, seed=1), AHEAD)
    wanted = engine.step(frame_of(4, seed=4), AHEAD @ AHEAD @ AHEAD)
    assert same(run.answers[-1].output, wanted)
    assert not same(run.answers[-1].output, in_turn(make(weights), [1, 4])[-1].output)


def test_a_dropped_frame_of_unknown_motion_drops_the_memory(weights, start):
    gate = Gate(make(weights))
    run = start(gate)
    run.submit(1)
    spin(lambda: gate.begun == [1])
    run.submit(2, motion=None)
    run.submit(3)
    gate.open()
    run.pipeline.wait()
    assert run.facts == [1, -2, 3]
    assert 'motion' in run.answers[-1].output.warnings[0]


def test_an_error_of_either_stage_reaches_who_asked_and_the_next_frame_is_answered(weights, start, monkeypatch):
    engine = make(weights)
    run = start(engine)
    run.pipeline.submit(1, frame_of(1, cameras=cameras_of(num=3)), AHEAD)
    run.pipeline.wait()
    monkeypatch.setattr(engine, 'finish', lambda _: 1 / 0)
    run.submit(2)
    run.pipeline.wait()
    monkeypatch.undo()
    run.submit(3)
    run.pipeline.wait()
    assert isinstance(run.answers[0].error, EngineError)
    assert isinstance(run.answers[1].error, ZeroDivisionError)
    assert run.answers[2].output.perception_valid
    assert run.pipeline.dropped == 0


def test_the_motion_of_a_frame_that_failed_is_not_lost(weights, start):
    run = start(make(weights))
    run.submit(1)
    run.pipeline.wait()
    run.pipeline.submit(2, frame_of(2, cameras=cameras_of(num=3)), AHEAD)
    run.pipeline.wait()
    run.submit(3)
    run.pipeline.wait()
    engine = make(weights)
    engine.step(frame_of(1, seed=1), AHEAD)
    assert same(run.answers[-1].output, engine.step(frame_of(3, seed=3), AHEAD @ AHEAD))


def test_reset_answers_the_frames_inside_as_dropped_and_forgets(weights, start):
    gate = Gate(make(weights))
    gate.may_begin.release(NUM)
    run = start(gate)
    run.submit(1)
    spin(lambda: gate.finishing == [1])
    run.submit(2)
    spin(lambda: run.pipeline._half is not None)
    run.submit(3)
    threading.Timer(0.05, gate.open).start()
    run.pipeline.reset()
    assert run.facts == [-1, -2, -3]
    assert run.pipeline.dropped == 3
    run.submit(4)
    run.pipeline.wait()
    assert same(run.answers[-1].output, make(weights).step(frame_of(4, seed=4), None))


def test_close_answers_the_frames_inside_and_leaves_no_thread(weights):
    gate = Gate(make(weights))
    gate.may_begin.release(NUM)
    run = Run(gate)
    run.submit(1)
    spin(lambda: gate.finishing == [1])
    run.submit(2, 3)
    threading.Timer(0.05, gate.open).start()
    run.pipeline.close()
    assert sorted(abs(fact) for fact in run.facts) == [1, 2, 3]
    assert run.pipeline.dropped == 3
    assert not any(thread.is_alive() for thread in run.pipeline._threads)


def test_however_frames_come_each_is_answered_once_and_in_order(weights, start):
    run = start(make(weights))
    pauses = np.random.default_rng(0).exponential(0.004, NUM)
    for index, pause in enumerate(pauses, start=1):
        run.submit(index)
        threading.Event().wait(pause)
        if index == NUM // 2:
            run.pipeline.reset()
    run.pipeline.wait()
    assert [abs(fact) for fact in run.facts] == list(range(1, NUM + 1))
    assert run.pipeline.dropped == sum(fact < 0 for fact in run.facts)
    assert all(answer.error is None for answer in run.answers)


def test_in_turn_an_engines_error_is_answered_and_any_other_one_leaves(weights, monkeypatch):
    engine, answers = make(weights), []
    steps = InTurn(engine, answers.append)
    steps.submit(1, replace(frame_of(1), cameras=cameras_of(num=3)), None)
    assert isinstance(answers[0].error, EngineError)
    monkeypatch.setattr(engine, 'finish', lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        steps.submit(2, frame_of(2), None)
