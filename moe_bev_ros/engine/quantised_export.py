"""The folder of a network with quantisers, as `export` makes it of a float one."""

from __future__ import annotations

from pathlib import Path

import onnx

from moe_bev_ros.core.files import whole_folder
from moe_bev_ros.engine.export import OPSET, export_onnx, tensors_of
from moe_bev_ros.engine.manifest import MANIFEST, Manifest, part_of, write_manifest
from moe_bev_ros.engine.quantised_onnx import tidied
from moe_bev_ros.model.bev_model import BevModel


def export_quantised(model: BevModel, weights_sha256: str, folder: Path) -> Manifest:
    """Write the sub-engines of a folded network with calibrated quantisers: the whole folder, or nothing of it.

    Args:
        weights_sha256: of the float weights that it was made from.

    Raises:
        InputError: the folder holds something else, or cannot be written; what was there stays.
    """
    with whole_folder(folder, MANIFEST) as temporary:
        paths = export_onnx(model, temporary)
        for path in paths:
            onnx.save(tidied(onnx.load(path)), path)
        parts = {path.stem: part_of(path, *tensors_of(path)) for path in paths}
        manifest = Manifest(model.config, 'int8', OPSET, weights_sha256, parts)
        write_manifest(temporary, manifest)
    return manifest
