"""What one client, a browser's other tabs or a full disk may not do to the others."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests

from primus_lens_local.guards import is_local_host

from .conftest import LensProcess
from .test_process import get, post_steps

StartLens = Callable[..., LensProcess]


def test_slow_senders_and_readers_keep_nobody_waiting(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db")
    for part in range(5):
        steps = range(part * 100, part * 100 + 100)
        metrics = [{"name": f"m{i}", "value": 0.1, "step": step} for step in steps for i in range(100)]
        big = {"source": "wandb", "workload_uid": "w", "run_id": "big", "metrics": metrics}
        assert requests.post(f"{lens.url}/api/v1/wandb/metrics", json=big, timeout=60).status_code == 200
    slow = []
    for kind in range(150):
        connection = socket.create_connection(("127.0.0.1", lens.port))
        slow.append(connection)
        if kind % 3 == 0:
            connection.sendall(b"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: x\r\nX-Slo")
        elif kind % 3 == 1:
            connection.sendall(b"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        elif kind < 30:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /api/v1/workloads/w/metrics/data HTTP/1.1\r\nHost: x\r\n\r\n")
    deadline = time.monotonic() + 60
    waits: list[float] = []
    while len(waits) < 20 or max(waits[-20:]) > 0.5:
        assert time.monotonic() < deadline, waits[-20:]
        began = time.monotonic()
        step = len(waits)
        post_steps(lens.port, "r", range(step, step + 1))
        assert get(lens, "/workloads/w/metrics/data?run_id=r&metrics=m1")["total_count"] == step + 1
        waits.append(time.monotonic() - began)
    for connection in slow:
        connection.close()


@pytest.fixture(params=["full disk", "file size limit"])
def nearly_full(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[LensProcess], Callable[[], None]]]:
    """Returns what limits a server's space; that returns what gives it room again."""
    if request.param == "full disk":
        disk = tmp_path / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small disk needs root")

        def make_room() -> None:
            subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)

        yield lambda lens: make_room
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    else:

        def limit(lens: LensProcess, size: int) -> None:
            resource.prlimit(lens.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        def limited(lens: LensProcess) -> Callable[[], None]:
            limit(lens, 700_000)
            return lambda: limit(lens, resource.RLIM_INFINITY)

        yield limited


def test_a_full_disk_answers_500_and_loses_nothing(
    tmp_path: Path, start_lens: StartLens, nearly_full: Callable[[LensProcess], Callable[[], None]]
) -> None:
    (tmp_path / "disk").mkdir(exist_ok=True)
    lens = start_lens(tmp_path / "disk" / "lens.db")
    make_room = nearly_full(lens)
    url = f"{lens.url}/api/v1/wandb/metrics"
    acknowledged, refused = [], 0
    for step in range(3000):
        metrics = [{"name": f"m{i}", "value": step, "step": step} for i in range(100)]
        answer = requests.post(url, json={"workload_uid": "w", "run_id": "r", "metrics": metrics}, timeout=20)
        if answer.status_code == 200:
            acknowledged.append(step)
        else:
            assert (answer.status_code, answer.json()["meta"]["message"]) == (500, "failed to process metrics")
            refused += 1
            if refused == 5:
                break
    assert refused == 5
    assert acknowledged
    found = get(lens, "/workloads/w/metrics/data?metrics=m99")["data"]
    assert [point["iteration"] for point in found] == acknowledged
    make_room()
    assert requests.post(url, json={"workload_uid": "w", "metrics": [{"name": "m99"}]}, timeout=20).status_code == 200
    lens.process.kill()
    lens.process.wait()
    again = start_lens(tmp_path / "disk" / "lens.db")
    found = get(again, "/workloads/w/metrics/data?metrics=m99&run_id=r")["data"]
    assert [point["iteration"] for point in found] == acknowledged
    again.process.send_signal(signal.SIGTERM)
    again.process.wait()


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("10.1.2.3", True),
        ("my-laptop:8080", True),
        ("lens.localhost", True),
        ("host.docker.internal:8080", True),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example.", False),
    ],
)
def test_a_name_that_somebody_else_can_own_is_not_local(host: str, is_local: bool) -> None:
    assert is_local_host(host) is is_local


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:{port}", "Host": "localhost:{port}"}, 200),
    ],
    ids=["program", "rebinding", "other site", "sandboxed site", "own page"],
)
def test_another_site_in_the_browser_is_refused(
    tmp_path: Path, start_lens: StartLens, headers: dict[str, str], status: int
) -> None:
    lens = start_lens(tmp_path / "lens.db")
    headers = {name: value.format(port=lens.port) for name, value in headers.items()}
    body = json.dumps({"workload_uid": "w", "metrics": [{"name": "a"}]})
    sent: dict[str, Any] = {"data": body, "headers": {**headers, "Content-Type": "text/plain"}}
    assert requests.post(f"{lens.url}/api/v1/wandb/metrics", timeout=20, **sent).status_code == status
    assert requests.get(f"{lens.url}/api/v1/workloads", timeout=20, headers=headers).status_code == status
