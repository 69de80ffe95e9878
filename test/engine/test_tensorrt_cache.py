"""Plans are bytes here, and building one is a function: what the cache does needs no TensorRT."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest
from engine.plan_jobs import KEY, PLAN, Builder, build_on_a_full_disk, build_slowly, loaded

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.tensorrt_cache import PlanCache

SPAWN = multiprocessing.get_context('spawn')


@pytest.fixture
def cache(tmp_path):
    reports = []
    cache = PlanCache(tmp_path / 'tensorrt', reports.append)
    cache.reports = reports
    return cache


def test_a_plan_is_built_once(cache):
    builder = Builder()
    for _ in range(2):
        assert cache.load('heads', KEY, builder, loaded) == ('loaded', PLAN)
    assert builder.builds == 1
    assert cache.reports == ['heads: building, there is none yet']


@pytest.mark.parametrize('field', ['onnx', 'recipe', 'precision', 'tensorrt', 'device', 'tensors'])
def test_whatever_differs_has_it_built_anew(cache, field):
    cache.load('heads', KEY, Builder(b'old'), loaded)
    other = replace(KEY, **{field: ('images float32 (2, 3)',) if field == 'tensors' else 'another'})
    builder = Builder(b'new')
    assert cache.load('heads', other, builder, loaded) == ('loaded', b'new')
    assert builder.builds == 1
    assert field in cache.reports[-1]


def test_the_versions_are_told(cache):
    cache.load('heads', KEY, Builder(), loaded)
    cache.load('heads', replace(KEY, tensorrt='11.4.1', device='Thor 11.0'), Builder(), loaded)
    assert cache.reports[-1].endswith('built for tensorrt 10.3.0, here is 11.4.1, built for device Orin 8.7, here is Thor 11.0')


@pytest.mark.parametrize(('kept', 'added'), [(-1, b''), (0, b'{}\n'), (0, b''), (-1, b'?')])
def test_a_broken_file_is_built_anew(cache, kept, added):
    cache.load('heads', KEY, Builder(), loaded)
    path = cache.path('heads')
    path.write_bytes(path.read_bytes()[:kept] + added)
    assert cache.load('heads', KEY, Builder(), loaded) == ('loaded', PLAN)
    assert cache.reports[-1] == 'heads: building, its file is broken'


def test_a_plan_that_does_not_load_is_built_anew(cache):
    cache.load('heads', KEY, Builder(b'bad'), lambda plan: plan)
    assert cache.load('heads', KEY, Builder(), loaded) == ('loaded', PLAN)
    assert cache.reports[-1] == 'heads: building, TensorRT does not load it'


def test_a_build_that_fails_leaves_the_old_plan(cache):
    cache.load('heads', KEY, Builder(), loaded)
    before = cache.path('heads').read_bytes()

    def fail():
        raise EngineError('no memory')

    with pytest.raises(EngineError, match='no memory'):
        cache.load('heads', replace(KEY, onnx='onnx 2'), fail, loaded)
    with pytest.raises(EngineError, match='does not load'):
        cache.load('heads', replace(KEY, onnx='onnx 2'), Builder(b'bad'), loaded)
    assert cache.path('heads').read_bytes() == before
    assert cache.load('heads', KEY, fail, loaded) == ('loaded', PLAN)


def test_a_plan_that_fits_is_loaded_from_a_disk_that_nobody_can_write(cache):
    cache.load('heads', KEY, Builder(), loaded)
    (cache.folder / 'heads.lock').unlink()
    assert cache.load('heads', KEY, Builder(), loaded) == ('loaded', PLAN)
    assert [path.name for path in cache.folder.iterdir()] == ['heads.plan']  # nothing was written for it


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_built(tmp_path):
    (tmp_path / 'taken').write_text('')
    builder = Builder()
    with pytest.raises(EngineError, match=r'taken.*name that one'):
        PlanCache(tmp_path / 'taken' / 'tensorrt').load('heads', KEY, builder, loaded)
    assert builder.builds == 0


def test_a_full_disk_leaves_the_old_plan(cache):
    cache.load('heads', KEY, Builder(), loaded)
    errors = SPAWN.Queue()
    process = SPAWN.Process(target=build_on_a_full_disk, args=(cache.folder, errors))
    process.start()
    assert 'heads.plan: File too large; make room' in errors.get(timeout=60)
    process.join()
    assert sorted(path.name for path in cache.folder.iterdir()) == ['heads.lock', 'heads.plan']
    assert cache.load('heads', KEY, Builder(), loaded) == ('loaded', PLAN)
    assert len(cache.reports) == 1


def test_of_two_processes_one_builds_and_the_other_takes_its_plan(cache):
    process = start_building(cache.folder)
    reports, builder = [], Builder(b'second')

    def report(line):
        reports.append(line)
        (cache.folder / 'go').touch()  # the other one ends its build once this one waits

    plan = PlanCache(cache.folder, report).load('heads', KEY, builder, loaded)
    process.join()
    assert plan == ('loaded', b'of the other process')
    assert builder.builds == 0
    assert reports == ['heads: another process builds it; waiting']


def test_the_plan_of_a_process_that_died_is_built_by_the_next(cache):
    process = start_building(cache.folder)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert cache.load('heads', KEY, Builder(), loaded) == ('loaded', PLAN)


def test_nobody_waits_for_ever(cache):
    process = start_building(cache.folder)
    with pytest.raises(EngineError, match='another process builds it for 0 s; end that one'):
        PlanCache(cache.folder, wait_s=0.0).load('heads', KEY, Builder(), loaded)
    (cache.folder / 'go').touch()
    process.join()


def start_building(folder):
    """A process that is in the midst of building."""
    process = SPAWN.Process(target=build_slowly, args=(folder,))
    process.start()
    while not (folder / 'began').exists():
        assert process.is_alive()
        time.sleep(0.01)
    return process


def test_the_head_of_a_file_says_what_it_was_built_for(cache):
    cache.load('heads', KEY, Builder(), loaded)
    head = json.loads(cache.path('heads').read_bytes().partition(b'\n')[0])
    assert head['key']['device'] == 'Orin 8.7'
