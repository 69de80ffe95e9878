"""ROS messages to the values of ``core`` and back. Big fields are read without a copy and written through ``array``."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from nav_msgs.msg import Odometry, Path
from numpy.typing import NDArray
from std_msgs.msg import Header

import moe_bev_ros.msg as m
from moe_bev_ros.core.command import Command, Gear
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, EgoMotion, LidarPoints
from moe_bev_ros.core.objects import Forecast, Label, Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, quaternion_xyzw_of, se3_from_quaternion
from moe_bev_ros.core.trace import Trace

BASE_LINK = 'base_link'
LARGEST = 1e8  # no coordinate or size [m] is beyond; those of the whole Earth are below 1e7
FARTHEST = 1e4  # no laser reaches beyond [m]
FASTEST = 300.0  # no vehicle of ours is faster [m/s], or turns faster [rad/s]


def time_to_msg(stamp_ns: int) -> Time:
    """Nanoseconds to builtin_interfaces/Time."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def header(stamp_ns: int, frame_id: str) -> Header:
    """Build a std_msgs/Header."""
    return Header(stamp=time_to_msg(stamp_ns), frame_id=frame_id)


def uint8_array(values: NDArray[Any]) -> array.array[int]:
    """A message's uint8[] field from any contiguous array; assigning bytes instead would cost seconds per image."""
    result = array.array('B')
    result.frombytes(np.ascontiguousarray(values).view(np.uint8).data)
    return result


def trace_to_msg(trace: Trace) -> m.Trace:
    """Trace to its message."""
    return m.Trace(
        receive_ns=trace.receive_ns,
        stages=list(trace.stages),
        receive_at_ns=array.array('Q', trace.receive_at_ns),
        publish_at_ns=array.array('Q', trace.publish_at_ns),
    )


def trace_from_msg(message: m.Trace) -> Trace:
    """Trace from its message."""
    return Trace(int(message.receive_ns), tuple(message.stages), tuple(message.receive_at_ns), tuple(message.publish_at_ns))


def pose_to_msg(a_se3_b: Array) -> Pose:
    """(4, 4) pose to geometry_msgs/Pose."""
    x, y, z, w = (float(value) for value in quaternion_xyzw_of(a_se3_b))
    position = Point(x=float(a_se3_b[0, 3]), y=float(a_se3_b[1, 3]), z=float(a_se3_b[2, 3]))
    return Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w))


def pose_from_msg(pose: Pose) -> Array:
    """geometry_msgs/Pose to (4, 4).

    Raises:
        InputError: not finite, beyond LARGEST, or a quaternion of norm 0.
    """
    p, q = pose.position, pose.orientation
    check_size('pose', p.x, p.y, p.z, q.x, q.y, q.z, q.w)
    try:
        return se3_from_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))
    except ValueError as err:
        raise InputError(str(err)) from err


def ego_from_msg(message: Odometry) -> EgoMotion:
    """nav_msgs/Odometry (child frame base_link) to EgoMotion.

    Raises:
        InputError: of another child frame, or a pose or a motion that no vehicle has.
    """
    stamp, twist = message.header.stamp, message.twist.twist
    if message.child_frame_id != BASE_LINK:  # an empty one too: the pose of an antenna looks just like that of the rear axle
        raise InputError(f'odometry of child frame {message.child_frame_id!r}; publish that of {BASE_LINK}')
    check_size('twist', twist.linear.x, twist.angular.z, largest=FASTEST)
    return EgoMotion(
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        odom_se3_base_link=pose_from_msg(message.pose.pose),
        speed_mps=float(twist.linear.x),
        yaw_rate_radps=float(twist.angular.z),
        frame_id=message.header.frame_id or 'odom',
    )


def check_size(what: str, *values: float, largest: float = LARGEST) -> None:
    """Raise InputError for a value that is not finite or beyond ``largest``."""
    if not all(abs(value) <= largest for value in values):  # also refuses NaN
        raise InputError(f'{what} must be finite and not beyond {largest:g}, got {[float(value) for value in values]}')


