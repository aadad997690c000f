"""What a workload runs on: its detection reports merged, and the framework the cluster would name."""

from __future__ import annotations

from typing import Any, Optional

from sqlalchemy import Engine, false, select

from primus_lens_local import queries
from primus_lens_local.tables import FrameworkDetection

_WRAPPER_PRIORITY = ("primus",)
_BASE_PRIORITY = ("megatron", "deepspeed", "jax", "transformers")


def framework_detection(engine: Engine, workload_uid: str) -> dict[str, Any]:
    """Return the merged detection of a workload.

    Reports merge in the order they came: objects key by key, the later value wins. Shape:
    `{"count": reports, "first_time": ms, "last_time": ms, "wrapper_framework": name, "base_framework": name,
    "evidence": {...}, "hints": {...}}`; without a report the count is 0, the objects are empty, the rest is null.
    """
    evidence: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    times: list[int] = []
    columns = (FrameworkDetection.evidence, FrameworkDetection.hints, FrameworkDetection.time_ms)
    is_of_workload = false() if queries.holds_nul(workload_uid) else FrameworkDetection.workload_uid == workload_uid
    query = select(*columns).where(is_of_workload).order_by(FrameworkDetection.id)
    with engine.connect() as connection:
        for new_evidence, new_hints, time_ms in connection.execute(query, execution_options={"yield_per": 10}):
            evidence = _merged(evidence, new_evidence)
            hints = _merged(hints, new_hints)
            times.append(time_ms)
    return {
        "count": len(times),
        "first_time": min(times, default=None),
        "last_time": max(times, default=None),
        "wrapper_framework": _chosen(evidence.get("wrapper_frameworks", {}), _WRAPPER_PRIORITY),
        "base_framework": _chosen(evidence.get("base_frameworks", {}), _BASE_PRIORITY),
        "evidence": evidence,
        "hints": hints,
    }


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _chosen(frameworks: dict[str, Any], priority: tuple[str, ...]) -> Optional[str]:
    """Return the first detected framework by priority, then by name; the cluster picks the rest at random."""
    detected = sorted(name for name, entry in frameworks.items() if entry.get("detected"))
    return next((name for name in priority if name in detected), detected[0] if detected else None)
