"""What one workload may hold: so many metric names, runs and detection reports, however many somebody sends.

Only the writer asks, inside its transaction. What a workload has is read once and then kept, within bounds: several
servers that write to one database each count what they have read and written themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Optional

from sqlalchemy import Connection, func, select

from primus_lens_local import limits
from primus_lens_local.contract import DetectionRequest, MetricsRequest
from primus_lens_local.steps import RESERVED_NAMES
from primus_lens_local.tables import FrameworkDetection, MetricSummary, RunSummary

# What is kept, in all workloads together; about 60 bytes each.
_MAX_KEPT = 200_000
_ADVICE = "What it has already goes on being stored. Report under another WORKLOAD_UID, or use fewer"


@dataclass
class _Workload:
    """What a workload has. Names and runs by their hashes, which are small."""

    names: set[int] = field(default_factory=set)
    characters: int = 0
    runs: set[int] = field(default_factory=set)
    detections: int = 0

    @property
    def size(self) -> int:
        return len(self.names) + len(self.runs) + 1


class Admission:
    """Decides what of a request is stored. Call `forget` when the transaction was not committed."""

    def __init__(self) -> None:
        self._workloads: OrderedDict[str, _Workload] = OrderedDict()
        self._touched: set[str] = set()

    def metrics(
        self, connection: Connection, request: MetricsRequest
    ) -> tuple[Optional[MetricsRequest], Optional[str]]:
        """Return what to store of a request, and why not all of it."""
        sender = request.sender
        names = dict.fromkeys(metric.name for metric in request.metrics if metric.name not in RESERVED_NAMES)
        if not names:
            return request, None
        workload = self._workload(connection, sender.workload)
        run = hash((sender.run_id, sender.source))
        if run not in workload.runs and len(workload.runs) >= limits.MAX_RUNS:
            return None, (
                f"workload {sender.workload} has {limits.MAX_RUNS:,} runs, the most that one may have: nothing of run "
                f"{sender.run_id} is stored. {_ADVICE} runs"
            )
        refused = set()
        for name in names:
            key = hash(name)
            if key in workload.names:
                continue
            characters = workload.characters + len(name)
            if len(workload.names) < limits.MAX_NAMES and characters <= limits.MAX_NAME_CHARACTERS:
                workload.names.add(key)
                workload.characters = characters
                self._touched.add(sender.workload)
            else:
                refused.add(name)
        if len(refused) < len(names) and run not in workload.runs:
            workload.runs.add(run)
            self._touched.add(sender.workload)
        if not refused:
            return request, None
        kept = [metric for metric in request.metrics if metric.name not in refused]
        count = len(request.metrics) - len(kept)
        why = (
            f"workload {sender.workload} has {len(workload.names):,} metric names of {workload.characters:,} "
            f"characters; the most that one may have are {limits.MAX_NAMES:,} names of {limits.MAX_NAME_CHARACTERS:,} "
            f"characters in all: {count} metrics with new names are not stored, the other {len(kept)} of this request "
            f"are. {_ADVICE} names"
        )
        return replace(request, metrics=kept), why

    def detection(self, connection: Connection, request: DetectionRequest) -> Optional[str]:
        """Return why a detection report is not stored; None if it may be."""
        uid = request.sender.workload
        workload = self._workload(connection, uid)
        if workload.detections >= limits.MAX_DETECTIONS:
            return (
                f"workload {uid} has {limits.MAX_DETECTIONS:,} detection reports, the most that one may have: this "
                f"one is not stored. {_ADVICE} reports"
            )
        workload.detections += 1
        self._touched.add(uid)
        return None

    def committed(self) -> None:
        """The transaction was committed: what was added is there."""
        self._touched.clear()
        kept = sum(workload.size for workload in self._workloads.values())
        while kept > _MAX_KEPT and len(self._workloads) > 1:
            kept -= self._workloads.popitem(last=False)[1].size

    def forget(self) -> None:
        """The transaction was not committed: what was added to is read again."""
        for uid in self._touched:
            self._workloads.pop(uid, None)
        self._touched.clear()

    def _workload(self, connection: Connection, uid: str) -> _Workload:
        workload = self._workloads.get(uid)
        if workload is None:
            workload = self._workloads[uid] = _read(connection, uid)
        self._workloads.move_to_end(uid)
        return workload


def _read(connection: Connection, uid: str) -> _Workload:
    workload = _Workload()
    streamed = {"yield_per": 1000}
    runs = select(RunSummary.run_id, RunSummary.data_source).where(RunSummary.workload_uid == uid)
    for run_id, data_source in connection.execute(runs, execution_options=streamed):
        workload.runs.add(hash((run_id, data_source)))
    if workload.runs:
        names = select(MetricSummary.name).join(RunSummary, RunSummary.id == MetricSummary.run_summary_id)
        names = names.where(RunSummary.workload_uid == uid).distinct()
        for name in connection.scalars(names, execution_options=streamed):
            workload.names.add(hash(name))
            workload.characters += len(name)
    table = FrameworkDetection
    workload.detections = connection.scalar(select(func.count()).where(table.workload_uid == uid)) or 0
    return workload
