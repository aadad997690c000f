"""The points of metrics: read from the steps and written as JSON, many at a time."""

from __future__ import annotations

import json
from typing import Iterable, Iterator, NamedTuple, Optional

from sqlalchemy import Engine, Text, case, cast, null, select

from primus_lens_local.queries import Filters
from primus_lens_local.steps import RESERVED_NAMES
from primus_lens_local.tables import TrainingPerformance

_Row = TrainingPerformance
_ROWS_PER_FETCH = 1000


class Point(NamedTuple):
    """One value of one metric."""

    metric_name: str
    value: float
    timestamp: int
    iteration: int
    data_source: str
    run_id: str


def points(engine: Engine, workload_uid: str, metrics: Optional[frozenset[str]], filters: Filters) -> list[Point]:
    """Return the points of the named metrics (None: of all), sorted by iteration, then time, then name."""
    found: list[Point] = []
    # As text: Python's JSON reads floats exactly. Where a step has one time, that is all there is to know.
    times = case((_Row.first_time_ms == _Row.last_time_ms, null()), else_=cast(_Row.times_ms, Text))
    columns = (_Row.iteration, _Row.data_source, _Row.run_id, cast(_Row.performance, Text), _Row.first_time_ms, times)
    with engine.connect() as connection:
        query = select(*columns).where(*filters.of_steps(connection, workload_uid))
        rows = connection.execute(query, execution_options={"yield_per": _ROWS_PER_FETCH})
        for iteration, data_source, run_id, performance, first_time_ms, times_ms in rows:
            values = json.loads(performance)
            own_times = None if times_ms is None else json.loads(times_ms)
            for name in values if metrics is None else metrics & values.keys():
                if name in RESERVED_NAMES:
                    continue
                time_ms = first_time_ms if own_times is None else own_times[name]
                if filters.admits(time_ms):
                    found.append(Point(name, values[name], time_ms, iteration, data_source, run_id))
    found.sort(key=lambda point: (point.iteration, point.timestamp, point.metric_name))
    return found


def iteration_times(engine: Engine, workload_uid: str, filters: Filters) -> Iterator[Point]:
    """Yield one point per step: `metric_name` is `iteration`, the time that of the step's first metric."""
    columns = (_Row.iteration, _Row.first_time_ms, _Row.data_source, _Row.run_id)
    with engine.connect() as connection:
        query = select(*columns).where(*filters.of_steps(connection, workload_uid))
        query = query.order_by(_Row.iteration, _Row.first_time_ms)
        for iteration, time_ms, data_source, run_id in connection.execute(
            query, execution_options={"yield_per": _ROWS_PER_FETCH}
        ):
            if filters.admits(time_ms):
                yield Point("iteration", iteration, time_ms, iteration, data_source, run_id)


def encode(points: Iterable[Point]) -> tuple[str, int]:
    """Return the points as a JSON array, and how many they are. Six times as fast as one dict each."""
    quoted = _Quoted()
    objects = [
        f'{{"metric_name":{quoted[name]},"value":{value!r},"timestamp":{timestamp},"iteration":{iteration},'
        f'"data_source":{quoted[data_source]},"run_id":{quoted[run_id]}}}'
        for name, value, timestamp, iteration, data_source, run_id in points
    ]
    return f"[{','.join(objects)}]", len(objects)


class _Quoted(dict[str, str]):
    """The JSON form of a text, made once."""

    def __missing__(self, text: str) -> str:
        quoted = self[text] = json.dumps(text, ensure_ascii=False)
        return quoted
