"""Whole steps, small requests, runs apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Run
from primus_lens_wandb_exporter.sinks.lens_batches import StepBatcher
from primus_lens_wandb_exporter.sinks.request import Request

RUN = Run("r1", Identity("w", "u", "p", "ns"), Place(), "writer")
OTHER_RUN = RUN._replace(run_id="r2")


def record(
    step: int, metrics: dict[str, Any], sequence: int = 0, run: Run = RUN, timestamp: float = 5.0
) -> MetricsRecord:
    return MetricsRecord(run, sequence, step, timestamp, metrics, metrics)


def metrics_of(request: Request) -> list[tuple[int, str, float]]:
    return [(metric["step"], metric["name"], metric["value"]) for metric in json.loads(request.body)["metrics"]]


def test_the_body_is_the_contracts() -> None:
    batcher = StepBatcher(500, 1.0)
    batcher.add(record(7, {"loss": 2.5}, timestamp=1700000000.5), 0.0)
    (request,) = batcher.take_due(0.0, urgent=True)
    assert request.path == "/wandb/metrics"
    assert json.loads(request.body) == {
        "source": "wandb",
        "workload_uid": "w",
        "pod_uid": "u",
        "pod_name": "p",
        "run_id": "r1",
        "metrics": [{"name": "loss", "value": 2.5, "step": 7, "timestamp": 1700000000.5, "tags": {}}],
        "timestamp": 1700000000.5,
    }


def test_a_step_waits_for_the_next_one_or_the_interval() -> None:
    batcher = StepBatcher(500, 1.0)
    batcher.add(record(0, {"a": 1}), 0.0)
    assert batcher.take_due(0.5, urgent=False) == []
    batcher.add(record(0, {"b": 2}), 0.6)
    batcher.add(record(1, {"a": 3}), 0.7)
    (request,) = batcher.take_due(1.0, urgent=False)
    assert metrics_of(request) == [(0, "a", 1), (0, "b", 2)]
    assert batcher.take_due(1.5, urgent=False) == []
    (request,) = batcher.take_due(1.7, urgent=False)
    assert metrics_of(request) == [(1, "a", 3)]
    assert batcher.seconds_until_due(2.0) is None


def test_full_requests_do_not_wait() -> None:
    batcher = StepBatcher(4, 60.0)
    for step in range(5):
        batcher.add(record(step, {"a": step, "b": step}), 0.0)
    requests = batcher.take_due(0.0, urgent=False)
    assert [len(metrics_of(request)) for request in requests] == [4, 4]
    assert batcher.pending_metrics == 2


def test_a_value_logged_again_is_sent_once_and_accounted_for_twice() -> None:
    batcher = StepBatcher(500, 1.0)
    batcher.add(record(0, {"a": 1}, 0), 0.0)
    batcher.add(record(0, {"a": 2}, 1), 0.0)
    (request,) = batcher.take_due(0.0, urgent=True)
    assert metrics_of(request) == [(0, "a", 2)]
    assert request.metric_count == 2
    assert request.sequences == [0, 1]


def test_a_call_in_several_requests_is_acknowledged_with_all_of_them() -> None:
    batcher = StepBatcher(10, 1.0)
    batcher.add(record(0, {f"m{i}": i for i in range(25)}, sequence=7), 0.0)
    batcher.add(record(1, {"a": 1}, sequence=8), 0.0)
    parts = batcher.take_due(0.0, urgent=True)
    assert [request.sequences for request in parts] == [[], [], [7], [8]]
    assert parts[2].earlier_parts == (parts[0], parts[1])
    assert parts[3].earlier_parts == ()


def test_runs_never_share_a_request() -> None:
    batcher = StepBatcher(500, 1.0)
    for step in range(3):
        batcher.add(record(step, {"a": 1}), 0.0)
        batcher.add(record(step, {"a": 2}, run=OTHER_RUN), 0.0)
    first, second = batcher.take_due(0.0, urgent=True)
    assert metrics_of(first) == [(step, "a", 1) for step in range(3)]
    assert metrics_of(second) == [(step, "a", 2) for step in range(3)]


def test_names_that_lens_cannot_store_are_rejected_alone() -> None:
    batcher = StepBatcher(500, 1.0)
    batcher.add(record(0, {"": 1, "a\0b": 2, "c": 3}), 0.0)
    (request,) = batcher.take_due(0.0, urgent=True)
    assert metrics_of(request) == [(0, "c", 3)]
    assert batcher.rejected == 2


@pytest.mark.parametrize("character", ["n", "\u00e9", "\U0001f600", "\x01"])
def test_long_names_make_more_requests_not_larger_ones(character: str) -> None:
    batcher = StepBatcher(500, 1.0)
    names = [f"{index} " + character * 10_000 for index in range(500)]
    batcher.add(record(0, {"loss": 1}, sequence=6), 0.0)
    batcher.add(record(1, dict.fromkeys(names, 2), sequence=7), 0.0)
    batcher.add(record(2, {"loss": 3}, sequence=8), 0.0)
    requests = batcher.take_due(0.0, urgent=True)
    assert all(len(request.body) < 1.1 * 10**6 for request in requests)
    sent = [(step, name) for request in requests for step, name, _ in metrics_of(request)]
    assert sent == [(0, "loss"), *((1, name) for name in names), (2, "loss")]
    # The first step is alone, and the second is acknowledged with its last part.
    assert [request.sequences for request in requests] == [[6], *[[]] * (len(requests) - 3), [7], [8]]
    assert len(requests[-2].earlier_parts) == len(requests) - 3 > 3
    assert batcher.pending_metrics == 0


def test_long_names_are_no_reason_to_split_a_full_request() -> None:
    batcher = StepBatcher(500, 1.0)
    batcher.add(record(0, {f"{index} " + "n" * 500: 1 for index in range(500)}), 0.0)
    assert len(batcher.take_due(0.0, urgent=True)) == 1


def test_a_name_that_no_request_can_hold_is_rejected_alone(caplog: pytest.LogCaptureFixture) -> None:
    batcher = StepBatcher(500, 1.0)
    for step in range(2):
        batcher.add(record(step, {"x" * 10**6: 1, "\u00e9" * 200_000: 2, "loss": 3}), 0.0)
    (request,) = batcher.take_due(0.0, urgent=True)
    assert metrics_of(request) == [(0, "loss", 3), (1, "loss", 3)]
    assert batcher.rejected == 4
    (line,) = caplog.messages
    assert "1000000 characters" in line
    assert len(line) < 400


calls = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.sampled_from("abcdefg"), st.floats(allow_nan=False, allow_infinity=False), max_size=7),
        st.booleans(),
    ),
    max_size=60,
)


@given(calls, st.integers(1, 10))
def test_nothing_is_lost_doubled_or_split_without_need(
    found: list[tuple[int, dict[str, float], bool]], size: int
) -> None:
    batcher = StepBatcher(size, 1.0)
    expected: dict[tuple[int, str], float] = {}
    requests: list[Request] = []
    step, now, received = 0, 0.0, 0
    for sequence, (advance, metrics, take) in enumerate(found):
        step += advance
        now += 0.1
        batcher.add(record(step, metrics, sequence), now)
        received += len(metrics)
        expected.update({(step, name): value for name, value in metrics.items()})
        if take:
            requests += batcher.take_due(now, urgent=False)
        assert batcher.pending_metrics == received - sum(request.metric_count for request in requests)
    requests += batcher.take_due(now, urgent=True)

    sent: dict[tuple[int, str], float] = {}
    for request in requests:
        metrics_sent = metrics_of(request)
        assert 0 < len(metrics_sent) <= size
        sent.update({(number, name): value for number, name, value in metrics_sent})
    assert sent == expected
    assert sum(request.metric_count for request in requests) == received
    assert batcher.pending_metrics == 0
