"""Camera messages in, one CameraBundle per anchor stamp out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import CompressedImage as CompressedImageMsg
from sensor_msgs.msg import Image as ImageMsg

from moe_bev_ros.core.camera import CameraModel, camera_model
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import Array, se3_from_xyz_rpy
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import CameraBundle
from moe_bev_ros.nodes.base import SENSOR_QOS, StackNode, run, run_while, stamp_to_ns
from moe_bev_ros.nodes.convert import BASE_LINK, cameras_to_msg
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.nodes.static_transforms import StaticTransforms
from moe_bev_ros.perception.camera_rig import CameraRig
from moe_bev_ros.perception.images import CompressedImage, RawImage
from moe_bev_ros.perception.synchroniser import Bundle, Synchroniser
from moe_bev_ros.runtime.threads import limit_threads

NUSCENES_CAMERAS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_FRONT_LEFT')
MAX_CAMERAS = 12
POLL_PERIOD_S = 0.01
SILENCE_S = 0.2  # diagnostics speak of a camera after five times that

Content = tuple[Any, int]  # message, and CLOCK_MONOTONIC of its arrival [ns]


@dataclass(frozen=True)
class CameraParams:
    """Parameters of the camera node; lists hold one entry per camera, in the order of ``camera_names``."""

    camera_names: tuple[str, ...] = param(NUSCENES_CAMERAS, '1 to 12 names, as in the bundle', read_only=True)
    image_topics: tuple[str, ...] = param(
        (),
        'Image topics, or CompressedImage where they end in /compressed; empty: /sensing/camera/<name>/image_raw',
        read_only=True,
    )
    camera_info_topics: tuple[str, ...] = param(
        (), 'CameraInfo topics; empty: camera_info beside each image topic', read_only=True
    )
    frame_ids: tuple[str, ...] = param((), 'optical frames; empty, or an empty name: the frame_id of the image')
    extrinsics: tuple[float, ...] = param(
        (),
        'x y z [m] roll pitch yaw [rad] of each optical frame (z forward, x right, y down) in base_link; '
        'empty, or NaN for a camera: from /tf_static',
    )
    time_offsets_s: tuple[float, ...] = param((), 'added to the stamps of each camera [s]; empty: none')
    anchor_camera: str = param('CAM_FRONT', 'camera whose stamps the bundles carry', read_only=True)
    tolerance_s: float = param(0.05, 'largest distance of an image from the anchor stamp [s]', low=0.0, high=1.0)
    wait_s: float = param(0.08, 'longest wait for late cameras after the anchor came, wall time [s]', low=0.0, high=1.0)
    max_rate_hz: float = param(
        10.0, 'bundles per second; faster anchors are thinned out, as frames dropped by policy [Hz]', low=0.1, high=120.0
    )
    width: int = param(352, "of the model's input [pixels]", low=16, high=4096, read_only=True)
    height: int = param(128, "of the model's input [pixels]", low=16, high=4096, read_only=True)
    num_threads: int = num_threads_param('decode and rectify', default=2, high=MAX_CAMERAS)

    def __post_init__(self) -> None:
        num = len(self.camera_names)
        if not 1 <= num <= MAX_CAMERAS:
            raise ValueError(f'camera_names must hold 1 to {MAX_CAMERAS} names, got {num}')
        if len(set(self.camera_names)) != num:
            raise ValueError(f'camera_names must differ, got {list(self.camera_names)}')
        if self.anchor_camera not in self.camera_names:
            raise ValueError(f'anchor_camera {self.anchor_camera!r} must be one of camera_names {list(self.camera_names)}')
        for name, per_camera in (
            ('image_topics', 1),
            ('camera_info_topics', 1),
            ('frame_ids', 1),
            ('time_offsets_s', 1),
            ('extrinsics', 6),
        ):
            found = len(getattr(self, name))
            if found not in (0, num * per_camera):
                raise ValueError(f'{name} must be empty or hold {num * per_camera} values for {num} cameras, got {found}')
        if not all(math.isfinite(value) for value in self.time_offsets_s):
            raise ValueError(f'time_offsets_s must be finite, got {list(self.time_offsets_s)}')
        topics = [self.image_topic(camera) for camera in range(num)]
        if len(set(topics)) != num:
            raise ValueError(f'image_topics must differ, got {topics}')

    def image_topic(self, camera: int) -> str:
        """Topic of a camera's images."""
        return self.image_topics[camera] if self.image_topics else f'/sensing/camera/{self.camera_names[camera]}/image_raw'

    def info_topic(self, camera: int) -> str:
        """Topic of a camera's calibration; image_transport's convention where none is given."""
        if self.camera_info_topics:
            return self.camera_info_topics[camera]
        return self.image_topic(camera).removesuffix('/compressed').rsplit('/', 1)[0] + '/camera_info'

    def time_offset_ns(self, camera: int) -> int:
        """What is added to the stamps of a camera."""
        return round(self.time_offsets_s[camera] * 1e9) if self.time_offsets_s else 0

    def extrinsic(self, camera: int) -> Array | None:
        """``base_link_se3_camera`` from the parameters; None: it is to come from /tf_static."""
        values = self.extrinsics[6 * camera : 6 * camera + 6]
        return se3_from_xyz_rpy(*values) if values and all(math.isfinite(value) for value in values) else None


