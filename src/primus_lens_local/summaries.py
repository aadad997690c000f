"""The summaries per run and metric, kept in the transaction that writes the steps they count.

The caller holds the write lock, so that what is read here cannot change before it is written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, NamedTuple, Optional, Union

from sqlalchemy import Connection, Executable, bindparam, false, select, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from primus_lens_local.decoding import INT64_MAX
from primus_lens_local.tables import MetricSummary, RunSummary

_LONGEST_KEY = 128
_KEPT_OF_LONGER = 64
_RUNS_PER_QUERY = 200

Upsert = Union[postgresql.Insert, sqlite.Insert]


class RunKey(NamedTuple):
    """What names a summary."""

    workload_uid: str
    run_id: str
    data_source: str


@dataclass
class RunTotals:
    """The counts and bounds of a run, and by how much its metrics grew."""

    first_iteration: int
    last_iteration: int
    first_time_ms: int
    last_time_ms: int
    longest_step_ms: int = 0
    step_count: int = 0
    summary_count: int = 0
    id: Optional[int] = None
    """The summary's, once it is stored."""
    new_metrics: Counter[str] = field(default_factory=Counter)
    history: set[str] = field(default_factory=set)
    """The metrics that came otherwise than as values of the summary alone."""

    def add_step(self, step: Mapping[str, Any], stored_metrics: Optional[Mapping[str, Any]]) -> None:
        """Take a step as it will be stored in; `stored_metrics` are those that it had already, None if it is new."""
        iteration, first_time_ms, last_time_ms = step["iteration"], step["first_time_ms"], step["last_time_ms"]
        self.first_iteration = min(self.first_iteration, iteration)
        self.last_iteration = max(self.last_iteration, iteration)
        self.first_time_ms = min(self.first_time_ms, first_time_ms)
        self.last_time_ms = max(self.last_time_ms, last_time_ms)
        self.longest_step_ms = max(self.longest_step_ms, min(last_time_ms - first_time_ms, INT64_MAX))
        if stored_metrics is None:
            self.step_count += 1
            self.new_metrics.update(step["times_ms"].keys())
        else:
            self.new_metrics.update(step["times_ms"].keys() - stored_metrics.keys())


def name_key(name: str) -> str:
    """Return what a metric name is filed under, at most 128 characters."""
    if len(name) <= _LONGEST_KEY:
        return name
    return name[:_KEPT_OF_LONGER] + hashlib.sha256(name.encode()).hexdigest()


def read_totals(connection: Connection, keys: Iterable[RunKey]) -> dict[RunKey, RunTotals]:
    """Return the totals of those runs that have any."""
    found = {}
    for row in _summaries(connection, keys, _READ_TOTALS):
        found[RunKey(*row[:3])] = RunTotals(*row[3:])
    return found


def write_totals(connection: Connection, totals: Mapping[RunKey, RunTotals]) -> None:
    """Store the totals of runs and add to their metrics' counts."""
    rows = [{**key._asdict(), **{name: getattr(run, name) for name in _COUNTED}} for key, run in totals.items()]
    connection.execute(_RUN_UPSERT[connection.dialect.name], rows)
    for row in _summaries(connection, [key for key, run in totals.items() if run.id is None], _READ_TOTALS):
        totals[RunKey(*row[:3])].id = row.id
    logged, unlogged = _growth(totals)
    if logged:
        connection.execute(_LOGGED_UPSERT[connection.dialect.name], logged)
    if unlogged:
        connection.execute(_UNLOGGED_UPSERT[connection.dialect.name], unlogged)


def _growth(totals: Mapping[RunKey, RunTotals]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return by how much each metric grew: of those that came as history, and of those that did not."""
    logged: list[dict[str, Any]] = []
    unlogged: list[dict[str, Any]] = []
    for run in totals.values():
        if run.summary_count:
            # What is logged at a step that has a value of the summary grows by nothing, and becomes history.
            run.new_metrics.update(dict.fromkeys(run.history, 0))
        for name, count in run.new_metrics.items():
            row = {"run_summary_id": run.id, "name_key": name_key(name), "name": name, "step_count": count}
            (logged if name in run.history else unlogged).append(row)
    return logged, unlogged


def _summaries(connection: Connection, keys: Iterable[RunKey], query: Executable) -> Iterable[Any]:
    wanted = [tuple(key) for key in keys]
    for start in range(0, len(wanted), _RUNS_PER_QUERY):
        yield from connection.execute(query, {"keys": wanted[start : start + _RUNS_PER_QUERY]})


_KEY = (RunSummary.workload_uid, RunSummary.run_id, RunSummary.data_source)
_TOTALS = (
    RunSummary.first_iteration,
    RunSummary.last_iteration,
    RunSummary.first_time_ms,
    RunSummary.last_time_ms,
    RunSummary.longest_step_ms,
    RunSummary.step_count,
    RunSummary.summary_count,
)
_COUNTED = tuple(column.key for column in _TOTALS)
_READ_TOTALS = select(*_KEY, *_TOTALS, RunSummary.id).where(tuple_(*_KEY).in_(bindparam("keys", expanding=True)))


def _run_upsert(insert: Upsert) -> Upsert:
    updated = {column.name: insert.excluded[column.name] for column in _TOTALS}
    return insert.on_conflict_do_update(index_elements=[column.name for column in _KEY], set_=updated)


def _metric_upsert(insert: Upsert, has_history: bool) -> Upsert:
    grown: dict[str, Any] = {"step_count": MetricSummary.step_count + insert.excluded.step_count}
    if has_history:
        grown["has_history"] = true()
    else:
        insert = insert.values(has_history=false())
    return insert.on_conflict_do_update(index_elements=["run_summary_id", "name_key"], set_=grown)


_RUN_UPSERT: dict[str, Upsert] = {
    "sqlite": _run_upsert(sqlite.insert(RunSummary)),
    "postgresql": _run_upsert(postgresql.insert(RunSummary)),
}
_LOGGED_UPSERT: dict[str, Upsert] = {
    "sqlite": _metric_upsert(sqlite.insert(MetricSummary), has_history=True),
    "postgresql": _metric_upsert(postgresql.insert(MetricSummary), has_history=True),
}
_UNLOGGED_UPSERT: dict[str, Upsert] = {
    "sqlite": _metric_upsert(sqlite.insert(MetricSummary), has_history=False),
    "postgresql": _metric_upsert(postgresql.insert(MetricSummary), has_history=False),
}
