"""Reads what wandb itself recorded for a run: the history in its ``.wandb`` file.

The file is a LevelDB log (32 KiB blocks of chunks with a 7-byte header) of protobuf records.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, Iterator

BLOCK = 32768
FILE_HEADER = 7
CHUNK_HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

History = dict[int, dict[str, Any]]


def read_history(path: Path, prefix: str = "") -> History:
    """Step -> dotted name -> value; NaN and infinities are wandb's strings.

    Without wandb's own names, which begin with ``_``; with a ``prefix``, only the names that begin so.
    """
    from wandb.proto import wandb_internal_pb2

    history: History = {}
    for raw in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        if record.WhichOneof("record_type") != "history":
            continue
        row: dict[str, Any] = {}
        for item in record.history.item:
            name = ".".join(item.nested_key) or item.key
            row.update(_flatten(name, json.loads(item.value_json)))
        # Media come as leaves: its type is one of them.
        media = tuple(name[: -len("_type")] for name in row if name.endswith("._type"))
        row = {name: value for name, value in row.items() if not name.startswith(media)}
        step = row.get("_step", record.history.step.num)
        visible = {name: value for name, value in row.items() if name.startswith(prefix or "_") == bool(prefix)}
        if visible:
            history.setdefault(step, {}).update(visible)
    return history


def scalars(history: History) -> dict[tuple[int, str], float]:
    """What Lens should hold for such a history: every finite number, booleans as 1.0 and 0.0."""
    reserved = {"step", "run_id", "source", "history", "created_at", "updated_at", "iteration"}
    return {
        (step, name): float(value)
        for step, row in history.items()
        for name, value in row.items()
        if isinstance(value, (int, float)) and math.isfinite(value) and name not in reserved
    }


def _flatten(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or "_type" in value:
        return {name: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat.update(_flatten(f"{name}.{key}", inner))
    return flat


def _records(raw: bytes) -> Iterator[bytes]:
    position = FILE_HEADER
    record = b""
    while position + CHUNK_HEADER.size <= len(raw):
        left_in_block = BLOCK - position % BLOCK
        if left_in_block < CHUNK_HEADER.size:
            position += left_in_block
            continue
        _crc, length, kind = CHUNK_HEADER.unpack_from(raw, position)
        position += CHUNK_HEADER.size
        chunk = raw[position : position + length]
        position += length
        record = chunk if kind in (FULL, FIRST) else record + chunk
        if kind in (FULL, LAST):
            yield record
