"""How many threads a process computes with, and that those which wait sleep: the same way in every node and command.

Most libraries read their number of threads from the environment when they are loaded, so a node's process is started with these
variables; `limit_threads` is for what can be told later.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from moe_bev_ros.runtime.stack import NodeSpec

PARAMETER = 'num_threads'
COUNTS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')
PASSIVE = {'OMP_WAIT_POLICY': 'PASSIVE'}  # OpenMP spins by default, and several nodes on few cores starve each other


def thread_variables(num_threads: int) -> dict[str, str]:
    """What the libraries of a process read when they are loaded."""
    return {**PASSIVE, **dict.fromkeys(COUNTS, str(num_threads))}


def limit_threads(num_threads: int) -> None:
    """Let this process compute with so many threads: libraries that are loaded already, and those that will be."""
    os.environ.update(thread_variables(num_threads))
    loaded = sys.modules
    if 'cv2' in loaded:
        loaded['cv2'].setNumThreads(num_threads)
    if 'torch' in loaded:
        loaded['torch'].set_num_threads(num_threads)


def num_threads_of(spec: NodeSpec) -> int:
    """The parameter ``num_threads`` that a node is going to have; 1 where nobody gives one."""
    values = [value for path in spec.params_files for value in _given(path, spec.name)]
    value = spec.parameters.get(PARAMETER, values[-1] if values else 1)
    return value if isinstance(value, int) and value > 0 else 1  # the node itself says what is wrong with it


def _given(path: Path, node: str) -> list[Any]:
    """What a parameter file gives a node of the root namespace, in its order."""
    document: Any = {}
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        document = yaml.safe_load(path.read_text())
    found = []
    for pattern, parameters in _sections(document, ''):
        patterns = pattern.replace('**', '*'), pattern.removeprefix('/**')
        if PARAMETER in parameters and any(fnmatch(f'/{node}', each) for each in patterns):
            found.append(parameters[PARAMETER])
    return found


def _sections(section: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of nodes, or patterns of names, with their parameters; namespaces may nest."""
    if not isinstance(section, dict):
        return
    for key, value in section.items():
        if key == 'ros__parameters' and isinstance(value, dict):
            yield name, value
        else:
            yield from _sections(value, f'{name}/{str(key).strip("/")}')
