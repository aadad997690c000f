"""A sink that fails is asked again, less and less often, and goes on where it was when it has recovered."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import DetectionRecord, MetricsRecord, Record, Run
from primus_lens_wandb_exporter.worker import Worker

RUN = Run("r", Identity("w"), Place(), "writer")


class FailingSink:
    name = "failing"
    is_prompt = False
    delivered = rejected = dropped = 0

    def __init__(self) -> None:
        self.fails = True
        self.waiting = 0
        self.calls = 0

    def takes_run(self, run: Run) -> bool:
        return True

    def weigh(self, record: Record) -> int:
        return 1

    def accept(self, records: list[Record]) -> None:
        self.waiting += len(records)

    def work(self, urgent: bool, time_limit_s: float | None = None) -> float | None:
        self.calls += 1
        if self.fails:
            raise OSError("nobody thought of this")
        self.delivered, self.waiting = self.delivered + self.waiting, 0
        return None

    def pending(self) -> int:
        return self.waiting

    def work_done(self) -> int:
        return self.delivered

    def work_left(self) -> int:
        return self.waiting

    def reset_after_fork(self) -> None:
        raise NotImplementedError


def record(step: int) -> MetricsRecord:
    return MetricsRecord(RUN, step, step, 0.0, {"a": 1}, {"a": 1})


def test_a_sink_that_fails_rests_longer_and_longer() -> None:
    sink = FailingSink()
    worker = Worker(sink, 1e9)
    began = time.monotonic()
    step = 0
    while time.monotonic() - began < 4:
        worker.put(record(step), 100)
        step += 1
        time.sleep(0.02)
    # After 0, 1 and 3 seconds.
    assert 1 <= sink.calls <= 4

    mark = worker.request_flush()
    time.sleep(3)
    # Once at once, because somebody waits, and again after a rest.
    assert sink.calls <= 6
    assert not mark.done.is_set()

    sink.fails = False
    assert worker.request_flush().done.wait(20)
    assert worker.counters().delivered == step


class TakingSink(FailingSink):
    """Keeps the steps that it has taken; finds out whether a signal handler came into its own lines."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.steps: list[int] = []
        self.is_in_use = False

    def accept(self, records: list[Record]) -> None:
        assert not self.is_in_use
        self.is_in_use = True
        self.steps += [record.step for record in records if isinstance(record, MetricsRecord)]
        self.is_in_use = False


def test_a_detection_waits_with_the_thread_until_it_is_due() -> None:
    sink = TakingSink()
    taken: list[Record] = []
    sink.accept = taken.extend  # type: ignore[method-assign,assignment]
    worker = Worker(sink, 1e9)
    due_in = {"late": 1000.0, "soon": 0.5}
    late, soon, now = (
        DetectionRecord(RUN, dict, lambda: due_in["late"]),
        DetectionRecord(RUN, dict, lambda: due_in["soon"]),
        DetectionRecord(RUN, dict),
    )
    for detection in (late, soon, now):
        worker.put(detection, 100)
    worker.request_flush().done.wait(20)
    assert taken == [now]

    # Nothing wakes the thread but the time that it was told.
    due_in["soon"] = 0.0
    deadline = time.monotonic() + 20
    while soon not in taken:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    due_in["late"] = 0.0
    assert worker.request_flush().done.wait(20)
    assert taken == [now, soon, late]


def test_what_is_due_is_told_where_no_thread_runs() -> None:
    sink = TakingSink()
    taken: list[Record] = []
    sink.accept = taken.extend  # type: ignore[method-assign,assignment]
    worker = Worker(sink, 1e9)
    worker._start = lambda: None  # type: ignore[method-assign]
    due, late = DetectionRecord(RUN, dict), DetectionRecord(RUN, dict, lambda: 1000.0)
    worker.put(late, 100)
    worker.put(due, 100)
    began = time.monotonic()
    worker.drain_here(began + 60)
    assert taken == [due]
    assert time.monotonic() - began < 30


def put_with_interruption(worker: Worker, position: int) -> int:
    """Puts record 1, and record 2 before the instruction at that position; how many instructions there were."""
    instructions = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal instructions
        if not frame.f_code.co_filename.endswith("worker.py"):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            instructions += 1
            if instructions == position:
                worker.put_at_once(record(2), 10)
        return trace

    sys.settrace(trace)
    try:
        worker.put_at_once(record(1), 10)
    finally:
        sys.settrace(None)
    return instructions


def test_a_signal_handler_may_write_at_once_between_any_two_instructions_of_writing_at_once() -> None:
    position = 0
    while True:
        position += 1
        sink = TakingSink()
        worker = Worker(sink, 1e9)
        if put_with_interruption(worker, position) < position:
            break
        assert sorted(sink.steps) == [1, 2], position
        assert worker.held_locks() == []
    assert position > 100


class InterruptedLock:
    """A signal handler raises at the moment in which the lock has been acquired."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def acquire(self, timeout: float) -> bool:
        self._lock.acquire(timeout=timeout)
        raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def test_an_interrupt_leaves_the_sink_to_other_threads() -> None:
    sink = TakingSink()
    worker = Worker(sink, 1e9)
    lock = worker._sink_lock
    worker._sink_lock = InterruptedLock(lock)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        worker.put_at_once(record(1), 10)
    worker._sink_lock = lock
    thread = threading.Thread(target=worker.put_at_once, args=(record(2), 10))
    thread.start()
    thread.join(0.5)
    assert sink.steps == [1, 2]
