"""The real local Lens as a process of its own, and questions to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import requests


class Lens:
    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = url + "/api/v1"

    def get(self, path: str, **parameters: Any) -> Any:
        answer = requests.get(self.base_url + path, params=parameters, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def points(self, workload: str, run_id: str | None = None) -> list[dict[str, Any]]:
        parameters = {"data_source": "wandb", "metrics": "all"}
        if run_id is not None:
            parameters["run_id"] = run_id
        return list(self.get(f"/workloads/{workload}/metrics/data", **parameters)["data"])

    def scalars(self, workload: str, run_id: str | None = None) -> dict[tuple[int, str], float]:
        points = self.points(workload, run_id)
        found = {(point["iteration"], point["metric_name"]): point["value"] for point in points}
        assert len(found) == len(points), "Lens holds a metric of a step more than once"
        return found


@contextlib.contextmanager
def running_lens(directory: Path, port: int = 0, *options: str) -> Iterator[Lens]:
    """Starts ``primus-lens-local serve`` on a free port with its database in ``directory``."""
    log = (directory / "lens.log").open("ab")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "primus_lens_local",
            "serve",
            "--port",
            str(port),
            "--database",
            str(directory / "lens.db"),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "listening on http://" in line, f"the local Lens did not start: {line!r}, see {log.name}"
        yield Lens("http://" + line.split("http://")[1].strip())
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()
