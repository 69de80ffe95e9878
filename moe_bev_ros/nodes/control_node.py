"""Trajectory and odometry in, pedals and steering out, at 50 Hz and at once when a plan comes.

Every plan is answered by exactly one command with ``first_of_plan``, stamped as the plan, also when that command
brakes. In between the 50 Hz timer repeats: stamped as the plan while it is followed, stamped *now* while the node
brakes on a doubt.

A plan, odometry or objects are old by their stamp on ROS time. Where time is not simulated, the time since their arrival on the
steady clock counts too, so that a wall clock that is set back cannot make old data look new. In simulated time it
must not count: a world that waits for us, or runs slower than real time, would look dead.

On every way out (deactivation, shutdown, signal, error) the last command is full brake.

The timer runs on the steady clock: a wall clock that is set back would stop a ROS timer, and with it the commands. Simulated
time that stands still asks for no repeat, unless it has not begun: then the vehicle is braked until it does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.emergency_braking import BrakingSettings
from moe_bev_ros.control.limits import Limits
from moe_bev_ros.control.pedal_map import load_pedals
from moe_bev_ros.control.safety import SafetyEnvelope, SafetySettings, Situation
from moe_bev_ros.control.speed_control import SpeedGains
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import Objects, Trajectory, VehicleCommand
from moe_bev_ros.nodes.base import FRAME_QOS, StackNode, run, stamp_to_ns
from moe_bev_ros.nodes.convert import command_to_msg, ego_from_msg, plan_from_msg, scene_from_msg, trace_from_msg
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.threads import limit_threads

PERIOD_S = 0.02
PLAN_PERIOD_S = 0.1
LAST_WORD_S = 0.1  # the longest wait until everybody has heard the last command


@dataclass(frozen=True)
class ControlParams:
    """Parameters of control_node."""

    accel_map: str = param('', 'accelerator map, a CSV as Autoware writes it; empty: the shipped one', read_only=True)
    brake_map: str = param('', 'brake map, likewise', read_only=True)
    max_throttle: float = param(0.6, 'highest throttle [0..1]', low=0.0, high=1.0, read_only=True)
    max_brake: float = param(0.8, 'highest brake outside an emergency [0..1]', low=0.1, high=1.0, read_only=True)
    wheelbase_m: float = param(2.8, 'distance between the axles [m]', low=0.5, high=10.0, read_only=True)
    vehicle_length_m: float = param(4.6, 'bumper to bumper [m]', low=0.5, high=20.0, read_only=True)
    vehicle_width_m: float = param(1.9, 'without mirrors [m]', low=0.3, high=4.0, read_only=True)
    rear_overhang_m: float = param(0.9, 'rear bumper to rear axle [m]', low=0.0, high=5.0, read_only=True)
    max_steering_angle_rad: float = param(0.6, 'of the virtual front wheel [rad]', low=0.05, high=1.4, read_only=True)
    max_steering_rate_radps: float = param(0.8, 'of the virtual front wheel [rad/s]', low=0.05, high=10.0, read_only=True)
    lookahead_time_s: float = param(0.8, 'pure pursuit looks this far ahead [s]', low=0.1, high=5.0)
    min_lookahead_m: float = param(4.0, 'but at least [m]', low=0.5, high=50.0)
    max_lookahead_m: float = param(20.0, 'and at most [m]', low=1.0, high=100.0)
    preview_s: float = param(0.1, 'the pedals answer this late; the plan is read this far ahead [s]', low=0.0, high=1.0)
    speed_kp: float = param(1.0, 'proportional gain [m/s2 per m/s]', low=0.0, high=10.0)
    speed_ki: float = param(0.15, 'integral gain [m/s2 per m]', low=0.0, high=10.0)
    speed_kd: float = param(0.0, 'derivative gain [m/s2 per m/s2]', low=0.0, high=10.0)
    station_gain: float = param(0.5, 'wanted speed per metre behind the plan [1/s]', low=0.0, high=5.0)
    max_speed_mps: float = param(25.0, '[m/s]', low=0.0, high=60.0)
    max_acceleration_mps2: float = param(3.0, '[m/s2]', low=0.1, high=10.0)
    max_deceleration_mps2: float = param(5.0, 'while following a plan [m/s2]', low=0.5, high=10.0)
    max_jerk_mps3: float = param(5.0, 'while following a plan [m/s3]', low=0.1, high=100.0)
    max_braking_jerk_mps3: float = param(10.0, 'likewise, while pressing the brake [m/s3]', low=0.1, high=100.0)
    max_lateral_acceleration_mps2: float = param(5.0, '[m/s2]', low=0.5, high=10.0)
    plan_timeout_s: float = param(0.5, 'a plan older than this is not followed [s]', low=0.05, high=10.0)
    odometry_timeout_s: float = param(0.5, 'odometry older than this brakes [s]', low=0.05, high=10.0)
    require_objects: bool = param(
        True, 'brake while no objects come; false: drive without, for use without our perception', read_only=True
    )
    objects_timeout_s: float = param(0.5, 'objects older than this brake, and are not braked for [s]', low=0.05, high=10.0)
    blind_timeout_s: float = param(0.5, 'perception without its sensors for longer than this brakes [s]', low=0.0, high=10.0)
    disengage_after_s: float = param(
        8.0, 'a doubt that lasts longer than this disengages; a node that died is back within 5 s [s]', low=1.0, high=600.0
    )
    max_lateral_error_m: float = param(3.0, 'farther beside the plan than this brakes [m]', low=0.1, high=50.0)
    doubt_deceleration_mps2: float = param(3.5, 'braking on a doubt [m/s2]', low=0.5, high=10.0)
    emergency_deceleration_mps2: float = param(8.0, 'what fully pressed brakes give [m/s2]', low=1.0, high=12.0)
    aeb_deceleration_mps2: float = param(6.0, 'emergency braking counts on this [m/s2]', low=1.0, high=12.0)
    aeb_reaction_s: float = param(0.2, 'time until the brakes act [s]', low=0.0, high=2.0)
    aeb_margin_m: float = param(0.5, 'left in front of the obstacle [m]', low=0.0, high=10.0)
    num_threads: int = num_threads_param()

    def __post_init__(self) -> None:
        if self.min_lookahead_m > self.max_lookahead_m:
            raise ValueError(f'min_lookahead_m {self.min_lookahead_m} must not exceed max_lookahead_m {self.max_lookahead_m}')

    def vehicle(self) -> Vehicle:
        """Size and steering of the vehicle."""
        return Vehicle(
            wheelbase_m=self.wheelbase_m,
            length_m=self.vehicle_length_m,
            width_m=self.vehicle_width_m,
            rear_overhang_m=self.rear_overhang_m,
            max_steering_rad=self.max_steering_angle_rad,
            max_steering_rate_radps=self.max_steering_rate_radps,
        )

    def controller(self) -> ControllerSettings:
        """Settings of the controller."""
        return ControllerSettings(
            lookahead_time_s=self.lookahead_time_s,
            min_lookahead_m=self.min_lookahead_m,
            max_lookahead_m=self.max_lookahead_m,
            preview_s=self.preview_s,
            station_gain=self.station_gain,
            gains=SpeedGains(self.speed_kp, self.speed_ki, self.speed_kd),
            limits=Limits(
                max_speed_mps=self.max_speed_mps,
                max_acceleration_mps2=self.max_acceleration_mps2,
                max_deceleration_mps2=self.max_deceleration_mps2,
                max_jerk_mps3=self.max_jerk_mps3,
                max_braking_jerk_mps3=self.max_braking_jerk_mps3,
                max_lateral_acceleration_mps2=self.max_lateral_acceleration_mps2,
            ),
        )

    def safety(self) -> SafetySettings:
        """Settings of the safety envelope."""
        return SafetySettings(
            plan_timeout_s=self.plan_timeout_s,
            odometry_timeout_s=self.odometry_timeout_s,
            objects_timeout_s=self.objects_timeout_s,
            require_objects=self.require_objects,
            blind_timeout_s=self.blind_timeout_s,
            max_lateral_error_m=self.max_lateral_error_m,
            doubt_deceleration_mps2=self.doubt_deceleration_mps2,
            emergency_deceleration_mps2=self.emergency_deceleration_mps2,
            braking=BrakingSettings(self.aeb_deceleration_mps2, self.aeb_reaction_s, self.aeb_margin_m),
        )


class ControlNode(StackNode[ControlParams]):
    """Brakes until ``~/engage`` is called, and on any doubt.

    Only what could be followed at once is engaged. A doubt that lasts, a jump of time (a bag that loops, a world that is reset)
    and a restart disengage: whoever is in charge has to call again, rather than be surprised by a vehicle that drives off.
    """

    def __init__(self) -> None:
        super().__init__('control_node', ControlParams)
        self._engaged = False
        self._plan: Plan | None = None
        self._ego: EgoMotion | None = None
        self._scene: Scene | None = None
        self._plan_at_s = self._ego_at_s = self._scene_at_s = 0.0
        self._repeated_ns = 0
        self._sure_s = 0.0  # when the last command without a doubt was given
        self._doubt = ''
        self._envelope: SafetyEnvelope | None = None
        self.create_service(SetBool, '~/engage', self._on_engage)

    def setup(self) -> None:
        """Load the pedal maps; make publisher, subscriptions and timers."""
        params, shipped = self.params, config_dir() / 'pedals'
        limit_threads(params.num_threads)
        pedals = load_pedals(
            Path(params.accel_map or shipped / 'accel_map.csv'),
            Path(params.brake_map or shipped / 'brake_map.csv'),
            max_throttle=params.max_throttle,
            max_brake=params.max_brake,
        )
        self._envelope = SafetyEnvelope(Controller(params.vehicle(), pedals, params.controller()), params.safety())
        self._output = self.advertise(VehicleCommand, '~/output/command')
        self.subscribe(Odometry, '~/input/odometry', self._on_odometry, period_s=PLAN_PERIOD_S, patient=True)
        required = params.require_objects
        self.subscribe(
            Objects, '~/input/objects', self._on_objects, required=required, period_s=PLAN_PERIOD_S if required else 0.0
        )
        if not required:
            self.get_logger().warning('require_objects is false: no emergency braking while no objects come')
        self.subscribe(
            Trajectory, '~/input/trajectory', self._on_trajectory, FRAME_QOS, period_s=PLAN_PERIOD_S, newest_only=True
        )
        self.every(PERIOD_S, self._repeat_in_time, steady=True)

    def forget(self) -> None:
        """Time jumped or the state changed: no plan, no motion, not engaged; an emergency lasts."""
        self._engaged = False
        self._plan = self._ego = self._scene = None
        if self._envelope:
            self._envelope.forget_times()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate: no emergency either."""
        if self._envelope:
            self._envelope.reset()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate: brake with the last command."""
        self._brake_for_good('control_node is deactivated')
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut down: likewise, where it was active."""
        self._brake_for_good('control_node is shut down')
        return super().on_shutdown(state)

    def last_word(self) -> None:
        """The process ends: likewise."""
        self._brake_for_good('control_node ends')

    def params_changed(self) -> None:
        """Take over new tuning without losing what the controller remembers."""
        if self._envelope:
            self._envelope.settings = self.params.safety()
            self._envelope.controller.settings = self.params.controller()

    def extra_diagnostics(self) -> dict[str, str]:
        """Whether it drives, and why not."""
        return {'engaged': str(self._engaged).lower(), 'braking for': self._doubt}

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._engaged, response.message = False, 'cannot engage: it failed; see the log'
        self._defended('~/engage', lambda: self._engage(bool(request.data), response))
        return response

    def _engage(self, wanted: bool, response: SetBool.Response) -> None:
        problem = self._engage_problem() if wanted else ''
        self._engaged = wanted and not problem
        response.success = not problem
        response.message = f'cannot engage: {problem}' if problem else 'engaged' if wanted else 'braking'
        if problem:
            self.warn_slowly(response.message)
        else:
            self.get_logger().info(response.message)
        if self.is_active:
            self._repeat()  # at once; a world that waits for it lets no time pass

    def _engage_problem(self) -> str:
        if self._envelope is None or not self.is_active:
            return 'not active; activate first'
        return '; '.join(self._envelope.doubts(self._situation()))

    def _on_trajectory(self, message: Trajectory, receive_ns: int) -> None:
        problem = None
        try:
            self._plan = plan_from_msg(message)
        except InputError as err:
            problem = err
            stamp_ns, frame_id = stamp_to_ns(message.header.stamp), message.header.frame_id
            self._plan = Plan(stamp_ns, frame_id, np.zeros((0, 7)), reason=f'unusable plan: {err}')
        self._plan_at_s = receive_ns / 1e9
        command = self._command()
        trace = trace_from_msg(message.trace).passed('control_node', receive_ns, time.monotonic_ns())
        self._output.publish(command_to_msg(command, self._plan.stamp_ns, True, trace))
        if problem:
            raise problem

    def _on_odometry(self, message: Odometry, receive_ns: int) -> None:
        self._ego = None  # what cannot be read leaves no motion behind: it brakes
        self._ego = ego_from_msg(message)
        self._ego_at_s = receive_ns / 1e9

    def _on_objects(self, message: Objects, receive_ns: int) -> None:
        self._scene = None  # likewise
        self._scene = scene_from_msg(message, with_forecasts=False)
        self._scene_at_s = receive_ns / 1e9

    def _repeat_in_time(self) -> None:
        now_ns = self.now_ns()
        if now_ns != self._repeated_ns or now_ns == 0:
            self._repeated_ns = now_ns
            self._repeat()

    def _repeat(self) -> None:
        command = self._command()
        stamp_ns = self._plan.stamp_ns if self._plan and not self._doubt else self.now_ns()
        self._output.publish(command_to_msg(command, stamp_ns, False, Trace()))

    def _brake_for_good(self, reason: str) -> None:
        """The vehicle may go on with the last command that it heard, so let that be full brake."""
        if self._envelope and self._output in self._publishers_made and self._output.is_activated:
            command = self._envelope.last_word(reason)
            self._output.publish(command_to_msg(command, self.now_ns(), False, Trace()))
            self._output.wait_for_all_acked(Duration(seconds=LAST_WORD_S))

    def _command(self) -> Command:
        assert self._envelope is not None  # made by setup, and only an active node gets here
        situation = self._situation()
        command = self._envelope.command(situation)
        self._tell(self._envelope.doubt)
        self._disengage_when_unsure(situation.now_s if self._is_simulated else time.monotonic())
        return command

    def _situation(self) -> Situation:
        assert self._envelope is not None
        now_ns, steady_s, simulated = self.now_ns(), time.monotonic(), self._is_simulated
        tolerance_ns = self._envelope.settings.future_tolerance_s * 1e9
        if self._plan and now_ns < self._plan.stamp_ns <= now_ns + tolerance_ns:
            now_ns = self._plan.stamp_ns  # /clock travels on its own topic and may come after the plan
        return Situation(
            now_s=now_ns / 1e9,
            engaged=self._engaged,
            plan=self._plan,
            ego=self._ego,
            scene=self._scene,
            plan_silence_s=0.0 if simulated else steady_s - self._plan_at_s,
            ego_silence_s=0.0 if simulated else steady_s - self._ego_at_s,
            scene_silence_s=0.0 if simulated else steady_s - self._scene_at_s,
        )

    @property
    def _is_simulated(self) -> bool:
        return bool(self.get_parameter('use_sim_time').value)

    def _disengage_when_unsure(self, clock_s: float) -> None:
        assert self._envelope is not None
        if not self._envelope.is_unsure:
            self._sure_s = clock_s
        elif self._engaged and clock_s - self._sure_s > self.params.disengage_after_s:
            self._engaged = False
            self.get_logger().error(f'disengaged after {self.params.disengage_after_s:g} s of doubt: {self._doubt}')

    def _tell(self, doubt: str) -> None:
        if doubt and not self._doubt:
            self.get_logger().warning(f'braking: {doubt}')
        elif self._doubt and not doubt:
            self.get_logger().info('following the plan')
        self._doubt = doubt


def main() -> None:
    """Run the node."""
    run(ControlNode)


if __name__ == '__main__':
    main()