def cameras_from_msg(message: m.CameraBundle) -> CameraImages:
    """CameraBundle to CameraImages; the pixels are not copied.

    Raises:
        InputError: the sizes of the fields do not fit.
    """
    num, height, width = len(message.names), message.height, message.width
    try:
        return CameraImages(
            images_nhw3=np.frombuffer(message.data, np.uint8).reshape(num, height, width, 3),
            intrinsics_n33=np.asarray(message.intrinsics, np.float32).reshape(num, 3, 3),
            base_link_se3_camera_n44=np.asarray(message.base_link_se3_camera, np.float64).reshape(num, 4, 4),
            valid_n=np.asarray(message.valid, bool),
            names=tuple(message.names),
        )
    except ValueError as err:
        raise InputError(f'CameraBundle of {num} cameras {height} x {width}: {err}') from err


def cameras_to_msg(images: CameraImages, stamp_ns: int, stamps_ns: list[int], trace: Trace) -> m.CameraBundle:
    """CameraImages to CameraBundle; ``stamps_ns`` is each image's own capture time."""
    return m.CameraBundle(
        header=header(stamp_ns, BASE_LINK),
        trace=trace_to_msg(trace),
        names=list(images.names),
        valid=[bool(valid) for valid in images.valid_n],
        stamps=[time_to_msg(stamp) for stamp in stamps_ns],
        height=images.images_nhw3.shape[1],
        width=images.images_nhw3.shape[2],
        intrinsics=array.array('f', images.intrinsics_n33.astype(np.float32).ravel()),
        base_link_se3_camera=array.array('d', images.base_link_se3_camera_n44.ravel()),
        data=uint8_array(images.images_nhw3),
    )


def lidar_from_msg(message: m.LidarSweep) -> LidarPoints:
    """LidarSweep to LidarPoints; the points are not copied.

    Raises:
        InputError: the size of the data does not fit ``num_points``, or a point is farther than any laser reaches.
    """
    points = np.frombuffer(message.data, np.uint8)
    if points.size != message.num_points * 20:
        raise InputError(f'{message.num_points} points need {message.num_points * 20} bytes, got {points.size}')
    points_n5 = points.view(np.float32).reshape(-1, 5)
    if (np.abs(points_n5[:, :3]) > FARTHEST).any():  # NaN passes: the engine leaves such points out
        raise InputError(f'a point lies beyond {FARTHEST:g} m')
    return LidarPoints(points_n5)


def lidar_to_msg(
    points: LidarPoints, stamp_ns: int, names: list[str], valid: list[bool], motion_compensated: bool, trace: Trace
) -> m.LidarSweep:
    """LidarPoints to LidarSweep."""
    return m.LidarSweep(
        header=header(stamp_ns, BASE_LINK),
        trace=trace_to_msg(trace),
        names=names,
        valid=valid,
        motion_compensated=motion_compensated,
        num_points=len(points.points_n5),
        data=uint8_array(points.points_n5),
    )


def object_to_msg(item: TrackedObject) -> m.Object:
    """TrackedObject to Object."""
    x, y, z, length, width, height, yaw = item.box_7.tolist()
    vx, vy = item.velocity_2.tolist()
    message = m.Object(
        track_id=item.track_id,
        label=int(item.label),
        score=float(item.score),
        yaw_rate=float(item.yaw_rate_radps),
        covariance=np.asarray(item.covariance_44, np.float32).ravel(),
        age=item.age,
        missed=item.missed,
        forecast=[_forecast_to_msg(path) for path in item.forecasts],
    )
    _put_upright(message.pose, x, y, z, yaw)
    message.size.x, message.size.y, message.size.z = length, width, height
    message.velocity.x, message.velocity.y = vx, vy
    return message


