"""Jobs for worker processes; they must be found by name in another process."""

import os
import resource
import signal
import time
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.worker_processes import check_stopped


def square(number):
    return number * number


def fail_at_two(job):
    number, folder = job
    if number == 2:
        raise InputError('two is not wanted')
    try:
        while True:
            check_stopped()
            time.sleep(0.01)
    finally:
        (Path(folder) / f'ended-{number}').touch()


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def limit_files(max_bytes):
    """From now on this process can write no file that is larger, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
