"""Prints what wandb itself reads in ``.wandb`` files, as JSON: the truth that our reader is held against.

Runs in the environment of the wandb that wrote them. A record is ``[kind, step, items, removed]``; an item is a dotted
name and its JSON. Records of kinds that the reader passes over are counted.
"""

import json
import struct
import sys
from typing import Any, Dict, Iterator, List, Optional

from wandb.proto import wandb_internal_pb2


def read(path: str) -> Dict[str, Any]:
    records: List[Any] = []
    others: Dict[str, int] = {}
    for raw in read_raw(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            step = record.history.step.num if record.history.HasField("step") else None
            records.append([kind, step, items_of(record.history.item), []])
        elif kind in ("summary", "config"):
            change = getattr(record, kind)
            removed = [".".join(item.nested_key) or item.key for item in change.remove]
            records.append([kind, None, items_of(change.update), removed])
        elif kind == "run":
            run = record.run
            texts = {name: getattr(run, name) for name in ("run_id", "project", "host", "display_name", "job_type")}
            texts.update(group=run.run_group, tags=list(run.tags), starting_step=run.starting_step)
            records.append([kind, None, items_of(run.config.update), texts])
        elif kind == "exit":
            records.append([kind, record.exit.exit_code, [], []])
        else:
            others[str(kind)] = others.get(str(kind), 0) + 1
    return {"records": records, "others": others}


def items_of(items: Any) -> List[List[str]]:
    return [[".".join(item.nested_key) or item.key, item.value_json] for item in items]


def read_raw(path: str) -> Iterator[bytes]:
    try:
        from wandb.sdk.internal.datastore import DataStore
    except ImportError:
        # Removed in 0.30.
        yield from read_frames(path)
        return
    store = DataStore()
    store.open_for_scan(path)
    while True:
        try:
            raw: Optional[bytes] = store.scan_data()
        except AssertionError:
            # The last record of a file that a crash left.
            return
        if raw is None:
            return
        yield raw


def read_frames(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        content = file.read()
    position = 7
    record = b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        position += 7 + length
        record = (record if kind in (3, 4) else b"") + content[position - length : position]
        if kind in (1, 4):
            yield record


if __name__ == "__main__":
    print(json.dumps({path: read(path) for path in sys.argv[1:]}, indent=0))
