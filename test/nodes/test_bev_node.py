"""The BEV node with real messages."""

import array

import numpy as np
import pytest
from engine.small_network import small_weights
from nav_msgs.msg import OccupancyGrid
from nodes.bev_bench import IN, OUT, STEP_NS, Bench, bundle, car_on_a_road, odometry, sweep
from rclpy.lifecycle import TransitionCallbackReturn
from visualization_msgs.msg import MarkerArray

from harness import ros
from moe_bev_ros.core.frame import LidarPoints
from moe_bev_ros.core.objects import Label
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.msg import EngineStatus
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.convert import uint8_array

FAR_AWAY = uint8_array(np.full((9, 5), 1e30, np.float32))


@pytest.fixture
def bench():
    with ros() as harness:
        yield Bench(harness)


def test_bundle_and_sweep_become_objects_with_the_bundles_stamp_and_path(bench):
    bench.sweeps.publish(sweep(1, offset_ns=10_000_000))
    bench.bundles.publish(bundle(1))
    message = bench.wait(1)
    assert message.header.frame_id == 'base_link'
    assert message.header.stamp.nanosec == STEP_NS
    assert (message.lidar_valid, message.camera_valid, message.perception_valid) == (True, True, True)
    assert message.engine == 'clustering'
    (car,) = message.objects
    assert car.label == Label.CAR
    assert abs(car.pose.position.x - 17.2) < 0.3
    assert message.trace.receive_ns == 5
    assert list(message.trace.stages) == ['camera_node', 'bev_node']
    assert message.trace.publish_at_ns[1] > message.trace.receive_at_ns[1]


def test_a_bundle_without_sweep_yields_objects_that_are_not_valid(bench):
    bench.bundles.publish(bundle(1))
    message = bench.wait(1)
    assert (message.lidar_valid, message.camera_valid, message.perception_valid) == (False, True, False)
    assert len(message.objects) == 0


def test_a_sweep_without_bundle_is_enough_for_the_clustering(bench):
    bench.sweeps.publish(sweep(1))
    message = bench.wait(1)
    assert (message.lidar_valid, message.camera_valid, message.perception_valid) == (True, False, True)
    assert len(message.objects) == 1
    assert list(message.trace.stages) == ['lidar_node', 'bev_node']


@pytest.mark.parametrize('message', [sweep(1, LidarPoints(np.zeros((0, 5), np.float32))), sweep(1, valid=(True, False))])
def test_a_sweep_without_points_or_without_one_of_its_lidars_is_not_valid(bench, message):
    bench.sweeps.publish(message)
    bench.bundles.publish(bundle(1))
    assert not bench.wait(1).perception_valid


def test_velocity_is_over_ground_and_a_parked_car_stands(bench):
    for frame in range(1, 21):
        x = 0.8 * frame
        bench.odometry.publish(odometry(frame, x, 8.0))
        seen = bench.harness
        seen.spin_until(lambda f=frame: bench.node.frames.odometry.at(f * STEP_NS) is not None)
        bench.sweeps.publish(sweep(frame, car_on_a_road(35.0 - x)))
        bench.bundles.publish(bundle(frame))
        message = bench.wait(frame)
    (car,) = message.objects
    assert abs(car.velocity.x) < 0.3
    assert car.age == 20
    assert len(car.forecast[0].x) == 6


def test_a_cut_off_sweep_is_refused_and_the_next_one_is_used(bench):
    broken = sweep(1)
    broken.data = array.array('B', broken.data[:-7])
    bench.sweeps.publish(broken)
    bench.harness.spin_until(lambda: bench.node.counters['rejected'] == 1)
    bench.sweeps.publish(sweep(2))
    bench.bundles.publish(bundle(2))
    assert bench.wait(1).header.stamp.nanosec == 2 * STEP_NS


