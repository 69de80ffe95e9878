"""Reads what is left of a bag that was cut off: records in the order of the file, until they end in the middle.

rosbags, as rosbag2 itself, needs the index at the end of an MCAP file and a whole SQLite file. SQLite refuses a file shorter
than its header says unless ``writable_schema`` is set; the rows before the cut are then read in the order of their writing.
MCAP: https://mcap.dev/spec (record opcodes 0x03 schema, 0x04 channel, 0x05 message, 0x06 chunk).
"""

from __future__ import annotations

import io
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rosbags.rosbag2.metadata import parse_qos
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

MCAP_MAGIC = b'\x89MCAP0\r\n'
LARGEST_RECORD = 1 << 31


class SalvagedMessage(NamedTuple):
    """One message with the description of its topic; ``qos`` is rosbags' list of Qos."""

    topic: str
    type_name: str
    qos: list[object]
    stamp_ns: int
    data: bytes


def salvage(path: Path) -> Iterator[SalvagedMessage]:
    """Read the messages of a damaged ``.db3`` or ``.mcap`` file; ends silently where the file does."""
    return _salvage_mcap(path) if path.suffix == '.mcap' else _salvage_sqlite(path)


def _salvage_sqlite(path: Path) -> Iterator[SalvagedMessage]:
    connection = sqlite3.connect(f'file:{path}?mode=ro&immutable=1', uri=True)
    try:
        connection.execute('PRAGMA writable_schema=ON')
        rows = connection.execute('SELECT id, name, type, offered_qos_profiles FROM topics').fetchall()
        topics = {key: (name, type_name, parse_qos(qos)) for key, name, type_name, qos in rows}
        for key, stamp_ns, data in connection.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id'):
            if key in topics:
                yield SalvagedMessage(*topics[key], stamp_ns, data)
    except sqlite3.DatabaseError:
        return
    finally:
        connection.close()


def _salvage_mcap(path: Path) -> Iterator[SalvagedMessage]:
    channels: dict[int, tuple[str, str, list[object]]] = {}
    schemas: dict[int, str] = {}
    with path.open('rb') as file:
        if file.read(8) != MCAP_MAGIC:
            return
        for opcode, record in _flat_records(file):
            if opcode == 0x03:
                schemas[struct.unpack_from('<H', record)[0]] = _string(record, 2)[0]
            elif opcode == 0x04:
                key, channel = _channel(record, schemas)
                channels[key] = channel
            elif opcode == 0x05:
                key, _, stamp_ns = struct.unpack_from('<HIQ', record)
                if key in channels:
                    yield SalvagedMessage(*channels[key], stamp_ns, record[22:])


def _flat_records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for opcode, record in _records(file):
        if opcode == 0x0F:  # end of the data: what follows repeats schemas and channels
            return
        if opcode != 0x06:
            yield opcode, record
            continue
        size = struct.unpack_from('<Q', record, 16)[0]
        compression, offset = _string(record, 28)
        try:
            content = DECOMPRESSORS[compression](record[offset + 8 :], size)
        except (KeyError, RuntimeError, ValueError):
            return
        yield from _records(io.BytesIO(content))


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while len(head := file.read(9)) == 9:
        opcode, size = struct.unpack('<BQ', head)
        if size > LARGEST_RECORD:
            return
        record = file.read(size)
        if len(record) == size or (opcode == 0x06 and len(record) > 64):  # what is left of a chunk may still hold messages
            yield opcode, record


def _channel(record: bytes, schemas: dict[int, str]) -> tuple[int, tuple[str, str, list[object]]]:
    key, schema = struct.unpack_from('<HH', record)
    topic, offset = _string(record, 4)
    _, offset = _string(record, offset)
    end = offset + 4 + struct.unpack_from('<I', record, offset)[0]
    metadata: dict[str, str] = {}
    offset += 4
    while offset < end:
        name, offset = _string(record, offset)
        metadata[name], offset = _string(record, offset)
    return key, (topic, schemas.get(schema, ''), list(parse_qos(metadata.get('offered_qos_profiles', ''))))


def _string(record: bytes, offset: int) -> tuple[str, int]:
    size = struct.unpack_from('<I', record, offset)[0]
    end = offset + 4 + size
    return record[offset + 4 : end].decode(), end
