"""The simulated world as a node: sensors, odometry, tf and /clock out, vehicle commands in.

Lock-step (the default): time stands still after each sensor frame until the command of its stamp has come, so that a slow
machine changes nothing but the wall time; for the same reason /clock goes on once a frame, or how often a node's timers fire
in between would depend on the machine. ``realtime``: time runs with the wall clock and the newest command holds for 0.2 s.
Nothing here blocks: a command or a steady timer moves a small state machine on. No clock is sent before the stack listens.
A stack can only be engaged once it has a plan, so lock-step time also stands still at the first frame until an engaged command
comes: every run begins alike. A stack that nobody engages goes on after a while.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

import moe_bev_ros.msg as m
from moe_bev_ros.control.pedal_map import Pedals, load_pedals
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.nodes import world_messages as wm
from moe_bev_ros.nodes.base import LATCHED_QOS, SENSOR_QOS, TF_STATIC_QOS, StackNode, run, stamp_to_ns
from moe_bev_ros.nodes.convert import BASE_LINK, command_from_msg, time_to_msg
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.threads import limit_threads
from moe_bev_ros.srv import ResetWorld
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import STREET, draw_scenario
from moe_bev_ros.world.simulation import STEP_NS, World
from moe_bev_ros.world.vehicle import FULL_BRAKE

FRAME_STEPS = 5  # of STEP_NS: sensors at 10 Hz
POLL_PERIOD_S = 0.02
TRUTH_PERIOD_S = 0.2
COMMAND_TIMEOUT_S = 0.2
FIRST_ANSWER_TIMEOUT_S = 10.0
SETTLE_S = 0.5  # from the first subscriptions of a node until it is active
SILENT_STACK_S = 3.0
LATE_STACK_S = 60.0  # a network may take so long to load, or to be built, before its node is active
MAX_CATCH_UP_STEPS = 10
STREAM_QOS = QoSProfile(depth=50)


@dataclass(frozen=True)
class WorldParams:
    """Parameters of world_node."""

    seed: int = param(1, 'which world', low=0, read_only=True)
    scenario_kind: str = param('', "kind of scenario, as cut_in or roundabout; empty: the demo's street", read_only=True)
    realtime: bool = param(False, 'run on the wall clock instead of waiting for every command', read_only=True)
    lockstep_timeout_s: float = param(1.0, 'wait this long for the command of a frame, wall time [s]', low=0.05, high=600.0)
    duration_s: float = param(0.0, 'send no sensor frames after this much simulated time; 0: without end [s]', low=0.0)
    image_width: int = param(352, 'of every camera [pixels]', low=16, high=4096, read_only=True)
    image_height: int = param(128, 'of every camera [pixels]', low=16, high=4096, read_only=True)
    num_threads: int = num_threads_param('render', default=2)
    blind: str = param('none', 'sensors that fall silent: none (or empty), lidar or cameras')
    blind_after_s: float = param(3.0, 'when they do, simulated time since the first frame [s]', low=0.0)
    publish_goal: bool = param(False, 'send the end of the road to /goal_pose when the run begins', read_only=True)

    def __post_init__(self) -> None:
        if self.blind not in ('', 'none', 'lidar', 'cameras'):
            raise ValueError(f"blind must be 'none', 'lidar' or 'cameras', got {self.blind!r}")


class Phase(Enum):
    """What the world waits for."""

    STACK = 'the stack'  # subscribers on the sensor topics, and a first command
    ANSWER = 'a command'  # lock-step: the command of the frame that was sent
    CLOCK = 'the clock'  # realtime: the next step
    DONE = 'nothing'  # the duration is over


class WorldNode(StackNode[WorldParams]):
    """Drives the vehicle with the stack's commands and shows it what follows."""

    def __init__(self) -> None:
        super().__init__('world_node', WorldParams)
        self._world: World | None = None
        self.create_service(ResetWorld, '~/reset', self._on_reset)

    def setup(self) -> None:
        """Build the world and render once, so that everything is compiled before the first frame."""
        limit_threads(self.params.num_threads)
        shipped = config_dir() / 'pedals'
        self._pedals: Pedals = load_pedals(shipped / 'accel_map.csv', shipped / 'brake_map.csv')
        self._rig = Rig(NUSCENES_RIG.cameras, image_width=self.params.image_width, image_height=self.params.image_height)
        self._static_sent = self._engaged = False
        self._make_world(self.params.seed)
        self._advertise_all()
        self.subscribe(m.VehicleCommand, '~/input/command', self._on_command, STREAM_QOS, stamped=False)
        self.every(POLL_PERIOD_S, self._poll, steady=True)
        self.every(TRUTH_PERIOD_S, self._send_truth, steady=True)

    def extra_diagnostics(self) -> dict[str, str]:
        """How far the run is."""
        if self._world is None:
            return {}
        return {
            'waits for': self._phase.value,
            'seed': str(self._world.scenario.seed),
            'time [s]': f'{self._world.time_s:.2f}',
            'frames': str(self._frames),
            'commands': str(self._commands),
        }

    def _advertise_all(self) -> None:
        self._clock_out = self.advertise(Clock, '/clock', STREAM_QOS)
        self._odometry_out = self.advertise(Odometry, '/localization/kinematic_state', STREAM_QOS)
        self._tf_out = self.advertise(TFMessage, '/tf', STREAM_QOS)
        self._tf_static_out = self.advertise(TFMessage, '/tf_static', TF_STATIC_QOS)
        self._lights_out = self.advertise(m.TrafficLights, '/moe_bev/traffic_lights')
        self._goal_out = self.advertise(PoseStamped, '/goal_pose', LATCHED_QOS)
        self._truth_out = self.advertise(m.WorldTruth, '~/output/truth', STREAM_QOS)
        self._cloud_out = self.advertise(PointCloud2, f'/sensing/lidar/{self._rig.lidar.name}/points', SENSOR_QOS)
        names = [camera.name for camera in self._rig.cameras]
        self._images_out = [self.advertise(Image, f'/sensing/camera/{name}/image_raw', SENSOR_QOS) for name in names]
        self._infos_out = [self.advertise(CameraInfo, f'/sensing/camera/{name}/camera_info', SENSOR_QOS) for name in names]

    def _make_world(self, seed: int) -> None:
        if self._world is not None:
            self._world.close()
        scenario = draw_scenario(seed, self.params.scenario_kind or STREET)
        self._world = World(scenario, self._pedals, self._rig, Vehicle(), self.params.num_threads)
        self._world.sense()
        self._phase = Phase.STACK
        self._start_ns = self._world.stamp_ns
        self._frames = self._commands = 0
        self._pending_ns = 0
        self._unanswered: set[int] = set()
        self._answered_once = False
        self._command: Command = FULL_BRAKE
        self._command_at_s = 0.0  # steady time; 0: none yet
        self._waiting_since_s = self._connected_s = time.monotonic()

    # Input ---------------------------------------------------------------------------------------------------------------

    def _on_command(self, message: m.VehicleCommand, receive_ns: int) -> None:
        command = command_from_msg(message)
        self._engaged, self._command, self._command_at_s = command.engaged, command, receive_ns / 1e9
        stamp_ns = stamp_to_ns(message.header.stamp)
        if message.first_of_plan and stamp_ns in self._unanswered:
            self._unanswered.remove(stamp_ns)
            self._commands += 1
            self._answered_once = True
        may_go_on = command.engaged or self._frames > 1
        if self._phase is Phase.ANSWER and self._is_answered and may_go_on:
            self._advance_frame(command)

    def _on_reset(self, request: ResetWorld.Request, response: ResetWorld.Response) -> ResetWorld.Response:
        response.success = self.is_active
        response.message = f'world of seed {request.seed}' if self.is_active else 'not active; activate first'
        if self.is_active:
            self._make_world(int(request.seed))
        self.get_logger().info(f'reset: {response.message}')
        return response

    # State machine -------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        if not self._static_sent:
            self._tf_static_out.publish(wm.rig_to_tf(self._rig))
            self._static_sent = True
        now_s = time.monotonic()
        if self._phase is Phase.STACK and self._stack_listens(now_s):
            self._begin(now_s)
        elif self._phase is Phase.CLOCK:
            self._keep_up(now_s)
        elif self._phase is Phase.ANSWER:
            self._check_timeout(now_s)

    def _stack_listens(self, now_s: float) -> bool:
        """Everything is connected, and the stack was engaged, or was not for a while after its first command, or is silent."""
        sensors = [self._cloud_out, *self._images_out]
        topic = self.resolve_topic_name('~/input/command')
        if any(not out.get_subscription_count() for out in sensors) or not self.count_publishers(topic):
            self._waiting_since_s = self._connected_s = now_s
            return False
        if not self._command_at_s and now_s - self._connected_s < LATE_STACK_S:  # connected nodes may not be active yet
            self._waiting_since_s = now_s
            return False
        return now_s - self._waiting_since_s > (SETTLE_S if self._engaged else SILENT_STACK_S)

    def _begin(self, now_s: float) -> None:
        world = self._the_world
        self.get_logger().info(f'the stack listens; the world of seed {world.scenario.seed} begins')
        if self.params.publish_goal:
            self._goal_out.publish(wm.goal_to_msg(world.scenario.goal_3, world.stamp_ns))
        self._clock_zero_s = now_s - world.time_s
        self._send_clock()
        self._send_motion()
        self._send_frame()

    def _advance_frame(self, command: Command) -> None:
        """Lock-step: one sensor period with this command, then the next frame."""
        for _ in range(FRAME_STEPS):
            self._the_world.step(command)
            self._send_motion()
        self._send_clock()
        self._send_frame()

    @property
    def _is_answered(self) -> bool:
        return self._pending_ns not in self._unanswered

    def _check_timeout(self, now_s: float) -> None:
        if self._is_answered:  # but nobody has engaged the stack
            if now_s - self._waiting_since_s > SILENT_STACK_S:
                self._advance_frame(self._command)
            return
        limit_s = self.params.lockstep_timeout_s if self._answered_once else FIRST_ANSWER_TIMEOUT_S
        if now_s - self._waiting_since_s > limit_s:
            stamp_s = self._pending_ns / 1e9
            self.warn_slowly(f'{self.resolve_topic_name("~/input/command")}: no command for {stamp_s:.2f} s; braking fully')
            self._advance_frame(FULL_BRAKE)

    def _keep_up(self, now_s: float) -> None:
        """Realtime: as many steps as the wall clock has gone on; time that a busy machine has missed is not made up for."""
        due = int((now_s - self._clock_zero_s) * 1e9) // STEP_NS - self._the_world.steps
        if due > MAX_CATCH_UP_STEPS:
            self._clock_zero_s += (due - 1) * STEP_NS / 1e9
            due = 1
        for _ in range(due):
            fresh = self._command_at_s > 0.0 and time.monotonic() - self._command_at_s <= COMMAND_TIMEOUT_S
            self._the_world.step(self._command if fresh else FULL_BRAKE)
            self._send_clock()
            self._send_motion()
            if self._the_world.steps % FRAME_STEPS == 0:
                self._send_frame()
            if self._phase is Phase.DONE:
                return

    # Output --------------------------------------------------------------------------------------------------------------

    def _send_clock(self) -> None:
        self._clock_out.publish(Clock(clock=time_to_msg(self._the_world.stamp_ns)))

    def _send_motion(self) -> None:
        world = self._the_world
        stamp_ns = world.stamp_ns
        self._odometry_out.publish(
            wm.odometry_to_msg(world.map_se3_base_link, world.ego.speed_mps, world.yaw_rate_radps, stamp_ns)
        )
        pose = wm.transform_to_msg(world.map_se3_base_link, wm.MAP, BASE_LINK, stamp_ns)
        self._tf_out.publish(TFMessage(transforms=[pose]))

    def _send_frame(self) -> None:
        world, params = self._the_world, self.params
        since_s = (world.stamp_ns - self._start_ns) / 1e9
        if params.duration_s > 0.0 and since_s > params.duration_s - 1e-6:
            self._phase = Phase.DONE
            self._send_truth()
            return
        stamp_ns = world.stamp_ns
        self._pending_ns, self._waiting_since_s = stamp_ns, time.monotonic()
        self._phase = Phase.CLOCK if params.realtime else Phase.ANSWER
        self._unanswered.add(stamp_ns)
        self._frames += 1
        self._lights_out.publish(wm.lights_to_msg(world.scene.lights, stamp_ns))
        self._send_sensors(stamp_ns, params.blind if since_s >= params.blind_after_s else 'none')
        self._send_truth()

    def _send_sensors(self, stamp_ns: int, blind: str) -> None:
        sensed = self._the_world.sense()
        if blind != 'lidar':
            self._cloud_out.publish(wm.points_to_cloud(sensed.points_n6, self._rig.lidar.name, stamp_ns))
        if blind == 'cameras':
            return
        for camera, image_hw3, image_out, info_out in zip(
            self._rig.cameras, sensed.images_nhw3, self._images_out, self._infos_out
        ):
            info_out.publish(wm.camera_info_to_msg(camera, self._rig, stamp_ns))
            image_out.publish(wm.image_to_msg(image_hw3, camera.name, stamp_ns))

    def _send_truth(self) -> None:
        world = self._the_world
        self._truth_out.publish(
            wm.truth_to_msg(world.truth(), world.map_se3_base_link, world.stamp_ns, self._frames, self._commands)
        )

    @property
    def _the_world(self) -> World:
        if self._world is None:
            raise InputError('there is no world yet; configure the node first')
        return self._world


def main() -> None:
    """Run the node."""
    run(WorldNode)


if __name__ == '__main__':
    main()