def _put_upright(pose: Pose, x: float, y: float, z: float, yaw: float) -> None:
    """Fill in a pose; not through a matrix, and in place, since there are hundreds in a frame."""
    position, orientation = pose.position, pose.orientation
    position.x, position.y, position.z = x, y, z
    orientation.z, orientation.w = math.sin(yaw / 2), math.cos(yaw / 2)


def _forecast_to_msg(path: Forecast) -> m.ForecastPath:
    x_t, y_t = path.positions_t2.T.tolist()
    return m.ForecastPath(probability=float(path.probability), time_step_s=float(path.time_step_s), x=x_t, y=y_t)


def _label(value: int) -> Label:
    try:
        return Label(value)
    except ValueError as err:
        raise InputError(f'object label {value} is none of Object.msg; wanted {[int(label) for label in Label]}') from err


def object_from_msg(message: m.Object, *, with_forecasts: bool = True) -> TrackedObject:
    """Object to TrackedObject.

    Args:
        with_forecasts: False: leave them unread.

    Raises:
        InputError: a value is not finite or beyond LARGEST, the quaternion has norm 0, or the label is not known.
    """
    p, q, size, v = message.pose.position, message.pose.orientation, message.size, message.velocity
    covariance_44 = np.asarray(message.covariance, np.float32).reshape(4, 4)
    what = f'object {message.track_id}'
    check_size(what, p.x, p.y, p.z, q.x, q.y, q.z, q.w, size.x, size.y, size.z, v.x, v.y, message.score, message.yaw_rate)
    norm = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if not (norm > 1e-6 and np.isfinite(covariance_44).all()):
        raise InputError(f'{what}: the quaternion must not be zero, and the covariance finite')
    yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), norm - 2 * (q.y * q.y + q.z * q.z))
    return TrackedObject(
        track_id=int(message.track_id),
        label=_label(message.label),
        score=float(message.score),
        box_7=np.array([p.x, p.y, p.z, size.x, size.y, size.z, yaw], np.float32),
        velocity_2=np.array([v.x, v.y], np.float32),
        covariance_44=covariance_44,
        yaw_rate_radps=float(message.yaw_rate),
        age=int(message.age),
        missed=int(message.missed),
        forecasts=_forecasts_from_msg(what, message.forecast) if with_forecasts else (),
    )


def _forecasts_from_msg(what: str, messages: list[m.ForecastPath]) -> tuple[Forecast, ...]:
    for message in messages:
        if len(message.x) != len(message.y):
            raise InputError(f'{what}: a forecast has {len(message.x)} x and {len(message.y)} y')
    xy_q2 = np.empty((sum(len(message.x) for message in messages), 2), np.float32)
    xy_q2[:, 0] = np.frombuffer(b''.join([message.x for message in messages]), np.float32)
    xy_q2[:, 1] = np.frombuffer(b''.join([message.y for message in messages]), np.float32)
    if not (np.abs(xy_q2) <= LARGEST).all():
        raise InputError(f'{what}: a forecast must be finite and not beyond {LARGEST:g}')
    forecasts, start = [], 0
    for message in messages:
        end = start + len(message.x)
        if not message.time_step_s > 0.0:
            raise InputError(f'{what}: a forecast wants a time step above 0, got {message.time_step_s}')
        forecasts.append(Forecast(message.probability, message.time_step_s, xy_q2[start:end]))
        start = end
    return tuple(forecasts)


def scene_to_msg(scene: Scene, engine: str, trace: Trace) -> m.Objects:
    """Scene to Objects."""
    return m.Objects(
        header=header(scene.stamp_ns, BASE_LINK),
        trace=trace_to_msg(trace),
        lidar_valid=scene.lidar_valid,
        camera_valid=scene.camera_valid,
        perception_valid=scene.perception_valid,
        engine=engine,
        objects=[object_to_msg(item) for item in scene.objects],
    )


