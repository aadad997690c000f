"""Reads of training metrics, in the shapes of the query API.

A point of time is in milliseconds since 1970, as the sender reported it. Every query takes `Filters`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Union

from sqlalchemy import ColumnElement, Connection, Engine, Text, distinct, func, select, true, type_coerce

from primus_lens_local.store import RESERVED_NAMES
from primus_lens_local.tables import FrameworkDetection, TrainingPerformance, WandbLog

_Row = TrainingPerformance
_ROWS_PER_FETCH = 1000


@dataclass(frozen=True)
class Filters:
    """Which steps of a workload a query reads; None means any. Times are inclusive, in milliseconds."""

    data_source: Optional[str] = None
    run_id: Optional[str] = None
    start_ms: Optional[int] = None
    end_ms: Optional[int] = None

    def conditions(self, workload_uid: str) -> list[ColumnElement[bool]]:
        """Return the SQL conditions; a row passes if any of its metrics can lie between start and end."""
        conditions: list[ColumnElement[bool]] = [_Row.workload_uid == workload_uid]
        if self.data_source is not None:
            conditions.append(_Row.data_source == self.data_source)
        if self.run_id is not None:
            conditions.append(_Row.run_id == self.run_id)
        if self.start_ms is not None:
            conditions.append(_Row.last_time_ms >= self.start_ms)
        if self.end_ms is not None:
            conditions.append(_Row.first_time_ms <= self.end_ms)
        return conditions

    def admits(self, time_ms: int) -> bool:
        """Return whether a single point lies between start and end."""
        return (self.start_ms is None or self.start_ms <= time_ms) and (self.end_ms is None or time_ms <= self.end_ms)


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    metric_name: str
    value: float
    timestamp: int
    iteration: int
    data_source: str
    run_id: str


def sources(engine: Engine, workload_uid: str, filters: Filters) -> list[dict[str, Any]]:
    """Return `[{"name": data source, "count": steps}]`."""
    query = (
        select(_Row.data_source, func.count())
        .where(*filters.conditions(workload_uid))
        .group_by(_Row.data_source)
        .order_by(_Row.data_source)
    )
    with engine.connect() as connection:
        return [{"name": name, "count": count} for name, count in connection.execute(query)]


def available(engine: Engine, workload_uid: str, filters: Filters) -> list[dict[str, Any]]:
    """Return `[{"name": metric, "data_source": [names], "count": steps that have it}]`, sorted by name."""
    entries = func.json_each(_Row.times_ms).table_valued("key")
    query = (
        select(entries.c.key, _Row.data_source, func.count())
        .select_from(_Row)
        .join(entries, true())
        .where(*filters.conditions(workload_uid))
        .group_by(entries.c.key, _Row.data_source)
        .order_by(entries.c.key, _Row.data_source)
    )
    counts: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for name, data_source, count in connection.execute(query):
            counts[name] += count
            names.setdefault(name, []).append(data_source)
    return [{"name": name, "data_source": names[name], "count": counts[name]} for name in names]


def points(engine: Engine, workload_uid: str, metrics: Optional[frozenset[str]], filters: Filters) -> list[Point]:
    """Return the points of the named metrics (None: of all), sorted by iteration, then time, then name."""
    found = []
    columns = (_Row.iteration, _Row.data_source, _Row.run_id, _text(_Row.performance), _text(_Row.times_ms))
    query = select(*columns).where(*filters.conditions(workload_uid)).execution_options(yield_per=_ROWS_PER_FETCH)
    with engine.connect() as connection:
        for iteration, data_source, run_id, performance, times_ms in connection.execute(query):
            times = json.loads(times_ms)
            for name, value in json.loads(performance).items():
                if name in RESERVED_NAMES or (metrics is not None and name not in metrics):
                    continue
                if filters.admits(times[name]):
                    found.append(Point(name, value, times[name], iteration, data_source, run_id))
    found.sort(key=lambda point: (point.iteration, point.timestamp, point.metric_name))
    return found


def iteration_times(engine: Engine, workload_uid: str, filters: Filters) -> Iterator[Point]:
    """Yield one point per step: `metric_name` is `iteration`, the time that of the step's first metric."""
    query = (
        select(_Row.iteration, _Row.first_time_ms, _Row.data_source, _Row.run_id)
        .where(*filters.conditions(workload_uid))
        .order_by(_Row.iteration, _Row.first_time_ms)
    )
    with engine.connect() as connection:
        for iteration, time_ms, data_source, run_id in connection.execute(query):
            if filters.admits(time_ms):
                yield Point("iteration", iteration, time_ms, iteration, data_source, run_id)


def workloads(engine: Engine) -> list[dict[str, Any]]:
    """Return every workload that sent anything, the one with the latest metric first."""
    steps = select(
        _Row.workload_uid,
        func.count(distinct(_Row.run_id)),
        func.count(),
        func.min(_Row.first_time_ms),
        func.max(_Row.last_time_ms),
    ).group_by(_Row.workload_uid)
    with engine.connect() as connection:
        detections = _count_by_workload(connection, FrameworkDetection)
        logs = _count_by_workload(connection, WandbLog)
        found: dict[str, Any] = {row[0]: row[1:] for row in connection.execute(steps)}
    for uid in detections.keys() | logs.keys():
        found.setdefault(uid, (0, 0, None, None))
    listed = [
        {
            "workload_uid": uid,
            "run_count": run_count,
            "step_count": step_count,
            "detection_count": detections.get(uid, 0),
            "log_count": logs.get(uid, 0),
            "first_time": first_time,
            "last_time": last_time,
        }
        for uid, (run_count, step_count, first_time, last_time) in found.items()
    ]
    return sorted(listed, key=lambda item: (-(item["last_time"] or 0), item["workload_uid"]))


def runs(engine: Engine, workload_uid: str) -> list[dict[str, Any]]:
    """Return the runs of a workload, the earliest first."""
    query = (
        select(
            _Row.run_id,
            _Row.data_source,
            func.count(),
            func.min(_Row.iteration),
            func.max(_Row.iteration),
            func.min(_Row.first_time_ms),
            func.max(_Row.last_time_ms),
        )
        .where(_Row.workload_uid == workload_uid)
        .group_by(_Row.run_id, _Row.data_source)
        .order_by(_Row.data_source)
    )
    found: dict[str, dict[str, Any]] = {}
    with engine.connect() as connection:
        for run_id, data_source, steps, first_step, last_step, first_time, last_time in connection.execute(query):
            run = found.setdefault(run_id, {"run_id": run_id, "data_sources": [], "step_count": 0})
            run["data_sources"].append(data_source)
            run["step_count"] += steps
            run["first_iteration"] = min(run.get("first_iteration", first_step), first_step)
            run["last_iteration"] = max(run.get("last_iteration", last_step), last_step)
            run["first_time"] = min(run.get("first_time", first_time), first_time)
            run["last_time"] = max(run.get("last_time", last_time), last_time)
    return sorted(found.values(), key=lambda run: (run["first_time"], run["run_id"]))


def _count_by_workload(
    connection: Connection, table: Union[type[FrameworkDetection], type[WandbLog]]
) -> dict[str, int]:
    query = select(table.workload_uid, func.count()).group_by(table.workload_uid)
    return {row[0]: row[1] for row in connection.execute(query)}


def _text(column: Any) -> Any:
    """Select a JSON column as its text: the caller decodes it with `json`, whose floats are exact."""
    return type_coerce(column, Text)
