"""Plans that TensorRT built, kept beside the ONNX files, and built anew when anything that they depend on is another.

A plan fits one ONNX file, one release of TensorRT and one device. All of that stands in the first line of its file, so that a
file is whole or does not count. It is replaced in one step: whoever fails to build a plan leaves the old one as it was.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from moe_bev_ros.engine.base import EngineError

FORMAT = 1
POLL_S = 0.2
LONGEST_BUILD_S = 3600.0

Loaded = TypeVar('Loaded')
Report = Callable[[str], None]


@dataclass(frozen=True)
class PlanKey:
    """What a plan depends on.

    Attributes:
        onnx: SHA-256 of the file that it was built from.
        recipe: SHA-256 of the code that made TensorRT's graph of it.
        precision: that this code was asked for.
        tensorrt: version.
        device: name and compute capability of the GPU, and the DLA core.
        tensors: names, types and shapes of inputs and outputs.
    """

    onnx: str
    recipe: str
    precision: str
    tensorrt: str
    device: str
    tensors: tuple[str, ...]

    def difference(self, before: dict[str, Any]) -> str:
        """What is another than in the key of a file; empty: nothing."""
        now = json.loads(json.dumps(dataclasses.asdict(self)))
        changed = [name for name, value in now.items() if before.get(name) != value]
        if set(changed) & {'onnx', 'recipe', 'tensors'}:
            return f'built from another {" and ".join(changed)}'
        return ', '.join(f'built for {name} {before.get(name)}, here is {now[name]}' for name in changed)


class PlanCache:
    """The folder of the plans of one network.

    Args:
        report: told, in one line each, when a plan is built and why.
        wait_s: how long another process may take to build a plan that is wanted here as well.
    """

    def __init__(self, folder: Path, report: Report = lambda _: None, wait_s: float = LONGEST_BUILD_S) -> None:
        self.folder, self.report, self.wait_s = folder, report, wait_s

    def load(self, name: str, key: PlanKey, build: Callable[[], bytes], load: Callable[[bytes], Loaded | None]) -> Loaded:
        """The plan of this key, loaded; it is built where there is none, or one that does not load.

        Args:
            name: of the sub-engine.
            build: gives the plan.
            load: gives None where it cannot.

        Raises:
            EngineError: it cannot be built, loaded or written; what was there stays.
        """
        loaded, _ = self._stored(name, key, load)
        if loaded is not None:
            return loaded
        with self._lock(name):
            loaded, reason = self._stored(name, key, load)  # another process may have built it meanwhile
            if loaded is not None:
                return loaded
            self.report(f'{name}: building, {reason}')
            plan = build()
            loaded = load(plan)
            if loaded is None:
                raise EngineError(f'{name}: the plan was built and does not load; see the messages of TensorRT above')
            self._write(name, key, plan)
        return loaded

    def path(self, name: str) -> Path:
        """Of the plan of a sub-engine."""
        return self.folder / f'{name}.plan'

    def _stored(self, name: str, key: PlanKey, load: Callable[[bytes], Loaded | None]) -> tuple[Loaded | None, str]:
        """The plan that is there, or why it does not count."""
        try:
            head, _, plan = self.path(name).read_bytes().partition(b'\n')
            content = json.loads(head)
            before, sha256, version = dict(content['key']), content['sha256'], content['format']
        except FileNotFoundError:
            return None, 'there is none yet'
        except OSError as err:
            return None, f'it cannot be read ({err.strerror})'
        except (ValueError, KeyError, TypeError):
            return None, 'its file is broken'
        if version != FORMAT or sha256 != hashlib.sha256(plan).hexdigest():
            return None, 'its file is broken'
        difference = key.difference(before)
        if difference:
            return None, difference
        loaded = load(plan)
        return loaded, '' if loaded is not None else 'TensorRT does not load it'

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Alone among all processes; the system lets go of the lock of one that died."""
        path = self.folder / f'{name}.lock'
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open('w')
        except OSError as err:
            raise self._disk_error(err, path) from err
        with file:
            self._wait_for(file, name)
            yield

    def _wait_for(self, file: IO[str], name: str) -> None:
        deadline_s, is_told = time.monotonic() + self.wait_s, False
        while not _is_locked(file):
            if time.monotonic() > deadline_s:
                raise EngineError(f'{name}: another process builds it for {self.wait_s:.0f} s; end that one')
            if not is_told:
                self.report(f'{name}: another process builds it; waiting')
            is_told = True
            time.sleep(POLL_S)

    def _write(self, name: str, key: PlanKey, plan: bytes) -> None:
        """Beside its place, then moved to it; only the holder of the lock writes."""
        path, temporary = self.path(name), self.folder / f'.{name}.plan'
        head = {'format': FORMAT, 'sha256': hashlib.sha256(plan).hexdigest(), 'key': dataclasses.asdict(key)}
        try:
            with temporary.open('wb') as file:
                file.write(json.dumps(head).encode() + b'\n' + plan)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as err:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise self._disk_error(err, path) from err

    def _disk_error(self, err: OSError, path: Path) -> EngineError:
        cure = 'make room, or copy the folder of the network to where it can be written, and name that one'
        return EngineError(f'{path}: {err.strerror}; {cure}')


def _is_locked(file: IO[str]) -> bool:
    """Take the lock, where no other process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
