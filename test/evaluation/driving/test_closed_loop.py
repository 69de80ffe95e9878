"""Runs in closed loop: repeatable, later with latency, kept and not driven again, and wrong names refused."""

import json
import resource
from dataclasses import replace

import numpy as np
import pytest
from engine.small_network import CONFIG, small_weights

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.evaluation.driving.closed_loop import RunRecord, drive, rig_for, run_case
from moe_bev_ros.evaluation.driving.report import drive_report
from moe_bev_ros.evaluation.driving.runs import DrivenSuite, RunFile, drive_suite, file_name
from moe_bev_ros.evaluation.driving.suites import SUITES, DriveCase, DriveRow, replay_cases, suite_cases
from moe_bev_ros.evaluation.driving.summary import interval, judge, summary, table
from moe_bev_ros.planning.planners import PLANNERS
from moe_bev_ros.world.scenario import draw_scenario
from moe_bev_ros.world.scenario_kinds import KINDS

SEED = 1_000_000
HARD_BRAKING = DriveCase(SEED, 'hard_braking_ahead', 10.0)
FREE = DriveCase(SEED, 'free_driving', 3.0)


@pytest.fixture(scope='module')
def record():
    return run_case(replace(FREE, duration_s=0.5), DriveRow())


@pytest.mark.parametrize('planner', PLANNERS)
def test_every_planner_drives(planner):
    record = run_case(replace(FREE, duration_s=4.0), DriveRow(planner=planner))
    assert record.progress_m > 5.0
    assert record.drivable == record.direction == 1.0
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_equal_runs_are_equal_to_the_last_bit():
    logs = [drive(draw_scenario(SEED, 'free_driving'), DriveRow(), 3.0)[0] for _ in range(2)]
    assert np.array_equal(logs[0].poses_t3, logs[1].poses_t3)
    assert np.array_equal(logs[0].accelerations_t, logs[1].accelerations_t)


def test_with_latency_it_brakes_later():
    began = []
    for latency_ms in (0.0, 400.0):
        log, told_ms = drive(draw_scenario(SEED, HARD_BRAKING.kind), DriveRow(latency_ms=latency_ms), HARD_BRAKING.duration_s)
        assert told_ms == latency_ms
        began.append(int(np.argmax(log.accelerations_t < -4.0)))  # the event; closing up at the start takes less
    assert 0 < began[0] < began[1]


def test_an_engine_drives_with_its_measured_latency():
    record = run_case(replace(FREE, duration_s=1.0), DriveRow('clustering', latency_ms=None))
    assert record.latency_ms > 0.0


def test_a_network_drives_with_cameras_too(tmp_path, monkeypatch):
    weights = small_weights(tmp_path, replace(CONFIG, num_cameras=6))
    built = []

    def build(settings):
        built.append(torch_engine(settings, weights, tmp_path / 'none.json'))
        return built[-1]

    monkeypatch.setitem(ENGINES, 'torch', build)
    log, latency_ms = drive(draw_scenario(SEED, 'free_driving'), DriveRow('torch', latency_ms=None), 0.3)
    assert latency_ms > 0.0
    assert len(log.others) == 4
    rig = rig_for(built[0])
    assert (len(rig.cameras), rig.image_width, rig.image_height) == (6, CONFIG.image_width, CONFIG.image_height)


def test_cameras_are_drawn_for_nobody_who_does_not_look():
    assert [rig_for(engine).cameras for engine in (None, ClusteringEngine())] == [(), ()]


def test_an_engine_that_cannot_be_built_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, tmp_path / 'none.safetensors'))
    with pytest.raises(InputError, match='no such weights'):
        drive(draw_scenario(SEED, 'free_driving'), DriveRow('torch', latency_ms=None), 0.3)


def test_recorded_drives_are_driven_and_drawn(tmp_path, data_dir):
    cases = replay_cases([data_dir / 'tracks' / f'scene-{number}.npz' for number in ('0553', '1077')])
    assert [(case.kind, case.duration_s) for case in cases] == [('log_replay', 20.0)] * 2
    cases = tuple(replace(case, duration_s=2.0) for case in cases)
    driven = drive_suite(cases, DriveRow(), tmp_path, 1, lambda *_: None)
    assert [run.progress_m > 10.0 for run in driven.runs] == [False, True]  # the first one stands in a queue
    assert [run.drivable for run in driven.runs] == [1.0, 1.0]
    judged = judge(driven)
    assert len(drive_report('replay', judged, summary(judged)).worst) == 2


