"""The BEV network as sub-engines in any run-time, one after the other; what no chosen frame expert needs is not run.

What goes from one to the next stays where the run-time wrote it, and frame experts write to the same place. The memory's state
stays, too: it is read from where it was written in the frame before, and by the time that it is written again nobody reads it
any more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.capability import CAPABILITY
from moe_bev_ros.engine.manifest import Manifest
from moe_bev_ros.engine.network import F32, Clock, Encoded, NetworkOutputs
from moe_bev_ros.engine.session import Arrays, RunTime, Session, empty_outputs
from moe_bev_ros.engine.shipped import WEIGHTS, network_folder
from moe_bev_ros.perception.centre_boxes import CentreMaps
from moe_bev_ros.perception.network_inputs import NetworkArrays

NEXT = 'next_'  # begins the names of the state as it is written
NUM_SETS = 2  # of the encoders' outputs: one is filled while the other is read
ENCODERS = ('camera_attention', 'lidar_encoder')  # whose outputs are read in the second half of a step
LAST = ('router', 'patch_experts', 'memory_write', 'heads')


def chain_engine(
    settings: EngineSettings, run_time: RunTime, weights: Path = WEIGHTS, capability: Path = CAPABILITY
) -> BevEngine[SubEngineChain]:
    """The engine of a run-time, with the exported network that the settings ask for.

    Raises:
        EngineError: as network_folder, SubEngineChain and BevEngine.
    """
    return BevEngine(SubEngineChain(*network_folder(settings, weights), run_time), capability)


class SubEngineChain:
    """See `Network`.

    Args:
        folder: of the files that the manifest names.

    Raises:
        EngineError: the run-time cannot take one of them.
    """

    def __init__(self, manifest: Manifest, folder: Path, run_time: RunTime) -> None:
        self.name, self.config = run_time.name, manifest.config

        shared = empty_outputs(manifest.parts['expert_fused'])

        def opened(name: str) -> Session:
            part = manifest.parts[name]
            return run_time.open(part, folder / part.file, shared if name.startswith('expert_') else None)

        self._sessions = {name: opened(name) for name in manifest.parts if name not in ENCODERS}
        self._encoders = [{name: opened(name) for name in ENCODERS} for _ in range(NUM_SETS)]
        self._next_set = 0
        written = empty_outputs(manifest.parts['memory_write'])
        self._empty = {name.removeprefix(NEXT): values for name, values in written.items()}
        self._state: Arrays = self._empty
        self._mean: dict[str, NDArray[Any]] = {}
        self._motion_133, self._dt_1 = np.zeros((1, 3, 3), np.float32), np.zeros(1, np.float32)

    @property
    def memory_bytes(self) -> int:
        """See `Network`."""
        return sum(values.nbytes for values in self._state.values())

    def drop_memory(self) -> None:
        """See `Network`."""
        self._state = self._empty

    def encode(self, arrays: NetworkArrays, experts: tuple[str, ...], clock: Clock) -> Encoded:
        """See `Network`."""
        encoders = self._encoders[self._next_set]
        self._next_set = (self._next_set + 1) % NUM_SETS
        values: dict[str, NDArray[Any]] = {}
        if set(experts) - {'lidar'}:
            seen = self._sessions['camera_encoder'].run({'images': arrays.images_n3hw[None]})
            clock('camera_encoder')
            tables: Arrays = {'depth': arrays.depth_nhw[None], 'pixel': arrays.pixel_zc[None], 'bin': arrays.bin_zc[None]}
            values |= encoders['camera_attention'].run({**seen, **tables})
            clock('attention')
        if set(experts) - {'camera'}:
            values |= encoders['lidar_encoder'].run({'pillars': arrays.pillars_pss[None]})
            clock('lidar_encoder')
        return Encoded(values)

    def conclude(self, encoded: Encoded, motion_33: F32, dt_s: float, experts: tuple[str, ...], clock: Clock) -> NetworkOutputs:
        """See `Network`."""
        self._motion_133[0], self._dt_1[0] = motion_33, 0.0 if self._state is self._empty else dt_s
        values: dict[str, NDArray[Any]] = {**encoded.values, **self._state, **self._maps_of(experts, encoded)}
        clock('frame_experts')
        values |= self._sessions['memory_read'].run({**values, 'motion': self._motion_133, 'dt': self._dt_1})
        clock('memory')
        for name in LAST:
            values |= self._sessions[name].run(values)
            clock(name)
        self._state = {name: values[f'{NEXT}{name}'] for name in self._empty}
        maps = (values[name][0] for name in ('heat', 'boxes', 'log_sigma', 'attributes', 'forecast'))
        num_key_points = encoded.values['chosen'].size if 'chosen' in encoded.values else 0
        return NetworkOutputs(CentreMaps(*maps), values['road'][0], num_key_points, values['patches'].size)

    def _maps_of(self, experts: tuple[str, ...], encoded: Encoded) -> Arrays:
        """What the frame experts make of it, averaged where there are two, which write to the same buffers."""
        said = self._sessions[f'expert_{experts[0]}'].run(encoded.values)
        if len(experts) == 1:
            return said
        for name, values in said.items():
            if name not in self._mean:
                self._mean[name] = np.empty_like(values)  # in the run-time's own order
            np.copyto(self._mean[name], values)
        said = self._sessions[f'expert_{experts[1]}'].run(encoded.values)
        for name, mean in self._mean.items():
            mean += said[name]
            mean *= 0.5
        return self._mean
