"""An ONNX file with quantise and dequantise nodes as TensorRT wants them: signed, symmetric, weights by channel."""

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class _Noise(CalibrationDataReader):
    def __init__(self, path):
        rng = np.random.default_rng(0)
        inputs = onnx.load(path).graph.input
        shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inputs}
        self.frames = iter([{name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}] * 2)

    def get_next(self):
        return next(self.frames, None)


def quantised(path, target):
    """The path of the target."""
    quantize_static(
        path,
        target,
        _Noise(path),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=['Conv'],
        extra_options={'ActivationSymmetric': True, 'WeightSymmetric': True, 'QuantizeBias': False},
    )
    return target
