"""A thousand jobs that start together do not arrive together. The senders are simulated in time, not in number."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Run
from primus_lens_wandb_exporter.sinks import sending
from primus_lens_wandb_exporter.sinks.answers import Answer
from primus_lens_wandb_exporter.sinks.lens_api import LensSink
from primus_lens_wandb_exporter.sinks.lens_client import LensClient

JOBS = 1000


class Clock:
    """Time of the simulation; each sender is turned at the moment for which it asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Client(LensClient):
    def __init__(self, clock: Clock, down_until: float) -> None:
        super().__init__("http://lens")
        self.clock, self.down_until = clock, down_until
        self.arrivals: list[float] = []

    def post(self, path: str, body: bytes, time_limit_s: float | None = None) -> Answer:
        self.arrivals.append(self.clock.now)
        return Answer(delivered=self.clock.now >= self.down_until, retry=True)


def simulate(monkeypatch: pytest.MonkeyPatch, down_until: float, until: float) -> list[float]:
    """Every job logs a step each second from the same moment on; returns when requests arrived."""
    clock = Clock()
    monkeypatch.setattr(sending.time, "monotonic", clock.monotonic)
    random.seed(1)
    clients = [Client(clock, down_until) for _ in range(JOBS)]
    sinks = [LensSink(client, 500, 1.0, 1e9) for client in clients]
    runs = [Run(f"r{job}", Identity("w"), Place(), "writer") for job in range(JOBS)]
    steps = [0] * JOBS
    queue: list[tuple[float, int, bool]] = [(0.0, job, True) for job in range(JOBS)]
    while queue:
        clock.now, job, logs = heapq.heappop(queue)
        if clock.now > until:
            break
        if logs:
            metrics: dict[str, Any] = {"a": 1}
            sinks[job].accept([MetricsRecord(runs[job], steps[job], steps[job], clock.now, metrics, metrics)])
            steps[job] += 1
            heapq.heappush(queue, (clock.now + 1.0, job, True))
        delay = sinks[job].work(urgent=False)
        if delay is not None:
            heapq.heappush(queue, (clock.now + max(delay, 0.001), job, False))
    assert down_until > until or all(sink.pending() <= 3 for sink in sinks)
    return sorted(time for client in clients for time in client.arrivals)


def busiest_share(arrivals: list[float], since: float, until: float, window: float) -> float:
    """The largest share of a period's requests that arrived within one window."""
    times = [time for time in arrivals if since <= time < until]
    assert len(times) > JOBS
    most = max(sum(1 for time in times if start <= time < start + window) for start in times[:: len(times) // 200])
    return most / len(times)


def test_requests_of_jobs_in_step_spread_over_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = simulate(monkeypatch, down_until=0.0, until=20.0)
    # Together they would put a tenth of ten seconds' requests, those of a whole second, into one twentieth of a second.
    assert busiest_share(arrivals, 5.0, 15.0, window=0.05) < 0.03


def test_after_an_outage_jobs_do_not_come_back_together(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = simulate(monkeypatch, down_until=40.0, until=70.0)
    first_second = sum(1 for time in arrivals if 40.0 <= time < 41.0)
    assert first_second < JOBS / 4
    # What a job could not send has become few requests.
    assert sum(1 for time in arrivals if 40.0 <= time < 70.0) < JOBS * 35
    # While Lens is away each job asks about every 15 s: half of the longest backoff.
    asked = sum(1 for time in arrivals if 20.0 <= time < 40.0)
    assert asked < JOBS * 20 / 15 * 2.5
