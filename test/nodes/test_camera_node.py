"""The real node on real messages; small pictures where the recorded ones are not needed."""

from __future__ import annotations

import array
import json
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from harness import Harness, ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import quaternion_xyzw_of, se3_from_xyz_rpy
from moe_bev_ros.msg import CameraBundle
from moe_bev_ros.nodes.base import SENSOR_QOS, TF_STATIC_QOS
from moe_bev_ros.nodes.camera_node import NUSCENES_CAMERAS, CameraNode, CameraParams, camera_model_from_msg
from moe_bev_ros.nodes.convert import cameras_from_msg, header, time_to_msg

SIZE = (88, 32)  # width, height of the model's input here
OPTICAL = (-np.pi / 2, 0.0, -np.pi / 2)
POSES = {'left': (1.0, 0.5, 1.5, *OPTICAL), 'right': (1.0, -0.5, 1.5, *OPTICAL)}
TWO = {
    'camera_names': ['left', 'right'],
    'anchor_camera': 'left',
    'width': SIZE[0],
    'height': SIZE[1],
    'extrinsics': [*POSES['left'], *POSES['right']],
}


def raw(stamp_ns: int, rgb: Any = (10, 100, 200), width: int = 176, height: int = 64, frame: str = 'left') -> Image:
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = np.asarray(rgb, np.uint8)[..., ::-1]
    data = array.array('B', pixels.tobytes())
    return Image(header=header(stamp_ns, frame), encoding='bgr8', width=width, height=height, step=3 * width, data=data)


def info(width: int = 176, height: int = 64, model: str = 'plumb_bob', d: tuple[float, ...] = (), **more: Any) -> CameraInfo:
    k = more.pop('k', [100.0, 0, width / 2, 0, 100.0, height / 2, 0, 0, 1])
    return CameraInfo(header=header(0, 'left'), width=width, height=height, distortion_model=model, d=list(d), k=k, **more)


class Cameras:
    """The two cameras of most tests, as a driver would send them."""

    def __init__(
        self, harness: Harness, names: tuple[str, ...] = ('left', 'right'), infos: bool = True, images: bool = True
    ) -> None:
        self.harness = harness
        topics = {name: f'/sensing/camera/{name}/image_raw' for name in names if images}
        self.images = {name: harness.talk(Image, topic, SENSOR_QOS) for name, topic in topics.items()}
        self.infos = {name: harness.talk(CameraInfo, f'/sensing/camera/{name}/camera_info', SENSOR_QOS) for name in names}
        if infos:
            self.calibrate(*names)

    def calibrate(self, *names: str, message: CameraInfo | None = None) -> None:
        node = self.harness.nodes[0]
        for name in names:
            health = node.inputs[f'/sensing/camera/{name}/camera_info']
            before = health.num_received
            self.infos[name].publish(message or info())
            self.harness.spin_until(lambda health=health, before=before: health.num_received > before)

    def send(self, stamp_ns: int, **messages: Image) -> None:
        for name, publisher in self.images.items():
            publisher.publish(messages.get(name, raw(stamp_ns)))


def start(harness: Harness) -> tuple[CameraNode, list[CameraBundle]]:
    node = harness.start(CameraNode)
    bundles = harness.listen(CameraBundle, '/camera_node/output/bundle', SENSOR_QOS)
    harness.spin_until(lambda: node.count_subscribers('/camera_node/output/bundle') == 1)
    return node, bundles


def warnings_of(node: CameraNode) -> str:
    return ' | '.join(node.warnings)


def second(index: float) -> int:
    return round(index * 1e9)


def test_two_cameras_become_one_bundle_with_the_anchor_s_stamp() -> None:
    with ros(TWO) as harness:
        _, bundles = start(harness)
        cameras = Cameras(harness)
        cameras.send(second(5), right=raw(second(5.01), (1, 2, 3)))
        harness.spin_until(lambda: bundles)
        bundle = bundles[0]
        images = cameras_from_msg(bundle)
        assert bundle.header.stamp == time_to_msg(second(5))
        assert bundle.header.frame_id == 'base_link'
        assert list(bundle.stamps) == [time_to_msg(second(5)), time_to_msg(second(5.01))]
        assert images.valid_n.all()
        assert (images.images_nhw3[0] == (10, 100, 200)).all()
        assert (images.images_nhw3[1] == (1, 2, 3)).all()
        assert np.allclose(images.base_link_se3_camera_n44[0], se3_from_xyz_rpy(*POSES['left']))
        assert images.intrinsics_n33[0, 0, 0] == pytest.approx(50.0)


