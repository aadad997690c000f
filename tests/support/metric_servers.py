"""Real servers that take OTLP, started for a test: VictoriaMetrics, and Prometheus behind VictoriaMetrics' agent.

Debian's Prometheus has no OTLP receiver of its own. The binaries are found on the PATH, or in the folder that
PRIMUS_LENS_TEST_SERVERS names (`.ci/servers` fetches them).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests

_START_SECONDS = 60


class MetricServer:
    """What answers queries in Prometheus's way at ``url``, and takes OTLP at ``endpoint``."""

    def __init__(self, url: str, endpoint: str) -> None:
        self.url = url
        self.endpoint = endpoint

    def get(self, path: str, **parameters: Any) -> Any:
        answer = requests.get(self.url + path, params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def series(self, selector: str) -> list[dict[str, str]]:
        return list(self.get("/api/v1/series", **{"match[]": selector, "start": "0"}))

    def query(self, expression: str, at: float) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/query", query=expression, time=at)["result"])

    def samples(self, selector: str, at: float, range_s: int = 3600) -> list[dict[str, Any]]:
        """The raw samples of the last ``range_s`` seconds before ``at``: each as "metric" (labels) and "values"."""
        return self.query(f"{selector}[{range_s}s]", at)

    def wait_for(self, selector: str, count: int) -> None:
        """Waits until so many samples can be read: what was taken is shown some seconds later."""
        give_up = time.monotonic() + _START_SECONDS
        while True:
            at = time.time() + 60
            found = sum(len(series["values"]) for series in self.samples(selector, at))
            if found >= count:
                return
            assert time.monotonic() < give_up, f"{found} of {count} samples"
            time.sleep(0.2)


def find_server(name: str) -> str:
    """The path of the binary; skips the test where it is not installed."""
    folder = os.environ.get("PRIMUS_LENS_TEST_SERVERS", "")
    found = shutil.which(name, path=folder) if folder else None
    found = found or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: .ci/servers fetches it, PRIMUS_LENS_TEST_SERVERS says where it is")
    return found


@contextlib.contextmanager
def running_victoria_metrics(directory: Path) -> Iterator[MetricServer]:
    port = _free_port()
    command = [
        *(find_server("victoria-metrics"), f"-storageDataPath={directory / 'data'}", "-retentionPeriod=100y"),
        *(f"-httpListenAddr=127.0.0.1:{port}", "-opentelemetry.usePrometheusNaming"),
        # What was taken is visible at once, as far as that goes.
        *("-search.latencyOffset=0s", "-inmemoryDataFlushInterval=1s"),
    ]
    with _running(command, directory / "victoria-metrics.log", f"http://127.0.0.1:{port}/health"):
        url = f"http://127.0.0.1:{port}"
        yield MetricServer(url, url + "/opentelemetry/v1/metrics")


@contextlib.contextmanager
def running_prometheus(directory: Path) -> Iterator[MetricServer]:
    """Prometheus, which gets what VictoriaMetrics' agent takes by OTLP."""
    port, agent_port = _free_port(), _free_port()
    config = directory / "prometheus.yml"
    config.write_text("storage: {tsdb: {out_of_order_time_window: 1d}}\n")
    url = f"http://127.0.0.1:{port}"
    prometheus = [
        *(find_server("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
    ]
    agent = [
        *(find_server("vmagent"), f"-httpListenAddr=127.0.0.1:{agent_port}", "-opentelemetry.usePrometheusNaming"),
        *(f"-remoteWrite.url={url}/api/v1/write", f"-remoteWrite.tmpDataPath={directory / 'agent'}"),
        *("-remoteWrite.flushInterval=200ms", "-remoteWrite.forcePromProto"),
    ]
    agent_url = f"http://127.0.0.1:{agent_port}"
    with contextlib.ExitStack() as running:
        running.enter_context(_running(prometheus, directory / "prometheus.log", url + "/-/ready"))
        running.enter_context(_running(agent, directory / "vmagent.log", agent_url + "/health"))
        yield MetricServer(url, agent_url + "/opentelemetry/v1/metrics")


SERVERS = {"victoria-metrics": running_victoria_metrics, "prometheus": running_prometheus}


@contextlib.contextmanager
def _running(command: list[str], log: Path, health: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        give_up = time.monotonic() + _START_SECONDS
        while not _answers(health):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, f"{command[0]} does not start, see {log}"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
