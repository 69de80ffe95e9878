"""Two frames at once: while one thread finishes a frame, another begins the next one.

Between the stages there is room for one frame, and before them as well. A stage waits for room, so that up to the rate of the
slower stage nothing is dropped. Above it the newest frame takes the place of the one that waits; the motion of the one passed
over is added to its own, so that the memory is still moved by all of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.engine.base import Engine, EngineError, EngineOutput
from moe_bev_ros.engine.bev_engine import Begun, BevEngine

C = TypeVar('C')
WAITS = ('wait_to_begin', 'wait_to_finish')  # stages in which nothing is done


@dataclass(frozen=True)
class Answer(Generic[C]):
    """What became of a frame.

    Attributes:
        context: what came with the frame.
        output: None where it was dropped or failed.
        error: of the stage that failed.
    """

    context: C
    output: EngineOutput | None = None
    error: Exception | None = None

    @property
    def is_dropped(self) -> bool:
        """Whether the frame was given up for a newer one, or for a new beginning."""
        return self.output is None and self.error is None


class InTurn(Generic[C]):
    """One frame after the other, each answered before ``submit`` returns.

    Attributes:
        dropped: frames that were answered as dropped.
    """

    def __init__(self, engine: Engine, answer: Callable[[Answer[C]], None]) -> None:
        self.dropped = 0
        self._engine, self._answer = engine, answer

    def submit(self, context: C, frame: Frame, base_link_now_se3_before: Array | None) -> None:
        """Take a frame, which is answered once, in order. An error that is no EngineError is raised here.

        Args:
            base_link_now_se3_before: motion since the last frame that was submitted; None: not known.
        """
        try:
            answer = Answer(context, self._engine.step(frame, base_link_now_se3_before))
        except EngineError as err:
            answer = Answer(context, error=err)
        self._answer(answer)

    def wait(self) -> None:
        """Until all frames are answered."""

    def reset(self) -> None:
        """Forget everything."""
        self._engine.reset()

    def close(self) -> None:
        """No frame comes any more."""


@dataclass
class _Job(Generic[C]):
    context: C
    frame: Frame
    motion: Array | None
    round: int
    passed_over: tuple[C, ...] = ()
    begun: Begun | None = None
    error: Exception | None = None
    since_s: float = field(default_factory=time.perf_counter)  # it waits
    waited_ms: list[float] = field(default_factory=list)


class Pipeline(Generic[C]):
    """See the module, and `InTurn` for what is the same. All methods are called from one thread.

    Args:
        answer: called from another thread; must not raise, nor call the pipeline.
    """

    def __init__(self, engine: BevEngine[Any], answer: Callable[[Answer[C]], None]) -> None:
        self.dropped = 0
        self._engine, self._answer = engine, answer
        self._changed = threading.Condition()
        self._new: _Job[C] | None = None  # waits to be begun
        self._half: _Job[C] | None = None  # waits to be finished
        self._at_work = 0  # stages
        self._round = 0  # frames of earlier rounds are given up
        self._is_open = True
        loops = {'begin': self._begin_frames, 'finish': self._finish_frames}
        self._threads = [threading.Thread(target=loop, name=name, daemon=True) for name, loop in loops.items()]
        for thread in self._threads:
            thread.start()

    def submit(self, context: C, frame: Frame, base_link_now_se3_before: Array | None) -> None:
        """Take a frame; it is answered from another thread, with whatever error there was."""
        job = _Job(context, frame, base_link_now_se3_before, self._round)
        with self._changed:
            if self._new is not None:
                job.motion = _composed(job.motion, self._new.motion)
                job.passed_over = (*self._new.passed_over, self._new.context)
            self._new = job
            self._changed.notify_all()

    def wait(self) -> None:
        """Until all frames are answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._new is None and self._half is None and not self._at_work)

    def reset(self) -> None:
        """Forget everything; the frames inside are answered as dropped, once those that are worked on are over."""
        self._round += 1
        self.wait()
        self._engine.reset()

    def close(self) -> None:
        """End both threads; the frames inside are answered as dropped, likewise."""
        self._round += 1
        self.wait()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    # The stages --------------------------------------------------------------------------------------------------------

    def _begin_frames(self) -> None:
        while (job := self._next_to_begin()) is not None:
            if job.round == self._round:
                try:
                    job.begun = self._engine.begin(job.frame, job.motion)
                except Exception as err:  # whatever it is, it reaches who submitted the frame
                    job.error = err
            job.since_s = time.perf_counter()
            self._is_over(job)

    def _finish_frames(self) -> None:
        while (job := self._next_to_finish()) is not None:
            output = None
            if job.round == self._round and job.begun is not None:
                try:
                    output = self._engine.finish(job.begun)
                except Exception as err:  # likewise
                    job.error = err
            self._tell(job, output)
            self._is_over()

    def _next_to_begin(self) -> _Job[C] | None:
        with self._changed:
            self._changed.wait_for(lambda: (self._new is not None and self._half is None) or not self._is_open)
            job, self._new = self._new, None
            return self._taken(job)

    def _next_to_finish(self) -> _Job[C] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._half is not None or not self._is_open)
            job, self._half = self._half, None
            return self._taken(job)

    def _taken(self, job: _Job[C] | None) -> _Job[C] | None:
        if job is not None:
            job.waited_ms.append(1e3 * (time.perf_counter() - job.since_s))
            self._at_work += 1
            self._changed.notify_all()
        return job

    def _is_over(self, half: _Job[C] | None = None) -> None:
        with self._changed:
            self._half = half or self._half
            self._at_work -= 1
            self._changed.notify_all()

    def _tell(self, job: _Job[C], output: EngineOutput | None) -> None:
        """Answer for the frame, and before that for those that it passed over."""
        for context in job.passed_over:
            self._drop(context)
        if job.round != self._round:
            self._drop(job.context)
        elif output is None:
            self._answer(Answer(job.context, error=job.error))
        else:
            stage_ms = {**dict(zip(WAITS, job.waited_ms)), **output.stage_ms}
            self._answer(Answer(job.context, replace(output, stage_ms=stage_ms)))

    def _drop(self, context: C) -> None:
        self.dropped += 1
        self._answer(Answer(context))


def steps_of(engine: Engine, answer: Callable[[Answer[C]], None], *, overlap: bool) -> InTurn[C] | Pipeline[C]:
    """A pipeline where it is wanted and the engine has two halves."""
    return Pipeline(engine, answer) if overlap and isinstance(engine, BevEngine) else InTurn(engine, answer)


def _composed(after: Array | None, before: Array | None) -> Array | None:
    """One motion after the other; None where one of them is not known."""
    return None if after is None or before is None else after @ before
