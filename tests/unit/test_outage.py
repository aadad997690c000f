"""An outage is told while it lasts, once, and so is its end."""

from __future__ import annotations

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Run
from primus_lens_wandb_exporter.sinks import outage, sending
from primus_lens_wandb_exporter.sinks.answers import Answer
from primus_lens_wandb_exporter.sinks.lens_api import LensSink
from primus_lens_wandb_exporter.sinks.lens_client import LensClient, judge

from ..support.hostile import envelope

RUN = Run("r", Identity("w"), Place(), "writer")
OK = Answer(delivered=True)
REFUSED = Answer(delivered=False, retry=True, reason="nothing listens there", next_step="start Lens")
WRONG = REFUSED._replace(reason="HTTP 404", needs_a_person=True)


class ScriptedClient(LensClient):
    answer = OK

    def __init__(self) -> None:
        super().__init__("http://user:let-me-in@lens.example/v1?cluster=c")

    def post(self, path: str, body: bytes, time_limit_s: float | None = None) -> Answer:
        return self.answer


class Clock:
    """In the place of the module ``time``."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Job:
    """Logs, and lets the sink work as its thread would, in no time."""

    def __init__(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        self.clock = clock
        self._caplog = caplog
        self.client = ScriptedClient()
        self.sink = LensSink(self.client, 1, 0.0, 1e9)
        self._step = 0

    def log(self) -> None:
        self.sink.accept([MetricsRecord(RUN, self._step, self._step, 1.7e9, {"a": 1}, {"a": 1})])
        self._step += 1

    def work(self, seconds: float = 0.0) -> float | None:
        end = self.clock.now + seconds
        delay = self.sink.work(urgent=False)
        while self.clock.now < end:
            self.clock.now += 1.0
            delay = self.sink.work(urgent=False)
        return delay

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.levelname == "WARNING"]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Job:
    clock = Clock()
    for module in (outage, sending):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(sending, "backoff_s", lambda *_: 1.0)
    return Job(clock, caplog)


def fail_and_recover(job: Job, answer: Answer, seconds: float = 0.0) -> None:
    job.client.answer = answer
    job.log()
    job.work(seconds)
    job.client.answer = OK
    job.work(2)


def test_an_outage_is_one_line_after_a_minute_with_the_reason_and_what_to_do(job: Job) -> None:
    job.client.answer = REFUSED
    job.log()
    job.log()
    job.work(59)
    assert job.lines == []
    job.work(600)
    (line,) = job.lines
    assert line.startswith("Primus Lens: nothing has reached Lens at http://")
    assert "@lens.example/v1?*** for 60 s: nothing listens there. 2 metrics wait" in line
    assert "What to do: start Lens; `primus-lens-wandb check` helps" in line
    assert "let-me-in" not in line


def test_its_end_is_one_line_too(job: Job) -> None:
    fail_and_recover(job, REFUSED, 100)
    job.log()
    job.work(2)
    assert len(job.lines) == 2
    assert job.lines[1].endswith("takes metrics again, after 101 s")


def test_a_short_outage_is_not_worth_a_line(job: Job) -> None:
    fail_and_recover(job, REFUSED, 50)
    job.work(100)
    fail_and_recover(job, REFUSED, 50)
    assert job.lines == []


def test_what_comes_and_goes_is_said_once_in_an_hour(job: Job) -> None:
    for _ in range(3):
        fail_and_recover(job, WRONG)
    assert len(job.lines) == 2
    job.clock.now += 3600
    fail_and_recover(job, WRONG)
    assert len(job.lines) == 4


def test_what_only_a_person_can_mend_is_said_at_once(job: Job) -> None:
    fail_and_recover(job, WRONG)
    assert "nothing reaches Lens at" in job.lines[0]
    assert len(job.lines) == 2


def test_a_thread_that_would_sleep_long_wakes_to_say_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "backoff_s", lambda *_: 300.0)
    job.client.answer = REFUSED
    job.log()
    assert job.work() == 60.0
    job.clock.now += 60.0
    assert job.work() == 240.0
    assert len(job.lines) == 1


def test_the_time_for_which_requests_hang_counts(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(path: str, body: bytes, time_limit_s: float | None = None) -> Answer:
        job.clock.now += 30
        return REFUSED

    monkeypatch.setattr(job.client, "post", hang)
    job.log()
    job.work()
    job.clock.now += 1
    job.work()
    assert len(job.lines) == 1


def test_a_workload_that_lens_does_not_know_is_an_outage_with_its_own_advice(job: Job) -> None:
    job.client.answer = judge(400, {}, envelope(400, "no valid workload found"))
    job.log()
    job.work(61)
    (line,) = job.lines
    assert "HTTP 400 no valid workload found" in line
    assert "set WORKLOAD_UID to the uid of the workload in Lens" in line


def test_where_nothing_waits_nothing_is_missing(job: Job) -> None:
    job.client.answer = REFUSED
    job.log()
    job.work(50)
    job.client.answer = Answer(delivered=False, reason="refused for good")
    job.work(2)
    assert "refused for good" in job.lines.pop()
    job.work(100)
    job.client.answer = REFUSED
    job.log()
    job.work(50)
    assert not any("has reached" in line for line in job.lines)


def test_the_child_of_a_fork_does_not_repeat_what_its_parent_said(job: Job) -> None:
    job.client.answer = WRONG
    job.log()
    job.work()
    job.sink.reset_after_fork()
    job.log()
    job.work()
    assert len(job.lines) == 1


@pytest.mark.parametrize(
    ("data", "is_delivered"),
    [
        ('{"count": 3, "workloads_count": 1, "success_count": 1}', True),
        ('{"count": 3, "workloads_count": 2, "success_count": 2}', True),
        ('{"workloads_count": 2, "success_count": 1}', False),
        ('{"workloads_count": 1, "success_count": 0}', False),
        ('{"workloads_count": "2", "success_count": 1}', True),
        ("null", True),
        ("[]", True),
    ],
)
def test_what_was_stored_for_some_workloads_only_is_not_delivered(data: str, is_delivered: bool) -> None:
    answer = judge(200, {}, b'{"meta": {"code": 2000, "message": "OK"}, "data": %s}' % data.encode())
    assert answer.delivered == is_delivered
    assert not answer.retry
    if not is_delivered:
        assert "workloads only" in answer.reason
        assert "primus-lens-wandb sync" in answer.next_step
