"""The summary of a run: what its user's code says of the run as a whole, one value for each name.

Its values come as metrics with a tag and are points as all others. Here the latest of each name is kept beside the
metric's count, and read under the name that the user gave it.
"""

from __future__ import annotations

import itertools
from typing import Any, Iterable, Mapping, NamedTuple, Optional

from sqlalchemy import Connection, bindparam, or_, select, update

from primus_lens_local import limits
from primus_lens_local.summaries import RunTotals, name_key
from primus_lens_local.tables import MetricSummary

PREFIX = "summary/"
"""Stands before the name of a value whose own name the run logs to its history, too."""

_NAMES_PER_QUERY = 500


class SummaryValue(NamedTuple):
    """One value of a summary, and the step and time of the report that brought it."""

    value: float
    iteration: int
    time_ms: int


def keep_latest(values: dict[str, SummaryValue], name: str, value: SummaryValue) -> None:
    """Take a value, unless there is a later one of this name; of two at one time the second counts."""
    known = values.get(name)
    if known is None or known.time_ms <= value.time_ms:
        values[name] = value


def within_limit(connection: Connection, run: RunTotals, values: Mapping[str, SummaryValue]) -> dict[str, SummaryValue]:
    """Return what the summary of a run takes, and count it; a name beyond the limit becomes history."""
    known = _keys_with_value(connection, run.id, values) if run.summary_count else frozenset()
    new = [name for name in values if name_key(name) not in known]
    room = max(0, limits.MAX_SUMMARY_VALUES - run.summary_count)
    beyond = frozenset(new[room:])
    run.summary_count += len(new) - len(beyond)
    run.history |= beyond
    return {name: value for name, value in values.items() if name not in beyond}


def write_values(connection: Connection, runs: Iterable[tuple[Optional[int], Mapping[str, SummaryValue]]]) -> None:
    """Store the values of runs, by the ids of their summaries; their metrics must be counted already."""
    rows = [
        {
            "of_run": run_id,
            "of_key": name_key(name),
            "new_value": value.value,
            "new_iteration": value.iteration,
            "new_time_ms": value.time_ms,
        }
        for run_id, values in runs
        for name, value in values.items()
    ]
    if rows:
        connection.execute(_UPDATE, rows)


def read_values(connection: Connection, run_summary_id: int) -> dict[str, SummaryValue]:
    """Return the summary of a run under its user's names, sorted by them."""
    is_of_run = _Metric.run_summary_id == run_summary_id
    query = select(_Metric.name, *_VALUE).where(is_of_run, _Metric.summary_time_ms.is_not(None))
    rows: Iterable[Any] = connection.execute(query)
    stored = {row[0]: SummaryValue(*row[1:]) for row in rows}
    own_names = {name: name[len(PREFIX) :] for name in stored if name.startswith(PREFIX)}
    logged: set[str] = set()
    for keys in _parts(map(name_key, own_names.values())):
        has_history = (is_of_run, _Metric.name_key.in_(keys), _Metric.has_history)
        logged.update(connection.scalars(select(_Metric.name).where(*has_history)))
    own_names = {name: own_name for name, own_name in own_names.items() if own_name in logged}
    values: dict[str, SummaryValue] = {}
    for name in sorted(stored, key=own_names.__contains__):
        keep_latest(values, own_names.get(name, name), stored[name])
    return dict(sorted(values.items()))


def _keys_with_value(connection: Connection, run_id: Optional[int], names: Iterable[str]) -> frozenset[str]:
    found: list[str] = []
    for keys in _parts(map(name_key, names)):
        has_value = (_Metric.run_summary_id == run_id, _Metric.name_key.in_(keys), _Metric.summary_time_ms.is_not(None))
        found += connection.scalars(select(_Metric.name_key).where(*has_value))
    return frozenset(found)


def _parts(keys: Iterable[str]) -> Iterable[list[str]]:
    remaining = iter(keys)
    return iter(lambda: list(itertools.islice(remaining, _NAMES_PER_QUERY)), [])


_Metric = MetricSummary
_VALUE = (_Metric.summary_value, _Metric.summary_iteration, _Metric.summary_time_ms)
_UPDATE = (
    update(MetricSummary)
    .where(
        _Metric.run_summary_id == bindparam("of_run"),
        _Metric.name_key == bindparam("of_key"),
        or_(_Metric.summary_time_ms.is_(None), _Metric.summary_time_ms <= bindparam("new_time_ms")),
    )
    .values(
        summary_value=bindparam("new_value"),
        summary_iteration=bindparam("new_iteration"),
        summary_time_ms=bindparam("new_time_ms"),
    )
)
