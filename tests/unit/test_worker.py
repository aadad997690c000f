"""A sink that fails is asked again, less and less often, and goes on where it was when it has recovered."""

from __future__ import annotations

import time

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Record, Run
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
