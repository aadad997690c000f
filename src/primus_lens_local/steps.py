"""Metrics become steps: one row per step of a run, merged with what is stored of it, and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Mapping

from sqlalchemy import Connection, Text, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite

from primus_lens_local.contract import MetricsRequest
from primus_lens_local.decoding import INT64_MAX, INT64_MIN
from primus_lens_local.summaries import RunKey, RunTotals, Upsert, read_totals, write_totals
from primus_lens_local.summary_values import SummaryValue, keep_latest, within_limit, write_values
from primus_lens_local.tables import TrainingPerformance, utc_now

Step = dict[str, Any]

RESERVED_NAMES = frozenset({"step", "run_id", "source", "history", "created_at", "updated_at", "iteration"})
"""Metadata on the server: a metric with such a name is hidden, here it is not stored at all."""

_STEPS_PER_QUERY = 500
# Stored steps that are read to be merged, and not written back yet; characters of JSON, of which a step may have 4 MB.
_MOST_MERGED = 4 * 2**20
_MERGED = ("performance", "times_ms", "first_time_ms", "last_time_ms", "pod_uuid", "updated_at")


@dataclass
class _Report:
    """What one transaction brings of a run."""

    steps: dict[int, Step] = field(default_factory=dict)
    history: set[str] = field(default_factory=set)
    summary: dict[str, SummaryValue] = field(default_factory=dict)


def write_steps(connection: Connection, requests: Iterable[MetricsRequest]) -> None:
    """Insert steps, or merge them into the stored ones: new values win, other metrics stay.

    The connection must hold the write lock.
    """
    reports = _reports_by_run(requests)
    if not reports:
        return
    totals = read_totals(connection, reports)
    rows: list[Step] = []
    merged = 0

    def write() -> None:
        nonlocal merged
        if rows:
            connection.execute(_STEP_UPSERT[connection.dialect.name], rows)
        rows.clear()
        merged = 0

    for key, report in reports.items():
        steps = report.steps
        run = totals.get(key)
        if run is None:
            first = next(iter(steps.values()))
            times = (first["first_time_ms"], first["last_time_ms"])
            run = totals[key] = RunTotals(first["iteration"], first["iteration"], *times)
        else:
            # Training counts up: most steps are beyond the last one, and cannot be stored yet.
            late = [step for step in steps if step <= run.last_iteration]
            for some, size in _stored_parts(connection, key, late):
                if merged + size > _MOST_MERGED:
                    write()
                merged += size
                for stored in _stored_steps(connection, key, some):
                    step = _merged(stored, steps.pop(stored["iteration"]))
                    run.add_step(step, stored["times_ms"])
                    rows.append(step)
        for step in steps.values():
            run.add_step(step, None)
            rows.append(step)
        run.history = report.history
        if report.summary:
            report.summary = within_limit(connection, run, report.summary)
    write()
    write_totals(connection, totals)
    write_values(connection, [(totals[key].id, report.summary) for key, report in reports.items() if report.summary])


def int32(step: int) -> int:
    """Wrap as the server's `iteration` column does."""
    return (step + 2**31) % 2**32 - 2**31


def milliseconds(timestamp: float) -> int:
    """Turn seconds since 1970 into whole milliseconds, held within int64."""
    return round(max(INT64_MIN, min(timestamp * 1000, INT64_MAX)))


def _reports_by_run(requests: Iterable[MetricsRequest]) -> dict[RunKey, _Report]:
    reports: dict[RunKey, _Report] = {}
    now = utc_now()
    for request in requests:
        sender = request.sender
        key = RunKey(sender.workload, sender.run_id, sender.source)
        report = reports.setdefault(key, _Report())
        steps = report.steps
        for name, value, step_number, timestamp, is_summary in request.metrics:
            if name in RESERVED_NAMES:
                continue
            time_ms = milliseconds(timestamp)
            iteration = int32(step_number)
            if is_summary:
                keep_latest(report.summary, name, SummaryValue(value, iteration, time_ms))
            else:
                report.history.add(name)
            step = steps.get(iteration)
            if step is None:
                step = steps[iteration] = {
                    **key._asdict(),
                    "iteration": iteration,
                    "serial": 0,
                    "performance": {"run_id": sender.run_id},
                    "times_ms": {},
                    "first_time_ms": time_ms,
                    "last_time_ms": time_ms,
                    "created_at": now,
                    "updated_at": now,
                }
            step["pod_uuid"] = sender.pod
            step["performance"][name] = value
            step["times_ms"][name] = time_ms
            if time_ms < step["first_time_ms"]:
                step["first_time_ms"] = time_ms
            elif time_ms > step["last_time_ms"]:
                step["last_time_ms"] = time_ms
    return {key: report for key, report in reports.items() if report.steps}


def _stored_parts(connection: Connection, key: RunKey, iterations: list[int]) -> Iterator[tuple[list[int], int]]:
    """Yield those steps that are stored, few enough at a time to be held together, and their size."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(iterations), _STEPS_PER_QUERY):
        some = {"iterations": iterations[start : start + _STEPS_PER_QUERY]}
        found += [(row[0], row[1]) for row in connection.execute(_STORED_SIZES, {**key._asdict(), **some})]
    part: list[int] = []
    total = 0
    for iteration, size in found:
        if part and (total + size > _MOST_MERGED or len(part) == _STEPS_PER_QUERY):
            yield part, total
            part, total = [], 0
        part.append(iteration)
        total += size
    if part:
        yield part, total


def _stored_steps(connection: Connection, key: RunKey, iterations: list[int]) -> Iterable[Any]:
    return connection.execute(_STORED, {**key._asdict(), "iterations": iterations}).mappings()


def _merged(stored: Mapping[str, Any], new: Step) -> Step:
    return {
        **new,
        "performance": {**stored["performance"], **new["performance"]},
        "times_ms": {**stored["times_ms"], **new["times_ms"]},
        "first_time_ms": min(stored["first_time_ms"], new["first_time_ms"]),
        "last_time_ms": max(stored["last_time_ms"], new["last_time_ms"]),
    }


_Row = TrainingPerformance
_ASKED = (
    _Row.workload_uid == bindparam("workload_uid"),
    _Row.run_id == bindparam("run_id"),
    _Row.data_source == bindparam("data_source"),
    _Row.iteration.in_(bindparam("iterations", expanding=True)),
)
_STORED = select(_Row.iteration, _Row.performance, _Row.times_ms, _Row.first_time_ms, _Row.last_time_ms).where(*_ASKED)
_SIZE = func.length(cast(_Row.performance, Text)) + func.length(cast(_Row.times_ms, Text))
_STORED_SIZES = select(_Row.iteration, _SIZE).where(*_ASKED)


def _step_upsert(insert: Upsert) -> Upsert:
    return insert.on_conflict_do_update(
        index_elements=["workload_uid", "run_id", "data_source", "iteration"],
        set_={name: insert.excluded[name] for name in _MERGED},
    )


_STEP_UPSERT: dict[str, Upsert] = {
    "sqlite": _step_upsert(sqlite.insert(TrainingPerformance)),
    "postgresql": _step_upsert(postgresql.insert(TrainingPerformance)),
}
