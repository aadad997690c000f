"""Everything that could take the server's memory, at once, from real connections: it stays small, and honest."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
import requests

from .limited import LimitedLens, seed_workload

MOST_MEMORY_MB = 400
ATTACK_SECONDS = 15.0
ALL_POINTS = "/api/v1/workloads/million/metrics/data?metrics=all"
POST = "POST /api/v1/wandb/{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
BODY_BYTES = 4 * 2**20


@pytest.fixture
def lens(tmp_path: Path) -> Iterator[LimitedLens]:
    seed_workload(tmp_path / "lens.db", "million", steps=100_000, metrics=10)
    lens = LimitedLens(tmp_path / "lens.db")
    yield lens
    lens.process.terminate()
    output = lens.process.communicate(timeout=30)
    print(output[1][-3000:])
    assert output == ("", "")


class Attack:
    """Threads that each do one thing again and again."""

    def __init__(self, lens: LimitedLens) -> None:
        self.lens = lens
        self.ends_at = time.monotonic() + ATTACK_SECONDS
        self.counts: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    def start(self, act: Callable[[], None], threads: int) -> None:
        name = act.__name__

        def repeat() -> None:
            while time.monotonic() < self.ends_at:
                with contextlib.suppress(OSError, requests.RequestException):
                    act()
                self.counts[name] = self.counts.get(name, 0) + 1

        for _ in range(threads):
            self._threads.append(threading.Thread(target=repeat, daemon=True))
            self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def endless_headers(self) -> None:
        with self.lens.connect(b"GET /health HTTP/1.1\r\n", timeout=5) as connection:
            for number in range(64):
                connection.sendall(b"X-%d: " % number + b"a" * 2**20 + b"\r\n")

    def half_heads(self) -> None:
        self._hold(b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000, 400)

    def unfinished_bodies(self) -> None:
        self._hold(POST.format("metrics", BODY_BYTES).encode() + b"[" + b" " * (BODY_BYTES - 10), 50)

    def pathological_bodies(self) -> None:
        for body in (b"[]," * (BODY_BYTES // 3), b"[" * BODY_BYTES, b"1" * BODY_BYTES, b'"' + b"\\ud800" * 600_000):
            requests.post(f"{self.lens.url}/api/v1/wandb/logs", data=body[:BODY_BYTES], timeout=60)

    def many_names(self) -> None:
        names = [f"name {time.monotonic_ns()} {index}" for index in range(5000)]
        metrics = [{"name": name, "value": 1, "step": 1} for name in names]
        requests.post(
            f"{self.lens.url}/api/v1/wandb/metrics", json={"workload_uid": "n", "metrics": metrics}, timeout=60
        )

    def never_read(self) -> None:
        self._hold(f"GET {ALL_POINTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 40, receive_buffer=4096)

    def read_all(self) -> None:
        with requests.get(self.lens.url + ALL_POINTS, stream=True, timeout=60) as answer:
            if answer.status_code == 200:
                for chunk in answer.iter_content(2**20):
                    self.counts["bytes read"] = self.counts.get("bytes read", 0) + len(chunk)
                    if time.monotonic() > self.ends_at:
                        return

    def _hold(self, sent: bytes, count: int, receive_buffer: int = 0) -> None:
        held: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(self.lens.connect(sent, timeout=5, receive_buffer=receive_buffer))
        time.sleep(2)
        for connection in held:
            connection.close()


def exporter(lens: LimitedLens, run: str, taken: list[int], waits: list[float], ends_at: float) -> None:
    """Send full requests one after the other, and again what is answered 503, as the exporter does."""
    step = 0
    with requests.Session() as session:
        while time.monotonic() < ends_at:
            values = [{"name": f"m{i}", "value": i, "step": step, "timestamp": 1.7e9, "tags": {}} for i in range(500)]
            body = {"source": "wandb", "workload_uid": "honest", "run_id": run, "metrics": values}
            began = time.monotonic()
            while True:
                answer = session.post(f"{lens.url}/api/v1/wandb/metrics", data=json.dumps(body), timeout=30)
                if answer.status_code != 503:
                    break
                time.sleep(float(answer.headers["Retry-After"]) / 4)
            assert answer.status_code == 200, answer.text
            waits.append(time.monotonic() - began)
            taken.append(step)
            step += 1
            time.sleep(0.05)


def test_memory_stays_small_and_honest_senders_are_served_under_every_attack_at_once(lens: LimitedLens) -> None:
    attack = Attack(lens)
    waits: list[float] = []
    beats: list[float] = []
    taken: dict[str, list[int]] = {f"r{number}": [] for number in range(4)}
    honest = [
        threading.Thread(target=exporter, args=(lens, run, steps, waits, attack.ends_at))
        for run, steps in taken.items()
    ]
    for thread in honest:
        thread.start()
    attack.start(attack.endless_headers, 4)
    attack.start(attack.half_heads, 1)
    attack.start(attack.unfinished_bodies, 1)
    attack.start(attack.pathological_bodies, 2)
    attack.start(attack.many_names, 2)
    attack.start(attack.never_read, 1)
    attack.start(attack.read_all, 4)
    while time.monotonic() < attack.ends_at:
        began = time.monotonic()
        assert requests.get(f"{lens.url}/health", timeout=30).ok
        beats.append(time.monotonic() - began)
        time.sleep(0.05)
    for thread in honest:
        thread.join(60)
        assert not thread.is_alive()
    attack.join()
    peak = lens.memory_mb("VmHWM")
    waits.sort()
    print(f"peak {peak:.0f} MB, after {lens.memory_mb():.0f} MB, {attack.counts}")
    print(f"honest: {len(waits)} requests, median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s")
    print(f"health: {len(beats)} answers, longest {max(beats):.2f} s")
    assert peak < MOST_MEMORY_MB
    assert attack.counts["bytes read"] > 10_000_000
    assert all(taken.values())
    for run, steps in taken.items():
        answer = requests.get(f"{lens.url}/api/v1/workloads/honest/metrics/data?run_id={run}&metrics=m7", timeout=60)
        assert [point["iteration"] for point in answer.json()["data"]] == steps
    names = requests.get(f"{lens.url}/api/v1/workloads/n/metrics/available", timeout=60).json()
    assert 0 < names["total_count"] <= 20_000
