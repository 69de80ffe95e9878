"""The tables are held against every operator of the exported sub-engines, and against graphs that no table takes."""

import numpy as np
import onnx
import pytest
from engine.signed_qdq import quantised
from onnx import TensorProto, helper, numpy_helper

from moe_bev_ros.engine.onnx_folding import folded
from moe_bev_ros.engine.operator_check import RULES, TABLES, OperatorTable, check_operators, load_table
from moe_bev_ros.engine.tensorrt_check import check_parts
from moe_bev_ros.engine.tensorrt_graph import graph_for_tensorrt

CONVOLVING = {'camera_encoder', 'lidar_encoder', 'expert_camera', 'expert_lidar', 'expert_fused', 'expert_poor_sight', 'heads'}
GPU, DLA = load_table('tensorrt_gpu'), load_table('tensorrt_dla')


@pytest.fixture(scope='module')
def paths(exported):
    return {path.stem: path for path in exported[1].glob('*.onnx')}


@pytest.fixture(scope='module')
def checks(paths):
    return {check.name: check for check in check_parts(paths.values())}


def test_a_gpu_takes_every_operator_type_and_shape_of_every_sub_engine(paths, checks):
    assert {name: list(map(str, check.problems)) for name, check in checks.items()} == {name: [] for name in paths}


def test_a_gpu_takes_them_in_float32_as_well(paths):
    assert not [problem for check in check_parts(paths.values(), half=False) for problem in check.problems]


def test_a_gpu_takes_a_quantised_sub_engine(paths, tmp_path):
    path = quantised(paths['lidar_encoder'], tmp_path / 'lidar_encoder.onnx')
    (check,) = check_parts([path])
    assert not check.problems
    assert check.products == {'INT8': 7}


def test_products_are_told_by_the_type_that_they_compute_in(checks):
    assert checks['camera_encoder'].products == {'FP16': 11}
    assert checks['router'].products == {'FP32': 3}
    assert set(checks['memory_read'].products) == {'FP16'}


def test_a_dla_takes_the_stages_of_convolutions_and_no_others(checks):
    assert {name for name, check in checks.items() if check.fits_dla} == CONVOLVING


def test_what_falls_back_is_told_by_its_name(checks):
    fallen = checks['camera_encoder'].fallen
    assert [problem.operator for problem in fallen] == ['Cast', 'Reshape', 'Cast', 'Cast']
    assert '26 of 30; to the GPU: 3 Cast, 1 Reshape' in checks['camera_encoder'].text()
    assert checks['router'].text().endswith('no')


def test_the_export_alone_holds_what_tensorrt_refuses(paths):
    """So the check is no formality: tokens that meet in a cell of the memory are added."""
    problems = check_operators(folded(onnx.load(paths['memory_read'])), GPU)
    assert "ScatterND /ScatterND: reduction is ['add'], not of ['none']" in map(str, problems)


def test_an_operator_that_does_not_exist_is_found(paths):
    model = graph_for_tensorrt(onnx.load(paths['heads']), 'heads')
    model.graph.node.append(helper.make_node('Frobnicate', ['mixed'], ['nothing'], 'made_up'))
    assert [str(problem) for problem in check_operators(model, GPU)] == ['Frobnicate made_up: not taken']


def test_an_operator_of_another_domain_is_found(paths):
    model = graph_for_tensorrt(onnx.load(paths['heads']), 'heads')
    last = model.graph.node[-1]
    last.domain = 'com.example'
    model.opset_import.append(helper.make_opsetid('com.example', 1))
    assert [problem.reason for problem in check_operators(model, GPU)] == ['not taken']


def graph(operator, inputs, outputs=(('y', TensorProto.FLOAT, None),), constants=(), opset=19, **attributes):
    """One node on inputs of (name, type, shape)."""
    names = [name for name, *_ in inputs]
    fed = [value for value in inputs if value[0] not in dict(constants)]
    node = helper.make_node(operator, names, [name for name, *_ in outputs], 'node', **attributes)
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (fed, outputs)]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    return helper.make_model(helper.make_graph([node], 'g', *values, held), opset_imports=[helper.make_opsetid('', opset)])


def image(kind=TensorProto.FLOAT16, shape=(1, 4, 8, 8)):
    return ('x', kind, shape)


WEIGHT = {'w': np.zeros((4, 4, 3, 3), np.float16)}
SCALES = {'scales': np.array([1, 1, 2, 2], np.float32)}