@pytest.mark.parametrize(
    ('spoil', 'fact'),
    [
        (lambda message: setattr(message.header, 'frame_id', 'lidar'), "sweep in frame 'lidar'; wanted base_link"),
        (lambda message: setattr(message, 'num_points', 7), '7 points need 140 bytes'),
        (lambda message: setattr(message, 'data', FAR_AWAY), 'a point lies beyond 10000 m'),
    ],
)
def test_a_sweep_that_cannot_be_is_named_and_the_next_one_is_used(bench, spoil, fact):
    bad = sweep(1, LidarPoints(np.ones((9, 5), np.float32)))
    spoil(bad)
    bench.sweeps.publish(bad)
    bench.harness.spin_until(lambda: bench.node.counters['rejected'] == 1)
    assert bench.node.warnings[-1].startswith(f'{IN}/sweep: {fact}')
    bench.sweeps.publish(sweep(2))
    assert bench.wait(1).header.stamp.nanosec == 2 * STEP_NS
    assert len(bench.objects) == 1


def test_a_bundle_in_another_frame_is_named_and_not_used(bench):
    bad = bundle(1)
    bad.header.frame_id = 'map'
    bench.bundles.publish(bad)
    bench.sweeps.publish(sweep(1))
    assert not bench.wait(1).camera_valid
    assert any(text == f"{IN}/bundle: bundle in frame 'map'; wanted base_link" for text in bench.node.warnings)


def test_sweeps_beside_the_bundles_are_no_dropped_frames(bench):
    for frame in range(1, 9):
        bench.sweeps.publish(sweep(frame))
        bench.bundles.publish(bundle(frame))
        bench.wait(frame)
        bench.sweeps.publish(sweep(frame, offset_ns=STEP_NS // 2))
    bench.harness.spin_until(lambda: bench.node.counters['unused_sweeps'] >= 7)
    assert bench.node.counters['dropped_by_policy'] == 0
    assert [message.lidar_valid for message in bench.objects] == [True] * 8


def test_the_map_is_not_made_while_nobody_listens(bench):
    made = []
    publish = bench.node.map_publisher.publish
    bench.node.map_publisher.publish = lambda message: (made.append(message), publish(message))
    bench.sweeps.publish(sweep(1))
    bench.bundles.publish(bundle(1))
    bench.wait(1)
    assert not made


def test_a_bundle_that_is_cut_off_is_named_and_the_frame_goes_out_without_it(bench):
    bad = bundle(1)
    bad.data = bad.data[:-1]
    bench.bundles.publish(bad)
    bench.sweeps.publish(sweep(1))
    message = bench.wait(1)
    assert not message.camera_valid
    assert any(text.startswith(f'{IN}/bundle: CameraBundle of 1 cameras') for text in bench.node.warnings)


@pytest.mark.parametrize('spoil', [{'speed': float('nan')}, {'speed': 1e7}, {'x': float('inf')}])
def test_odometry_that_cannot_be_is_named_and_does_not_reach_the_tracks(bench, spoil):
    for frame in range(1, 7):
        bench.odometry.publish(odometry(frame, **(spoil if frame > 3 else {})))
        health = bench.node.inputs[f'{IN}/odometry']
        bench.harness.spin_until(lambda health=health, frame=frame: health.num_received == frame)
        bench.sweeps.publish(sweep(frame))
        message = bench.wait(frame)
    assert bench.node.counters['rejected'] == 3
    assert bench.node.counters['failures'] == 0
    assert all(np.isfinite([item.pose.position.x, item.velocity.x]).all() for item in message.objects)
    assert len(message.objects) == 1


def test_after_a_gap_without_frames_tracks_start_anew(bench):
    for count, frame in enumerate((1, 2, 3, 53), start=1):
        bench.sweeps.publish(sweep(frame))
        message = bench.wait(count)
    assert [item.age for item in message.objects] == [1]
    assert 'no frame for 5.0 s; tracks begin anew' in bench.node.warnings


def test_after_a_jump_back_tracks_start_anew(bench):
    for count, frame in enumerate((100, 101, 102, 1), start=1):
        bench.sweeps.publish(sweep(frame))
        bench.bundles.publish(bundle(frame))
        message = bench.wait(count)
    assert message.objects[0].age == 1


def test_map_markers_and_status_describe_the_frame():
    with ros() as harness:
        bench = Bench(harness)
        maps = harness.listen(OccupancyGrid, f'{OUT}/bev_map')
        markers = harness.listen(MarkerArray, f'{OUT}/markers')
        status = harness.listen(EngineStatus, f'{OUT}/engine_status')
        for publisher in (bench.node.map_publisher, bench.node.markers_publisher, bench.node.status_publisher):
            harness.spin_until(publisher.get_subscription_count)
        bench.sweeps.publish(sweep(1))
        bench.bundles.publish(bundle(1))
        harness.spin_until(lambda: maps and markers and status)
        info = maps[0].info
        cells = np.asarray(maps[0].data).reshape(info.height, info.width)
        assert (info.height, info.width) == (400, 400)
        assert cells[200, int((15 + 50) / info.resolution)] == 100
        assert cells[200, int((10 + 50) / info.resolution)] in (0, -1)
        assert 0 in cells
        assert [marker.ns for marker in markers[0].markers] == ['boxes', 'captions']
        assert list(status[0].stages) == ['ground', 'clusters', 'boxes', 'grid', 'tracker']
        assert status[0].num_images == 1
        assert status[0].num_points > 1000


def test_an_engine_that_does_not_exist_is_refused():
    with ros({'engine': 'magic'}), pytest.raises(ValueError, match='magic'):
        BevNode()


def test_the_node_can_be_configured_again_after_cleanup():
    with ros() as harness:
        node = harness.start(BevNode)
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS


def test_frames_that_waited_for_a_busy_engine_give_way_to_the_newest():
    with ros() as harness:
        bench = Bench(harness)
        for frame in (1, 2, 3):
            bench.sweeps.publish(sweep(frame))
            bench.bundles.publish(bundle(frame))
        harness.executor.remove_node(bench.node)
        harness.spin_for(0.1)
        harness.executor.add_node(bench.node)
        message = bench.wait(1)
        harness.spin_for(0.1)
        assert message.header.stamp.nanosec == 3 * STEP_NS
        assert len(bench.objects) == 1
        assert bench.node.counters['dropped_by_policy'] == 2


def test_the_network_publishes_what_it_left_out_and_what_it_lost(monkeypatch, tmp_path):
    weights = small_weights(tmp_path)
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, weights, tmp_path / 'none.json'))
    with ros({'engine': 'torch', 'score_threshold': 1.0}) as harness:
        bench = Bench(harness)
        status = harness.listen(EngineStatus, f'{OUT}/engine_status')
        harness.spin_until(bench.node.status_publisher.get_subscription_count)
        for frame in (1, 2):
            bench.sweeps.publish(sweep(frame))
            assert bench.wait(frame).perception_valid
        harness.spin_until(lambda: len(status) == 2)
        assert list(status[0].experts) == ['lidar']
        assert dict(zip(status[0].sparsity_names, status[0].sparsity))['image_blocks'] == 1.0
        assert (len(status[0].warnings), 'motion' in status[1].warnings[0]) == (0, True)
        assert status[1].memory_bytes > 0


