"""What TensorRT gets says what the exported graph says; onnxruntime computes both."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from engine.signed_qdq import quantised
from model.small_model import random_inputs, small_model
from onnx import helper, numpy_helper

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.tensorrt_graph import OPSET, graph_for_tensorrt, in_half, without_quantisation
from moe_bev_ros.model.sub_engines import sub_engines

HALF_ERROR = 5e-3  # of the largest value; FP16 has a step of 5e-4


class Frame:
    """The files of the small network, and what goes into each of them in a second frame."""

    def __init__(self, folder):
        self.paths = {path.stem: path for path in sorted(folder.glob('*.onnx'))}
        model, values = small_model(), {}
        state = model.empty_memory(1)
        with torch.no_grad():
            for seed in range(2):
                values = {**random_inputs(seed=seed)._asdict(), **state}
                for engine in sub_engines(model).values():
                    values |= zip(engine.output_names, engine.module(*(values[name] for name in engine.input_names)))
                state = {name: values[f'next_{name}'] for name in state}
        self.values = {name: value.numpy() for name, value in values.items()}

    def feed(self, name):
        return {value.name: self.values[value.name] for value in onnx.load(self.paths[name]).graph.input}


@pytest.fixture(scope='module')
def frame(exported):
    return Frame(exported[1])


def run(model, values):
    """As written: onnxruntime's own fusions of FP16 around INT8 are not what TensorRT does."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = model if isinstance(model, (str, Path)) else model.SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    return {output.name: value for output, value in zip(session.get_outputs(), session.run(None, values))}


def assert_close(got, wanted, share):
    """Arrays by name, to a share of the largest value."""
    assert tuple(got) == tuple(wanted)
    for name, value in wanted.items():
        assert got[name].dtype == value.dtype
        np.testing.assert_allclose(got[name], value, atol=share * max(1.0, float(np.abs(value).max())), err_msg=name)


def test_in_float32_every_sub_engine_says_the_same(frame):
    for name, path in frame.paths.items():
        graph = graph_for_tensorrt(onnx.load(path), name, half=False)
        onnx.checker.check_model(graph, full_check=True)
        assert graph.opset_import[0].version == OPSET
        assert_close(run(graph, frame.feed(name)), run(path, frame.feed(name)), 1e-6)


def test_in_float16_every_sub_engine_says_nearly_the_same(frame):
    for name, path in frame.paths.items():
        graph = graph_for_tensorrt(onnx.load(path), name)
        onnx.checker.check_model(graph, full_check=True)
        got, wanted = (in_order(run(model, frame.feed(name))) for model in (graph, path))
        assert_close(got, wanted, HALF_ERROR)


def in_order(values):
    """Indices are compared where they are few, in any order."""
    return {name: np.sort(value, axis=-1) if value.dtype == np.int64 else value for name, value in values.items()}


def test_poses_and_offsets_stay_exact_in_float16(frame):
    for name, exact in (
        ('memory_read', 'moved_token_xy'),
        ('memory_read', 'moved_static_motion'),
        ('memory_write', 'next_semi_motion'),
    ):
        graph = graph_for_tensorrt(onnx.load(frame.paths[name]), name)
        got, wanted = (run(model, frame.feed(name))[exact] for model in (graph, frame.paths[name]))
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_router_decides_in_float32(frame):
    graph = graph_for_tensorrt(onnx.load(frame.paths['router']), 'router')
    assert 'Cast' not in {node.op_type for node in graph.graph.node}


def test_rows_that_meet_in_one_cell_are_summed(frame):
    values = frame.feed('memory_read') | {'token_xy': np.full_like(frame.values['token_xy'], 0.1)}
    graph = graph_for_tensorrt(onnx.load(frame.paths['memory_read']), 'memory_read', half=False)
    assert 'ScatterND' not in {node.op_type for node in graph.graph.node}
    assert_close(run(graph, values), run(frame.paths['memory_read'], values), 1e-6)


def test_a_graph_for_a_dla_is_float16_between_its_borders(frame):
    graph = graph_for_tensorrt(onnx.load(frame.paths['lidar_encoder']), 'lidar_encoder', for_dla=True)
    weights = [value.data_type for node in graph.graph.node if node.op_type == 'Conv' for value in held(graph, node.input[1])]
    assert set(weights) == {onnx.TensorProto.FLOAT16}
    assert_close(
        run(graph, frame.feed('lidar_encoder')),
        run(frame.paths['lidar_encoder'], frame.feed('lidar_encoder')),
        HALF_ERROR,
    )


def held(model, name):
    return [value for value in model.graph.initializer if value.name == name]


@pytest.fixture(scope='module')
def int8(frame, tmp_path_factory):
    return quantised(frame.paths['camera_encoder'], tmp_path_factory.mktemp('int8') / 'camera_encoder.onnx')


