"""The BEV network as an engine, whatever it runs on: experts chosen by a dispatcher, a memory carried from frame to frame.

A step has two halves, so that two frames can be under way at once: ``begin`` makes the inputs and runs the encoders, ``finish``
runs the rest and finds the boxes. What happens to the memory is said: it is dropped, with a warning, where the vehicle's motion
is not known, after a gap, and where the network answered with what is no number. A frame without any sensor leaves it as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.engine.base import EngineError, EngineOutput, Segmentation
from moe_bev_ros.engine.capability import CAPABILITY, load_capability
from moe_bev_ros.engine.dispatcher import Dispatcher, Situation, look_of, traffic_of
from moe_bev_ros.engine.network import F32, Encoded, Network, NetworkOutputs
from moe_bev_ros.model.config import FRAME_EXPERTS, ROAD_CLASSES
from moe_bev_ros.perception.centre_boxes import decode_maps
from moe_bev_ros.perception.network_inputs import NetworkArrays, NetworkInputs, se2_of

# Each about where precision and recall are best together, on ten validation scenes: what is rare gets lower scores.
LEAST_SCORES = {
    Label.CAR: 0.22,
    Label.TRUCK: 0.2,
    Label.BUS: 0.2,
    Label.TRAILER: 0.2,
    Label.CONSTRUCTION_VEHICLE: 0.2,
    Label.PEDESTRIAN: 0.33,
    Label.MOTORCYCLE: 0.25,
    Label.BICYCLE: 0.25,
    Label.TRAFFIC_CONE: 0.38,
    Label.BARRIER: 0.38,
}
MAX_GAP_S = 1.5  # an older memory is a guess
NetworkT = TypeVar('NetworkT', bound=Network)


class StageClock:
    """Adds the time since it was last asked to the stage that is over.

    Attributes:
        stage_ms: in the order in which stages were first named.
    """

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}
        self.go_on()

    def __call__(self, stage: str) -> None:
        """This stage is over."""
        before_s = self._before_s
        self.go_on()
        self.stage_ms[stage] = self.stage_ms.get(stage, 0.0) + 1e3 * (self._before_s - before_s)

    def go_on(self) -> None:
        """What was since the last stage was none."""
        self._before_s = time.perf_counter()


@dataclass(frozen=True)
class Begun:
    """A frame that waits to be finished.

    Attributes:
        encoded: None where no sensor is valid.
        motion_33, dt_s: since the frame that was begun before it; see `Network.conclude`.
        forgets: the memory is dropped before this frame.
        is_valid: the frame holds the sensors that the engine needs, and the experts are fit to drive by.
    """

    encoded: Encoded | None
    experts: tuple[str, ...]
    motion_33: F32
    dt_s: float
    forgets: bool
    is_valid: bool
    warnings: tuple[str, ...]
    clock: StageClock


class BevEngine(Generic[NetworkT]):
    """Detects with what sensors there are: valid with LiDAR, or with all cameras of the network, where the experts that they
    leave are fit to drive by.

    Raises:
        EngineError: the capability matrix cannot be read.
    """

    least_scores = LEAST_SCORES

    def __init__(self, network: NetworkT, capability: Path = CAPABILITY) -> None:
        self.network, self.name, self.config = network, network.name, network.config
        try:
            self._capability = load_capability(capability)
        except InputError as err:
            raise EngineError(str(err)) from err
        self.dispatcher = Dispatcher(self._capability)
        self.image_size = (self.config.image_width, self.config.image_height)
        self._inputs = NetworkInputs(self.config, num_sets=2)  # one frame is begun while another is finished
        self._seen_stamp_ns: int | None = None
        self._now_se3_seen: Array = np.eye(4)
        self._holds_memory = False
        self.reset()
        self._warm_up()

    def reset(self) -> None:
        """Forget everything that came before; no frame may be begun and not finished."""
        self.dispatcher.reset()
        self._seen = Detections.empty()
        self._forget_motion()
        self._forgets, self._starts_anew = False, False
        self._drop_memory()

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """Detect the objects of one frame.

        Raises:
            EngineError: the rig has more cameras, or images of another size, than the network takes.
        """
        return self.finish(self.begin(frame, base_link_now_se3_before))

    # The first half ----------------------------------------------------------------------------------------------------

    def begin(self, frame: Frame, base_link_now_se3_before: Array | None) -> Begun:
        """The first half of a step, which needs no result of the frame before.

        It may run while another thread finishes the frame before; that has to be over before the next one is begun. Then the
        dispatcher knows of the traffic two frames ago. Every frame that is begun has to be finished, in the same order.

        Raises:
            EngineError: as `step`; the frame then counts as never begun.
        """
        clock = StageClock()
        if self._starts_anew:
            self.dispatcher.reset()
            self._starts_anew = False
        warnings = self._follow_motion(frame.stamp_ns, base_link_now_se3_before)
        try:
            arrays = self._inputs.make(_without_nan(frame))
        except InputError as err:
            raise EngineError(str(err)) from err
        experts = self.dispatcher.choose(self._situation(frame, arrays))
        clock('inputs')
        encoded = self.network.encode(arrays, experts, clock) if experts else None
        sees = arrays.lidar_valid or bool(arrays.camera_valid_n.all())
        is_valid = sees and self._capability.is_fit_to_drive('+'.join(experts))
        motion_33, gap_s = self._motion_to(frame.stamp_ns, is_seen=bool(experts))
        forgets, self._forgets = self._forgets, False
        return Begun(encoded, experts, motion_33, gap_s, forgets, is_valid, warnings, clock)

    def _follow_motion(self, stamp_ns: int, base_link_now_se3_before: Array | None) -> tuple[str, ...]:
        """Take the motion since the last frame to that since the last one that was seen; warnings of what is forgotten."""
        if self._seen_stamp_ns is None:
            return ()
        gap_s = (stamp_ns - self._seen_stamp_ns) / 1e9
        reason = ''
        if base_link_now_se3_before is None or not np.isfinite(base_link_now_se3_before).all():
            reason = "the vehicle's motion since the last frame is not known"
        elif not 0.0 < gap_s <= MAX_GAP_S:
            reason = f'it is {gap_s:.1f} s old'
        else:
            self._now_se3_seen = base_link_now_se3_before @ self._now_se3_seen
        if not reason:
            return ()
        self._forget_motion()
        self._forgets = True
        return (f'memory dropped: {reason}',)

    def _motion_to(self, stamp_ns: int, *, is_seen: bool) -> tuple[F32, float]:
        """Motion and time [s] since the last frame that was seen; from a frame that is seen on they are counted anew."""
        gap_s = 0.0 if self._seen_stamp_ns is None else (stamp_ns - self._seen_stamp_ns) / 1e9
        motion_33 = se2_of(self._now_se3_seen)
        if is_seen:
            self._seen_stamp_ns, self._now_se3_seen = stamp_ns, np.eye(4)
        return motion_33, gap_s

    def _forget_motion(self) -> None:
        self._seen_stamp_ns, self._now_se3_seen = None, np.eye(4)

    def _situation(self, frame: Frame, arrays: NetworkArrays) -> Situation:
        look, traffic = look_of(frame.cameras), traffic_of(self._seen)
        return Situation(bool(arrays.camera_valid_n.any()), arrays.lidar_valid, *look, *traffic)

    # The second half ---------------------------------------------------------------------------------------------------

    def finish(self, begun: Begun) -> EngineOutput:
        """The second half of a step."""
        clock, experts = begun.clock, begun.experts
        clock.go_on()
        if begun.forgets:
            self._drop_memory()
        if begun.encoded is None:
            return self._nothing(begun)
        dt_s = begun.dt_s if self._holds_memory else 0.0
        outputs = self.network.conclude(begun.encoded, begun.motion_33, dt_s, experts, clock)
        self._holds_memory = True
        if not outputs.maps.is_finite():
            self._drop_memory()
            self._seen, self._starts_anew = Detections.empty(), True
            warning = 'the network answered with what is no number; memory dropped, frame not valid'
            return self._nothing(replace(begun, warnings=(*begun.warnings, warning)))
        self._seen = decode_maps(outputs.maps, self.config.head_cell_m, self.config.half_m)
        segmentation = self._segmentation(outputs.road_khw)
        clock('boxes')
        facts = experts, self._memory_bytes, self._sparsity(outputs, experts), begun.warnings
        return EngineOutput(self._seen, begun.is_valid, segmentation, clock.stage_ms, *facts)

    def _nothing(self, begun: Begun) -> EngineOutput:
        stage_ms, experts = begun.clock.stage_ms, begun.experts
        return EngineOutput(Detections.empty(), False, None, stage_ms, experts, self._memory_bytes, warnings=begun.warnings)

    def _drop_memory(self) -> None:
        self.network.drop_memory()
        self._holds_memory = False

    @property
    def _memory_bytes(self) -> int:
        return self.network.memory_bytes if self._holds_memory else 0

    def _sparsity(self, outputs: NetworkOutputs, experts: tuple[str, ...]) -> dict[str, float]:
        """Shares that were not computed: of all image blocks, of all pairs of an expert and a patch, of all frame experts."""
        config = self.config
        return {
            'image_blocks': 1.0 - outputs.num_key_points / (config.num_cameras * config.num_blocks),
            'expert_patches': 1.0 - outputs.num_pairs / (config.num_experts * config.num_patches),
            'frame_experts': 1.0 - len(experts) / len(FRAME_EXPERTS),
        }

    def _segmentation(self, road_khw: F32) -> Segmentation:
        masks = dict(zip(ROAD_CLASSES, road_khw > 0.0))
        occupancy = np.where(masks['drivable'], 0, -1).astype(np.int8)
        occupancy[masks['vehicles']] = 100
        half_m = self.config.half_m
        return Segmentation(occupancy, self.config.head_cell_m, (-half_m, -half_m), masks)

    def _warm_up(self) -> None:
        """Let the run-time make its kernels for every choice of experts before the first frame comes."""
        config = self.config
        images = np.zeros((config.num_cameras, config.image_height, config.image_width, 3), np.uint8)
        poses = np.tile(np.eye(4), (config.num_cameras, 1, 1))
        names = tuple(str(index) for index in range(config.num_cameras))
        matrices = np.tile(np.eye(3, dtype=np.float32), (config.num_cameras, 1, 1))
        cameras = CameraImages(images, matrices, poses, np.ones(config.num_cameras, np.bool_), names)
        frame = Frame(1, cameras, LidarPoints(np.zeros((1, 5), np.float32)), None)
        arrays, clock = self._inputs.make(frame), StageClock()
        for choice in self.dispatcher.capability.scores:
            experts = tuple(choice.split('+'))
            self.network.conclude(self.network.encode(arrays, experts, clock), se2_of(np.eye(4)), 0.1, experts, clock)
        self.step(frame, None)
        self.reset()


def _without_nan(frame: Frame) -> Frame:
    """Without the points that are not finite."""
    if frame.lidar is None or np.isfinite(frame.lidar.points_n5).all():  # ten times faster than row by row
        return frame
    is_finite_n = np.isfinite(frame.lidar.points_n5).all(axis=1)
    return Frame(frame.stamp_ns, frame.cameras, LidarPoints(frame.lidar.points_n5[is_finite_n]), frame.ego, frame.trace)
