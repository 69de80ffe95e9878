import json

import pytest

from moe_bev_ros.core.command import Command
from moe_bev_ros.core.files import write_json
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.evaluation.summary import RunLog, frame_stamps, table
from moe_bev_ros.perception.pairing import PairingConfig

BRAKE = Command(throttle=0.0, brake=0.5, steering_angle_rad=0.0, acceleration_mps2=-1.0, speed_mps=0.0, reason='no plan')
TRACE = Trace(1_000_000).passed('camera_node', 1_000_000, 3_000_000).passed('control_node', 4_000_000, 9_000_000)
S = 1_000_000_000


def answer(log, stamp_ns, *, first=True):
    log.command(stamp_ns, first_of_plan=first, command=BRAKE, trace=TRACE)


def test_every_frame_is_answered_dropped_or_lost():
    log = RunLog(frames_in=10)
    for index in range(6):
        answer(log, index * S)
        answer(log, index * S, first=False)
    log.counters('bev_node', {'dropped_by_policy': '3', 'rejected': '1'})
    result = log.summary()
    assert (result['frames_in'], result['frames_out'], result['dropped_by_policy'], result['frames_lost']) == (10, 6, 3, 1)
    assert result['commands'] == 12
    assert result['command_reasons'] == {'no plan': 12}
    assert result['rejected_messages'] == 1


def test_a_second_answer_to_a_frame_does_not_hide_a_lost_one():
    log = RunLog(frames_in=2)
    answer(log, S)
    answer(log, S)
    assert log.frames_lost == 1


def test_the_same_stamps_count_again_when_the_bag_loops():
    log = RunLog(frames_in=6)
    for _ in range(2):
        for index in range(3):
            answer(log, index * S)
    assert log.frames_lost == 0


def test_a_counter_that_starts_again_with_its_node_is_added_up():
    log = RunLog()
    for value in (1, 4, 0, 2):
        log.counters('bev_node', {'dropped_by_policy': str(value)})
    assert log.dropped_by_policy == 6


def test_a_new_pid_is_a_restart():
    log = RunLog()
    for pid, state in ((7, 1), (7, 3), (8, 3)):
        log.heartbeat('bev_node', pid, state)
    assert log.summary()['nodes'] == [{'name': 'bev_node', 'state': 'active', 'restarts': 1}]


def test_latency_is_given_per_stage_and_from_sensor_to_command():
    log = RunLog()
    answer(log, S)
    latency = log.summary()['latency_ms']
    assert latency['camera_node'] == {'p50': 2.0, 'p99': 2.0, 'max': 2.0}
    assert latency['control_node_wait']['max'] == 1.0
    assert latency['sensor_to_command']['max'] == 8.0


def test_the_world_gives_frames_distance_collisions_and_the_real_time_factor():
    log = RunLog()
    log.truth(frames=0, distance_m=0.0, collisions=0, sim_ns=S, wall_ns=2 * S)
    log.truth(frames=1, distance_m=0.0, collisions=0, sim_ns=S, wall_ns=5 * S)
    log.truth(frames=11, distance_m=9.5, collisions=1, sim_ns=3 * S, wall_ns=6 * S)
    result = log.summary()
    assert (result['frames_in'], result['distance_m'], result['collisions'], result['real_time_factor']) == (11, 9.5, 1, 2.0)


def test_what_comes_after_the_end_does_not_count():
    log = RunLog(end_ns=2 * S)
    for index in range(1, 5):
        log.truth(frames=index, distance_m=float(index), collisions=index // 3, sim_ns=index * S, wall_ns=index * S)
        answer(log, index * S)
    result = log.summary()
    assert (result['frames_in'], result['frames_out'], result['frames_lost'], result['collisions']) == (2, 2, 0, 0)


def test_a_cloud_without_an_image_near_it_is_a_frame_of_its_own():
    pairing = PairingConfig(tolerance_s=0.01, max_rate_hz=100.0)
    ms = 1_000_000
    found = frame_stamps([100 * ms, 200 * ms], [105 * ms, 149 * ms, 290 * ms], pairing)
    assert found == [100 * ms, 149 * ms, 200 * ms, 290 * ms]
    assert frame_stamps([], [3, 1], pairing) == [1, 3]


def test_a_cloud_between_images_that_leave_no_room_for_a_frame_is_none():
    assert len(frame_stamps([0, 125_000_000], [62_500_000], PairingConfig())) == 2
    assert len(frame_stamps([0, 200_000_000], [100_000_000], PairingConfig())) == 3


def test_more_answered_and_dropped_than_came_in_is_said_and_never_a_negative_loss():
    log = RunLog(frames_in=3)
    for index in range(3):
        answer(log, index * S)
    assert log.summary()['frames_overcounted'] == 0
    log.counters('bev_node', {'dropped_by_policy': '2'})
    result = log.summary()
    assert (result['frames_lost'], result['frames_overcounted']) == (0, 2)
    assert '2 MORE than came in: the accounts do not add up' in table(result)


@pytest.mark.parametrize('log', [RunLog(), RunLog(frames_in=3, sim_s=1.0, wall_s=2.0)])
def test_the_table_needs_no_data(log):
    assert 'lost' in table(log.summary())


def test_json_replaces_the_old_file_at_once(tmp_path):
    path = tmp_path / 'new' / 'summary.json'
    for number in (1, 2):
        write_json(path, {'frames_in': number})
    assert json.loads(path.read_text()) == {'frames_in': 2}
    assert [item.name for item in path.parent.iterdir()] == ['summary.json']


def of_engine(log, experts, memory_bytes=1_500_000, warnings=()):
    sparsity, stage_ms = {'image_blocks': 0.5 * len(experts)}, {'heads': 10.0 * len(experts)}
    log.engine.status(
        'torch', experts=experts, sparsity=sparsity, stage_ms=stage_ms, memory_bytes=memory_bytes, warnings=warnings
    )


def test_the_work_of_the_engine_is_told_by_expert_sparsity_and_memory():
    log = RunLog()
    for experts in (['fused'], ['fused'], ['fused', 'poor_sight'], ['lidar']):
        of_engine(log, experts)
    of_engine(log, [], memory_bytes=0, warnings=['memory dropped'])
    found = log.summary()['engine']
    assert (found['name'], found['frames'], found['memory_bytes']) == ('torch', 5, 1_500_000)
    assert found['expert_share'] == {'fused': 0.6, 'poor_sight': 0.2, 'lidar': 0.2}
    assert found['mean_experts'] == 1.0
    assert found['sparsity'] == {'image_blocks': 0.5}
    assert found['stage_ms']['heads']['max'] == 20.0
    text = table(log.summary())
    assert 'torch: fused 60%, poor_sight 20%, lidar 20% of 5 frames, 1.00 a frame' in text
    assert 'image_blocks 50%; memory 1.50 MB' in text
    assert '1 x memory dropped' in text


def test_of_an_engine_without_experts_the_table_says_nothing():
    log = RunLog()
    log.engine.status('clustering', experts=(), sparsity={}, stage_ms={'ground': 1.0}, memory_bytes=0, warnings=())
    assert log.summary()['engine']['stage_ms']['ground']['p50'] == 1.0
    assert 'experts' not in table(log.summary())


def test_whether_the_last_frame_was_seen_is_kept():
    log = RunLog()
    for valid in (True, False):
        log.scene(1, valid=valid)
        assert log.summary()['perception_valid_at_end'] is valid
