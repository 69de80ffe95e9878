"""What every way of starting nodes shares: where the shipped configuration lies, and the variables of a node's process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.threads import COUNTS, thread_variables

PACKAGE = 'moe_bev_ros'
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


def config_dir() -> Path:
    """Folder of the shipped configuration: of the source tree where the code runs from one, else of the installed package.

    The source tree comes first because the copy that an editable install makes does not follow later edits.

    Raises:
        InputError: neither is there.
    """
    root = Path(__file__).resolve().parents[2]
    if (root / 'package.xml').is_file() and (root / 'config').is_dir():
        return root / 'config'
    candidates = [prefix / 'share' / PACKAGE / 'config' for prefix in (_ament_prefix(), Path(sys.prefix)) if prefix]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise InputError(f'no configuration in {" or ".join(map(str, candidates))}; install the package again')


def transport_profile(base: Mapping[str, str], *, raw_images: bool = True) -> tuple[str, Path]:
    """The variable from which this machine's Fast DDS takes its profile, and the shipped file for it.

    Fast DDS 3 (Kilted) renamed the variable, and one element of the file; it refuses the other name's file as a whole.
    """
    before_3 = base.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy') or any(distributions(name='ros-fastrtps'))
    name = ('fastdds2' if before_3 else 'fastdds') + ('' if raw_images else '_small')
    return PROFILE_VARIABLES[before_3], config_dir() / f'{name}.xml'


def node_environment(base: Mapping[str, str], *, num_threads: int | None = None, raw_images: bool = True) -> dict[str, str]:
    """Variables for a process that runs nodes: ``base`` with ours added; what the user has set stays.

    The transport profile makes big messages arrive.

    Args:
        num_threads: that the process computes with, whatever the user has set; None: as the user has set, or 1.
        raw_images: the process publishes raw images and needs the large shared-memory segment.
    """
    ours = {**thread_variables(num_threads or 1), 'PYTHONUNBUFFERED': '1'}
    environment = {**ours, **{name: value for name, value in base.items() if value or name not in ours}}
    if num_threads is not None:
        environment |= dict.fromkeys(COUNTS, str(num_threads))
    variable, profile = transport_profile(base, raw_images=raw_images)
    large = str(transport_profile(base)[1])
    if all(base.get(name) in (None, '', large) for name in PROFILE_VARIABLES):
        environment[variable] = str(profile)
    return environment


def _ament_prefix() -> Path | None:
    try:
        from ament_index_python.packages import get_package_prefix
    except ImportError:
        return None
    try:
        return Path(get_package_prefix(PACKAGE))
    except (LookupError, OSError):  # not there; or AMENT_PREFIX_PATH is not set, as in a plain virtual environment
        return None