def test_the_trace_begins_with_the_anchor_message() -> None:
    with ros(TWO) as harness:
        _, bundles = start(harness)
        Cameras(harness).send(second(5))
        harness.spin_until(lambda: bundles)
        trace = bundles[0].trace
        assert list(trace.stages) == ['camera_node']
        assert 0 < trace.receive_ns <= trace.receive_at_ns[0] <= trace.publish_at_ns[0]


@pytest.mark.parametrize(
    ('damage', 'fact'),
    [
        ({'data': array.array('B', bytes(1000))}, 'truncated image: 1000 bytes, wanted 33792'),
        ({'encoding': '32FC1'}, "unknown encoding '32FC1'"),
        ({'step': 3}, 'step 3 is less than'),
        ({'step': 600}, 'truncated image'),
        ({'height': 32}, 'wrong step: 33792 bytes'),
        ({'width': 0, 'step': 0, 'data': array.array('B')}, 'image of 0 x 64 pixels'),
    ],
)
def test_a_bad_image_is_masked_with_its_fact_and_the_others_go_on(damage: dict[str, Any], fact: str) -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        bad = raw(second(5))
        for name, value in damage.items():
            setattr(bad, name, value)
        cameras.send(second(5), right=bad)
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, False]
        assert not cameras_from_msg(bundles[0]).images_nhw3[1].any()
        assert '/sensing/camera/right/image_raw: ' + fact in warnings_of(node)
        cameras.send(second(5.1))
        harness.spin_until(lambda: len(bundles) == 2)
        assert list(bundles[1].valid) == [True, True]


def test_a_late_calibration_masks_until_it_comes() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness, infos=False)
        cameras.calibrate('left')
        cameras.send(second(5))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, False]
        assert 'no usable CameraInfo on /sensing/camera/right/camera_info' in warnings_of(node)
        cameras.calibrate('right')
        cameras.send(second(5.1))
        harness.spin_until(lambda: len(bundles) == 2)
        assert list(bundles[1].valid) == [True, True]


def test_a_calibration_of_another_size_masks_the_camera() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        cameras.calibrate('right', message=info(width=1600, height=900))
        cameras.send(second(5))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, False]
        assert 'the image is 176 x 64, the CameraInfo is for 1600 x 900' in warnings_of(node)
        cameras.calibrate('right')
        cameras.send(second(5.1))
        harness.spin_until(lambda: len(bundles) == 2)
        assert list(bundles[1].valid) == [True, True]


@pytest.mark.parametrize(
    ('bad', 'fact'),
    [
        (info(k=[0.0] * 9), 'camera matrix k is singular'),
        (info(k=[float('nan')] * 9), 'camera matrix k is not finite'),
        (info(width=0, height=0), 'calibration is for an image of 0 x 0'),
        (info(model='pear', d=(0.1,)), "unknown distortion model 'pear'"),
        (info(d=(0.1,)), 'plumb_bob wants 4 or 5 coefficients, got 1'),
    ],
)
def test_a_bad_calibration_replaces_a_good_one_and_masks_until_it_is_good_again(bad: CameraInfo, fact: str) -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        cameras.calibrate('right', message=bad)
        cameras.send(second(5))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, False]
        assert '/sensing/camera/right/camera_info: ' + fact in warnings_of(node)
        cameras.calibrate('right')
        cameras.send(second(5.1))
        harness.spin_until(lambda: len(bundles) == 2)
        assert list(bundles[1].valid) == [True, True]


def test_poses_come_from_tf_where_the_parameter_is_nan_and_a_missing_tf_masks() -> None:
    with ros({**TWO, 'frame_ids': ['', 'right_optical']}) as harness:
        node, bundles = start(harness)
        node.set_parameters([Parameter('extrinsics', value=[*POSES['left'], *[float('nan')] * 6])])
        cameras = Cameras(harness)
        cameras.send(second(5))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, False]
        assert 'no static transform from right_optical to base_link' in warnings_of(node)
        pose = se3_from_xyz_rpy(*POSES['right'])
        transform = TransformStamped(header=header(0, 'base_link'), child_frame_id='right_optical')
        transform.transform.translation.x, transform.transform.translation.y, transform.transform.translation.z = pose[:3, 3]
        q = transform.transform.rotation
        q.x, q.y, q.z, q.w = quaternion_xyzw_of(pose)
        harness.talk(TFMessage, '/tf_static', TF_STATIC_QOS).publish(TFMessage(transforms=[transform]))
        for index in range(1, 50):
            cameras.send(second(5 + 0.1 * index))
            harness.spin_until(lambda index=index: len(bundles) > index)
            if bundles[-1].valid[1]:
                break
        assert np.allclose(cameras_from_msg(bundles[-1]).base_link_se3_camera_n44[1], pose)


