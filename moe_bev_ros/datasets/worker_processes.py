"""Runs jobs on a few processes that end when they are told to, and with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TypeVar

from moe_bev_ros.core.errors import InputError

Job = TypeVar('Job')
Result = TypeVar('Result')

_stop: Event | None = None


class StoppedError(Exception):
    """The job was told to stop."""


def check_stopped() -> None:
    """Called by a job now and then.

    Raises:
        StoppedError: it shall end.
    """
    if _stop is not None and _stop.is_set():
        raise StoppedError


def run_jobs(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results in the order in which the jobs end. An error, or closing the iterator, stops the other jobs and waits for them.

    Raises:
        InputError: a process was killed.
    """
    context = multiprocessing.get_context('spawn')  # a fork would share numba's threads
    stop = context.Event()
    pool = ProcessPoolExecutor(min(workers, max(1, len(jobs))), context, _begin, (stop,))
    try:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as err:
        raise InputError('a worker was killed (out of memory?); give fewer --workers, and the same command again') from err
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(stop: Event) -> None:
    """The parent hears Ctrl-C and sets ``stop``; a parent that is killed takes its children along."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Waits for the end of the parent, then ends this process: for a thread of its own."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
