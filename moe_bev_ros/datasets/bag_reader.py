"""Reads rosbag2 bags, sqlite3 or MCAP, also those that were cut off: what is readable, and the fact that it is not all."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import apsw
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader, ReaderError

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_salvage import salvage
from moe_bev_ros.datasets.bag_writer import TopicQos

# rosbags raises all of these, as the cut falls into one record or another.
READ_ERRORS = (
    ReaderError,
    apsw.Error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    AssertionError,
    IndexError,
    TypeError,
)
SUFFIXES = ('.db3', '.mcap')


class BagMessage(NamedTuple):
    """A serialized message (CDR with its four bytes of encapsulation) and when it was recorded."""

    topic: str
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag; ``type_name`` is like ``sensor_msgs/msg/Image``."""

    name: str
    type_name: str
    num_messages: int
    qos: TopicQos


class BagReader:
    """An open bag; use it as a context manager. `messages` may be called again and again.

    Attributes:
        topics: by name.
        start_ns: recording time of the first message; 0 in an empty bag.
        end_ns: recording time of the last message.
        damage: what is wrong with the bag, in words; empty: nothing. It may grow while reading.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a bag's folder or its one storage file.

        Raises:
            InputError: there is no bag, or nothing in it can be read.
        """
        self.path = Path(path)
        self.damage = ''
        self.topics: dict[str, BagTopic] = {}
        self.start_ns = self.end_ns = 0
        self._reader: Reader | None = None
        self._salvaged_files: list[Path] = []
        if not self.path.exists():
            raise InputError(f'{path}: no such bag')
        self._open()

    @property
    def num_messages(self) -> int:
        """Messages that can be read."""
        return sum(topic.num_messages for topic in self.topics.values())

    @property
    def duration_s(self) -> float:
        """From the first message to the last [s]."""
        return (self.end_ns - self.start_ns) / 1e9

    def messages(self, topics: tuple[str, ...] = (), start_ns: int | None = None) -> Iterator[BagMessage]:
        """Messages in the order of their recording times, of all topics or of these, from ``start_ns`` on."""
        if self._reader is not None:
            yield from self._indexed_messages(self._reader, topics, start_ns)
            return
        for message in (message for path in self._salvaged_files for message in salvage(path)):
            if (not topics or message.topic in topics) and (start_ns is None or message.stamp_ns >= start_ns):
                yield BagMessage(message.topic, message.stamp_ns, message.data)

    def close(self) -> None:
        """Close the files."""
        if self._reader is not None:
            self._reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        files = self._storage_files()
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            self.damage = f'{self.path}: metadata.yaml is missing (the recording did not end cleanly)'
            _recover_journals(files)
        target = files[0] if self.damage and len(files) == 1 else self.path
        try:
            reader = Reader(target)
            reader.open()
        except READ_ERRORS as err:
            self._open_salvaged(files, str(err))
            return
        self._reader = reader
        for connection in reader.connections:
            self._add_topic(connection.topic, connection.msgtype, connection.msgcount, connection.ext.offered_qos_profiles)
        if reader.message_count:
            self.start_ns, self.end_ns = reader.start_time, reader.end_time - 1

    def _storage_files(self) -> list[Path]:
        if self.path.is_file():
            files = [self.path] if self.path.suffix in SUFFIXES else []
        else:
            files = sorted(path for path in self.path.iterdir() if path.suffix in SUFFIXES)
        if not files and not (self.path / 'metadata.yaml').is_file():
            raise InputError(f'{self.path}: no .db3 and no .mcap file; this is no rosbag2')
        return files

    def _open_salvaged(self, files: list[Path], fact: str) -> None:
        self._salvaged_files = files
        self.end_ns = 0
        for path in files:
            for message in salvage(path):
                self._add_topic(message.topic, message.type_name, 1, message.qos)
                self.start_ns = min(self.start_ns or message.stamp_ns, message.stamp_ns)
                self.end_ns = max(self.end_ns, message.stamp_ns)
        self.damage = f'{self.path}: cut off or damaged ({fact}); {self.num_messages} messages can be read'
        if not self.topics:
            raise InputError(f'{self.path}: nothing in it can be read ({fact})')

    def _add_topic(self, name: str, type_name: str, num_messages: int, profiles: list[Any]) -> None:
        known = self.topics.get(name)
        if known is None:
            self.topics[name] = BagTopic(name, type_name, num_messages, _qos(profiles))
        else:
            self.topics[name] = replace(known, num_messages=known.num_messages + num_messages)

    def _indexed_messages(self, reader: Reader, topics: tuple[str, ...], start_ns: int | None) -> Iterator[BagMessage]:
        connections = [connection for connection in reader.connections if not topics or connection.topic in topics]
        if not connections:
            return
        num_read = 0
        try:
            for connection, stamp_ns, data in reader.messages(connections, start=start_ns):
                num_read += 1
                yield BagMessage(connection.topic, stamp_ns, data)
        except READ_ERRORS as err:
            self.damage = f'{self.path}: damaged after {num_read} messages ({err})'


def _qos(profiles: list[Any]) -> TopicQos:
    if not profiles:
        return TopicQos()
    return TopicQos(
        reliable=all(profile.reliability is not QosReliability.BEST_EFFORT for profile in profiles),
        transient_local=all(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles),
        depth=max(1, *(profile.depth for profile in profiles)),
    )


def _recover_journals(files: list[Path]) -> None:
    """SQLite undoes a half-written transaction when it opens the file for writing."""
    for path in files:
        if Path(f'{path}-journal').exists():
            with suppress(sqlite3.Error):
                connection = sqlite3.connect(path)
                connection.execute('SELECT count(*) FROM sqlite_master').fetchone()
                connection.close()
