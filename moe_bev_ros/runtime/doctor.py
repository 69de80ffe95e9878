"""Judges this machine: each check turns facts into one line with a level and a cure. The facts are gathered elsewhere."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from moe_bev_ros.runtime.environment import PROFILE_VARIABLES, transport_profile

SUPPORTED_PYTHON = ((3, 10), (3, 14))
TESTED_RCLPY = {7: 'jazzy', 9: 'kilted'}
WANTED_RMEM_BYTES = 4 * 2**20
WANTED_SEGMENT_BYTES = 256 * 2**20
NODES_WITH_BIG_MESSAGES = 5
MAX_CLOCK_STEP_S = 0.05


class Level(Enum):
    """How bad it is."""

    OK = 'ok'
    WARN = 'warn'
    FAIL = 'fail'


@dataclass(frozen=True)
class Check:
    """One line: what is, and what to do about it (empty where nothing needs to be done)."""

    level: Level
    fact: str
    cure: str = ''

    def __str__(self) -> str:
        return f'{self.level.value:4}  {self.fact}' + (f'  -> {self.cure}' if self.cure else '')


def check_python(version: tuple[int, int]) -> Check:
    """Whether ROS wheels and our syntax fit this Python."""
    low, high = SUPPORTED_PYTHON
    fact = f'Python {version[0]}.{version[1]}'
    if version < low:
        return Check(Level.FAIL, fact, f'use Python {low[0]}.{low[1]} or newer')
    if version > high:
        return Check(Level.WARN, fact, f'untested; there are ROS wheels up to Python {high[0]}.{high[1]}')
    return Check(Level.OK, fact)


def check_rclpy(version: str | None, distribution: str | None, rmw: str | None, problem: str = '') -> Check:
    """Which ROS this is.

    Args:
        version: of rclpy; None: it cannot be imported, and ``problem`` says why.
        distribution: $ROS_DISTRO, if set.
        rmw: identifier of the middleware in use.
    """
    if version is None:
        cure = "source /opt/ros/<distro>/setup.bash, or pip install 'ros-rclpy[fastrtps]' ros-common-interfaces"
        return Check(Level.FAIL, f'rclpy cannot be imported: {problem}', cure)
    name = distribution or TESTED_RCLPY.get(int(version.split('.')[0]), 'unknown distribution')
    fact = f'rclpy {version} ({name}), {rmw}'
    if rmw and 'fastrtps' not in rmw:
        return Check(Level.WARN, fact, 'the shipped transport profile is for Fast DDS; set RMW_IMPLEMENTATION=rmw_fastrtps_cpp')
    if int(version.split('.')[0]) not in TESTED_RCLPY:
        return Check(Level.WARN, fact, f'tested with {", ".join(TESTED_RCLPY.values())} only')
    return Check(Level.OK, fact)


def check_messages(problem: str) -> Check:
    """Whether our own messages import; ``problem`` is empty when they do."""
    if problem:
        cure = 'build the package: colcon build, or make demo; then source install/setup.bash or use .venv/bin'
        return Check(Level.FAIL, f'moe_bev_ros messages: {problem}', cure)
    return Check(Level.OK, 'moe_bev_ros messages import')


def check_profile(environment: Mapping[str, str], shipped: Path, free_shared_memory_bytes: int | None) -> list[Check]:
    """Whether Fast DDS finds a profile, and whether its shared-memory segment fits /dev/shm.

    Args:
        environment: of the user's shell. Nodes started by ``moe-bev`` or our launch files get the shipped profile anyway.
        free_shared_memory_bytes: free in /dev/shm; None: there is none.
    """
    own = next((environment[name] for name in PROFILE_VARIABLES if environment.get(name)), '')
    checks = []
    if own:
        checks.append(Check(Level.OK, f'transport profile {own}'))
    else:
        cure = f'export {transport_profile(environment)[0]}={shipped} for nodes you start by hand; ours set it themselves'
        checks.append(Check(Level.WARN, 'transport profile not set in this shell', cure))
    path = Path(own) if own else shipped
    try:
        segment_bytes = largest_segment_bytes(path.read_text())
    except (OSError, UnicodeDecodeError, ET.ParseError) as err:
        return [*checks, Check(Level.FAIL, f'transport profile {path} cannot be read: {err}', f'use {shipped}')]
    return [*checks, _check_segment(path, segment_bytes, free_shared_memory_bytes)]


def largest_segment_bytes(profile: str) -> int:
    """Size of the largest shared-memory segment in a Fast DDS profile; 0 without one.

    Raises:
        xml.etree.ElementTree.ParseError: no XML.
    """
    elements = [element for element in ET.fromstring(profile).iter() if element.tag.rpartition('}')[2] == 'segment_size']
    texts = [(element.text or '').strip() for element in elements]
    return max((int(text) for text in texts if text.isdigit()), default=0)


def check_abandoned(segments: int) -> Check:
    """Shared memory that killed processes left behind."""
    if segments:
        cure = 'the next node that starts gives it back; or rm them where no ROS process runs'
        return Check(Level.WARN, f'{segments} shared-memory segments in /dev/shm belong to no process', cure)
    return Check(Level.OK, 'no abandoned shared memory')


def check_receive_buffer(rmem_max_bytes: int | None) -> Check:
    """net.core.rmem_max: what UDP may buffer, for messages that come from another machine."""
    if rmem_max_bytes is None:
        return Check(Level.WARN, 'net.core.rmem_max is not readable', 'look it up with sysctl on the host')
    fact = f'net.core.rmem_max {rmem_max_bytes / 2**20:.1f} MiB'
    if rmem_max_bytes < WANTED_RMEM_BYTES:
        return Check(
            Level.WARN, fact, f'for images from other machines: sudo sysctl -w net.core.rmem_max={4 * WANTED_RMEM_BYTES}'
        )
    return Check(Level.OK, fact)


def check_cores(cores: int, load_1min: float) -> Check:
    """CPU cores, and whether something else uses them."""
    fact = f'{cores} CPU cores, load {load_1min:.1f}'
    if cores < 2:
        return Check(Level.WARN, fact, 'the stack runs as several processes; give it two cores or more')
    if load_1min > cores:
        return Check(Level.WARN, fact, 'other processes keep the cores busy; latencies will suffer')
    return Check(Level.OK, fact)


def check_clock(wall_elapsed_s: float, monotonic_elapsed_s: float, year: int) -> Check:
    """Whether the wall clock is set and runs beside the monotonic one."""
    if year < 2024:
        return Check(Level.FAIL, f'the clock says the year {year}', 'set the clock, or wait for NTP or PTP')
    step_s = abs(wall_elapsed_s - monotonic_elapsed_s)
    if step_s > MAX_CLOCK_STEP_S:
        return Check(Level.WARN, f'the wall clock stepped by {step_s * 1e3:.0f} ms', 'let NTP or PTP slew it, not step it')
    return Check(Level.OK, 'wall clock runs beside the monotonic clock')


def check_engines(versions: Mapping[str, str | None], cuda: str | None) -> list[Check]:
    """Which run-times engines find here.

    Args:
        versions: of torch, onnxruntime, openvino, tensorrt; None: not importable.
        cuda: device that torch sees, if any.
    """
    checks = []
    for name, version in versions.items():
        if version is None:
            checks.append(Check(Level.OK, f'{name}: not installed (optional)'))
        elif name == 'torch':
            checks.append(Check(Level.OK, f'torch {version}, {f"CUDA: {cuda}" if cuda else "CPU only"}'))
        else:
            checks.append(Check(Level.OK, f'{name} {version}'))
    return checks


def check_engine(
    name: str, problem: str, image_size: tuple[int, int] | None, *, is_chosen: bool, is_built: bool = True
) -> Check:
    """Whether bev_node can build an engine: its run-time is installed, and its weights are there and fit.

    Args:
        problem: why not, and the cure after a semicolon; empty: it was built.
        image_size: width and height of the images that it reads [pixels]; None: it reads none.
        is_chosen: it is the one of bev_node's parameters.
        is_built: False: it was only asked whether its run-time is there.
    """
    use = 'chosen by bev_node' if is_chosen else 'not chosen'
    if problem:
        fact, _, cure = problem.removeprefix(f'engine {name}: ').partition('; ')
        return Check(Level.FAIL if is_chosen else Level.WARN, f'engine {name} ({use}): {fact}', cure)
    if not is_built:
        return Check(Level.OK, f'engine {name} ({use}): its run-time is there')
    reads = 'reads no images' if image_size is None else f'reads images of {image_size[0]} x {image_size[1]}'
    return Check(Level.OK, f'engine {name} ({use}): can be built, {reads}')


def check_image_size(name: str, image_size: tuple[int, int] | None, params: Mapping[str, Any]) -> list[Check]:
    """Whether camera_node (its ``ros__parameters``) delivers what the chosen engine reads."""
    given = (params.get('width'), params.get('height'))
    if image_size is None or None in given or given == image_size:
        return []
    fact = f'camera_node delivers images of {given[0]} x {given[1]}, but engine {name} reads {image_size[0]} x {image_size[1]}'
    return [Check(Level.FAIL, fact, f'set width: {image_size[0]} and height: {image_size[1]} of camera_node')]


def check_calibration(params: Mapping[str, Any]) -> list[Check]:
    """Whether the lists in camera_node's parameters fit each other.

    Args:
        params: the ``ros__parameters`` of camera_node.
    """
    names = _strings(params.get('camera_names'))
    if not names:
        return [Check(Level.FAIL, 'calibration: no camera_names', 'give camera_node 1 to 12 names')]
    checks = [*_list_lengths(params, len(names)), *_list_values(params, names)]
    return checks or [Check(Level.OK, f'calibration: lists of {len(names)} cameras fit each other')]


def node_params(document: Any, node: str) -> Mapping[str, Any]:
    """The parameters of a node in a ROS parameter file that was parsed from YAML; empty where there are none."""
    if not isinstance(document, Mapping):
        return {}
    found: dict[str, Any] = {}
    for name, section in document.items():
        if isinstance(section, Mapping) and re.fullmatch(rf'/?\*\*|.*{node}', str(name)):
            found.update(section.get('ros__parameters') or {})
    return found


def _check_segment(path: Path, segment_bytes: int, free_bytes: int | None) -> Check:
    fact = f'shared-memory segment of {segment_bytes / 2**20:.0f} MiB a process'
    if segment_bytes == 0:
        return Check(Level.FAIL, f'{path.name} has no shared-memory transport', 'raw images get lost without one')
    if free_bytes is None:
        return Check(Level.FAIL, f'{fact}, but there is no /dev/shm', 'mount a tmpfs there')
    fact += f', {free_bytes / 2**20:.0f} MiB free in /dev/shm'
    if free_bytes < segment_bytes:
        return Check(
            Level.FAIL, fact, 'make it larger: mount -o remount,size=2G /dev/shm (docker: --shm-size=2g or --ipc=host)'
        )
    if free_bytes < NODES_WITH_BIG_MESSAGES * segment_bytes or segment_bytes < WANTED_SEGMENT_BYTES:
        wanted = NODES_WITH_BIG_MESSAGES * WANTED_SEGMENT_BYTES // 2**20
        return Check(Level.WARN, fact, f'six raw cameras want 256 MiB a process, {wanted} MiB in all')
    return Check(Level.OK, fact)


def _list_lengths(params: Mapping[str, Any], num: int) -> list[Check]:
    checks = []
    for name, per_camera in (
        ('image_topics', 1),
        ('camera_info_topics', 1),
        ('frame_ids', 1),
        ('time_offsets_s', 1),
        ('extrinsics', 6),
    ):
        values = params.get(name)
        if values and len(values) != num * per_camera:
            fact = f'calibration: {name} has {len(values)} entries for {num} cameras'
            checks.append(Check(Level.FAIL, fact, f'give {num * per_camera}, or leave it empty'))
    return checks


def _list_values(params: Mapping[str, Any], names: Sequence[str]) -> list[Check]:
    checks = []
    for name, values in (('camera_names', names), ('image_topics', _strings(params.get('image_topics')))):
        twice = sorted({value for value in values if list(values).count(value) > 1})
        if twice:
            checks.append(Check(Level.FAIL, f'calibration: {name} holds {", ".join(twice)} twice', 'give every camera its own'))
    anchor = params.get('anchor_camera')
    if anchor and anchor not in names:
        checks.append(Check(Level.FAIL, f'calibration: anchor_camera {anchor} is no camera', f'one of {", ".join(names)}'))
    offsets = [value for value in params.get('time_offsets_s') or [] if not abs(float(value)) < 1.0]
    if offsets:
        checks.append(Check(Level.FAIL, f'calibration: time offset of {offsets[0]} s', 'offsets are seconds, below 1'))
    for name, pose in zip(names, _rows_of_six(params.get('extrinsics'))):
        if not all(math.isnan(value) for value in pose) and not all(math.isfinite(value) for value in pose):
            checks.append(
                Check(Level.FAIL, f'calibration: pose of {name} is not finite', 'six numbers, or six times .nan for tf')
            )
        elif any(abs(value) > 2.0 * math.pi for value in pose[3:]):
            checks.append(Check(Level.FAIL, f'calibration: {name} is turned by {max(pose[3:], key=abs):g} rad', 'not degrees'))
        elif any(abs(value) > 30.0 for value in pose[:3]):
            checks.append(
                Check(Level.FAIL, f'calibration: {name} is {max(pose[:3], key=abs):g} m away', 'metres, in base_link')
            )
    return checks


def _rows_of_six(values: Any) -> list[list[float]]:
    numbers = [float(value) for value in values or []]
    return [numbers[start : start + 6] for start in range(0, len(numbers) - 5, 6)]


def _strings(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []
