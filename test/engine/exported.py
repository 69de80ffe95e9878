"""The small network of test/model in a file of weights, and its sub-engines in a folder."""

from model.small_model import small_model

from moe_bev_ros.engine.export import export_engine
from moe_bev_ros.engine.manifest import file_sha256
from moe_bev_ros.model.weights_file import save_weights


def exported_small(folder, **changes):
    """Paths of both."""
    model = small_model(**changes)
    weights = save_weights(model, model.config, folder / 'small.safetensors')
    export_engine(model, file_sha256(weights), folder / 'onnx')
    return weights, folder / 'onnx'
