"""The simulated world as ROS messages."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from tf2_msgs.msg import TFMessage

import moe_bev_ros.msg as m
from moe_bev_ros.core.camera import PINHOLE
from moe_bev_ros.core.objects import TrackedObject
from moe_bev_ros.core.se3 import Array, quaternion_xyzw_of, se3_from_xy_yaw
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.nodes.convert import BASE_LINK, header, object_to_msg, pose_to_msg, uint8_array
from moe_bev_ros.world.rig import CameraMount, Rig
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.simulation import Truth

MAP = 'map'
# Layout of the points: 16-bit ring, and two bytes of padding so that the time lies on a multiple of four.
POINT = np.dtype(
    {
        'names': ['x', 'y', 'z', 'intensity', 'ring', 'time'],
        'formats': ['<f4', '<f4', '<f4', '<f4', '<u2', '<f4'],
        'offsets': [0, 4, 8, 12, 16, 20],
        'itemsize': 24,
    }
)
_DATATYPES = {'<f4': PointField.FLOAT32, '<u2': PointField.UINT16}
POINT_FIELDS = [
    PointField(name=name, offset=POINT.fields[name][1], datatype=_DATATYPES[POINT.fields[name][0].str], count=1)  # type: ignore[index]
    for name in POINT.names or ()
]


def image_to_msg(image_hw3: NDArray[np.uint8], frame_id: str, stamp_ns: int) -> Image:
    """An RGB image."""
    height, width = image_hw3.shape[:2]
    return Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding='rgb8',
        step=3 * width,
        data=uint8_array(image_hw3),
    )


def camera_info_to_msg(camera: CameraMount, rig: Rig, stamp_ns: int) -> CameraInfo:
    """Calibration of a camera; a pinhole's distortion is plumb_bob without any."""
    model = camera.model(rig.image_width, rig.image_height)
    pinhole, k = model.distortion == PINHOLE, model.matrix_33.copy()
    k[:2, 2] -= 0.5  # the rig counts from the edge of the first pixel, CameraInfo from its centre
    return CameraInfo(
        header=header(stamp_ns, camera.name),
        height=model.height,
        width=model.width,
        distortion_model='plumb_bob' if pinhole else model.distortion,
        d=array.array('d', [0.0] * 5 if pinhole else model.coefficients),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
    )


def points_to_cloud(points_n6: NDArray[np.float32], frame_id: str, stamp_ns: int) -> PointCloud2:
    """A sweep; intensity is sent as 0..255, like nuScenes' own."""
    records = np.zeros(len(points_n6), POINT)
    for column, name in enumerate(('x', 'y', 'z', 'intensity', 'ring', 'time')):
        records[name] = points_n6[:, column] * (255.0 if name == 'intensity' else 1.0)
    return PointCloud2(
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(records),
        fields=POINT_FIELDS,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * len(records),
        is_dense=True,
        data=uint8_array(records),
    )


def odometry_to_msg(map_se3_base_link: Array, speed_mps: float, yaw_rate_radps: float, stamp_ns: int) -> Odometry:
    """Where the vehicle is and how it moves."""
    message = Odometry(header=header(stamp_ns, MAP), child_frame_id=BASE_LINK)
    message.pose.pose = pose_to_msg(map_se3_base_link)
    message.twist.twist.linear.x = speed_mps
    message.twist.twist.angular.z = yaw_rate_radps
    return message


def transform_to_msg(parent_se3_child: Array, parent: str, child: str, stamp_ns: int) -> TransformStamped:
    """One transform."""
    x, y, z, w = (float(value) for value in quaternion_xyzw_of(parent_se3_child))
    translation = Vector3(**{axis: float(value) for axis, value in zip('xyz', parent_se3_child[:3, 3])})
    transform = Transform(translation=translation, rotation=Quaternion(x=x, y=y, z=z, w=w))
    return TransformStamped(header=header(stamp_ns, parent), child_frame_id=child, transform=transform)


def rig_to_tf(rig: Rig) -> TFMessage:
    """Where the sensors sit, for /tf_static."""
    sensors = [(camera.name, camera.base_link_se3_camera) for camera in rig.cameras]
    sensors.append((rig.lidar.name, rig.lidar.base_link_se3_lidar))
    return TFMessage(transforms=[transform_to_msg(pose, BASE_LINK, name, 0) for name, pose in sensors])


def lights_to_msg(lights: tuple[TrafficLight, ...], stamp_ns: int) -> m.TrafficLights:
    """The signals as a roadside unit would announce them."""
    return m.TrafficLights(
        header=header(stamp_ns, MAP),
        lights=[
            m.TrafficLight(
                regulatory_element_id=light.element_id,
                stop_position=Point(x=light.stop_xy_m[0], y=light.stop_xy_m[1], z=0.0),
                state=int(light.state),
                score=1.0,
            )
            for light in lights
        ],
    )


def goal_to_msg(goal_3: tuple[float, float, float], stamp_ns: int) -> PoseStamped:
    """Where to drive."""
    return PoseStamped(header=header(stamp_ns, MAP), pose=pose_to_msg(se3_from_xy_yaw(*goal_3)))


def truth_to_msg(truth: Truth, map_se3_base_link: Array, stamp_ns: int, frames: int, commands: int) -> m.WorldTruth:
    """What really is, for the scorer."""
    return m.WorldTruth(
        header=header(stamp_ns, MAP),
        ego_pose=pose_to_msg(map_se3_base_link),
        ego_speed=truth.ego.speed_mps,
        distance=truth.distance_m,
        collisions=truth.collisions,
        frames=frames,
        commands=commands,
        objects=[object_to_msg(_tracked(actor)) for actor in truth.actors],
    )


def _tracked(actor: Actor) -> TrackedObject:
    return TrackedObject(
        track_id=actor.track_id,
        label=actor.body.label,
        score=1.0,
        box_7=actor.box_7,
        velocity_2=actor.velocity_2,
        covariance_44=np.zeros((4, 4), np.float32),
        yaw_rate_radps=actor.yaw_rate_radps,
    )
