"""Reads what wandb itself recorded for a run: history and summary in its ``.wandb`` file.

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
    history: History = {}
    for record in _records_of_kind(path, "history"):
        row: dict[str, Any] = {}
        for item in record.item:
            row.update(_flatten(".".join(item.nested_key) or item.key, json.loads(item.value_json)))
        row = _without_media(row)
        step = row.get("_step", record.step.num)
        visible = {name: value for name, value in row.items() if name.startswith(prefix or "_") == bool(prefix)}
        if visible:
            history.setdefault(step, {}).update(visible)
    return history


def read_summary(path: Path) -> dict[str, Any]:
    """Dotted name -> value at the end of the run; without wandb's own names, which begin with ``_``, and media."""
    summary: dict[str, Any] = {}
    for record in _records_of_kind(path, "summary"):
        for item in record.remove:
            *above, key = item.nested_key or [item.key]
            _inside(summary, above).pop(key, None)
        for item in record.update:
            *above, key = item.nested_key or [item.key]
            _inside(summary, above)[key] = json.loads(item.value_json)
    flat = {inner: value for name in summary for inner, value in _flatten(name, summary[name]).items()}
    return {name: value for name, value in _without_media(flat).items() if not name.startswith("_")}


def summary_scalars(history: History, summary: dict[str, Any]) -> dict[str, float]:
    """What Lens should hold for such a summary: what is not simply the last value of history, by its name in Lens."""
    logged = {name for _, name in scalars(history)}
    last = {name: value for step in sorted(history) for name, value in history[step].items()}
    return {
        f"summary/{name}" if name in logged else name: value
        for (_, name), value in scalars({0: summary}).items()
        if last.get(name) != value
    }


def scalars(history: History) -> dict[tuple[int, str], float]:
    """What Lens should hold for such a history: every finite number, booleans as 1.0 and 0.0."""
    reserved = {"step", "run_id", "source", "history", "created_at", "updated_at", "iteration"}
    return {
        (step, name): float(value)
        for step, row in history.items()
        for name, value in row.items()
        if isinstance(value, (int, float)) and math.isfinite(value) and name not in reserved
    }


def _records_of_kind(path: Path, kind: str) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    for raw in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        if record.WhichOneof("record_type") == kind:
            yield getattr(record, kind)


def _inside(values: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """The dict at the end of a path of keys, made where there is none."""
    for key in keys:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    return values


def _without_media(row: dict[str, Any]) -> dict[str, Any]:
    """Media come as leaves: its type is one of them."""
    media = tuple(name[: -len("_type")] for name in row if name.endswith("._type"))
    return {name: value for name, value in row.items() if not name.startswith(media)}


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
