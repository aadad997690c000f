"""What a page looks at: the runs of one workload and the blocks of those it shows, fresh at every request.

A workload is kept between requests, so that a request costs what arrived since the last one. Pages of one workload
take turns; a long run is read in parts, each request answers after a while with what is there.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from typing import Any, Collection, Iterable

from sqlalchemy import Connection, Engine, func, select

from primus_lens_local.page.identities import Identities
from primus_lens_local.series import Block, Extent, RunBlocks
from primus_lens_local.summaries import RunKey
from primus_lens_local.tables import MetricSummary, RunSummary

_READ_SECONDS = 0.3
_MAX_WORKLOADS = 16
# About 350 bytes each; half of them for the runs that one workload shows.
_MAX_BLOCKS_HELD = 400_000
# Names of metrics in one overview, run by run, and their characters; beyond that the older runs come without.
_MAX_NAMES_LISTED = 200_000
_MAX_CHARACTERS_LISTED = 4_000_000

# Starts at the clock: a page that outlives a restart of the server is known by its version, which is from before.
_versions = itertools.count(time.time_ns() // 1000)


class LiveWorkload:
    """One workload, for any number of pages."""

    def __init__(self, workload_uid: str) -> None:
        self.workload_uid = workload_uid
        self._first_version = self._version = self._overview_version = next(_versions)
        self._lock = threading.Lock()
        self._runs: dict[RunKey, RunBlocks] = {}
        self._summaries: dict[RunKey, Any] = {}
        self._metrics: dict[RunKey, list[str]] = {}
        self._names: dict[str, str] = {}
        self._identities = Identities(workload_uid)

    @property
    def size(self) -> int:
        """Return the number of blocks held."""
        return sum(run.size for run in list(self._runs.values()))

    def read(
        self,
        engine: Engine,
        source: str,
        run_ids: Collection[str],
        metrics: Collection[str],
        since: int,
        overview_since: int,
    ) -> dict[str, Any]:
        """Return what changed after two versions: blocks of some metrics of some runs, and the list of all runs.

        Blocks of a run whose `full` is true replace those of before. `complete` says that there is no more to read.
        """
        with self._lock, engine.connect() as connection:
            since = since if since >= self._first_version else 0
            version = next(_versions)
            if self._refresh_runs(connection):
                self._version = self._overview_version = version
            shown = [key for key in self._summaries if key.data_source == source and key.run_id in run_ids]
            if metrics and self._refresh_blocks(connection, shown, version):
                self._version = version
            return {
                "version": self._version,
                "now": time.time_ns() // 1_000_000,
                "complete": not metrics or all(self._runs[key].is_complete for key in shown),
                "overview": self._overview() if overview_since < self._overview_version else None,
                "series": {metric: self._series(metric, shown, since) for metric in metrics},
            }

    def _refresh_runs(self, connection: Connection) -> bool:
        """Read the summaries of the runs; return whether there is news since the last time."""
        changed = self._identities.refresh(connection)
        values = func.coalesce(func.sum(MetricSummary.step_count), 0).label("value_count")
        query = (
            select(*RunSummary.__table__.columns, values)
            .outerjoin(MetricSummary, MetricSummary.run_summary_id == RunSummary.id)
            .where(RunSummary.workload_uid == self.workload_uid)
            .group_by(*RunSummary.__table__.columns)
            .order_by(RunSummary.id)
        )
        for row in connection.execute(query):
            key = RunKey(row.workload_uid, row.run_id, row.data_source)
            if self._summaries.get(key) != row:
                self._summaries[key] = row
                # Ranks log the same names: they are kept once.
                before = next(reversed(self._metrics.values()), [])
                names = [self._names.setdefault(name, name) for name in _metric_names(connection, row.id)]
                self._metrics[key] = before if names == before else names
                changed = True
        return changed

    def _refresh_blocks(self, connection: Connection, keys: Collection[RunKey], version: int) -> bool:
        deadline = time.monotonic() + _READ_SECONDS
        changed = False
        if self.size > _MAX_BLOCKS_HELD // 2:
            self._runs = {key: run for key, run in self._runs.items() if key in keys}
        for key in keys:
            run = self._runs.setdefault(key, RunBlocks(key))
            run.most_blocks = _MAX_BLOCKS_HELD // 2 // len(keys)
            changed |= run.refresh(connection, Extent.of(self._summaries[key]), version, deadline)
        return changed

    def _overview(self) -> dict[str, Any]:
        room, characters = _MAX_NAMES_LISTED, _MAX_CHARACTERS_LISTED
        listed: dict[RunKey, list[str]] = {}
        for key in reversed(self._summaries):
            room -= len(self._metrics[key])
            characters -= sum(map(len, self._metrics[key]))
            listed[key] = self._metrics[key] if room >= 0 and characters >= 0 else []
        runs = [
            {
                "run": key.run_id,
                "source": key.data_source,
                **self._identities.of(key.run_id),
                "steps": row.step_count,
                "points": int(row.value_count),
                "first_step": row.first_iteration,
                "last_step": row.last_iteration,
                "first_time": row.first_time_ms,
                "last_time": row.last_time_ms,
                "summary": row.summary_count,
                "metrics": listed[key],
            }
            for key, row in self._summaries.items()
        ]
        return {"runs": runs}

    def _series(self, metric: str, keys: Iterable[RunKey], since: int) -> dict[str, Any]:
        found = {}
        for key in keys:
            run = self._runs[key]
            blocks = run.since(metric, since)
            if blocks:
                found[key.run_id] = {"width": run.width, "full": not since, **columns(blocks)}
        return found


class LiveWorkloads:
    """The workloads that pages looked at last, within bounds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workloads: OrderedDict[str, LiveWorkload] = OrderedDict()

    def get(self, workload_uid: str) -> LiveWorkload:
        """Return a workload, new or kept."""
        with self._lock:
            workload = self._workloads.setdefault(workload_uid, LiveWorkload(workload_uid))
            self._workloads.move_to_end(workload_uid)
            held = sum(other.size for other in self._workloads.values())
            while len(self._workloads) > 1 and (len(self._workloads) > _MAX_WORKLOADS or held > _MAX_BLOCKS_HELD):
                held -= self._workloads.popitem(last=False)[1].size
            return workload


def columns(blocks: list[Block]) -> dict[str, list[float]]:
    """Return blocks column by column; without `last`, `low`, `high` and `count` where each holds a single value."""
    found: dict[str, list[float]] = {
        "first": [block.first_step for block in blocks],
        "time": [block.time_ms for block in blocks],
        "mean": [block.mean for block in blocks],
    }
    if any(block.size > 1 for block in blocks):
        found["last"] = [block.last_step for block in blocks]
        found["low"] = [block.low for block in blocks]
        found["high"] = [block.high for block in blocks]
        found["count"] = [block.size for block in blocks]
    return found


def _metric_names(connection: Connection, run_summary_id: int) -> list[str]:
    """Return the metrics that have a curve: a value of the summary alone is a number, not a point."""
    query = select(MetricSummary.name).where(MetricSummary.run_summary_id == run_summary_id, MetricSummary.has_history)
    return sorted(connection.scalars(query))