def scene_from_msg(message: m.Objects, *, with_forecasts: bool = True) -> Scene:
    """Objects to Scene.

    Args:
        with_forecasts: False: leave those of the objects unread.

    Raises:
        InputError: not in base_link, or an object that cannot be.
    """
    stamp, frame_id = message.header.stamp, message.header.frame_id
    if frame_id != BASE_LINK:
        raise InputError(f'objects in frame {frame_id!r}; wanted {BASE_LINK}')
    return Scene(
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        objects=tuple(object_from_msg(item, with_forecasts=with_forecasts) for item in message.objects),
        perception_valid=message.perception_valid,
        lidar_valid=message.lidar_valid,
        camera_valid=message.camera_valid,
    )


def plan_to_msg(plan: Plan, trace: Trace) -> m.Trajectory:
    """Plan to Trajectory."""
    return m.Trajectory(
        header=header(plan.stamp_ns, plan.frame_id),
        trace=trace_to_msg(trace),
        stop=plan.stop,
        emergency=plan.emergency,
        reason=plan.reason,
        points=[
            m.TrajectoryPoint(time_from_start_s=t, x=x, y=y, yaw=yaw, speed=v, acceleration=a, curvature=k)
            for t, x, y, yaw, v, a, k in plan.points_t7.tolist()
        ],
    )


def plan_from_msg(message: m.Trajectory) -> Plan:
    """Trajectory to Plan.

    Raises:
        InputError: a single point, or values that are not finite or beyond LARGEST.
    """
    rows = [(p.time_from_start_s, p.x, p.y, p.yaw, p.speed, p.acceleration, p.curvature) for p in message.points]
    points_t7, stamp = np.array(rows, float).reshape(-1, 7), message.header.stamp
    if not (np.abs(points_t7) <= LARGEST).all():
        raise InputError(f'points of a trajectory must be finite and below {LARGEST:g}')
    try:
        return Plan(
            stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
            frame_id=message.header.frame_id,
            points_t7=points_t7,
            stop=message.stop,
            emergency=message.emergency,
            reason=message.reason,
        )
    except ValueError as err:
        raise InputError(str(err)) from err


def path_to_msg(plan: Plan) -> Path:
    """The plan's positions as nav_msgs/Path."""
    path = Path(header=header(plan.stamp_ns, plan.frame_id))
    for _, x, y, yaw, *_ in plan.points_t7.tolist():
        place = PoseStamped(header=path.header)
        _put_upright(place.pose, x, y, 0.0, yaw)
        path.poses.append(place)
    return path


def command_to_msg(command: Command, stamp_ns: int, first_of_plan: bool, trace: Trace) -> m.VehicleCommand:
    """Command to VehicleCommand; ``stamp_ns`` is that of the sensor frame whose plan is followed."""
    return m.VehicleCommand(
        header=header(stamp_ns, BASE_LINK),
        trace=trace_to_msg(trace),
        first_of_plan=first_of_plan,
        throttle=command.throttle,
        brake=command.brake,
        steering_angle=command.steering_angle_rad,
        acceleration=command.acceleration_mps2,
        speed=command.speed_mps,
        gear=int(command.gear),
        hold=command.hold,
        engaged=command.engaged,
        emergency=command.emergency,
        reason=command.reason,
    )


def command_from_msg(message: m.VehicleCommand) -> Command:
    """VehicleCommand to Command.

    Raises:
        InputError: pedals outside [0, 1], or both above 0.
    """
    try:
        return Command(
            throttle=float(message.throttle),
            brake=float(message.brake),
            steering_angle_rad=float(message.steering_angle),
            acceleration_mps2=float(message.acceleration),
            speed_mps=float(message.speed),
            gear=Gear(message.gear),
            hold=message.hold,
            engaged=message.engaged,
            emergency=message.emergency,
            reason=message.reason,
        )
    except ValueError as err:
        raise InputError(str(err)) from err
