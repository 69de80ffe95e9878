import json
import os
import subprocess
import sys

import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.commands.demo import demo_stack, judge
from moe_bev_ros.runtime.stack import BEV, WORLD

GOOD = {
    'collisions': 0,
    'frames_in': 200,
    'frames_lost': 0,
    'distance_m': 90.0,
    'perception_valid_at_end': True,
    'nodes': [{'name': 'bev_node', 'state': 'active', 'restarts': 0}],
}


def fails(summary, **about):
    about = {'seconds': 20.0, 'speed_mps': 5.0, 'blind': None, **about}
    return [verdict.text for verdict in judge({**GOOD, **summary}, **about) if not verdict.holds]


def test_a_good_run_passes():
    assert fails({}) == []


@pytest.mark.parametrize(
    ('wrong', 'text'),
    [
        ({'collisions': 1}, 'no collision'),
        ({'frames_lost': 1}, 'no frame lost'),
        ({'frames_in': 0}, 'no frame lost'),
        ({'distance_m': 79.0}, 'at least 80 m'),
        ({'nodes': [{'name': 'bev_node', 'state': 'inactive', 'restarts': 1}]}, 'not bev_node'),
    ],
)
def test_each_thing_that_goes_wrong_fails_alone(wrong, text):
    (found,) = fails(wrong)
    assert text in found


def test_a_short_run_is_not_judged_by_its_distance():
    assert fails({'distance_m': 9.0}, seconds=5.0) == []


def test_without_lidar_it_has_to_stand_at_the_end():
    blind = {'distance_m': 9.0, 'perception_valid_at_end': False}
    assert fails(blind, blind='lidar', speed_mps=0.0) == []
    assert 'stands' in fails(blind, blind='lidar', speed_mps=3.0)[0]


def test_an_engine_that_sees_without_lidar_may_drive_on():
    assert fails({'distance_m': 9.0}, blind='lidar', speed_mps=3.0) == []


def test_a_run_that_could_never_see_does_not_pass_by_standing():
    (found,) = fails({'distance_m': 0.0, 'perception_valid_at_end': False}, speed_mps=0.0)
    assert 'at least 80 m' in found


def test_the_world_gets_the_choices_of_the_command_line():
    world = demo_stack(seconds=7.0, seed=3, realtime=True, blind='cameras')[WORLD]
    wanted = {'seed': 3, 'realtime': True, 'blind': 'cameras', 'duration_s': 7.0, 'use_sim_time': True}
    assert wanted.items() <= world.parameters.items()


def test_a_run_in_lock_step_is_patient_and_one_in_real_time_is_not():
    patient, prompt = (demo_stack(seconds=7.0, seed=3, realtime=realtime, blind=None) for realtime in (False, True))
    assert patient[WORLD].parameters['lockstep_timeout_s'] > 3 * patient[BEV].parameters['wait_s'] > 1.0
    assert 'lockstep_timeout_s' not in prompt[WORLD].parameters
    assert 'wait_s' not in prompt[BEV].parameters


def test_the_engine_is_chosen_by_its_name(capsys):
    stack = demo_stack(seconds=7.0, seed=3, realtime=False, blind=None, engine='torch')
    assert stack[BEV].parameters['engine'] == 'torch'
    assert main(['demo', '--engine', 'magic']) == 2
    assert 'clustering, pillars, torch' in capsys.readouterr().err


def test_a_wrong_duration_is_an_error(capsys):
    assert main(['demo', '--seconds', '0']) == 2
    assert '--seconds' in capsys.readouterr().err


def test_a_short_drive_answers_every_frame_and_leaves_summary_strip_and_video(tmp_path):
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'moe_bev_ros.cli', 'demo', '--seconds', '3', '--out', str(out)]
    result = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['frames_in'], summary['frames_out'], summary['frames_lost']) == (30, 30, 0)
    assert all(verdict['holds'] for verdict in summary['verdicts'])
    assert (out / 'strip.png').stat().st_size > 10_000
    assert (out / 'drive.mp4').stat().st_size > 10_000
