"""A folded graph says what the traced one said, and of every tensor in it type and shape are known."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from moe_bev_ros.engine.onnx_folding import folded, tensor_types


@pytest.fixture(scope='module')
def paths(exported):
    return sorted(exported[1].glob('*.onnx'))


def random_feed(graph, seed=0):
    """Noise for all inputs; indices are small."""
    rng = np.random.default_rng(seed)
    values = {}
    for value in graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        is_float = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        values[value.name] = rng.standard_normal(shape).astype(np.float32) if is_float else rng.integers(0, 8, shape)
    return values


def run(model, values):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return session.run(None, values)


def test_every_sub_engine_says_the_same_and_has_no_arithmetic_on_shapes_left(paths):
    for path in paths:
        model = onnx.load(path)
        small = folded(model)
        onnx.checker.check_model(small, full_check=True)
        values = random_feed(model.graph)
        for wanted, got in zip(run(model, values), run(small, values)):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=path.stem)
        assert not {node.op_type for node in small.graph.node} & {'Shape', 'Constant', 'ConstantOfShape', 'Range'}


def test_every_tensor_has_a_type_and_a_shape(paths):
    for path in paths:
        model = folded(onnx.load(path))
        types = tensor_types(model)
        for node in model.graph.node:
            assert all(types[name].shape is not None for name in (*node.input, *node.output) if name), (path.stem, node.name)


def test_what_is_computed_from_constants_is_a_constant():
    nodes = [
        helper.make_node('Shape', ['x'], ['shape']),
        helper.make_node('Mul', ['shape', 'two'], ['twice']),
        helper.make_node('ReduceSum', ['x'], ['sum'], keepdims=0),
        helper.make_node('Expand', ['sum', 'twice'], ['y']),
    ]
    x = helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, 'g', [x], [y], [numpy_helper.from_array(np.array([2], np.int64), 'two')])
    model = folded(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9))
    assert [node.op_type for node in model.graph.node] == ['ReduceSum', 'Expand']
    assert {value.name: numpy_helper.to_array(value).tolist() for value in model.graph.initializer} == {'twice': [4, 6]}
    assert tensor_types(model)['y'].shape == (4, 6)


def test_an_int8_weight_stays_one():
    nodes = [
        helper.make_node('QuantizeLinear', ['w', 'scale', 'zero'], ['q']),
        helper.make_node('DequantizeLinear', ['q', 'scale', 'zero'], ['weight']),
        helper.make_node('MatMul', ['x', 'weight'], ['y']),
    ]
    constants = {'w': np.full((2, 2), 0.5, np.float32), 'scale': np.float32(0.01), 'zero': np.int8(0)}
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in ('x', 'y'))
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = folded(
        helper.make_model(helper.make_graph(nodes, 'g', [x], [y], held), opset_imports=[helper.make_opsetid('', 17)])
    )
    assert [node.op_type for node in model.graph.node] == ['DequantizeLinear', 'MatMul']
    assert tensor_types(model)['q'].name == 'INT8'
