"""Makes the frames of some lanes of a batch: here, or in a process of its own.

A worker is one process with three threads: one takes drives in, one makes frames, one sends them off. It ends with its parent.

Legend: N cameras, H W image, P channels of pillars, V occupied pillars.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.worker_processes import end_with_parent
from moe_bev_ros.learning.bev_targets import TargetMaker, Targets
from moe_bev_ros.learning.drives import F32, Drive, DriveFrame
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.perception.network_inputs import NetworkArrays, NetworkInputs, se2_of
from moe_bev_ros.perception.sweep_stack import SweepStack

READY_STEPS = 3  # that a worker is ahead, at most
DRIVES_AHEAD = 2  # that wait in each lane
LOOK_S = 0.5  # between two looks at whether a worker that says nothing is still there


class LaneFrame(NamedTuple):
    """One frame as it goes from process to process: as `Step` without B, but images as bytes and only occupied pillars.

    Attributes:
        places: (V,) int64 flat pillars that hold points.
        pillars: (P, V) float32 what they hold.
    """

    images: NDArray[np.uint8]
    camera_valid: NDArray[np.bool_]
    lidar_valid: bool
    depth: F32
    pixel: NDArray[np.int64]
    bin: NDArray[np.int64]
    places: NDArray[np.int64]
    pillars: F32
    motion: F32
    dt: float
    targets: Targets
    condition: str
    kind: str


def lane_frames(drives: Iterator[Drive], config: ModelConfig, seen: int = 0) -> Iterator[LaneFrame]:
    """Play drives one after another.

    Args:
        seen: frames of the first drive that are gone through, and not handed out.

    Raises:
        InputError: a drive has no frame, or one that cannot be read.
    """
    inputs = NetworkInputs(config, num_sets=1)
    for drive in drives:
        targets, stack, item = TargetMaker(config), SweepStack(config.num_sweeps), None
        for item in drive.frames():
            frame, wanted = stack.add(item.frame, item.base_link_now_se3_before), targets.make(item)
            if seen > 0:
                seen -= 1
                continue
            yield _lane_frame(item, inputs.make(frame), wanted, config)
        if item is None:
            raise InputError(f'{drive}: a drive without frames; leave this scene out')


def _lane_frame(item: DriveFrame, arrays: NetworkArrays, targets: Targets, config: ModelConfig) -> LaneFrame:
    images = np.zeros((config.num_cameras, config.image_height, config.image_width, 3), np.uint8)
    if item.frame.cameras is not None:
        images[: len(item.frame.cameras.names)] = item.frame.cameras.images_nhw3
    pillars = arrays.pillars_pss.reshape(len(arrays.pillars_pss), -1)
    places = np.flatnonzero(pillars[0])  # the count
    before = item.base_link_now_se3_before
    return LaneFrame(
        images,
        arrays.camera_valid_n,
        arrays.lidar_valid,
        arrays.depth_nhw.copy(),  # the frame is kept while the next ones are made
        arrays.pixel_zc,
        arrays.bin_zc,
        places,
        pillars[:, places],
        se2_of(np.eye(4) if before is None else before),
        item.dt_s,
        targets,
        item.condition,
        item.kind,
    )


class LanesHere:
    """Makes the frames of some lanes in this process, when they are asked for; ``seen``: see `lane_frames`."""

    def __init__(self, config: ModelConfig, lanes: Sequence[Iterator[Drive]], seen: Sequence[int]) -> None:
        self._lanes = [lane_frames(drives, config, num) for drives, num in zip(lanes, seen)]

    def frames(self) -> list[LaneFrame]:
        """The next of each lane."""
        return [next(lane) for lane in self._lanes]

    def close(self) -> None:
        """There is nothing to end."""


class LaneWorker:
    """Makes the frames of some lanes in a process of its own, and a few ahead; ``seen``: see `lane_frames`."""

    def __init__(self, config: ModelConfig, lanes: Sequence[Iterator[Drive]], seen: Sequence[int]) -> None:
        context = multiprocessing.get_context('spawn')  # a fork would share OpenCV's and numba's threads
        self._lanes, self._failure = lanes, ''
        drives_there, self._drives = context.Pipe(duplex=False)
        self._frames, frames_there = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(config, tuple(seen), drives_there, frames_there), daemon=True)
        self._process.start()
        drives_there.close()
        frames_there.close()  # so that a worker's death is the end of the file
        self._wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        for lane in tuple(range(len(lanes))) * DRIVES_AHEAD:
            self._wanted.put(lane)
        threading.Thread(target=self._hand_out, daemon=True).start()

    def frames(self) -> list[LaneFrame]:
        """The next of each lane.

        Raises:
            InputError: the worker failed or was killed.
        """
        try:
            while not self._frames.poll(LOOK_S):
                if self._failure:
                    raise InputError(self._failure)
            frames = _receive(self._frames)
        except (EOFError, OSError):
            self._process.join(LOOK_S)
            code = self._process.exitcode
            raise InputError(
                f'a worker of the training data was killed (exit code {code}; out of memory?); give fewer workers, then '
                'the same command again'
            ) from None
        if isinstance(frames, str):
            raise InputError(frames)
        for lane, frame in enumerate(frames):
            if frame.dt == 0.0:
                self._wanted.put(lane)
        return list(frames)

    def close(self) -> None:
        """End the process."""
        self._wanted.put(-1)
        self._process.terminate()
        self._process.join()
        self._frames.close()

    def _hand_out(self) -> None:
        """Drives, one for each that has begun."""
        try:
            while (lane := self._wanted.get()) >= 0:
                self._drives.send((lane, next(self._lanes[lane])))
        except OSError:
            pass  # the worker is gone, which whoever waits for its frames hears
        except Exception as err:
            self._failure = _told(err)


def _work(config: ModelConfig, seen: tuple[int, ...], drives: Connection, frames: Connection) -> None:
    """The process: until it is terminated, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C
    cv2.setNumThreads(1)
    waiting: list[queue.SimpleQueue[Drive]] = [queue.SimpleQueue() for _ in seen]
    ready: queue.Queue[list[LaneFrame] | str] = queue.Queue(READY_STEPS)
    sender = threading.Thread(target=_send_all, args=(ready, frames), daemon=True)
    for thread in (
        threading.Thread(target=end_with_parent, daemon=True),
        threading.Thread(target=_take_all, args=(drives, waiting, ready), daemon=True),
        sender,
    ):
        thread.start()
    try:
        lanes = [lane_frames(iter(lane.get, None), config, num) for lane, num in zip(waiting, seen)]
        while True:
            ready.put([next(lane) for lane in lanes])
    except Exception as err:
        ready.put(_told(err))
    sender.join()


def _take_all(drives: Connection, waiting: Sequence[queue.SimpleQueue[Drive]], ready: queue.Queue[Any]) -> None:
    try:
        while True:
            lane, drive = drives.recv()
            waiting[lane].put(drive)
    except EOFError:
        pass  # the parent is gone
    except Exception as err:
        ready.put(_told(err))


def _send_all(ready: queue.Queue[list[LaneFrame] | str], frames: Connection) -> None:
    """Until there is an error to tell."""
    try:
        while True:
            value = ready.get()
            _send(frames, value)
            if isinstance(value, str):
                return
    except OSError:
        os._exit(1)  # nobody listens any more


def _send(connection: Connection, value: object) -> None:
    """Arrays follow the rest without being copied first."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, 5, buffer_callback=buffers.append)
    connection.send(len(buffers))
    connection.send_bytes(head)
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def _receive(connection: Connection) -> Any:
    num, head = connection.recv(), connection.recv_bytes()
    return pickle.loads(head, buffers=[connection.recv_bytes() for _ in range(num)])


def _told(err: Exception) -> str:
    if isinstance(err, InputError):
        return str(err)
    return f'a worker of the training data failed: {"".join(traceback.format_exception(err))}'
