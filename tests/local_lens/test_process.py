"""`primus-lens-local` as a real process: start, stop, errors, durability, many senders."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any, Callable

import pytest

from .conftest import LensProcess, run_cli

StartLens = Callable[..., LensProcess]


def post_steps(port: int, run: str, steps: range, metrics: int = 5) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for step in steps:
        values = [{"name": f"m{i}", "value": step + i, "step": step, "timestamp": 1.0} for i in range(metrics)]
        body = {"source": "wandb", "workload_uid": "w", "run_id": run, "metrics": values}
        connection.request("POST", "/api/v1/wandb/metrics", json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


def get(lens: LensProcess, path: str) -> Any:
    with urllib.request.urlopen(f"{lens.url}/api/v1{path}", timeout=20) as response:
        return json.load(response)


def failure(*arguments: str, **environment: str) -> str:
    process = run_cli(*arguments, **environment)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (1, "")
    assert len(errors.splitlines()) == 1, errors
    return errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_announces_itself_and_ends_cleanly_on_a_signal(
    tmp_path: Path, start_lens: StartLens, number: signal.Signals
) -> None:
    lens = start_lens(tmp_path / "missing folder" / "lens.db")
    assert lens.announcement == f"Primus Lens (local) is listening on http://127.0.0.1:{lens.port}\n"
    post_steps(lens.port, "r", range(1))
    lens.process.send_signal(number)
    output, errors = lens.process.communicate(timeout=20)
    assert (output, len(errors.splitlines())) == ("", 1)
    assert lens.process.returncode == 0


def test_acknowledged_steps_survive_kill_and_restart(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db")
    post_steps(lens.port, "r", range(50))
    lens.process.kill()
    lens.process.wait()
    again = start_lens(tmp_path / "lens.db")
    assert get(again, "/workloads/w/metrics/data?metrics=m1")["total_count"] == 50


def test_many_senders_at_once_lose_and_mix_nothing(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db")
    senders = [threading.Thread(target=post_steps, args=(lens.port, f"r{i}", range(20))) for i in range(32)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    points = get(lens, "/workloads/w/metrics/data")["data"]
    assert len(points) == 32 * 20 * 5
    assert all(point["value"] == point["iteration"] + int(point["metric_name"][1:]) for point in points)
    assert {run["step_count"] for run in get(lens, "/workloads/w/runs")["runs"]} == {20}


def test_senders_of_the_same_step_merge(tmp_path: Path, start_lens: StartLens) -> None:
    lens = start_lens(tmp_path / "lens.db")

    def post_one_metric(name: str) -> None:
        body = {"workload_uid": "w", "metrics": [{"name": name, "value": step, "step": step} for step in range(20)]}
        request = urllib.request.Request(f"{lens.url}/api/v1/wandb/metrics", json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=20).close()

    senders = [threading.Thread(target=post_one_metric, args=(f"rank{i}",)) for i in range(16)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert {metric["count"] for metric in get(lens, "/workloads/w/metrics/available")["metrics"]} == {20}
    assert get(lens, "/workloads/w/metrics/sources")["data_sources"] == [{"name": "", "count": 20}]


def test_the_default_database_is_in_the_users_data_folder(tmp_path: Path, start_lens: StartLens) -> None:
    start_lens(None, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"))
    assert list(tmp_path.rglob("lens.db"))


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        errors = failure("serve", "--port", port, "--database", str(tmp_path / "lens.db"))
    assert f"127.0.0.1:{port}" in errors
    assert "in use" in errors
    assert "--port" in errors


def test_an_address_of_another_machine_is_one_clear_line(tmp_path: Path) -> None:
    errors = failure("serve", "--host", "192.0.2.1", "--port", "0", "--database", str(tmp_path / "lens.db"))
    assert "192.0.2.1" in errors


@pytest.mark.parametrize(
    "location", ["{tmp}", "{tmp}/file/lens.db", "{tmp}/file", "postgresql+psycopg://x/y", "sqlite://", "a://"]
)
def test_an_unusable_database_is_one_clear_line(tmp_path: Path, location: str) -> None:
    (tmp_path / "file").write_text("this is no database, and it is long enough to be told from an empty one" * 20)
    location = location.format(tmp=tmp_path)
    errors = failure("serve", "--port", "0", "--database", location)
    assert location in errors
    assert "--database" in errors


def test_a_missing_extra_is_explained(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text("raise ImportError('No module named sqlalchemy')")
    source = Path(__file__).resolve().parents[2] / "src"
    errors = failure("serve", PYTHONPATH=f"{tmp_path}:{source}")
    assert 'pip install "primus-lens-wandb-exporter[local]"' in errors


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help")])
def test_help_is_help(arguments: tuple[str, ...]) -> None:
    process = run_cli(*arguments)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "serve" in output


@pytest.mark.parametrize("arguments", [(), ("serve", "--port", "http"), ("serve", "--port", "65536")])
def test_a_wrong_argument_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    process = run_cli(*arguments)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "usage:" in errors