def test_quantised_convolutions_stay_int8_in_float16(frame, int8):
    graph = graph_for_tensorrt(onnx.load(int8), 'camera_encoder')
    onnx.checker.check_model(graph, full_check=True)
    kinds = {value.name: value.data_type for value in graph.graph.initializer}
    sources = {node.output[0]: node for node in graph.graph.node}
    for node in graph.graph.node:
        if node.op_type == 'Conv':
            assert [sources[name].op_type for name in node.input[:2]] == ['DequantizeLinear'] * 2
            weight = sources[node.input[1]]
            assert [kinds[name] for name in weight.input] == [
                onnx.TensorProto.INT8,
                onnx.TensorProto.FLOAT16,
                onnx.TensorProto.INT8,
            ]
    got, wanted = (run(model, frame.feed('camera_encoder')) for model in (graph, str(int8)))
    for name, value in wanted.items():  # where FP16 moves a value over the edge of a step, it moves by a whole one
        assert np.abs(got[name] - value).mean() < 0.03 * np.abs(value).mean()


def test_a_dla_gets_a_quantised_network_unrounded(frame, int8):
    graph = graph_for_tensorrt(onnx.load(int8), 'camera_encoder', for_dla=True)
    onnx.checker.check_model(graph, full_check=True)
    assert not {node.op_type for node in graph.graph.node} & {'QuantizeLinear', 'DequantizeLinear'}
    wanted = run(frame.paths['camera_encoder'], frame.feed('camera_encoder'))
    assert_close(run(graph, frame.feed('camera_encoder')), wanted, HALF_ERROR)


def test_what_is_quantised_twice_in_a_row_is_left_as_it_was():
    nodes, constants = [], {'scale': np.float32(0.5), 'zero': np.int8(0)}
    for before, after in (('x', 'once'), ('once', 'twice')):
        nodes.append(helper.make_node('QuantizeLinear', [before, 'scale', 'zero'], [f'{after}_int8']))
        nodes.append(helper.make_node('DequantizeLinear', [f'{after}_int8', 'scale', 'zero'], [after]))
    nodes.append(helper.make_node('Relu', ['twice'], ['y']))
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ('x', 'y'))
    held_constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, 'g', [x], [y], held_constants)
    model = without_quantisation(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9))
    assert [node.op_type for node in model.graph.node] == ['Relu']
    assert run(model, {'x': np.array([0.3], np.float32)})['y'].tolist() == [np.float32(0.3)]


def test_a_weight_that_is_stored_in_int8_is_dequantised_for_a_dla(frame, int8):
    stored = graph_for_tensorrt(onnx.load(int8), 'camera_encoder', half=False)
    graph = graph_for_tensorrt(stored, 'camera_encoder', for_dla=True)
    wanted = run(frame.paths['camera_encoder'], frame.feed('camera_encoder'))
    assert_close(run(graph, frame.feed('camera_encoder')), wanted, 0.05)  # the weights were rounded


def test_integers_are_clipped_by_max_and_min():
    bounds = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (('low', 1), ('high', 5))]
    for inputs, wanted in ((['x', 'low', 'high'], [1, 3, 5]), (['x', '', 'high'], [-9, 3, 5])):
        x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [3]) for name in ('x', 'y'))
        graph = helper.make_graph([helper.make_node('Clip', inputs, ['y'], 'clip')], 'g', [x], [y], bounds)
        model = graph_for_tensorrt(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9), 'any')
        assert run(model, {'x': np.array([-9, 3, 9])})['y'].tolist() == wanted


def test_a_tensor_that_leaves_the_graph_and_goes_on_in_it_has_both_types():
    nodes = [helper.make_node('Relu', ['x'], ['y']), helper.make_node('Softmax', ['y'], ['z'])]
    x, y, z = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ('x', 'y', 'z'))
    model = helper.make_model(
        helper.make_graph(nodes, 'g', [x], [y, z]), opset_imports=[helper.make_opsetid('', 19)], ir_version=9
    )
    for floats in ((), ('Softmax',), ('Relu',)):
        graph = in_half(model, lambda node, floats=floats: node.op_type in floats)
        onnx.checker.check_model(graph, full_check=True)
        values = {'x': np.array([[-1.0, 1.0, 2.0]], np.float32)}
        assert_close(run(graph, values), run(model, values), 1e-3)


def test_a_range_that_float16_does_not_hold_is_an_engine_error():
    node = helper.make_node('QuantizeLinear', ['x', 'scale', 'zero'], ['y'], 'images_q')
    constants = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in (('scale', np.float32(1e6)), ('zero', np.int8(0)))
    ]
    x = helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info('y', onnx.TensorProto.INT8, [1])
    model = helper.make_model(helper.make_graph([node], 'g', [x], [y], constants), opset_imports=[helper.make_opsetid('', 19)])
    with pytest.raises(EngineError, match=r'images_q: scale reaches 1e\+06, more than FP16 holds; build with float32'):
        graph_for_tensorrt(model, 'camera_encoder')


def test_the_scale_of_a_dead_channel_stays_above_zero():
    """TensorRT refuses a scale of zero."""
    node = helper.make_node('DequantizeLinear', ['x', 'scale'], ['y'], axis=0)
    scale = numpy_helper.from_array(np.array([1e-12, 0.5], np.float32), 'scale')
    x = helper.make_tensor_value_info('x', onnx.TensorProto.INT8, [2])
    y = helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [2])
    model = helper.make_model(helper.make_graph([node], 'g', [x], [y], [scale]), opset_imports=[helper.make_opsetid('', 19)])
    graph = graph_for_tensorrt(model, 'camera_encoder')
    assert (numpy_helper.to_array(graph.graph.initializer[0]) > 0).all()
