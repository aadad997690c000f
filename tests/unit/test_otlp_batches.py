"""Calls become requests: whole calls, in order, none lost, none twice, and none that a server must refuse."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Number, Run, convert, numbers_of
from primus_lens_wandb_exporter.sinks.otlp_batches import OtlpBatcher
from primus_lens_wandb_exporter.sinks.otlp_settings import OtlpSettings
from primus_lens_wandb_exporter.sinks.request import Request

from ..support.otlp_receiver import Point, points_of

RUN = Run("r", Identity("w"), Place(), "writer")


def record(number: int, timestamp: float, run: Run = RUN, **metrics: Number) -> MetricsRecord:
    return MetricsRecord(run, number, number, timestamp, metrics, metrics)


def batcher(interval_s: float = 1.0) -> OtlpBatcher:
    return OtlpBatcher(OtlpSettings("http://collector:4318"), interval_s)


def points(request: Request) -> list[Point]:
    found = points_of(ExportMetricsServiceRequest.FromString(request.body))
    return [point for point in found if "wandb.metric" in point.attributes]


def test_calls_wait_for_the_flush_interval() -> None:
    gathering = batcher()
    gathering.add(record(0, 1.7e9, a=1), now=10.0)
    assert gathering.take_due(10.5, urgent=False) == []
    assert gathering.seconds_until_due(10.5) == 0.5
    assert gathering.take_due(11.0, urgent=False, full_only=True) == []
    (request,) = gathering.take_due(11.0, urgent=False)
    assert (request.metric_count, request.sequences, request.run) == (1, [0], RUN)
    assert gathering.pending_metrics == 0
    assert gathering.seconds_until_due(11.0) is None


def test_a_number_of_the_environment_that_no_attribute_holds_loses_no_metrics() -> None:
    gathering = batcher()
    gathering.add(record(0, 1.7e9, RUN._replace(place=Place(attempt=10**20)), a=1), now=10.0)
    (request,) = gathering.take_due(10.0, urgent=True)
    assert [point.resource["wandb.attempt"] for point in points(request)] == [str(10**20)]


def test_an_urgent_flush_takes_everything() -> None:
    gathering = batcher()
    for number in range(3):
        gathering.add(record(number, 1.7e9, a=number), now=10.0)
    (request,) = gathering.take_due(10.0, urgent=True)
    assert [point.value for point in points(request)] == [0, 1, 2]


def test_full_requests_go_at_once_and_hold_about_a_thousand_points() -> None:
    gathering = batcher()
    requests: list[Request] = []
    for number in range(5000):
        gathering.add(record(number, 1.7e9 + number, loss=number, lr=0.1), now=10.0)
        requests += gathering.take_due(10.0, urgent=False)
    assert len(requests) > 5
    assert all(500 < request.metric_count < 2000 for request in requests)
    requests += gathering.take_due(10.0, urgent=True)
    assert [sequence for request in requests for sequence in request.sequences] == list(range(5000))
    assert sum(request.metric_count for request in requests) == 10_000
    assert gathering.pending_metrics == 0


@pytest.mark.parametrize("calls_per_ms", [1, 7, 100])
def test_no_millisecond_is_in_two_requests(calls_per_ms: int) -> None:
    """Prometheus refuses a whole request for a point in a millisecond that an earlier request had."""
    gathering = batcher()
    requests: list[Request] = []
    for number in range(10_000):
        timestamp = 1.7e9 + (number // calls_per_ms) / 1000 + 0.0005
        gathering.add(record(number, timestamp, loss=number), now=number / 1000)
        if number % 64 == 0:
            requests += gathering.take_due(number / 1000, urgent=False)
    requests += gathering.take_due(99.0, urgent=True)
    assert len(requests) > 3
    ends = [{point.time_ns // 10**6 for point in points(request)} for request in requests]
    assert all(not earlier & later for earlier, later in pairwise(ends))
    assert sum(request.metric_count for request in requests) == 10_000


def test_a_clock_that_stands_still_does_not_make_requests_without_end() -> None:
    gathering = batcher()
    for number in range(40_000):
        gathering.add(record(number, 1.7e9, loss=number), now=10.0)
    requests = gathering.take_due(10.0, urgent=True)
    assert all(len(request.body) < 4 * 10**6 for request in requests)
    assert sum(request.metric_count for request in requests) == 40_000


def test_runs_are_never_mixed() -> None:
    other = RUN._replace(run_id="other")
    gathering = batcher()
    for number in range(4):
        gathering.add(record(number, 1.7e9, run=other if number % 2 else RUN, a=number), now=10.0)
    requests = gathering.take_due(10.0, urgent=True)
    assert [{point.run_id for point in points(request)} for request in requests] == [{"r"}, {"other"}]


def test_one_huge_call_is_split_and_acknowledged_with_its_last_part() -> None:
    metrics: dict[str, Number] = {f"{'x' * 200}{i}": i for i in range(20_000)}
    gathering = batcher()
    gathering.add(MetricsRecord(RUN, 5, 1, 1.7e9, metrics, metrics), now=10.0)
    requests = gathering.take_due(10.0, urgent=True)
    assert len(requests) > 1
    assert all(len(request.body) < 4 * 10**6 for request in requests)
    assert [request.sequences for request in requests] == [[]] * (len(requests) - 1) + [[5]]
    assert requests[-1].earlier_parts == tuple(requests[:-1])
    assert Counter(point.name for request in requests for point in points(request)) == Counter(metrics.keys())


def test_names_that_no_server_takes_are_counted() -> None:
    gathering = batcher()
    metrics: dict[str, Number] = {"": 1, "x" * 20_000: 2, "half \ud800 pair": 3}
    gathering.add(MetricsRecord(RUN, 0, 0, 1.7e9, metrics, metrics), now=10.0)
    (request,) = gathering.take_due(10.0, urgent=True)
    assert gathering.rejected == 2
    assert [(point.name, point.value) for point in points(request)] == [("half \\ud800 pair", 3)]


def test_an_int_that_64_bits_cannot_hold_is_a_float() -> None:
    gathering = batcher()
    metrics: dict[str, Number] = {"most": 2**63 - 1, "more": 2**63, "least": -(2**63), "less": -(2**63) - 1}
    gathering.add(MetricsRecord(RUN, 0, 0, 1.7e9, metrics, metrics), now=10.0)
    (request,) = gathering.take_due(10.0, urgent=True)
    found = {point.name: point.value for point in points(request)}
    assert found == {"most": 2**63 - 1, "more": 2.0**63, "least": -(2**63), "less": -(2.0**63)}
    assert [type(found[name]) for name in metrics] == [int, float, int, float]


@pytest.mark.parametrize("timestamp", [-1.0, 1e11, float("nan")])
def test_times_that_nanoseconds_cannot_tell_are_counted(timestamp: float) -> None:
    gathering = batcher()
    gathering.add(record(0, timestamp, a=1), now=10.0)
    assert gathering.rejected == 1
    assert gathering.take_due(10.0, urgent=True) == []


def test_every_number_of_a_call_is_found() -> None:
    logged = {"a": 1, "nan": float("nan"), "inf": float("-inf"), "flag": True, "step": 4, "_step": 9, "text": "x"}
    metrics, data = convert({**logged, "huge": 10**400, "written by wandb": "Infinity"})
    found = numbers_of(MetricsRecord(RUN, 0, 0, 0.0, metrics, data))
    assert str(found) == str(
        {"a": 1, "nan": float("nan"), "inf": float("-inf"), "flag": True, "step": 4, "written by wandb": float("inf")}
    )
    assert numbers_of(MetricsRecord(RUN, 0, None, 0.0, {}, data)) == {}