@pytest.mark.parametrize(('threshold', 'least'), [(-1.0, BevEngine.least_scores), (0.1, dict.fromkeys(Label, 0.1))])
def test_guesses_of_the_network_are_not_published_unless_they_are_asked_for(monkeypatch, tmp_path, threshold, least):
    weights = small_weights(tmp_path)
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, weights, tmp_path / 'none.json'))
    with ros({'engine': 'torch', 'score_threshold': threshold}) as harness:
        bench = Bench(harness)
        bench.sweeps.publish(sweep(1))
        objects = bench.wait(1).objects
        assert all(item.score >= least[item.label] - 1e-6 for item in objects)
        assert any(item.score < BevEngine.least_scores[item.label] for item in objects) == (threshold > 0.0)


def test_a_rig_that_the_network_does_not_fit_yields_objects_that_are_not_valid(monkeypatch, tmp_path):
    weights = small_weights(tmp_path)
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, weights, tmp_path / 'none.json'))
    with ros({'engine': 'torch'}) as harness:
        bench = Bench(harness)
        bench.sweeps.publish(sweep(1))
        bench.bundles.publish(bundle(1))
        assert not bench.wait(1).perception_valid
        assert any('16 x 8' in text and 'width: 64 and height: 32 of camera_node' in text for text in bench.node.warnings)
