"""Graphs as an export of a quantised network gives them, and what is made of them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from moe_bev_ros.engine.quantised_onnx import tidied, unsigned

SIDE = 8


def pair(name, source, scale, **axis):
    """Quantise and dequantise ``source`` by constants of this name."""
    return [
        helper.make_node('QuantizeLinear', [source, scale, f'{scale}_zero'], [f'{name}_integers'], **axis),
        helper.make_node('DequantizeLinear', [f'{name}_integers', scale, f'{scale}_zero'], [name], **axis),
    ]


def constants(**values):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def model_of(nodes, values, outputs, channels=4):
    shape = [1, channels, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        'small',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def answers(model, seed=0):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    shape = session.get_inputs()[0].shape
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)
    return session.run(None, {'x': x})


def kinds(model):
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def two_readers():
    """Two convolutions that read the same, a residual sum, and a resized result."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)
    by_channel = np.abs(weight).reshape(4, -1).max(1) / 127
    values = constants(
        w=weight,
        ws=by_channel.astype(np.float32),
        ws_zero=np.zeros(4, np.int8),
        b=np.arange(4.0, dtype=np.float32),
        s=np.float32(1 / 127),
        s_zero=np.int8(0),
        t=np.float32(0.1),
        t_zero=np.int8(0),
        sizes=np.array([1, 1, 2, 2], np.float32),
    )
    nodes = [
        *pair('x_first', 'x', 's'),
        *pair('w_first', 'w', 'ws', axis=0),
        helper.make_node('Conv', ['x_first', 'w_first', 'b'], ['first'], pads=[1] * 4),
        helper.make_node('Relu', ['first'], ['seen']),
        helper.make_node('Cast', ['x'], ['x_again'], to=TensorProto.FLOAT),
        *pair('x_second', 'x_again', 's'),
        *pair('seen_on_grid', 'seen', 't'),
        helper.make_node('Add', ['x_second', 'seen_on_grid'], ['summed']),
        helper.make_node('Resize', ['summed', '', 'sizes'], ['large'], mode='nearest'),
        *pair('y', 'large', 't'),
    ]
    return model_of(nodes, values, ['y'])


def test_a_tidied_graph_says_the_same(two_readers):
    for before, after in zip(answers(two_readers), answers(tidied(two_readers))):
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_weights_are_stored_as_int8(two_readers):
    graph = tidied(two_readers).graph
    stored = {value.name: value for value in graph.initializer if len(value.dims) == 4}
    assert {value.data_type for value in stored.values()} == {TensorProto.INT8}


def test_equal_quantisers_become_one(two_readers):
    # x, the sum's other addend, and the result before and after it is resized; the weight's is gone
    assert kinds(two_readers).count('QuantizeLinear') == 5
    assert kinds(tidied(two_readers)).count('QuantizeLinear') == 4
    assert 'Cast' not in kinds(tidied(two_readers))


def test_integers_pass_through_what_only_moves_values(two_readers):
    graph = tidied(two_readers).graph
    makers = {name: node for node in graph.node for name in node.output}
    resized = next(node for node in graph.node if node.op_type == 'Resize')
    before = makers[resized.input[0]]
    after = next(node for node in graph.node if resized.output[0] in node.input)
    assert (before.op_type, after.op_type) == ('DequantizeLinear', 'QuantizeLinear')
    assert list(before.input[1:]) == list(after.input[1:])


def test_interpolation_between_values_stays_float(two_readers):
    for node in two_readers.graph.node:
        if node.op_type == 'Resize':
            node.attribute[0].s = b'linear'
    graph = tidied(two_readers).graph
    resized = next(node for node in graph.node if node.op_type == 'Resize')
    makers = {name: node for node in graph.node for name in node.output}
    assert makers[resized.input[0]].op_type == 'Add'


def test_unsigned_activations_say_the_same_and_a_relu_begins_at_zero(two_readers):
    model = tidied(two_readers)
    for before, after in zip(answers(model), answers(unsigned(model))):
        np.testing.assert_allclose(after, before, atol=1e-5)
    values = {value.name: numpy_helper.to_array(value) for value in unsigned(model).graph.initializer}
    nodes = [node for node in unsigned(model).graph.node if node.op_type == 'QuantizeLinear']
    zeros = {node.input[0]: values[node.input[2]] for node in nodes}
    assert all(zero.dtype == np.uint8 for zero in zeros.values())
    assert (zeros['x'], zeros['seen']) == (128, 0)


def test_weights_stay_signed_where_activations_become_unsigned(two_readers):
    stored = {value.data_type for value in unsigned(tidied(two_readers)).graph.initializer if len(value.dims) == 4}
    assert stored == {TensorProto.INT8}


def test_a_matrix_is_stored_as_it_is_multiplied():
    weight = np.random.default_rng(0).standard_normal((3, SIDE)).astype(np.float32)
    values = constants(w=weight, ws=np.full(3, 0.02, np.float32), ws_zero=np.zeros(3, np.int8))
    nodes = [
        *pair('w_on_grid', 'w', 'ws', axis=0),
        helper.make_node('Transpose', ['w_on_grid'], ['turned'], perm=[1, 0]),
        helper.make_node('MatMul', ['x', 'turned'], ['y']),
    ]
    model = model_of(nodes, values, ['y'])
    assert kinds(tidied(model)) == ['DequantizeLinear', 'MatMul']
    np.testing.assert_allclose(answers(tidied(model))[0], answers(model)[0], atol=1e-5)


def test_large_zeros_are_not_in_the_file():
    zeros = np.zeros((1, 4, 64, 64), np.float32)
    model = model_of(
        [helper.make_node('Concat', ['x', 'zeros'], ['y'], axis=2)], constants(zeros=zeros[..., :SIDE].repeat(3, 2)), ['y']
    )
    after = tidied(model)
    assert len(after.SerializeToString()) < 1000
    np.testing.assert_array_equal(answers(after)[0], answers(model)[0])


def test_an_output_keeps_its_name_behind_a_cast_that_does_nothing():
    nodes = [
        helper.make_node('Relu', ['x'], ['seen']),
        helper.make_node('Cast', ['seen'], ['y'], to=TensorProto.FLOAT),
        helper.make_node('Neg', ['seen'], ['z']),
    ]
    model = model_of(nodes, [], ['y', 'z'])
    assert kinds(tidied(model)) == ['Relu', 'Neg']
    for before, after in zip(answers(model), answers(tidied(model))):
        np.testing.assert_array_equal(before, after)
