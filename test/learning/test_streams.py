"""Lanes play drive after drive, in an order that depends on the seed alone, wherever the arrays are made."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from learning.drive_frames import SMALL, CountedSource

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.streams import DriveOrder, Streams


def streams(source=None, batch=2, chunk=3, seed=0, workers=0, **kwargs):
    return Streams(source or CountedSource(), SMALL, batch, chunk, seed, workers, **kwargs)


def drive_numbers(step):
    """x of the car in each lane's first slot: the number of its drive."""
    columns = step.targets.cell[:, 0] % SMALL.num_head_cells + step.targets.boxes[:, 0, 0]
    return np.round(columns * SMALL.head_cell_m - SMALL.half_m).astype(int).tolist()


def test_each_lane_plays_whole_drives_and_begins_each_without_motion():
    with streams() as stream:
        for step_0, *later in (next(stream) for _ in range(3)):
            assert step_0.dt.tolist() == [0.0, 0.0]
            np.testing.assert_array_equal(step_0.motion, np.stack([np.eye(3)] * 2))
            assert all(drive_numbers(step) == drive_numbers(step_0) for step in later)
            np.testing.assert_allclose([step.dt for step in later], 0.1, atol=1e-6)
            assert all((step.motion[:, 0, 2] < -0.4).all() for step in later)


def test_every_epoch_holds_every_drive_once_in_another_order():
    order = DriveOrder(CountedSource((1,) * 40), seed=4)
    epochs = [[order.index(40 * epoch + place) for place in range(40)] for epoch in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(40))] * 2
    assert epochs[0] != epochs[1]


def test_lanes_of_all_processes_share_the_drives():
    source, places = CountedSource((1,) * 8), []
    for rank in range(2):
        with streams(source, batch=2, chunk=2, rank=rank, world_size=2) as stream:
            places += [number for step in next(stream) for number in drive_numbers(step)]
    assert sorted(places) == list(range(8))


def test_arrays_are_stacked_and_pillars_are_whole():
    with streams(chunk=1) as stream:
        (step,) = next(stream)
    pillars, cells = SMALL.num_pillars, SMALL.num_head_cells
    assert step.images.shape == (2, 2, SMALL.image_height, SMALL.image_width, 3)
    assert step.images.dtype == np.uint8
    assert step.pillars.shape == (2, 16, pillars, pillars)
    assert (step.pillars[:, 0] > 0.0).any()
    assert step.pixel.shape == (2, len(SMALL.lift_heights_m), SMALL.num_cells**2)
    assert step.targets.heat.shape == (2, 11, cells, cells)
    assert step.conditions == ('day', 'day')


def same(one, other):
    flat = [(*step[:-3], *step.targets) for chunk in (one, other) for step in chunk]
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')
        for left, right in zip(flat, flat[len(one) :])
        for a, b in zip(left, right)
    )


def test_workers_make_what_would_be_made_here():
    source = CountedSource((3, 2, 4))
    with streams(source, chunk=4) as here, streams(source, chunk=4, workers=2) as there:
        for _ in range(3):
            assert same(next(here), next(there))


@pytest.mark.parametrize('workers', [0, 2])
def test_a_run_goes_on_in_the_middle_of_its_drives(workers):
    source = CountedSource((3, 2, 4))
    with streams(source, chunk=1) as stream:
        for _ in range(5):
            next(stream)
        state = stream.state
        later = [next(stream) for _ in range(6)]
    assert [place.drive for place in state] == [1, 1]
    assert len({place.frame for place in state}) == 2  # at one of them in its middle
    with streams(source, chunk=1, start=state, workers=workers) as stream:
        assert stream.state == state
        assert all(same(next(stream), chunk) for chunk in later)


def test_the_error_of_a_worker_is_told():
    with streams(CountedSource(failing=1), workers=1) as stream, pytest.raises(InputError, match='it broke'):
        list(islice(stream, 5))


def test_a_drive_without_frames_is_an_error():
    with streams(CountedSource((3, 0, 3))) as stream, pytest.raises(InputError, match='without frames'):
        list(islice(stream, 5))


def test_a_killed_worker_is_told():
    with streams(workers=1) as stream:
        next(stream)
        os.kill(stream._makers[0]._process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match='killed'):
            list(islice(stream, 50))


def test_workers_end_with_a_parent_that_is_killed():
    program = (
        'from learning.drive_frames import SMALL, CountedSource\n'
        'from moe_bev_ros.learning.streams import Streams\n'
        "if __name__ == '__main__':\n"
        '    stream = Streams(CountedSource(), SMALL, 2, 1, 0, 1)\n'
        '    next(stream)\n'
        '    print(stream._makers[0]._process.pid, flush=True)\n'
        '    input()\n'
    )
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, '-c', program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20.0
    while Path(f'/proc/{worker}').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f'/proc/{worker}').exists() or 'State:\tZ' in Path(f'/proc/{worker}/status').read_text()


def test_workers_do_without_torch():
    program = 'import sys, moe_bev_ros.learning.lane_workers, moe_bev_ros.learning.tree_drives; print("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout.strip() == 'False'
