"""A server that comes and goes loses nothing: only a request that fails among others that arrive is given up."""

from __future__ import annotations

import json
from typing import Callable, Iterator

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Run
from primus_lens_wandb_exporter.sinks import sending
from primus_lens_wandb_exporter.sinks.answers import Answer
from primus_lens_wandb_exporter.sinks.lens_api import LensSink
from primus_lens_wandb_exporter.sinks.lens_client import LensClient

RUN = Run("r", Identity("w"), Place(), "writer")
OK = Answer(delivered=True)
# Lens whose database is away answers 500; so does a proxy with 403 while somebody must log in.
FAILED = Answer(delivered=False, retry=True, failed_on_request=True, reason="HTTP 500 failed to process metrics")


class ScriptedClient(LensClient):
    def __init__(self, answer: Callable[[int], Answer]) -> None:
        super().__init__("http://127.0.0.1:9/api/v1")
        self._answer = answer
        self.taken: list[int] = []
        self.asked = 0

    def post(self, path: str, body: bytes, time_limit_s: float | None = None) -> Answer:
        step = json.loads(body)["metrics"][0]["step"]
        answer = self._answer(step)
        self.asked += 1
        if answer.delivered:
            self.taken.append(step)
        return answer


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "backoff_s", lambda *_: 0.0)


def sink_with_requests(client: LensClient, count: int) -> LensSink:
    sink = LensSink(client, 1, 0.0, 1e9)
    sink.accept([MetricsRecord(RUN, step, step, 1.7e9, {"a": step}, {"a": step}) for step in range(count)])
    return sink


def test_a_moment_of_health_in_a_long_outage_costs_no_request() -> None:
    answers: Iterator[Answer] = iter([*[FAILED] * 100, OK, *[FAILED] * 100, OK, *[FAILED] * 100])
    client = ScriptedClient(lambda _step: next(answers, OK))
    sink = sink_with_requests(client, 10)
    while sink.work_left() and client.asked < 1000:
        sink.work(urgent=True)
    assert (sorted(client.taken), sink.rejected) == (list(range(10)), 0)


def test_a_request_that_fails_whenever_others_arrive_is_given_up() -> None:
    client = ScriptedClient(lambda step: FAILED if step == 3 else OK)
    sink = sink_with_requests(client, 4)
    later = 4
    while sink.work_left() and client.asked < 1000:
        sink.work(urgent=True)
        if not sink.rejected and sink.pending() == 1:
            sink.accept([MetricsRecord(RUN, later, later, 1.7e9, {"a": later}, {"a": later})])
            later += 1
    assert sink.rejected == 1
    assert sorted(client.taken) == [step for step in range(later) if step != 3]
