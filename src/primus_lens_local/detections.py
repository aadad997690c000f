"""What a workload runs on: its detection reports merged, and the framework the cluster would name."""

from __future__ import annotations

from typing import Any, Optional

from sqlalchemy import Engine, false, select

from primus_lens_local import queries
from primus_lens_local.database import compact_json
from primus_lens_local.tables import FrameworkDetection

_WRAPPER_PRIORITY = ("primus",)
# Characters of JSON, of evidence and of hints.
_MOST_MERGED = 2**20
_BASE_PRIORITY = ("megatron", "deepspeed", "jax", "transformers")


def framework_detection(engine: Engine, workload_uid: str) -> dict[str, Any]:
    """Return the merged detection of a workload.

    Reports merge in the order they came: objects key by key, the later value wins. Shape:
    `{"count": reports, "first_time": ms, "last_time": ms, "wrapper_framework": name, "base_framework": name,
    "evidence": {...}, "hints": {...}}`; without a report the count is 0, the objects are empty, the rest is null.
    What a report adds is left out once the merged ones hold a million characters.
    """
    evidence, hints = _Merged(), _Merged()
    times: list[int] = []
    columns = (FrameworkDetection.evidence, FrameworkDetection.hints, FrameworkDetection.time_ms)
    is_of_workload = false() if queries.holds_nul(workload_uid) else FrameworkDetection.workload_uid == workload_uid
    query = select(*columns).where(is_of_workload).order_by(FrameworkDetection.id)
    with engine.connect() as connection:
        for new_evidence, new_hints, time_ms in connection.execute(query, execution_options={"yield_per": 4}):
            evidence.take(new_evidence)
            hints.take(new_hints)
            times.append(time_ms)
    return {
        "count": len(times),
        "first_time": min(times, default=None),
        "last_time": max(times, default=None),
        **chosen_frameworks(evidence.content),
        "evidence": evidence.content,
        "hints": hints.content,
    }


def chosen_frameworks(evidence: dict[str, Any]) -> dict[str, Optional[str]]:
    """Return `{"wrapper_framework": name, "base_framework": name}`, None where none was detected."""
    return {
        "wrapper_framework": _chosen(evidence.get("wrapper_frameworks", {}), _WRAPPER_PRIORITY),
        "base_framework": _chosen(evidence.get("base_frameworks", {}), _BASE_PRIORITY),
    }


class _Merged:
    """Objects merged key by key, within bounds: each of thousands of reports may have keys of its own."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self._room = _MOST_MERGED

    def take(self, new: dict[str, Any]) -> None:
        """Merge another object."""
        self._merge(self.content, new)

    def _merge(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        for key, value in new.items():
            before = old.get(key)
            if isinstance(value, dict) and (key not in old or isinstance(before, dict)):
                if self._takes(0 if key in old else _size(key, {})):
                    self._merge(old.setdefault(key, {}), value)
            elif self._takes(_size(key, value) - (_size(key, before) if key in old else 0)):
                old[key] = value

    def _takes(self, size: int) -> bool:
        fits = size <= max(0, self._room)
        self._room -= size if fits else 0
        return fits


def _size(key: str, value: Any) -> int:
    return len(key) + len(compact_json(value))


def _chosen(frameworks: dict[str, Any], priority: tuple[str, ...]) -> Optional[str]:
    """Return the first detected framework by priority, then by name; the cluster picks the rest at random."""
    detected = sorted(name for name, entry in frameworks.items() if entry.get("detected") is True)
    return next((name for name in priority if name in detected), detected[0] if detected else None)
