"""Mirrors and ledgers written by hand, as a job leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "wandb_metrics.jsonl"


def call(number: int, **changes: Any) -> dict[str, Any]:
    """One line of a mirror: the call of this number, which logged its number in the step of this number."""
    line = {
        "timestamp": 1.7e9 + number,
        "step": number,
        "data": {"a": number, "_primus_lens_enabled": True},
        "run_id": "r",
        "writer": "w",
        "sequence": number,
    }
    return {**line, **changes}


def introduction(workload: str, base_url: str = "", **changes: Any) -> dict[str, Any]:
    identity = {"workload_uid": workload, "pod_uid": "", "pod_name": "", "namespace": ""}
    line = {"writer": "w", "run_id": "r", "identity": identity, "base_url": base_url, "host": "elsewhere", "pid": 1}
    return {**line, **changes}


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in objects)


def ledger_of(mirror: Path) -> Path:
    return mirror.with_name(mirror.name + ".delivery")


def write(folder: Path, workload: str, base_url: str = "", calls: int = 3) -> Path:
    """A mirror of which Lens has nothing, and its ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    mirror = folder / NAME
    mirror.write_bytes(lines(*map(call, range(calls))))
    ledger_of(mirror).write_bytes(lines(introduction(workload, base_url)))
    return mirror


def whole(calls: int = 3) -> dict[tuple[int, str], float]:
    """What Lens holds when all of it has arrived."""
    return {(number, "a"): float(number) for number in range(calls)}
