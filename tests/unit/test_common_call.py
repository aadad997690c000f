"""What the common call of wandb's log leaves out on its way is what the general functions would have come to."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter import diagnostics, interceptor
from primus_lens_wandb_exporter.exporter import Exporter
from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Record, Run, convert
from primus_lens_wandb_exporter.sinks.jsonl import JsonlSink
from primus_lens_wandb_exporter.sinks.lens_api import LensSink
from primus_lens_wandb_exporter.steps import StepCounter
from primus_lens_wandb_exporter.worker import size_in_memory

RUN = Run("r", Identity("w"), Place(), "writer")


class Way:
    """A worker that keeps what it is given."""

    def __init__(self, sink_class: Any) -> None:
        # Both weigh without anything that belongs to an instance.
        self.sink = sink_class.__new__(sink_class)
        self.taken: list[tuple[Record, int]] = []

    def put(self, record: Record, size: int) -> None:
        self.taken.append((record, size))


def run_with_ways() -> tuple[Any, tuple[Way, ...]]:
    ways = Way(JsonlSink), Way(LensSink)
    tracker = SimpleNamespace(
        counter=StepCounter(),
        exporter=Exporter,
        generation=interceptor._generation,
        has_sent=False,
        has_step_metrics=False,
        is_counted=True,
        is_in_call=False,
        lock=threading.RLock(),
        look_again_at=float("inf"),
        others_log=bytearray(2),
        route=ways,
        run=RUN,
        sampler=None,
        turns=0,
        unsendable=0,
    )
    return SimpleNamespace(**{interceptor._TRACKER: tracker}), ways


scalars = st.floats() | st.integers() | st.integers(min_value=10**300, max_value=10**310)
others = st.booleans() | st.none() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.floats())
names = st.text() | st.sampled_from(["step", "_step", "iteration", "source", "a.b"])
calls = st.lists(
    st.tuples(
        st.dictionaries(names, scalars) | st.dictionaries(names, scalars | others),
        st.none() | st.integers(min_value=0, max_value=12),
        st.none() | st.booleans(),
    )
)


@given(calls)
def test_calls_by_keyword_and_by_position_are_recorded_as_the_rules_say(all_calls: list[tuple[Any, Any, Any]]) -> None:
    by_keyword, keyword_ways = run_with_ways()
    by_position, position_ways = run_with_ways()
    log = interceptor._wrap_log(lambda run, data, step=None, commit=None: None)
    rule = StepCounter()
    expected = []
    for data, step, commit in all_calls:
        # wandb itself calls with keywords; with positions the step is found by the general function.
        log(by_keyword, data=data, step=step, commit=commit)
        log(by_position, data, step, commit)
        step_of_call = rule.step_of_call(step, commit)
        metrics, everything = convert(data)
        expected.append((step_of_call, {} if step_of_call is None else metrics, everything))

    for ways in (keyword_ways, position_ways):
        mirror, lens = ([record for record, _ in way.taken] for way in ways)
        assert repr([(record.step, record.metrics, record.data) for record in mirror]) == repr(expected)
        assert [record for record in mirror if record.metrics] == lens
        for record, size in ways[0].taken + ways[1].taken:
            assert type(record) is MetricsRecord
            assert record == MetricsRecord(*record)
            assert (record.run, record.kind, size) == (RUN, "", size_in_memory(record))
    assert by_keyword.__dict__[interceptor._TRACKER].turns == len(all_calls)


def test_a_call_is_counted_by_wandb_alone_once_a_child_logs() -> None:
    run, (mirror, lens) = run_with_ways()
    tracker = run.__dict__[interceptor._TRACKER]
    tracker.stop_counting = lambda calls_in_doubt=0: setattr(tracker, "is_counted", False)
    log = interceptor._wrap_log(lambda run, data, step=None, commit=None: None)

    log(run, data={"a": 1}, step=None, commit=None)
    tracker.others_log[0] = 1
    log(run, data={"a": 2}, step=None, commit=None)
    log(run, data={"a": 3}, step=None, commit=None)

    assert [(record.step, record.kind, record.data) for record, _ in mirror.taken] == [
        (0, "", {"a": 1}),
        (None, "uncounted", {"a": 2}),
        (None, "uncounted", {"a": 3}),
    ]
    assert len(lens.taken) == 1


def test_the_debug_log_follows_every_change_of_a_level(caplog: pytest.LogCaptureFixture) -> None:
    run, _ = run_with_ways()
    log = interceptor._wrap_log(lambda run, data, step=None, commit=None: None)
    root, own = logging.getLogger(), diagnostics.LOGGER
    levels = root.level, own.level
    own.setLevel(logging.NOTSET)

    def is_told() -> bool:
        caplog.clear()
        log(run, data={"a": 1}, step=None, commit=None)
        return "intercepted wandb.log()" in caplog.text

    try:
        root.setLevel(logging.WARNING)
        assert not is_told()
        own.setLevel(logging.DEBUG)
        assert is_told()
        logging.disable(logging.DEBUG)
        assert not is_told()
        logging.disable(logging.NOTSET)
        own.setLevel(logging.INFO)
        assert not is_told()
        own.setLevel(logging.NOTSET)
        # A job that is told everything of itself has not asked for us.
        root.setLevel(logging.DEBUG)
        assert not is_told()
    finally:
        logging.disable(logging.NOTSET)
        root.setLevel(levels[0])
        own.setLevel(levels[1])
