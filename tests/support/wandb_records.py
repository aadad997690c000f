"""``.wandb`` files written by hand, record by record, as wandb writes them."""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any, Iterable

STARTED = 1_700_000_000
HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 32768


def frame(records: Iterable[bytes]) -> bytes:
    """What wandb writes: records in chunks that cross no block."""
    written = bytearray(HEADER)
    for record in records:
        begun = False
        while True:
            room = BLOCK - len(written) % BLOCK
            if room < 7:
                written += bytes(room)
                room = BLOCK
            part, record = record[: room - 7], record[room - 7 :]
            kind = (3 if record else 4) if begun else (2 if record else 1)
            checksum = zlib.crc32(part, zlib.crc32(bytes((kind,))))
            written += struct.pack("<IHB", checksum, len(part), kind) + part
            begun = True
            if not record:
                break
    return bytes(written)


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def field(number: int, value: int | bytes | str | float) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def history(step: int, **values: Any) -> bytes:
    items = b"".join(field(1, field(1, name) + field(16, json.dumps(value))) for name, value in values.items())
    return field(2, items + field(2, field(1, step) if step else b""))


def run(run_id: str, started: int = STARTED, **config: Any) -> bytes:
    """The record of a run, of project ``p``, with a name and a tag."""
    update = b"".join(field(1, field(1, name) + field(16, json.dumps(value))) for name, value in config.items())
    texts = field(1, run_id) + field(3, "p") + field(4, update) + field(8, "my name") + field(10, "tag")
    return field(17, texts + field(17, field(1, started)))


def summary(**values: Any) -> bytes:
    return field(3, b"".join(field(1, field(1, name) + field(16, json.dumps(value))) for name, value in values.items()))


def telemetry(*imports: int) -> bytes:
    """What wandb noted as imported, by its own numbers: 1 torch, 9 pytorch_lightning."""
    return field(11, field(2, b"".join(field(number, 1) for number in imports)) + field(4, "3.9.1"))


def ending() -> bytes:
    return field(18, b"")


def row(step: int, **values: Any) -> bytes:
    """A row as versions before 0.31 write it, which have the time of it."""
    return history(step, _timestamp=1.7e9 + step, **values)


def write(
    root: Path, run_id: str, *records: bytes, folder: str = "", started: int = STARTED, age_s: float = 3600.0
) -> Path:
    """A run's file in a folder as wandb names it, last written some time ago."""
    path = root / (folder or f"offline-run-20231114_221320-{run_id}") / f"run-{run_id}.wandb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(frame([run(run_id, started), *records]))
    rest(path, age_s)
    return path


def rest(path: Path, age_s: float = 3600.0) -> None:
    """The file was last written so long ago."""
    modified = time.time() - age_s
    os.utime(path, (modified, modified))