@dataclass
class Camera:
    """What the node remembers of one camera."""

    name: str
    image_topic: str
    info_topic: str
    info_key: tuple[Any, ...] | None = None
    num_received: int = 0
    num_valid: int = 0


class CameraNode(StackNode[CameraParams]):
    """Synchronises, decodes and rectifies; an image that cannot be used is masked, the other cameras go on."""

    def __init__(self) -> None:
        super().__init__('camera_node', CameraParams)
        self.counters['masked_images'] = 0
        self._transforms = StaticTransforms(self)
        self._rig: CameraRig | None = None

    def setup(self) -> None:
        """Subscribe to all cameras."""
        p = self.params
        limit_threads(p.num_threads)
        names = range(len(p.camera_names))
        self._cameras = [Camera(p.camera_names[i], p.image_topic(i), p.info_topic(i)) for i in names]
        self._poses_n44 = np.tile(np.eye(4), (len(self._cameras), 1, 1))
        if self._rig is not None:
            self._rig.close()
        self._rig = CameraRig(len(self._cameras), p.width, p.height, p.num_threads)
        self._sync: Synchroniser[Content] = Synchroniser(
            len(self._cameras),
            p.camera_names.index(p.anchor_camera),
            tolerance_s=p.tolerance_s,
            wait_s=p.wait_s,
            max_rate_hz=p.max_rate_hz,
        )
        self._anchor = self._sync.anchor
        self._polled_s = time.monotonic()
        self._bundles = self.advertise(CameraBundle, '~/output/bundle', SENSOR_QOS)
        for i, camera in enumerate(self._cameras):
            image_type = CompressedImageMsg if camera.image_topic.endswith('/compressed') else ImageMsg
            self.subscribe(image_type, camera.image_topic, partial(self._on_image, i), SENSOR_QOS, period_s=SILENCE_S)
            self.subscribe(CameraInfo, camera.info_topic, partial(self._on_info, i), SENSOR_QOS, stamped=False, patient=True)
        self._poll_timer = self.every(POLL_PERIOD_S, self._on_poll, steady=True)

    def forget(self) -> None:
        """Drop the images that wait."""
        self._give_up_images()

    def params_changed(self) -> None:
        """Tolerance, wait, rate, offsets and poses may change while running."""
        if self._rig is not None:
            p = self.params
            self._sync.configure(tolerance_s=p.tolerance_s, wait_s=p.wait_s, max_rate_hz=p.max_rate_hz)
            self._give_up_images()

    def extra_diagnostics(self) -> dict[str, str]:
        """Received, valid and lag of each camera."""
        if self._rig is None:
            return {}
        result = {'anchor': self._cameras[self._sync.anchor].name}
        for i, camera in enumerate(self._cameras):
            lag_s = self._sync.lag_s(i)
            lag = 'no image' if lag_s is None else f'lag {lag_s * 1e3:.0f} ms'
            result[camera.name] = f'received {camera.num_received}, valid {camera.num_valid}, {lag}'
        return result

    def _give_up_images(self) -> None:
        self._sync.reset()
        self.counters['dropped_by_policy'] = self._sync.dropped_by_policy

    def _on_image(self, index: int, message: Any, receive_ns: int) -> None:
        self._cameras[index].num_received += 1
        stamp_ns = stamp_to_ns(message.header.stamp) + self.params.time_offset_ns(index)
        self._publish_all(self._sync.add(index, stamp_ns, (message, receive_ns), receive_ns / 1e9))
        self.counters['dropped_by_policy'] = self._sync.dropped_by_policy
        run_while(self._sync.is_waiting, self._poll_timer)

    def _on_info(self, index: int, message: CameraInfo, _receive_ns: int) -> None:
        camera, rig = self._cameras[index], self._rig
        key = _info_key(message)
        if rig is None or key == camera.info_key:
            return
        camera.info_key = None
        rig.calibrate(index, None)
        rig.calibrate(index, camera_model_from_msg(message, is_rectified=_is_rectified(camera.image_topic)))
        camera.info_key = key

    def _on_poll(self) -> None:
        """Let bundles go whose wait is over.

        The time used is that of the poll before: whatever reached the queue while this node was busy decoding has then been
        handed over, and is not mistaken for late.
        """
        now_s, self._polled_s = self._polled_s, time.monotonic()
        self._publish_all(self._sync.poll(now_s))
        run_while(self._sync.is_waiting, self._poll_timer)

    def _publish_all(self, bundles: list[Bundle[Content]]) -> None:
        for bundle in bundles:
            self._tell_anchor(bundle.anchor)
            self._publish(bundle)

    def _publish(self, bundle: Bundle[Content]) -> None:
        assert self._rig is not None
        facts = [''] * len(self._cameras)
        sources = [self._source(i, image.content[0] if image else None, facts) for i, image in enumerate(bundle.images)]
        for i, fact in enumerate(self._rig.fill(sources)):
            facts[i] = facts[i] or fact
            self._account(i, facts[i])
        images = CameraImages(
            images_nhw3=self._rig.images_nhw3,
            intrinsics_n33=self._rig.intrinsics_n33,
            base_link_se3_camera_n44=self._poses_n44,
            valid_n=np.array([not fact for fact in facts]),
            names=self.params.camera_names,
        )
        stamps_ns = [image.stamp_ns if image else 0 for image in bundle.images]
        complete_ns = max(image.content[1] for image in bundle.images if image)
        anchor = bundle.images[bundle.anchor]
        assert anchor is not None
        trace = Trace(receive_ns=anchor.content[1]).passed('camera_node', complete_ns, time.monotonic_ns())
        message = cameras_to_msg(images, bundle.stamp_ns, stamps_ns, trace)
        message.trace.publish_at_ns[-1] = time.monotonic_ns()
        self._bundles.publish(message)

    def _source(self, index: int, message: Any, facts: list[str]) -> RawImage | CompressedImage | None:
        """The image and its pose, or None and the fact that forbids to use it."""
        if message is None:
            anchor = self._cameras[self._sync.anchor].name
            facts[index] = f'no image within {self.params.tolerance_s * 1e3:.0f} ms of the anchor {anchor}; masked'
            return None
        try:
            if self._cameras[index].info_key is None:
                raise InputError(f'no usable CameraInfo on {self._cameras[index].info_topic}; masked until it comes')
            self._poses_n44[index] = self._pose(index, message.header.frame_id)
            return source_from_msg(message)
        except InputError as err:
            facts[index] = str(err)
            return None

    def _pose(self, index: int, frame_id: str) -> Array:
        p = self.params
        pose = p.extrinsic(index)
        frame_id = (p.frame_ids[index] if p.frame_ids else '') or frame_id
        if pose is None and not frame_id:
            raise InputError('the image names no frame_id; set parameter frame_ids or extrinsics')
        return self._transforms.lookup(BASE_LINK, frame_id) if pose is None else pose

    def _account(self, index: int, fact: str) -> None:
        camera = self._cameras[index]
        if not fact:
            camera.num_valid += 1
            return
        self.counters['masked_images'] += 1
        topic = self.resolve_topic_name(camera.image_topic)
        self.inputs[topic].rejected(fact, time.monotonic())
        self.warn_slowly(f'{topic}: {fact}')

    def _tell_anchor(self, anchor: int) -> None:
        if anchor == self._anchor:
            return
        before, after = self._cameras[self._anchor].name, self._cameras[anchor].name
        self._anchor = anchor
        if after == self.params.anchor_camera:
            self.get_logger().info(f'anchor camera {after} is back')
        else:
            self.get_logger().warning(f'anchor camera {before} is silent; bundles now carry the stamps of {after}')