def test_a_suite_of_recorded_drives_needs_files():
    with pytest.raises(InputError, match='needs --tracks'):
        replay_cases([])


def test_finished_runs_are_not_driven_again(tmp_path):
    cases, row, told = (FREE, replace(FREE, seed=SEED + 1)), DriveRow(planner='constant_speed'), []
    first = drive_suite(cases[:1], row, tmp_path, 1, lambda *now: told.append(now))
    assert told == [(0, 2), (1, 2), (2, 2)]
    path = tmp_path / f'{file_name(row)}.jsonl'
    with path.open('ab') as file:  # the run that a crash left half written
        file.write(path.read_bytes()[:40])
    told.clear()
    both = drive_suite(cases, row, tmp_path, 1, lambda *now: told.append(now))
    assert told[0] == (2, 4)
    assert both.runs[0] == first.runs[0]
    assert [run.seed for run in both.runs] == [SEED, SEED + 1]
    assert len(path.read_bytes().splitlines()) == 2


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='file/runs'):
        RunFile(tmp_path / 'file' / 'runs.jsonl')


@pytest.mark.parametrize(
    'damaged', ['{"case": [1, "a"', '{"run": {}}', '[]', '{"case": [1, "a", 2.0], "run": {"seed": 1}}', '\xff']
)
def test_a_damaged_line_is_named_with_its_number(tmp_path, record, damaged):
    file = RunFile(tmp_path / 'runs.jsonl')
    file.add(FREE, record)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole + damaged.encode('latin-1') + b'\n' + whole)
    with pytest.raises(InputError, match=r'runs\.jsonl:2: not a run .*; remove this line'):
        RunFile(file.path)
    file.path.write_bytes(whole + whole)
    assert RunFile(file.path).records == file.records


def test_a_full_disk_leaves_no_half_line(tmp_path, record):
    file = RunFile(tmp_path / 'runs.jsonl')
    file.add(FREE, record)
    before, limits = file.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(InputError, match=r'runs.jsonl: cannot be written'):
            file.add(replace(FREE, seed=7), record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.read_bytes() == before


def test_figures_are_means_and_counts_by_kind_and_condition(record):
    good = replace(record, kind='a', condition='day', progress_m=50.0, ttc=1.0, comfort=1.0, speed_limit=1.0)
    bad = replace(good, kind='b', condition='fog', collision_score=0.0, collisions=('x', 'y'), collisions_at_fault=('x',))
    judged = judge(DrivenSuite((good, bad), (50.0, 100.0)))
    assert [item.run.kind for item in judged] == ['b', 'a']
    figures = summary(judged)
    assert (figures['score'], figures['runs'], figures['collisions'], figures['collisions_at_fault']) == (0.5, 2, 2, 1)
    assert figures['progress'] == 0.75
    assert figures['per_kind']['a']['score'] == figures['per_condition']['day']['score'] == 1.0
    assert figures['per_kind']['b']['interval'] == (0.0, 0.0)
    assert len(table(figures).splitlines()) == 6


def test_intervals_hold_the_mean_and_are_repeatable():
    values = np.random.default_rng(1).uniform(size=200)
    low, high = interval(values)
    assert low < values.mean() < high
    assert 0.05 < high - low < 0.12
    assert (low, high) == interval(values)


def test_the_suites_are_what_they_are():
    assert len(suite_cases('test')) >= 600
    assert len(suite_cases('engine_test')) >= 200
    assert {case.kind for case in suite_cases('quick')} == set(KINDS)
    assert all(case.seed >= 2_000_000 for name in ('test', 'engine_test') for case in suite_cases(name))
    assert len({case.kind for case in suite_cases('test', len(KINDS))}) == len(KINDS)
    assert all(suite.duration_s == 12.0 for suite in SUITES.values())


@pytest.mark.parametrize(
    ('wrong', 'choices'),
    [
        ({'engine': 'x'}, 'truth, clustering'),
        ({'planner': 'x'}, 'idm, constant_speed, pdm'),
        ({'controller': 'x'}, 'pure_pursuit'),
        ({'latency_ms': -1.0}, '0 to 500 ms'),
    ],
)
def test_a_wrong_row_names_the_choices(wrong, choices):
    with pytest.raises(InputError, match=choices):
        DriveRow(**wrong)


def test_a_wrong_suite_names_the_choices():
    with pytest.raises(InputError, match='test, engine_test, quick'):
        suite_cases('x')
    with pytest.raises(InputError, match='1 to'):
        suite_cases('quick', 0)
