"""A real server with limits of its own, raw connections to it, and a workload that is large at once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from primus_lens_local.database import open_database
from primus_lens_local.tables import MetricSummary, RunSummary, TrainingPerformance

from .conftest import SOURCE_FOLDER, LensProcess

START = """
import sys
from primus_lens_local import limits
vars(limits).update({limits!r})
from primus_lens_local.cli import main
sys.exit(main())
"""


class LimitedLens(LensProcess):
    """The real command, with some of its limits changed before it starts."""

    def __init__(self, database: Path | str, open_files: int = 0, **limits: float) -> None:
        limit = ["prlimit", f"--nofile={open_files}"] if open_files else []
        self.process = subprocess.Popen(
            [
                *limit,
                sys.executable,
                "-c",
                START.format(limits=limits),
                "serve",
                "--no-token",
                "--port=0",
                f"--database={database}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)},
        )
        assert self.process.stdout is not None
        self.announcement = self.process.stdout.readline()
        self.url = self.announcement.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def connect(self, sent: bytes = b"", timeout: float = 30.0, receive_buffer: int = 0) -> socket.socket:
        """Open a connection and send something."""
        connection = socket.socket()
        connection.settimeout(timeout)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection

    def say(self, *parts: bytes) -> tuple[int, dict[str, Any]]:
        """Send parts as far as the server takes them; return status and JSON of the answer to the end."""
        connection = self.connect()
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:
            pass  # refused while it is sent: the answer is there
        return parsed(read_to_end(connection))

    def memory_mb(self, which: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{which}:")[1].split()[0]) / 1024

    def sockets(self) -> int:
        found = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += os.readlink(file).startswith("socket:")
        return found

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_to_end(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes, or resets."""
    received = b""
    try:
        chunk = connection.recv(65536)
        while chunk:
            received += chunk
            chunk = connection.recv(65536)
    except ConnectionError:
        pass
    connection.close()
    return received


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def seed_workload(database: Path | str, uid: str, steps: int, metrics: int, runs: int = 1) -> None:
    """Write a workload past the server: `steps` of each run, `metrics` each, with the step as the value."""
    names = [f"train/metric_{index}" for index in range(metrics)]
    engine = open_database(str(database))
    with engine.begin() as connection:
        for run in (f"r{number}" for number in range(runs)):
            key = {"workload_uid": uid, "run_id": run, "data_source": "wandb"}
            times = {"first_time_ms": 0, "last_time_ms": 0}
            bounds = {"first_iteration": 0, "last_iteration": steps - 1, "longest_step_ms": 0, "step_count": steps}
            summary = connection.execute(insert(RunSummary).values(**key, **bounds, **times))
            assert summary.inserted_primary_key
            counts = [
                {"run_summary_id": summary.inserted_primary_key[0], "name_key": name, "name": name, "step_count": steps}
                for name in names
            ]
            connection.execute(insert(MetricSummary), counts)
            times_ms = dict.fromkeys(names, 0)
            for first in range(0, steps, 10_000):
                rows = [
                    {
                        **key,
                        **times,
                        "iteration": step,
                        "pod_uuid": "p",
                        "performance": {**dict.fromkeys(names, float(step)), "run_id": run},
                        "times_ms": times_ms,
                    }
                    for step in range(first, min(first + 10_000, steps))
                ]
                connection.execute(insert(TrainingPerformance), rows)
    engine.dispose()
