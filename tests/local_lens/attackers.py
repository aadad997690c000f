"""Everything that could take the local Lens' memory, at once, until the time is over. Prints "attacking", then counts.

`python -m tests.local_lens.attackers PORT SECONDS`
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
import time
from typing import Callable

import requests

ALL_POINTS = "/workloads/million/metrics/data?metrics=all"
POST = "POST /api/v1/wandb/{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
BODY_BYTES = 4 * 2**20


class Attack:
    """Threads that each do one thing again and again."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.ends_at = time.monotonic() + seconds
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
        with self._connected(b"GET /health HTTP/1.1\r\n") as connection:
            for number in range(64):
                connection.sendall(b"X-%d: " % number + b"a" * 2**20 + b"\r\n")

    def half_heads(self) -> None:
        self._hold(b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000, 400)

    def unfinished_bodies(self) -> None:
        self._hold(POST.format("metrics", BODY_BYTES).encode() + b"[" + b" " * (BODY_BYTES - 10), 50)

    def pathological_bodies(self) -> None:
        for body in (b"[]," * (BODY_BYTES // 3), b"[" * BODY_BYTES, b"1" * BODY_BYTES, b'"' + b"\\ud800" * 600_000):
            requests.post(f"{self.url}/api/v1/wandb/logs", data=body[:BODY_BYTES], timeout=60)

    def many_names(self) -> None:
        names = [f"name {time.monotonic_ns()} {index}" for index in range(5000)]
        metrics = [{"name": name, "value": 1, "step": 1} for name in names]
        requests.post(f"{self.url}/api/v1/wandb/metrics", json={"workload_uid": "n", "metrics": metrics}, timeout=60)

    def never_read(self) -> None:
        self._hold(f"GET /v1{ALL_POINTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 40, receive_buffer=4096)

    def read_all(self) -> None:
        prefix = random.choice(("/api/v1", "/v1"))
        with requests.get(f"{self.url}{prefix}{ALL_POINTS}", stream=True, timeout=60) as answer:
            if answer.status_code == 200:
                for chunk in answer.iter_content(2**20):
                    self.counts["bytes read"] = self.counts.get("bytes read", 0) + len(chunk)
                    if time.monotonic() > self.ends_at:
                        return

    def _hold(self, sent: bytes, count: int, receive_buffer: int = 0) -> None:
        held: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(self._connected(sent, receive_buffer))
        time.sleep(2)
        for connection in held:
            connection.close()

    def _connected(self, sent: bytes, receive_buffer: int = 0) -> socket.socket:
        connection = socket.socket()
        connection.settimeout(5)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection


def main() -> None:
    attack = Attack(int(sys.argv[1]), float(sys.argv[2]))
    attack.start(attack.endless_headers, 4)
    attack.start(attack.half_heads, 1)
    attack.start(attack.unfinished_bodies, 1)
    attack.start(attack.pathological_bodies, 2)
    attack.start(attack.many_names, 2)
    attack.start(attack.never_read, 1)
    attack.start(attack.read_all, 4)
    print("attacking", flush=True)
    attack.join()
    print(json.dumps(attack.counts))


if __name__ == "__main__":
    main()
