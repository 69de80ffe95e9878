"""What a run-time offers: one sub-engine opened, and run on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.engine.manifest import Part

Arrays = Mapping[str, NDArray[Any]]


def empty_outputs(part: Part) -> dict[str, NDArray[Any]]:
    """Buffers for what a sub-engine gives."""
    return {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in part.outputs}


class Session(Protocol):
    """One sub-engine in one run-time."""

    def run(self, inputs: Arrays) -> Arrays:
        """The outputs by name, from inputs by name, in the shapes and types of the part; batch 1.

        ``inputs`` may hold more than this sub-engine takes, and are not written to. The outputs belong to the session and are
        overwritten by its next run. Nothing is allocated beyond what the run-time forces.
        """
        ...


class RunTime(Protocol):
    """A run-time with the settings that it was made with.

    Made as ``OnnxRuntime(settings)`` from `EngineSettings`.

    Raises:
        EngineError: it is not installed, or cannot compute in this precision; the message names the cure.
    """

    name: str

    def open(self, part: Part, path: Path, outputs: Arrays | None = None) -> Session:
        """The sub-engine that ``path`` holds as ONNX, ready to run.

        Args:
            outputs: where its outputs go, so that sessions which never run for the same frame can share them; a run-time whose
                outputs lie on another device keeps its own.

        Raises:
            EngineError: the run-time cannot take it.
        """
        ...
