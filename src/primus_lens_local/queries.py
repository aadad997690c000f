"""What there is: sources, metrics, runs and workloads, from the summaries. The points themselves are in `points`.

A point of time is in milliseconds since 1970, as the sender reported it. Every query takes `Filters`.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Optional, Union

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    bindparam,
    cast,
    distinct,
    false,
    func,
    select,
    tuple_,
)

from primus_lens_local.decoding import INT64_MAX
from primus_lens_local.limits import MAX_WORKLOADS_LISTED
from primus_lens_local.tables import FrameworkDetection, MetricSummary, RunSummary, TrainingPerformance, WandbLog

TARGET_ITERATION = "target_iteration"
"""Shown beside the times of iterations only."""

_Row = TrainingPerformance
_STEPS_PER_FIRST_QUERY = 2048
_STEPS_PER_QUERY = 65_536
_MAX_STEPS_PER_PAGE = 500
# As JSON, values and times.
_PAGE_BYTES = 64 * 1024
# A value and a time, with quotes and commas.
_NUMBERS_BYTES = 40


@dataclass(frozen=True)
class Filters:
    """Which steps of a workload a query reads; None means any. Times are inclusive, in milliseconds."""

    data_source: Optional[str] = None
    run_id: Optional[str] = None
    start_ms: Optional[int] = None
    end_ms: Optional[int] = None

    @property
    def has_times(self) -> bool:
        """Only some of the time is asked for."""
        return self.start_ms is not None or self.end_ms is not None

    def has_nul(self, workload_uid: str) -> bool:
        """Whether a name that is asked for holds U+0000: nothing is found."""
        return holds_nul(workload_uid, self.data_source, self.run_id)

    def admits(self, time_ms: int) -> bool:
        """Return whether a single point lies between start and end."""
        return (self.start_ms is None or self.start_ms <= time_ms) and (self.end_ms is None or time_ms <= self.end_ms)

    def of_runs(self, workload_uid: str) -> list[ColumnElement[bool]]:
        """Return the SQL conditions on summaries of runs; a run passes if any of its metrics can."""
        conditions = _identified(RunSummary, workload_uid, self)
        if self.start_ms is not None:
            conditions.append(RunSummary.last_time_ms >= self.start_ms)
        if self.end_ms is not None:
            conditions.append(RunSummary.first_time_ms <= self.end_ms)
        return conditions

    def of_steps(self, connection: Connection, workload_uid: str) -> list[ColumnElement[bool]]:
        """Return the SQL conditions on steps; a step passes if any of its metrics can lie between start and end.

        With times, they let the database search its index by run and time.
        """
        conditions = _identified(_Row, workload_uid, self)
        if not self.has_times:
            return conditions
        runs = self.of_runs(workload_uid)
        conditions.append(_Row.run_id.in_(select(RunSummary.run_id).where(*runs)))
        if self.start_ms is not None:
            conditions.append(_Row.last_time_ms >= self.start_ms)
        if self.end_ms is not None:
            longest = connection.scalar(select(func.max(RunSummary.longest_step_ms)).where(*runs)) or 0
            conditions.append(_Row.first_time_ms <= self.end_ms)
            conditions.append(_Row.last_time_ms <= min(self.end_ms + longest, INT64_MAX))
        return conditions


def sources(engine: Engine, workload_uid: str, filters: Filters) -> list[dict[str, Any]]:
    """Return `[{"name": data source, "count": steps}]`."""
    with engine.connect() as connection:
        if filters.has_times:
            query = select(_Row.data_source, func.count()).where(*filters.of_steps(connection, workload_uid))
            query = query.group_by(_Row.data_source)
        else:
            query = select(RunSummary.data_source, func.sum(RunSummary.step_count))
            query = query.where(*filters.of_runs(workload_uid)).group_by(RunSummary.data_source)
        return [{"name": name, "count": int(count)} for name, count in sorted(connection.execute(query))]


def available(engine: Engine, workload_uid: str, filters: Filters) -> list[dict[str, Any]]:
    """Return `[{"name": metric, "data_source": [names], "count": steps that have it}]`, sorted by name."""
    if filters.has_times:
        counts = _counts_between(engine, workload_uid, filters)
    else:
        query = (
            select(MetricSummary.name, RunSummary.data_source, func.sum(MetricSummary.step_count))
            .join(RunSummary, RunSummary.id == MetricSummary.run_summary_id)
            .where(*filters.of_runs(workload_uid))
            .group_by(MetricSummary.name, RunSummary.data_source)
        )
        with engine.connect() as connection:
            counts = Counter({(name, source): int(count) for name, source, count in connection.execute(query)})
    found: dict[str, dict[str, Any]] = {}
    for (name, data_source), count in sorted(counts.items()):
        if name == TARGET_ITERATION:
            continue
        metric = found.setdefault(name, {"name": name, "data_source": [], "count": 0})
        metric["data_source"].append(data_source)
        metric["count"] += count
    return list(found.values())


def has_workload(engine: Engine, workload_uid: str) -> bool:
    """Return whether anything was ever reported for a workload."""
    if holds_nul(workload_uid):
        return False
    with engine.connect() as connection:
        tables = (RunSummary, FrameworkDetection, WandbLog)
        found = (select(table.id).where(table.workload_uid == workload_uid).limit(1) for table in tables)
        return any(connection.scalar(query) is not None for query in found)


def has_metric(engine: Engine, workload_uid: str, name: str) -> bool:
    """Return whether any run of a workload has a metric with a short name."""
    query = select(MetricSummary.run_summary_id).join(RunSummary, RunSummary.id == MetricSummary.run_summary_id)
    query = query.where(*Filters().of_runs(workload_uid), MetricSummary.name_key == name).limit(1)
    with engine.connect() as connection:
        return connection.scalar(query) is not None


def workloads(engine: Engine) -> list[dict[str, Any]]:
    """Return the workloads that sent anything, the one with the latest metric first; of very many, the latest ones."""
    latest = func.max(RunSummary.last_time_ms)
    listed = select(RunSummary.workload_uid).group_by(RunSummary.workload_uid)
    listed = listed.order_by(latest.desc(), RunSummary.workload_uid).limit(MAX_WORKLOADS_LISTED)
    steps = select(
        RunSummary.workload_uid,
        func.count(distinct(RunSummary.run_id)),
        func.sum(RunSummary.step_count),
        func.min(RunSummary.first_time_ms),
        latest,
    ).group_by(RunSummary.workload_uid)
    steps = steps.order_by(latest.desc(), RunSummary.workload_uid).limit(MAX_WORKLOADS_LISTED)
    with engine.connect() as connection:
        detections = _count_by_workload(connection, FrameworkDetection, listed)
        logs = _count_by_workload(connection, WandbLog, listed)
        found: dict[str, Any] = {row[0]: row[1:] for row in connection.execute(steps)}
    for uid in detections.keys() | logs.keys():
        found.setdefault(uid, (0, 0, None, None))
    answer = [
        {
            "workload_uid": uid,
            "run_count": run_count,
            "step_count": int(step_count),
            "detection_count": detections.get(uid, 0),
            "log_count": logs.get(uid, 0),
            "first_time": first_time,
            "last_time": last_time,
        }
        for uid, (run_count, step_count, first_time, last_time) in found.items()
    ]
    answer.sort(key=lambda item: (-(item["last_time"] or 0), item["workload_uid"]))
    return answer[:MAX_WORKLOADS_LISTED]


def runs(engine: Engine, workload_uid: str) -> list[dict[str, Any]]:
    """Return the runs of a workload, the earliest first."""
    query = select(RunSummary).where(*Filters().of_runs(workload_uid)).order_by(RunSummary.data_source)
    found: dict[str, dict[str, Any]] = {}
    with engine.connect() as connection:
        for summary in connection.execute(query):
            run = found.setdefault(
                summary.run_id, {"run_id": summary.run_id, "data_sources": [], "step_count": 0, "summary_count": 0}
            )
            run["data_sources"].append(summary.data_source)
            run["step_count"] += summary.step_count
            run["summary_count"] += summary.summary_count
            for field, key, choose in (
                ("first_iteration", "first_iteration", min),
                ("last_iteration", "last_iteration", max),
                ("first_time_ms", "first_time", min),
                ("last_time_ms", "last_time", max),
            ):
                value = getattr(summary, field)
                run[key] = choose(run.get(key, value), value)
    return sorted(found.values(), key=lambda run: (run["first_time"], run["run_id"]))


def step_pages(
    engine: Engine, workload_uid: str, filters: Filters, columns: tuple[Any, ...]
) -> Iterator[Iterable[Any]]:
    """Yield some columns of the steps by iteration, a few steps at a time, whatever a workload holds.

    First the numbers of the steps are read, then the steps, each few in a transaction of their own: no old state of
    the database is kept alive for as long as a client reads. A step that changes meanwhile is read as it is then.
    """
    if filters.has_nul(workload_uid):
        return
    with engine.connect() as connection:
        step_bytes = _largest_step(connection, workload_uid, filters)
    per_page = max(1, min(_PAGE_BYTES // max(1, step_bytes), _MAX_STEPS_PER_PAGE))
    page = select(*columns).where(_Row.id.in_(bindparam("ids", expanding=True)))
    after: list[ColumnElement[bool]] = []
    limit = _STEPS_PER_FIRST_QUERY
    while True:
        with engine.connect() as connection:
            steps = select(_Row.iteration, _Row.id).where(*filters.of_steps(connection, workload_uid), *after)
            steps = steps.order_by(_Row.iteration, _Row.id).limit(limit)
            last_iteration, ids = _numbers(connection, steps)
        for start in range(0, len(ids), per_page):
            with engine.connect() as connection:
                rows = connection.execute(page, {"ids": list(ids[start : start + per_page])}).all()
            yield rows
        if len(ids) < limit:
            return
        limit = _STEPS_PER_QUERY
        after = [tuple_(_Row.iteration, _Row.id) > tuple_(last_iteration, ids[-1])]


def holds_nul(*texts: Optional[str]) -> bool:
    """Return whether a text holds U+0000: nothing stored does, and PostgreSQL refuses to be asked."""
    return any(text is not None and "\0" in text for text in texts)


def _identified(
    table: Union[type[RunSummary], type[TrainingPerformance]], workload_uid: str, filters: Filters
) -> list[ColumnElement[bool]]:
    if filters.has_nul(workload_uid):
        return [false()]
    conditions: list[ColumnElement[bool]] = [table.workload_uid == workload_uid]
    if filters.data_source is not None:
        conditions.append(table.data_source == filters.data_source)
    if filters.run_id is not None:
        conditions.append(table.run_id == filters.run_id)
    return conditions


def _largest_step(connection: Connection, workload_uid: str, filters: Filters) -> int:
    """Return about how many bytes of JSON a step of a workload can take, values and times."""
    per_run = (
        select(func.sum(func.length(MetricSummary.name) * 2 + _NUMBERS_BYTES).label("bytes"))
        .join(RunSummary, RunSummary.id == MetricSummary.run_summary_id)
        .where(*filters.of_runs(workload_uid))
        .group_by(MetricSummary.run_summary_id)
        .subquery()
    )
    return int(connection.scalar(select(func.max(per_run.c.bytes))) or 0)


def _numbers(connection: Connection, steps: Any) -> tuple[int, array[int]]:
    """Return the last iteration and the ids of steps; as one row, because each row waits for other threads."""
    found = steps.subquery()
    gather = func.json_agg if connection.dialect.name == "postgresql" else func.json_group_array
    columns = (cast(gather(found.c.iteration), Text), cast(gather(found.c.id), Text))
    iterations, ids = connection.execute(select(*columns)).one()
    ordered = sorted(zip(json.loads(iterations or "[]"), json.loads(ids or "[]")))
    return (ordered[-1][0] if ordered else 0), array("q", [number for _, number in ordered])


def _counts_between(engine: Engine, workload_uid: str, filters: Filters) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for rows in step_pages(engine, workload_uid, filters, (_Row.data_source, cast(_Row.times_ms, Text))):
        for data_source, times_ms in rows:
            times = json.loads(times_ms).items()
            counts.update((name, data_source) for name, time_ms in times if filters.admits(time_ms))
    return counts


def _count_by_workload(
    connection: Connection, table: Union[type[FrameworkDetection], type[WandbLog]], listed: Select[Any]
) -> dict[str, int]:
    """Count by workload: of those that are listed for their metrics, and of some that have none."""
    uid = table.workload_uid
    counts = select(uid, func.count()).group_by(uid)
    some = counts.where(uid.in_(listed))
    others = counts.where(uid.not_in(select(RunSummary.workload_uid))).limit(MAX_WORKLOADS_LISTED)
    return {row[0]: row[1] for query in (some, others) for row in connection.execute(query)}
