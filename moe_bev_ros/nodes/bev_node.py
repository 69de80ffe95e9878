"""Camera bundles and LiDAR sweeps in; tracked objects, a BEV map, markers and the engine's status out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.qos import QoSProfile
from visualization_msgs.msg import MarkerArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.objects import Detections, Label, Scene
from moe_bev_ros.engine.base import DEVICES, PRECISIONS, BevGrid, Engine, EngineError, EngineOutput, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.pipeline import Answer, InTurn, Pipeline, steps_of
from moe_bev_ros.msg import CameraBundle, EngineStatus, LidarSweep, Objects
from moe_bev_ros.nodes.base import FRAME_QOS, SENSOR_QOS, StackNode, run, run_while, stamp_to_ns
from moe_bev_ros.nodes.bev_messages import map_to_msg, status_to_msg
from moe_bev_ros.nodes.convert import BASE_LINK, cameras_from_msg, ego_from_msg, lidar_from_msg, scene_to_msg, trace_from_msg
from moe_bev_ros.nodes.explanation_publisher import explanation_publisher
from moe_bev_ros.nodes.light_publisher import LightPublisher
from moe_bev_ros.nodes.markers import ObjectMarkers
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.perception.frame_builder import Bundle, FrameBuilder, Sweep
from moe_bev_ros.perception.pairing import Pair, Pairer, PairingConfig
from moe_bev_ros.perception.tracker import Tracker, TrackerConfig
from moe_bev_ros.runtime.threads import limit_threads

ODOMETRY_QOS = QoSProfile(depth=50)
POLL_PERIOD_S = 0.01
MEMORY_S = 1.5  # after a longer gap between two frames, tracks are guesses and not memories
# An input older than this has waited for the engine: newer ones may lie behind it, and the newest is what counts.
FRESH_NS = 30_000_000


@dataclass(frozen=True)
class BevParams:
    """Parameters of bev_node."""

    engine: str = param('clustering', f'engine, one of {", ".join(ENGINES)}', read_only=True)
    pair_tolerance_s: float = param(
        0.05, 'largest difference of the stamps of a bundle and a sweep [s]', low=0.0, high=1.0, read_only=True
    )
    wait_s: float = param(
        0.2, 'how long a bundle or sweep waits for the other, wall time [s]', low=0.0, high=2.0, read_only=True
    )
    dead_after: int = param(3, 'a sensor missing in so many frames in a row is not waited for', low=1, high=100, read_only=True)
    max_rate_hz: float = param(
        10.0,
        'frames of sweeps alone, where no bundle is near [Hz]; a faster LiDAR is thinned out here and not in lidar_node, '
        'so that the sweep nearest to a bundle is never given up; frames given up are dropped by policy',
        low=0.1,
        high=120.0,
        read_only=True,
    )
    every_lidar_needed: bool = param(True, 'a sweep that lacks one of its LiDARs is no valid perception')
    score_threshold: float = param(
        -1.0, 'objects below this score are not published; below 0: the bounds of the engine, by class', low=-1.0, high=1.0
    )
    odometry_extrapolation_s: float = param(
        0.2, 'how far behind the newest odometry a frame may lie [s]', low=0.0, high=1.0, read_only=True
    )
    confirm_hits: int = param(3, 'detections after which a track outlives frames without one', low=1, high=20, read_only=True)
    max_missed: int = param(15, 'frames for which a hidden road user is remembered', low=0, high=100, read_only=True)
    max_missed_unknown: int = param(
        3, 'frames for which an object without a class is remembered', low=0, high=100, read_only=True
    )
    size_gain: float = param(0.1, 'how fast a box follows a smaller size', low=0.01, high=1.0, read_only=True)
    grid_half_m: float = param(
        50.0, 'the map reaches so far from base_link to every side [m]', low=5.0, high=200.0, read_only=True
    )
    grid_cell_m: float = param(0.25, 'size of a cell of the map [m]', low=0.05, high=2.0, read_only=True)
    num_threads: int = num_threads_param('the engine computes with')
    pipeline: bool = param(
        True, 'begin a frame while the one before is finished, where the engine can; false: one after the other', read_only=True
    )
    precision: str = param(
        'auto', f"of the engine's network, one of {', '.join(PRECISIONS)}; auto: what is best without loss", read_only=True
    )
    device: str = param('auto', f"of the engine's network, one of {', '.join(DEVICES)}", read_only=True)
    engine_dir: str = param('', 'folder of an exported network; empty: that of the network that ships', read_only=True)
    build_only: bool = param(
        False, 'build the engine, which one for TensorRT needs on the vehicle, say so, and end the process', read_only=True
    )
    map_path: str = param(
        '', 'Lanelet2 map whose traffic lights are read in the images and published; empty: nobody looks', read_only=True
    )
    map_origin: tuple[float, ...] = param(
        (), 'latitude, longitude of the map frame [degrees]; unused with local_x tags', read_only=True
    )

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine '{self.engine}' is none of {', '.join(ENGINES)}")
        for name, values in (('precision', PRECISIONS), ('device', DEVICES)):
            if (value := getattr(self, name)) not in values:
                raise ValueError(f"{name} '{value}' is none of {', '.join(values)}")
        if len(self.map_origin) not in (0, 2):
            raise ValueError(f'map_origin must be latitude and longitude, got {len(self.map_origin)} values')


@dataclass(frozen=True)
class _Item:
    """A frame on its way; ``receive_at_ns`` is when all of it was there, on CLOCK_MONOTONIC."""

    frame: Frame
    receive_at_ns: int
    complete: bool


class BevNode(StackNode[BevParams]):
    """See the module."""

    _steps: InTurn[_Item] | Pipeline[_Item] | None = None

    def __init__(self) -> None:
        super().__init__('bev_node', BevParams)
        self.counters.update(frames=0, frames_without_lidar=0, frames_without_camera=0, late_partners=0, unused_sweeps=0)
        self.pairer: Pairer[Bundle, Sweep] = Pairer()
        self._answers: deque[Answer[_Item]] = deque()  # of the engine, which nobody has heard yet
        self._given_up = 0  # frames that left the engine in vain, or were dropped in one that is no more
        self._wake_up = self.waker(self._publish_answers)
        if self.params.build_only:
            self._make_engine()
            self.get_logger().info(f'engine {self.params.engine} is built')
            raise SystemExit(0)

    def setup(self) -> None:
        """Build and warm up the engine, open the topics."""
        params = self.params
        limit_threads(params.num_threads)
        self._close()
        self.engine = self._make_engine()
        self._steps = steps_of(self.engine, self._take_answer, overlap=params.pipeline)
        self.pairer.configure(PairingConfig(params.pair_tolerance_s, params.wait_s, params.dead_after, params.max_rate_hz))
        self.tracker = Tracker(
            TrackerConfig(params.confirm_hits, params.max_missed, params.max_missed_unknown, params.size_gain)
        )
        self.frames = FrameBuilder(params.odometry_extrapolation_s)
        self.markers = ObjectMarkers()
        self.objects_publisher = self.advertise(Objects, '~/output/objects', FRAME_QOS)
        self.map_publisher = self.advertise(OccupancyGrid, '~/output/bev_map')
        self.markers_publisher = self.advertise(MarkerArray, '~/output/markers')
        self.status_publisher = self.advertise(EngineStatus, '~/output/engine_status')
        origin = (params.map_origin[0], params.map_origin[1]) if params.map_origin else None
        self.lights = LightPublisher(self, Path(params.map_path), origin) if params.map_path else None
        self.explanations = explanation_publisher(self, self.engine)
        self.subscribe(Odometry, '~/input/odometry', self.on_odometry, ODOMETRY_QOS, required=False, patient=True)
        self.subscribe(LidarSweep, '~/input/sweep', self.on_sweep, SENSOR_QOS, period_s=0.1)
        self.subscribe(CameraBundle, '~/input/bundle', self.on_bundle, SENSOR_QOS, period_s=0.1)
        self._poll_timer = self.every(POLL_PERIOD_S, self._on_timer, steady=True)

    def _make_engine(self) -> Engine:
        try:
            engine = ENGINES[self.params.engine](_settings(self.params))
            engine.step(_warm_up_frame(), None)
        except EngineError as err:
            raise InputError(str(err)) from err
        return engine

    def forget(self) -> None:
        """Time jumped: nothing from before counts."""
        self.pairer.reset()
        self.frames.forget()
        self._begin_anew()
        self._catches_up = False

    def _begin_anew(self) -> None:
        self.steps.reset()
        self._given_up += sum(not answer.is_dropped for answer in self._answers)
        self._answers.clear()
        self.frames.begin_anew()
        self.tracker.reset()
        if self.lights is not None:
            self.lights.reset()

    @property
    def steps(self) -> InTurn[_Item] | Pipeline[_Item]:
        """The way of frames through the engine."""
        assert self._steps is not None
        return self._steps

    def destroy_node(self) -> None:
        """End the threads first: they wake this node up."""
        self._close()
        super().destroy_node()

    def _close(self) -> None:
        if self._steps is not None:
            self._steps.close()
            self._given_up += self._steps.dropped
            self._steps = None

    def extra_diagnostics(self) -> dict[str, str]:
        """Which engine runs."""
        return {'engine': self.params.engine}

    # Inputs ------------------------------------------------------------------------------------------------------------

    def on_odometry(self, message: Odometry, receive_ns: int) -> None:
        """Remember where the vehicle is."""
        del receive_ns
        self.frames.odometry.add(ego_from_msg(message))

    def on_bundle(self, message: CameraBundle, receive_ns: int) -> None:
        """Take the images of an anchor stamp."""
        if message.header.frame_id != BASE_LINK:
            raise InputError(f'bundle in frame {message.header.frame_id!r}; wanted {BASE_LINK}')
        bundle = Bundle(cameras_from_msg(message), trace_from_msg(message.trace), receive_ns)
        self.pairer.add_bundle(stamp_to_ns(message.header.stamp), bundle, time.monotonic())
        self._poll_if_fresh(receive_ns)

    def on_sweep(self, message: LidarSweep, receive_ns: int) -> None:
        """Take the points of a stamp."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        if message.header.frame_id != BASE_LINK:
            raise InputError(f'sweep in frame {message.header.frame_id!r}; wanted {BASE_LINK}')
        points = lidar_from_msg(message) if message.num_points else None
        sweep = Sweep(points, all(message.valid), stamp_ns, trace_from_msg(message.trace), receive_ns)
        self.pairer.add_sweep(stamp_ns, sweep, time.monotonic())
        self._poll_if_fresh(receive_ns)

    def _poll_if_fresh(self, receive_ns: int) -> None:
        self._catches_up = time.monotonic_ns() - receive_ns >= FRESH_NS
        if not self._catches_up:
            self.poll()
        run_while(self._catches_up or self.pairer.is_waiting, self._poll_timer)

    def _on_timer(self) -> None:
        """Poll, unless an old input came since the last time: the queue may hold newer ones."""
        waits, self._catches_up = self._catches_up, False
        if not waits:
            self.poll()
        run_while(waits or self.pairer.is_waiting, self._poll_timer)

    def poll(self) -> None:
        """Let the engine see the newest frame that is ready."""
        pair = self.pairer.take(time.monotonic())
        self.counters['late_partners'] = self.pairer.late
        self.counters['unused_sweeps'] = self.pairer.unused_sweeps
        if pair is not None:
            self._submit(pair)
        self.counters['dropped_by_policy'] = self._num_dropped

    @property
    def _num_dropped(self) -> int:
        return self.pairer.dropped + self.steps.dropped + self._given_up

    # One frame ---------------------------------------------------------------------------------------------------------

    def _submit(self, pair: Pair[Bundle, Sweep]) -> None:
        receive_at_ns = time.monotonic_ns()
        if pair.bundle is not None and pair.sweep is not None:
            receive_at_ns = max(pair.bundle.receive_ns, pair.sweep.receive_ns)
        self._forget_after_a_gap(pair.stamp_ns)
        frame = self.frames.build(pair)
        self.counters['frames'] += 1
        self.counters['frames_without_camera'] += frame.cameras is None
        self.counters['frames_without_lidar'] += pair.sweep is None
        is_complete = pair.sweep is None or pair.sweep.complete or not self.params.every_lidar_needed
        self.steps.submit(_Item(frame, receive_at_ns, is_complete), frame, self.frames.motion_to(frame))
        self._publish_answers()

    def _forget_after_a_gap(self, stamp_ns: int) -> None:
        gap_s = self.frames.gap_s(stamp_ns)
        if gap_s > MEMORY_S:
            self.steps.wait()
            self._publish_answers()
            self.warn_slowly(f'no frame for {gap_s:.1f} s; tracks begin anew')
            self._begin_anew()

    def _take_answer(self, answer: Answer[_Item]) -> None:
        """Of the engine, in whatever thread."""
        self._answers.append(answer)
        self._wake_up()

    def _publish_answers(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            if not answer.is_dropped:
                self._publish(answer.context, self._output_of(answer))
        self.counters['dropped_by_policy'] = self._num_dropped

    def _output_of(self, answer: Answer[_Item]) -> EngineOutput:
        engine = self.params.engine
        if isinstance(answer.error, EngineError):
            self.warn_slowly(f'engine {engine}: {answer.error}{self._cure(answer.context.frame)}')
        elif answer.error is not None:
            raise answer.error
        output = answer.output or EngineOutput(Detections.empty(), perception_valid=False)
        for warning in output.warnings:
            self.warn_slowly(f'engine {engine}: {warning}')
        if not output.perception_valid:
            self.warn_slowly(f'engine {engine} lacks its sensors; objects are published as not valid')
        return output

    def _cure(self, frame: Frame) -> str:
        """What to set where the images do not have the engine's size."""
        wanted = self.engine.image_size
        if frame.cameras is None or wanted is None or frame.cameras.images_nhw3.shape[2:0:-1] == wanted:
            return ''
        return f'; set width: {wanted[0]} and height: {wanted[1]} of camera_node'

    def _publish(self, item: _Item, output: EngineOutput) -> None:
        frame, began = item.frame, time.perf_counter()
        objects = self.tracker.update(output.detections, frame.stamp_ns, frame.ego, self._least_scores)
        output = replace(output, stage_ms={**output.stage_ms, 'tracker': (time.perf_counter() - began) * 1e3})
        scene = Scene(
            stamp_ns=frame.stamp_ns,
            objects=objects,
            perception_valid=output.perception_valid and item.complete,
            lidar_valid=frame.lidar_valid,
            camera_valid=frame.camera_valid,
        )
        trace = frame.trace.passed('bev_node', item.receive_at_ns, time.monotonic_ns())
        self.objects_publisher.publish(scene_to_msg(scene, self.params.engine, trace))
        self.status_publisher.publish(status_to_msg(frame, output, self.params.engine, self._num_dropped))
        if output.segmentation is not None and self.map_publisher.get_subscription_count():
            self.map_publisher.publish(map_to_msg(output.segmentation, scene.stamp_ns))
        if self.markers_publisher.get_subscription_count():
            self.markers_publisher.publish(self.markers.update(scene))
        if self.lights is not None:
            self.lights.publish(frame)
        if self.explanations is not None:
            self.explanations.offer(frame, output.detections)

    @property
    def _least_scores(self) -> Mapping[Label, float]:
        threshold = self.params.score_threshold
        return self.engine.least_scores if threshold < 0.0 else dict.fromkeys(Label, threshold)


def _settings(params: BevParams) -> EngineSettings:
    grid = BevGrid(params.grid_half_m, params.grid_cell_m)
    folder = Path(params.engine_dir) if params.engine_dir else None
    return EngineSettings(grid, params.num_threads, params.precision, params.device, folder)


def _warm_up_frame() -> Frame:
    """A few points, so that what is slow the first time is over before the first real frame."""
    points_n5 = np.zeros((1000, 5), np.float32)
    points_n5[:, :3] = np.random.default_rng(0).uniform((-20, -20, 0), (20, 20, 1), (1000, 3))
    return Frame(0, None, LidarPoints(points_n5), None)


def main() -> None:
    """Run the node."""
    run(lambda: BevNode())


if __name__ == '__main__':
    main()