def test_a_camera_that_stops_is_masked_and_named() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        cameras.send(second(5))
        harness.spin_until(lambda: bundles)
        for index in range(1, 6):
            cameras.images['left'].publish(raw(second(5 + 0.1 * index)))
            harness.spin_until(lambda index=index: len(bundles) > index)
        assert [list(bundle.valid) for bundle in bundles] == [[True, True]] + [[True, False]] * 5
        assert '/sensing/camera/right/image_raw: no image within 50 ms of the anchor left; masked' in warnings_of(node)
        assert node.extra_diagnostics()['right'] == 'received 1, valid 1, lag 500 ms'


def test_another_camera_becomes_the_anchor_when_the_anchor_stops() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        for index in range(3):
            cameras.send(second(5 + 0.1 * index))
            harness.spin_until(lambda index=index: len(bundles) > index)
        for index in range(3, 9):
            cameras.images['right'].publish(raw(second(5 + 0.1 * index)))
        harness.spin_until(lambda: len(bundles) >= 5)
        assert bundles[-1].valid == [False, True]
        assert node.extra_diagnostics()['anchor'] == 'right'
        cameras.send(second(6))
        harness.spin_until(lambda: bundles[-1].valid[0])
        assert node.extra_diagnostics()['anchor'] == 'left'


def test_a_faster_camera_is_thinned_and_what_was_dropped_is_counted() -> None:
    with ros({**TWO, 'camera_names': ['left'], 'extrinsics': list(POSES['left'])}) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness, ('left',))
        for index in range(30):
            cameras.send(second(5 + index / 30))
            harness.spin_until(lambda index=index: node.extra_diagnostics()['left'].startswith(f'received {index + 1},'))
        harness.spin_until(lambda: len(bundles) + node.counters['dropped_by_policy'] == 30)
        assert 10 <= len(bundles) <= 11


def test_a_bag_that_starts_again_goes_on_and_a_repeated_stamp_does_not() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        cameras = Cameras(harness)
        for count, stamp in enumerate((50.0, 50.1, 3.0, 3.1), start=1):
            cameras.send(second(stamp))
            harness.spin_until(lambda count=count: len(bundles) == count)
        assert [bundle.header.stamp.sec for bundle in bundles] == [50, 50, 3, 3]
        assert all(list(bundle.valid) == [True, True] for bundle in bundles)
        cameras.send(second(3.1))
        harness.spin_until(lambda: node.counters['rejected'] == 2)
        assert len(bundles) == 4


def test_anchors_that_wait_when_time_jumps_are_counted() -> None:
    with ros({**TWO, 'wait_s': 1.0}) as harness:
        node, _ = start(harness)
        cameras = Cameras(harness)
        cameras.images['left'].publish(raw(second(50)))
        harness.spin_until(lambda: node.extra_diagnostics()['left'].startswith('received 1,'))
        cameras.images['left'].publish(raw(second(3)))
        harness.spin_until(lambda: node.counters['dropped_by_policy'] == 1)


def test_time_offsets_move_the_stamps_that_are_compared() -> None:
    with ros({**TWO, 'time_offsets_s': [0.0, -0.2]}) as harness:
        _, bundles = start(harness)
        Cameras(harness).send(second(5), right=raw(second(5.21)))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, True]
        assert bundles[0].stamps[1] == time_to_msg(second(5.01))


def test_diagnostics_name_a_second_publisher_and_a_silent_topic() -> None:
    with ros(TWO) as harness:
        heard = harness.listen(DiagnosticArray, '/diagnostics')
        start(harness)
        harness.peer.create_publisher(Image, '/sensing/camera/left/image_raw', SENSOR_QOS)
        harness.peer.create_publisher(Image, '/sensing/camera/left/image_raw', SENSOR_QOS)

        def said() -> str:
            return heard[-1].status[0].message if heard else ''

        harness.spin_until(lambda: '/sensing/camera/left/image_raw: 2 publishers' in said())
        assert '/sensing/camera/right/image_raw: no publisher' in said()


