"""bev_node with a map: it looks where the map's lights hang, and tells what they show."""

import cv2
import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn

from harness import ros
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, se3_from_xyz_rpy, transform_points
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.msg import CameraBundle, Objects, TrafficLight, TrafficLights
from moe_bev_ros.nodes.base import SENSOR_QOS
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.convert import cameras_to_msg, header
from moe_bev_ros.world.lanelet_files import write_lanelet2
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL
from moe_bev_ros.world.scene import Signal
from moe_bev_ros.world.terrain import Terrain

STEP_NS, FOCAL = 100_000_000, 276.0
MATRIX_33 = np.array([[FOCAL, 0.0, 176.0], [0.0, FOCAL, 40.0], [0.0, 0.0, 1.0]])
CAMERA = se3_from_xyz_rpy(1.5, 0.0, 1.5, 0.0, 0.0, 0.0) @ BODY_SE3_OPTICAL


@pytest.fixture(scope='module')
def junction(tmp_path_factory):
    """A map, its housings, and the pose of a vehicle 32 m before the first light."""
    layout = LAYOUTS['junction'](np.random.default_rng(0))
    signals = [Signal(s.element_id, s.stop_xy, LightState.RED, s.x, s.y, s.yaw_rad) for s in layout.signals]
    places = light_places(signals, Terrain.flat())
    path = tmp_path_factory.mktemp('map') / 'map.osm'
    write_lanelet2(layout.network, path, places)
    stop, yaw = places[0].stop_xy_m, places[0].yaw_rad
    pose = (stop[0] + 32.0 * float(np.cos(yaw)), stop[1] + 32.0 * float(np.sin(yaw)), yaw + np.pi)
    return path, places, pose


def image_of(places, pose, colour):
    """A grey sky with the housings of the first light, their uppermost lamps lit."""
    image = np.full((128, 352, 3), (150, 170, 190), np.uint8)
    camera_se3_map = inverse(se3_from_xy_yaw(*pose) @ CAMERA)
    for place in places[:2]:
        local_3 = transform_points(camera_se3_map, np.array([place.centre_xyz_m]))[0]
        u, v, w = MATRIX_33 @ local_3
        scale, x, y = FOCAL / w, u / w, v / w
        corners = [tuple(round(c) for c in (x + s * 0.21 * scale, y + s * 0.58 * scale)) for s in (-1, 1)]
        cv2.rectangle(image, *corners, (30, 32, 34), -1)
        cv2.circle(image, (round(x), round(y - 0.32 * scale)), 1, colour, -1)
    return image


def odometry(frame, pose, frame_id='map'):
    message = Odometry(header=header(frame * STEP_NS, frame_id), child_frame_id='base_link')
    message.pose.pose.position.x, message.pose.pose.position.y = pose[:2]
    message.pose.pose.orientation.z, message.pose.pose.orientation.w = np.sin(pose[2] / 2), np.cos(pose[2] / 2)
    return message


def bundle(frame, image):
    images = CameraImages(image[None], MATRIX_33[None].astype(np.float32), CAMERA[None], np.array([True]), ('front',))
    return cameras_to_msg(images, frame * STEP_NS, [frame * STEP_NS], Trace(5, ('camera_node',), (6,), (7,)))


def parameters(path):
    return {'map_path': str(path), 'dead_after': 1, 'wait_s': 0.01}


def test_a_red_light_of_the_map_is_published_with_its_id(junction):
    path, places, pose = junction
    with ros(parameters(path)) as harness:
        harness.start(BevNode)
        lights = harness.listen(TrafficLights, '/bev_node/output/traffic_lights')
        ego = harness.talk(Odometry, '/bev_node/input/odometry', 10)
        bundles = harness.talk(CameraBundle, '/bev_node/input/bundle', SENSOR_QOS)
        harness.spin_until(lambda: harness.peer.count_publishers('/bev_node/output/traffic_lights'))
        for frame in range(10, 14):
            ego.publish(odometry(frame, pose))
            bundles.publish(bundle(frame, image_of(places, pose, (255, 48, 36))))
            harness.spin_until(lambda wanted=frame - 9: len(lights) >= wanted)
    assert lights[-1].header.frame_id == 'map'
    states = {light.regulatory_element_id: light for light in lights[-1].lights}
    assert set(states) == {place.element_id for place in places}
    seen = states.pop(places[0].element_id)
    assert seen.state == TrafficLight.RED
    assert seen.score > 0.6
    assert (seen.stop_position.x, seen.stop_position.y) == pytest.approx(places[0].stop_xy_m, abs=0.01)
    assert {light.state for light in states.values()} == {TrafficLight.UNKNOWN}


def test_odometry_of_another_frame_stops_the_lights_but_not_the_objects(junction):
    path, places, pose = junction
    with ros(parameters(path)) as harness:
        node = harness.start(BevNode)
        lights = harness.listen(TrafficLights, '/bev_node/output/traffic_lights')
        objects = harness.listen(Objects, '/bev_node/output/objects')
        ego = harness.talk(Odometry, '/bev_node/input/odometry', 10)
        bundles = harness.talk(CameraBundle, '/bev_node/input/bundle', SENSOR_QOS)
        harness.spin_until(lambda: harness.peer.count_publishers('/bev_node/output/objects'))
        for frame in range(10, 13):
            ego.publish(odometry(frame, pose, 'odom'))
            bundles.publish(bundle(frame, image_of(places, pose, (255, 48, 36))))
            harness.spin_until(lambda wanted=frame - 9: len(objects) >= wanted)
        harness.spin_until(lambda: node.counters['rejected'] or node.counters['failures'])
    assert lights == []


def test_a_map_without_places_of_lights_is_refused(junction, tmp_path):
    whole = junction[0].read_text()
    (tmp_path / 'bare.osm').write_text(whole.replace('k="height"', 'k="other"'))
    with ros(parameters(tmp_path / 'bare.osm')) as harness:
        node = harness.start(BevNode, activate=False)
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