def source_from_msg(message: Any) -> RawImage | CompressedImage:
    """A sensor_msgs/Image or CompressedImage for decoding; the bytes are not copied.

    Raises:
        InputError: unknown encoding, or sizes that do not fit.
    """
    data = np.frombuffer(message.data, np.uint8)
    if isinstance(message, CompressedImageMsg):
        return CompressedImage(data, message.format)
    return RawImage(message.encoding, message.width, message.height, message.step, data)


def camera_model_from_msg(message: CameraInfo, *, is_rectified: bool) -> CameraModel:
    """The calibration of the image as it is sent: after binning and cropping to the region of interest.

    Args:
        is_rectified: the image was undistorted before, so that ``p`` describes it, without distortion.

    Raises:
        InputError: values that no camera has.
    """
    matrix = np.array(message.p, float).reshape(3, 4)[:, :3] if is_rectified else np.array(message.k, float).reshape(3, 3)
    roi, binning = message.roi, (max(message.binning_x, 1), max(message.binning_y, 1))
    size = (roi.width or message.width, roi.height or message.height)
    if roi.width or roi.height:
        matrix[:2, 2] -= (roi.x_offset, roi.y_offset)
    # A binned pixel's centre is the mean of its pixels' centres.
    matrix[:2, 2] = (matrix[:2, 2] + 0.5) / binning - 0.5 if max(binning) > 1 else matrix[:2, 2]
    matrix[0, :2] /= binning[0]
    matrix[1, :2] /= binning[1]
    name, coefficients = ('', ()) if is_rectified else (message.distortion_model, message.d)
    return camera_model(size[0] // binning[0], size[1] // binning[1], matrix.ravel().tolist(), name, coefficients)


def _is_rectified(image_topic: str) -> bool:
    """image_proc's convention: image_rect, image_rect_color."""
    return image_topic.removesuffix('/compressed').rsplit('/', 1)[-1].startswith('image_rect')


def _info_key(message: CameraInfo) -> tuple[Any, ...]:
    roi = message.roi
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    size = (message.width, message.height, message.binning_x, message.binning_y)
    return (*size, *region, message.distortion_model, tuple(message.d), tuple(message.k), tuple(message.p))


def main() -> None:
    """Run the node in this process."""
    run(CameraNode)


if __name__ == '__main__':
    main()