@pytest.mark.parametrize(
    ('change', 'fact'),
    [
        ({'tolerance_s': -1.0}, 'tolerance_s'),
        ({'anchor_camera': 'top'}, "anchor_camera 'top' must be one of"),
        ({'extrinsics': [1.0, 2.0]}, 'extrinsics must be empty or hold 12 values for 2 cameras, got 2'),
        ({'camera_names': ['left', 'left']}, 'camera_names must differ'),
        ({'image_topics': ['/a']}, 'image_topics must be empty or hold 2 values'),
        ({'image_topics': ['/a', '/a']}, 'image_topics must differ'),
        ({'time_offsets_s': [0.0, float('inf')]}, 'time_offsets_s must be finite'),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_the_fact(change: dict[str, Any], fact: str) -> None:
    with ros({**TWO, **change}), pytest.raises(InputError, match=fact):
        CameraNode()


def test_a_refused_change_at_run_time_leaves_the_node_working() -> None:
    with ros(TWO) as harness:
        node, bundles = start(harness)
        results = node.set_parameters([Parameter('time_offsets_s', value=[0.1])])
        assert not results[0].successful
        assert node.set_parameters([Parameter('tolerance_s', value=0.2)])[0].successful
        Cameras(harness).send(second(5), right=raw(second(5.15)))
        harness.spin_until(lambda: bundles)
        assert list(bundles[0].valid) == [True, True]


def test_topics_follow_the_conventions() -> None:
    params = CameraParams(camera_names=('a',), anchor_camera='a', image_topics=('/a/image_raw/compressed',))
    assert params.info_topic(0) == '/a/camera_info'
    assert CameraParams().info_topic(1) == '/sensing/camera/CAM_FRONT_RIGHT/camera_info'


def test_binning_and_region_of_interest_move_the_matrix() -> None:
    message = info(width=1600, height=900, k=[1000.0, 0, 800, 0, 1000, 450, 0, 0, 1], binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 200, 100, 800, 600
    model = camera_model_from_msg(message, is_rectified=False)
    assert (model.width, model.height) == (400, 300)
    assert np.allclose(model.matrix_33, [[500, 0, 299.75], [0, 500, 174.75], [0, 0, 1]])


def test_an_image_rectified_before_is_described_by_p() -> None:
    message = info(d=(0.3, 0.1, 0.0, 0.0, 0.0), p=[90.0, 0, 80, 0, 0, 90, 30, 0, 0, 0, 1, 0])
    model = camera_model_from_msg(message, is_rectified=True)
    assert not model.is_distorted
    assert model.matrix_33[0, 0] == 90.0


def real_messages(folder: Any, name: str, compressed: bool) -> tuple[Image | CompressedImage, CameraInfo, list[float]]:
    camera = json.loads((folder / 'frame.json').read_text())['cameras'][name]
    content = (folder / camera['file']).read_bytes()
    head = header(camera['stamp_us'] * 1000, name)
    if compressed:
        image: Any = CompressedImage(header=head, format='jpeg', data=array.array('B', content))
    else:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        data = array.array('B', bgr.tobytes())
        image = Image(header=head, encoding='bgr8', width=1600, height=900, step=4800, data=data)
    return image, info(1600, 900, k=np.ravel(camera['intrinsics']).tolist()), np.ravel(camera['ego_SE3_camera']).tolist()


@pytest.mark.parametrize('compressed', [False, True])
def test_six_real_cameras_become_one_valid_bundle(data_dir: Any, compressed: bool) -> None:
    suffix = 'image_raw/compressed' if compressed else 'image_raw'
    topics = [f'/sensing/camera/{name}/{suffix}' for name in NUSCENES_CAMERAS]
    with ros({'image_topics': topics, 'tolerance_s': 0.06, 'wait_s': 1.0}) as harness:
        node, bundles = start(harness)
        tf = harness.talk(TFMessage, '/tf_static', TF_STATIC_QOS)
        messages = {name: real_messages(data_dir / 'nuscenes/scene-0103/1', name, compressed) for name in NUSCENES_CAMERAS}
        transforms = []
        for name, (_, _, pose) in messages.items():
            transform = TransformStamped(header=header(0, 'base_link'), child_frame_id=name)
            matrix = np.reshape(pose, (4, 4))
            t, q = transform.transform.translation, transform.transform.rotation
            t.x, t.y, t.z = matrix[:3, 3]
            q.x, q.y, q.z, q.w = quaternion_xyzw_of(matrix)
            transforms.append(transform)
        tf.publish(TFMessage(transforms=transforms))
        image_type = CompressedImage if compressed else Image
        images = [harness.talk(image_type, topic, SENSOR_QOS) for topic in topics]
        for name in NUSCENES_CAMERAS:
            harness.talk(CameraInfo, f'/sensing/camera/{name}/camera_info', SENSOR_QOS).publish(messages[name][1])
        harness.spin_until(lambda: all(camera.info_key for camera in node._cameras))
        for publisher, name in zip(images, NUSCENES_CAMERAS):
            publisher.publish(messages[name][0])
        harness.spin_until(lambda: bundles)
        found = cameras_from_msg(bundles[0])
        assert found.valid_n.all(), warnings_of(node)
        assert found.images_nhw3.shape == (6, 128, 352, 3)
        assert bundles[0].header.stamp == messages['CAM_FRONT'][0].header.stamp
        assert found.images_nhw3.std(axis=(1, 2, 3)).min() > 20
        for index, name in enumerate(NUSCENES_CAMERAS):
            assert np.allclose(found.base_link_se3_camera_n44[index], np.reshape(messages[name][2], (4, 4)), atol=1e-6)
