"""Every test session gets a ROS domain of its own, and recorded data only where it is."""

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import settings

_LOCKS = []


def _own_domain() -> int:
    for domain in range(1, 100):
        lock = Path(f'/tmp/moe_bev_ros_domain_{domain}.lock').open('w')  # noqa: SIM115 (held until the session ends)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _LOCKS.append(lock)
        return domain
    raise RuntimeError('no free ROS domain between 1 and 99')


os.environ['ROS_DOMAIN_ID'] = str(_own_domain())
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
settings.register_profile('fixed', derandomize=True, deadline=None)  # the same examples in every run
settings.load_profile('fixed')


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """Folder with recorded frames, from $MOE_BEV_DATA."""
    root = Path(__file__).resolve().parents[1]
    path = Path(os.environ.get('MOE_BEV_DATA', root.parent / 'shared' / 'data'))
    if not path.is_dir():
        pytest.skip(f'no recorded data at {path}; set MOE_BEV_DATA')
    return path
