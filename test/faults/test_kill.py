"""``kill -9`` of every process of the real stack while it drives in the simulated world."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults.killing import Watch, child_environment, is_alive
from std_srvs.srv import SetBool

from harness import ros
from moe_bev_ros.msg import VehicleCommand, WorldTruth
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.stack import MANAGER, WORLD, Stack, load_stack, sim_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SAID_WITHIN_S = 1.0
BACK_WITHIN_S = 5.0
DRIVING_MPS = 2.0
STANDSTILL_MPS = 0.1


def driving_stack() -> Stack:
    """The shipped stack in a world that runs on the wall clock, with few pixels, which two busy cores can draw in time."""
    config = config_dir()
    return sim_stack(load_stack(config / 'stack.yaml'), config, realtime=True, image_width=88, image_height=32)


class Drive(Watch):
    """The watch of a stack that drives."""

    def __init__(self, harness) -> None:
        super().__init__(driving_stack(), harness)
        self.truth = WorldTruth()
        self.command = VehicleCommand()
        self.count_outputs(VehicleCommand, '/moe_bev/vehicle_command', self._is_answer)
        harness.peer.create_subscription(WorldTruth, '/moe_bev/world/truth', self._on_truth, 10)
        self._engage = harness.peer.create_client(SetBool, '/control_node/engage')

    def engage(self) -> None:
        """Let the vehicle drive, as soon as there is a plan."""
        self.until(self._engage.service_is_ready, 30.0)
        self.until(self._is_engaged, 30.0)

    def _is_engaged(self) -> bool:
        future = self._engage.call_async(SetBool.Request(data=True))
        self.until(future.done, 30.0)
        return bool(future.result().success)

    def until_driving(self) -> None:
        """Wait until the vehicle moves."""
        self.until(lambda: self.truth.ego_speed > DRIVING_MPS, 60.0)

    def kill_in_time(self, name: str) -> None:
        """Kill a node and check the times."""
        speed_mps = self.truth.ego_speed
        said_s, back_s = self.kill(name)
        if name == 'control_node':  # nobody commands, so the vehicle brakes by itself
            assert self.truth.ego_speed < speed_mps
        print(f'{name}: at {speed_mps:.1f} m/s, said after {said_s:.2f} s, back after {back_s:.2f} s')  # noqa: T201
        assert said_s < SAID_WITHIN_S
        assert back_s < BACK_WITHIN_S

    def _is_answer(self, command: VehicleCommand) -> bool:
        self.command = command
        return command.first_of_plan

    def _on_truth(self, truth: WorldTruth) -> None:
        self.truth = truth


def test_every_process_can_be_killed_while_the_vehicle_drives():
    with ros() as harness:
        drive = Drive(harness)
        with drive.launcher:
            drive.until_active()
            drive.engage()
            for name in ('camera_node', 'lidar_node', 'bev_node', 'planner_node', MANAGER):
                drive.until_driving()
                drive.kill_in_time(name)
            drive.until_driving()
            drive.kill_in_time('control_node')
            drive.until(lambda: drive.truth.ego_speed < STANDSTILL_MPS, BACK_WITHIN_S)
            assert not drive.command.engaged
            assert drive.command.brake > 0.0
            drive.kill_in_time(WORLD)
            pids = list(drive.launcher.pids.values())
        assert len(pids) == 7
        assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_node_outlives_moe_bev_up(tmp_path: Path, number: signal.Signals):
    command = [sys.executable, '-m', 'moe_bev_ros.cli', 'up', '--sim', '--log-dir', str(tmp_path)]
    up = subprocess.Popen(command, env=child_environment(), stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    line = up.stderr.readline()
    pids = [int(word.strip(',;')) for word in line.split() if word.strip(',;').isdigit()]
    assert len(pids) == 7, line
    os.kill(up.pid, number)
    up.communicate(timeout=30)
    deadline_s = time.monotonic() + 5.0
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
