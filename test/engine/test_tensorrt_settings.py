"""What a vehicle was built for, and what is said where TensorRT is missing."""

import importlib.util
import re
from pathlib import Path

import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.tensorrt_settings import (
    FILE,
    PLANS,
    VehicleSettings,
    load_vehicle_settings,
    save_vehicle_settings,
    tensorrt_runtime,
)

ROOT = Path(__file__).parents[2]
STUB, PACKAGE = ROOT / 'typings' / 'tensorrt.pyi', ROOT / 'moe_bev_ros' / 'engine'
DECLARED = re.compile(r'^ *(class |def |)(\w+)(?=[(:])')


def test_what_was_asked_for_is_found_again(tmp_path):
    assert load_vehicle_settings(tmp_path) == VehicleSettings()
    settings = VehicleSettings(1, ('camera_encoder', 'heads'))
    save_vehicle_settings(tmp_path, settings)
    assert load_vehicle_settings(tmp_path) == settings
    assert [settings.dla_of(name) for name in ('heads', 'router')] == [1, None]
    assert VehicleSettings(dla_parts=('heads',)).dla_of('heads') is None


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"dla_core": -1, "dla_parts": []}', '{"dla_core": "x", "dla_parts": []}'])
def test_a_broken_file_is_told(tmp_path, text):
    (tmp_path / PLANS).mkdir()
    (tmp_path / PLANS / FILE).write_text(text)
    with pytest.raises(EngineError, match=r'settings.json: not what moe-bev build writes .* run moe-bev build again'):
        load_vehicle_settings(tmp_path)


def test_a_core_below_zero_is_told():
    with pytest.raises(InputError, match='DLA core -1; they are counted from 0'):
        VehicleSettings(-1)


@pytest.mark.skipif(importlib.util.find_spec('tensorrt') is not None, reason='TensorRT is installed here')
def test_where_tensorrt_is_missing_the_cure_is_told():
    with pytest.raises(EngineError, match=r'engine tensorrt: No module named .tensorrt.; on a Jetson .*pip install tensorrt'):
        tensorrt_runtime(EngineSettings())


def test_every_declared_call_names_its_page_and_versions():
    """The stub is what mypy holds the code to."""
    lines = [line for line in STUB.read_text().split('"""')[2].splitlines() if DECLARED.match(line)]
    assert len(lines) > 40
    tag = re.compile(r'  # (Core|Graph|Plugin|FoundationalTypes|\.\./parsers/Onnx)/\w+ 10\.3[ ;]')
    assert [line for line in lines if not tag.search(line)] == []


def test_no_call_is_declared_that_is_not_used():
    names = {match[2] for line in STUB.read_text().split('"""')[2].splitlines() if (match := DECLARED.match(line))}
    sources = ''.join((PACKAGE / f'tensorrt_{name}.py').read_text() for name in ('build', 'runtime'))
    only_types = {'ITimingCache', 'IHostMemory', 'ILayer', 'ParserError', 'IExecutionContext', '__buffer__', '__int__'}
    assert {name for name in names if not re.search(rf'\b{name}\b', sources)} == only_types