@pytest.mark.parametrize(
    ('table', 'model', 'reason'),
    [
        (GPU, graph('Relu', [image(TensorProto.DOUBLE)]), 'input 0 is FP64, not FP32 or FP16 or BF16 or INT32 or INT64'),
        (GPU, graph('Relu', [('x', TensorProto.FLOAT, [1] * 9)]), 'x has 9 dimensions'),
        (GPU, graph('Relu', [('x', TensorProto.FLOAT, [1, 'n'])]), 'x has no fixed shape'),
        (GPU, graph('Relu', [('x', TensorProto.FLOAT, [65536, 65536])]), 'x has 4294967296 values'),
        (GPU, graph('Relu', [image()], opset=21), '21 is not in 9..20'),
        (GPU, graph('GridSample', [image(TensorProto.FLOAT, (1, 1, 2, 2, 2)), ('g', 1, (1, 2, 2, 2, 3))]), 'input has 5 dim'),
        (
            GPU,
            graph(
                'TopK',
                [('x', 1, (1, 9000)), ('k', 7, (1,))],
                [('y', 1, None), ('i', 7, None)],
                constants={'k': np.array([4000])}.items(),
            ),
            'input 1 is not below 3840',
        ),
        (
            GPU,
            graph(
                'QuantizeLinear',
                [('x', 1, (4,)), ('s', 1, ()), ('z', 2, ())],
                constants={'s': np.float32(1), 'z': np.uint8(0)}.items(),
            ),
            'input 2 is UINT8, not INT8',
        ),
        (
            GPU,
            graph(
                'QuantizeLinear',
                [('x', 1, (4,)), ('s', 1, ()), ('z', 3, ())],
                constants={'s': np.float32(1), 'z': np.int8(3)}.items(),
            ),
            'input 2 is not zero',
        ),
        (
            GPU,
            graph(
                'QuantizeLinear',
                [('x', 1, (4,)), ('s', 1, ()), ('z', 3, ())],
                constants={'s': np.float32(0), 'z': np.int8(0)}.items(),
            ),
            'input 1 is not above zero',
        ),
        (GPU, graph('Unsqueeze', [('x', 1, (4,)), ('axes', 7, (1,))]), 'input 1 is no constant'),
        (DLA, graph('Relu', [image(TensorProto.FLOAT)]), 'input 0 is FP32, not FP16 or INT8'),
        (DLA, graph('Relu', [image(shape=(1, 4, 9000, 8))]), 'x of 1 x 4 x 9000 x 8 is too large'),
        (DLA, graph('Relu', [image(shape=(5000, 4, 8, 8))]), 'x of 5000 x 4 x 8 x 8 is too large'),
        (DLA, graph('Concat', [image(), ('b', TensorProto.FLOAT16, (1, 4, 8, 8))], axis=2), 'axis is [2], not of [1]'),
        (
            DLA,
            graph('Conv', [image(), ('w', 10, (4, 4, 3, 3))], constants=WEIGHT.items(), strides=[9, 9]),
            'strides is [9, 9], not in 1..8',
        ),
        (DLA, graph('Conv', [image(), ('w', 10, (4, 4, 3, 3))]), 'input 1 is no constant'),
        (
            DLA,
            graph(
                'Resize',
                [image(), ('', 1, ()), ('scales', 1, (4,))],
                constants={'scales': np.array([1, 1, 2, 1.5], np.float32)}.items(),
            ),
            'input 2 is not 1, 1 and two whole numbers in [1, 32]',
        ),
        (
            DLA,
            graph('Resize', [image(), ('', 1, ()), ('scales', 1, (4,))], constants=SCALES.items(), mode='cubic'),
            "mode is ['cubic']",
        ),
        (DLA, graph('MaxPool', [image()], [('y', 10, None), ('i', 7, None)], kernel_shape=[2, 2]), '2 outputs are used, not 1'),
    ],
)
def test_what_a_table_does_not_take_is_told(table, model, reason):
    reasons = [problem.reason for problem in check_operators(model, table)]
    assert any(text.startswith(reason) for text in reasons), reasons


def test_every_rule_is_used_and_known():
    used = {rule for table in (GPU, DLA) for entry in table.operators.values() for rule in entry} - {'types', 'typed'}
    assert used == set(RULES)
    with pytest.raises(ValueError, match='no rule for magic'):
        OperatorTable('GPU', '1', {}, {'Relu': {'types': 'FP32', 'magic': 1}})


@pytest.mark.parametrize('name', ['tensorrt_gpu', 'tensorrt_dla'])
def test_a_table_says_where_it_is_from(name):
    table = load_table(name)
    assert table.version.startswith('TensorRT 10')
    assert table.sources
    assert all(address.startswith('https://') for address in table.sources.values())
    assert {path.stem for path in TABLES.glob('*.json')} == {'tensorrt_gpu', 'tensorrt_dla'}
