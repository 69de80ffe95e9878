"""Writes rosbag2 bags, sqlite3 or MCAP, with the QoS of each topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.ros_types import ensure_type, type_store

STORAGES: Mapping[str, StoragePlugin] = {'sqlite3': StoragePlugin.SQLITE3, 'mcap': StoragePlugin.MCAP}
BAG_VERSION = 8  # read by rosbag2 of Iron and later
FOREVER = QosTime(9223372036, 854775807)


@dataclass(frozen=True)
class TopicQos:
    """What of a publisher's QoS matters when its messages are played again."""

    reliable: bool = True
    transient_local: bool = False
    depth: int = 10


class BagWriter:
    """A new bag; use it as a context manager.

    A bag without `close` (a killed process) lacks its metadata.yaml; what was written before the last `flush` can be read.
    """

    def __init__(self, path: Path | str, storage: str = 'sqlite3') -> None:
        """Make the folder ``path``.

        Raises:
            InputError: it exists already, or the storage is not known.
        """
        if storage not in STORAGES:
            raise InputError(f'storage {storage!r} is not known; use one of {", ".join(STORAGES)}')
        self.path = Path(path)
        self._writer = (
            Writer(self.path, version=BAG_VERSION, storage_plugin=STORAGES[storage]) if not self.path.exists() else None
        )
        if self._writer is None:
            raise InputError(f'{path}: exists already; give a new name')
        try:
            self._writer.open()
        except (WriterError, OSError) as err:
            raise InputError(f'{path}: {err}') from err
        self._storage: Any = self._writer.storage
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}

    def add_topic(self, topic: str, type_name: str, qos: TopicQos | None = None) -> None:
        """Announce a topic; ``type_name`` is like ``sensor_msgs/msg/Image``.

        Raises:
            InputError: the type is not known.
        """
        assert self._writer is not None
        ensure_type(type_name)
        offered = [_offered(qos or TopicQos())]
        self._connections[topic] = self._writer.add_connection(
            topic, type_name, typestore=type_store(), offered_qos_profiles=offered
        )
        self.counts[topic] = 0

    def write(self, topic: str, stamp_ns: int, message: object) -> None:
        """Append a message built from the type store's classes."""
        self.write_serialized(topic, stamp_ns, type_store().serialize_cdr(message, self._connections[topic].msgtype))

    def write_serialized(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append a message that is serialized already."""
        assert self._writer is not None
        self._writer.write(self._connections[topic], stamp_ns, data)
        self.counts[topic] += 1

    def flush(self) -> None:
        """Hand everything to the operating system, so that only what follows is lost if this process is killed."""
        if hasattr(self._storage, 'conn'):
            self._storage.conn.commit()
        else:
            if self._storage.chunk.bio.tell():
                self._storage.close_chunk()
            self._storage.bio.flush()

    def close(self) -> None:
        """Write index and metadata."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _offered(qos: TopicQos) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        qos.depth,
        QosReliability.RELIABLE if qos.reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if qos.transient_local else QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )
