"""The BEV network on torch: experts chosen by a dispatcher, a memory that is carried from frame to frame.

What happens to the memory is said: it is dropped, with a warning, where the vehicle's motion is not known, after a gap, and
where the network answered with what is no number. A frame without any sensor leaves it as it is.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.engine.base import EngineError, EngineOutput, EngineSettings, Segmentation
from moe_bev_ros.engine.capability import CAPABILITY, load_capability
from moe_bev_ros.engine.dispatcher import Dispatcher, Situation, look_of, traffic_of
from moe_bev_ros.model.bev_model import Inputs, Outputs
from moe_bev_ros.model.config import FRAME_EXPERTS, ROAD_CLASSES, ModelConfig
from moe_bev_ros.model.weights_file import load_weights
from moe_bev_ros.perception.centre_boxes import CentreMaps, decode_maps
from moe_bev_ros.perception.network_inputs import NetworkArrays, NetworkInputs, se2_of

WEIGHTS = Path(__file__).resolve().parents[1] / 'weights' / 'tiny.safetensors'
TORCH_PRECISIONS = ('auto', 'float32', 'bfloat16')
MAX_GAP_S = 1.5  # an older memory is a guess


class StageClock:
    """Adds the time since it was last asked to the stage that is over.

    Attributes:
        stage_ms: in the order in which stages were first named.
    """

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}
        self._before_s = time.perf_counter()

    def __call__(self, stage: str) -> None:
        """This stage is over."""
        now_s = time.perf_counter()
        self.stage_ms[stage] = self.stage_ms.get(stage, 0.0) + 1e3 * (now_s - self._before_s)
        self._before_s = now_s


class TorchEngine:
    """Detects with what sensors there are: valid with LiDAR, or with all cameras of the network.

    Raises:
        EngineError: the weights are missing, broken, or of another network; an unknown precision.
    """

    name = 'torch'
    least_score = 0.3

    def __init__(self, settings: EngineSettings | None = None, weights: Path = WEIGHTS, capability: Path = CAPABILITY) -> None:
        settings = settings or EngineSettings()
        if settings.precision not in TORCH_PRECISIONS:
            raise EngineError(f'engine torch: precision {settings.precision!r} is none of {", ".join(TORCH_PRECISIONS)}')
        torch.set_num_threads(settings.num_threads)
        try:
            self.model = load_weights(weights).channels_last()
            self.dispatcher = Dispatcher(load_capability(capability))
        except InputError as err:
            raise EngineError(str(err)) from err
        self.config: ModelConfig = self.model.config
        self.image_size = (self.config.image_width, self.config.image_height)
        self.precision = chosen_precision(settings.precision)
        self._inputs = NetworkInputs(self.config)
        self.reset()
        self._warm_up()

    def reset(self) -> None:
        """Forget everything that came before."""
        self.dispatcher.reset()
        self._seen = Detections.empty()
        self._drop_memory()

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """Detect the objects of one frame.

        Raises:
            EngineError: the rig has more cameras, or images of another size, than the network takes.
        """
        clock = StageClock()
        warnings = self._follow_motion(frame.stamp_ns, base_link_now_se3_before)
        try:
            arrays = self._inputs.make(_without_nan(frame))
        except InputError as err:
            raise EngineError(str(err)) from err
        experts = self.dispatcher.choose(self._situation(frame, arrays))
        clock('inputs')
        if not experts:
            return EngineOutput(Detections.empty(), False, None, clock.stage_ms, (), self._memory_bytes, warnings=warnings)
        outputs = self._run(arrays, experts, frame.stamp_ns, clock)
        maps, road_khw = maps_of(outputs), _array(outputs.road)
        if not all(np.isfinite(values).all() for values in maps):
            self.reset()
            warnings = (*warnings, 'the network answered with what is no number; memory dropped, frame not valid')
            return EngineOutput(Detections.empty(), False, None, clock.stage_ms, experts, self._memory_bytes, warnings=warnings)
        self._seen = decode_maps(maps, self.config.head_cell_m, self.config.half_m)
        segmentation = self._segmentation(road_khw)
        clock('boxes')
        is_valid = arrays.lidar_valid or bool(arrays.camera_valid_n.all())
        sparsity = self._sparsity(outputs, experts)
        return EngineOutput(self._seen, is_valid, segmentation, clock.stage_ms, experts, self._memory_bytes, sparsity, warnings)

    # Memory ------------------------------------------------------------------------------------------------------------

    def _drop_memory(self) -> None:
        self._memory = self.model.empty_memory(1)
        self._memory_stamp_ns: int | None = None
        self._now_se3_memory: Array = np.eye(4)

    def _follow_motion(self, stamp_ns: int, base_link_now_se3_before: Array | None) -> tuple[str, ...]:
        """Take the motion since the last frame to that since the memory was written; warnings of what was dropped."""
        if self._memory_stamp_ns is None:
            return ()
        gap_s = (stamp_ns - self._memory_stamp_ns) / 1e9
        reason = ''
        if base_link_now_se3_before is None or not np.isfinite(base_link_now_se3_before).all():
            reason = "the vehicle's motion since the last frame is not known"
        elif not 0.0 < gap_s <= MAX_GAP_S:
            reason = f'it is {gap_s:.1f} s old'
        else:
            self._now_se3_memory = base_link_now_se3_before @ self._now_se3_memory
        if reason:
            self._drop_memory()
            return (f'memory dropped: {reason}',)
        return ()

    @property
    def _memory_bytes(self) -> int:
        if self._memory_stamp_ns is None:
            return 0
        return sum(values.numel() * values.element_size() for values in self._memory.values())

    # One step ----------------------------------------------------------------------------------------------------------

    def _situation(self, frame: Frame, arrays: NetworkArrays) -> Situation:
        look, traffic = look_of(frame.cameras), traffic_of(self._seen)
        return Situation(bool(arrays.camera_valid_n.any()), arrays.lidar_valid, *look, *traffic)

    def _run(self, arrays: NetworkArrays, experts: tuple[str, ...], stamp_ns: int, clock: StageClock) -> Outputs:
        gap_s = 0.0 if self._memory_stamp_ns is None else (stamp_ns - self._memory_stamp_ns) / 1e9
        inputs = tensors_of(arrays, se2_of(self._now_se3_memory), gap_s)
        with torch.inference_mode(), autocast(self.precision):
            outputs, self._memory = self.model(inputs, self._memory, experts, clock)
        self._memory_stamp_ns, self._now_se3_memory = stamp_ns, np.eye(4)
        return outputs

    def _sparsity(self, outputs: Outputs, experts: tuple[str, ...]) -> dict[str, float]:
        """Shares that were not computed: of all image blocks, of all pairs of an expert and a patch, of all frame experts."""
        config, seen = self.config, outputs.hints.seen
        num_points = 0 if seen is None else seen.chosen.shape[1]
        num_pairs = config.num_experts * config.num_patches
        return {
            'image_blocks': 1.0 - num_points / (config.num_cameras * config.num_blocks),
            'expert_patches': 1.0 - outputs.hints.routing.patch_bes[0].numel() / num_pairs,
            'frame_experts': 1.0 - len(experts) / len(FRAME_EXPERTS),
        }

    def _segmentation(self, road_khw: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Segmentation:
        masks = dict(zip(ROAD_CLASSES, road_khw > 0.0))
        occupancy = np.where(masks['drivable'], 0, -1).astype(np.int8)
        occupancy[masks['vehicles']] = 100
        half_m = self.config.half_m
        return Segmentation(occupancy, self.config.head_cell_m, (-half_m, -half_m), masks)

    def _warm_up(self) -> None:
        """Let torch choose its kernels before the first frame comes."""
        config = self.config
        images = np.zeros((config.num_cameras, config.image_height, config.image_width, 3), np.uint8)
        poses = np.tile(np.eye(4), (config.num_cameras, 1, 1))
        names = tuple(str(index) for index in range(config.num_cameras))
        matrices = np.tile(np.eye(3, dtype=np.float32), (config.num_cameras, 1, 1))
        cameras = CameraImages(images, matrices, poses, np.ones(config.num_cameras, np.bool_), names)
        for stamp_ns in (1, 2):
            self.step(Frame(stamp_ns, cameras, LidarPoints(np.zeros((1, 5), np.float32)), None), np.eye(4))
        self.reset()


def autocast(precision: str) -> AbstractContextManager[object]:
    """Within it the network computes in this precision, float32 or bfloat16."""
    return torch.autocast('cpu', torch.bfloat16) if precision == 'bfloat16' else nullcontext()


def chosen_precision(wanted: str) -> str:
    """bfloat16 takes two thirds of the time of float32 where the processor has instructions for it, and longer elsewhere."""
    if wanted != 'auto':
        return wanted
    try:
        flags = Path('/proc/cpuinfo').read_text().split()
    except OSError:
        return 'float32'
    return 'bfloat16' if {'avx512_bf16', 'amx_bf16', 'bf16'} & set(flags) else 'float32'


def _without_nan(frame: Frame) -> Frame:
    """Without the points that are not finite."""
    if frame.lidar is None:
        return frame
    is_finite_n = np.isfinite(frame.lidar.points_n5).all(axis=1)
    if is_finite_n.all():
        return frame
    return Frame(frame.stamp_ns, frame.cameras, LidarPoints(frame.lidar.points_n5[is_finite_n]), frame.ego, frame.trace)


def tensors_of(arrays: NetworkArrays, motion_33: np.ndarray[tuple[int, ...], np.dtype[np.float32]], dt_s: float) -> Inputs:
    """One frame as a batch of one."""
    fields = (
        arrays.images_n3hw,
        arrays.depth_nhw,
        arrays.pixel_zc,
        arrays.bin_zc,
        arrays.pillars_pss,
        motion_33,
        np.float32(dt_s),
    )
    return Inputs(*(torch.from_numpy(np.asarray(values)[None]) for values in fields))


def _array(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(values[0].float().numpy())


def maps_of(outputs: Outputs) -> CentreMaps:
    """Of the first of a batch."""
    return CentreMaps(
        _array(outputs.heat),
        _array(outputs.boxes),
        _array(outputs.log_sigma),
        _array(outputs.attributes),
        _array(outputs.forecast),
    )
