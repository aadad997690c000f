"""`primus-lens-wandb check` where metrics would not arrive: it says so, and `--strict` fails."""

from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

from primus_lens_wandb_exporter import settings
from primus_lens_wandb_exporter.commands import check_destinations
from primus_lens_wandb_exporter.commands.pod_name import doubt_hostname
from primus_lens_wandb_exporter.commands.report import Report

from ..support.stand_in_lens import StandInLens, enveloped, running_stand_in, sources
from .conftest import MakeEnvironment
from .environments import PythonEnvironment, Result

WELL = {"WORKLOAD_UID": "w-1"}
TOKEN = "-".join(["the", "token", "of", "this", "test"])


@pytest.fixture
def stock_lens() -> Iterator[StandInLens]:
    with running_stand_in(StandInLens("/v1", enveloped(sources("wandb")))) as lens:
        yield lens


def check(environment: PythonEnvironment, address: str, *arguments: str, **variables: str) -> Result:
    return environment.cli("check", "--strict", *arguments, PRIMUS_LENS_API_BASE_URL=address, **{**WELL, **variables})


def test_a_stock_lens_is_well_and_named_with_its_generation(
    installed: PythonEnvironment, stock_lens: StandInLens
) -> None:
    result = check(installed, stock_lens.base_url)
    assert result.returncode == 0, result.stdout
    assert f"✓ Lens at {stock_lens.base_url} answers\n" in result.stdout
    assert "✓ workload w-1 is known to this Lens (prefix /v1, queries are answered in the envelope" in result.stdout


def test_the_guides_lens_is_named_with_its_generation(installed: PythonEnvironment) -> None:
    with running_stand_in(StandInLens("/api/v1", sources("wandb"))) as lens:
        result = check(installed, lens.base_url)
    assert result.returncode == 0, result.stdout
    assert "✓ workload w-1 is known to this Lens (prefix /api/v1, queries are answered bare" in result.stdout


@pytest.mark.parametrize("path", ["", "/api/v1"])
def test_a_lens_under_another_prefix_is_a_warning_that_names_it(
    installed: PythonEnvironment, stock_lens: StandInLens, path: str
) -> None:
    result = check(installed, stock_lens.url + path)
    assert result.returncode == 1
    assert f"! Lens is not at {stock_lens.url}{path} (HTTP 404" in result.stdout
    assert f"→ run: export PRIMUS_LENS_API_BASE_URL={stock_lens.base_url}\n" in result.stdout


def test_a_command_to_run_never_has_a_part_of_the_address_left_out(
    installed: PythonEnvironment, stock_lens: StandInLens
) -> None:
    result = check(installed, stock_lens.url + "/api/v1?key=" + TOKEN)
    assert result.returncode == 1
    assert "→ give PRIMUS_LENS_API_BASE_URL the path /v1\n" in result.stdout
    assert TOKEN not in result.stdout


def test_an_address_keeps_its_query(installed: PythonEnvironment, stock_lens: StandInLens) -> None:
    result = check(installed, stock_lens.base_url + "?cluster=one")
    assert result.returncode == 0, result.stdout
    assert {path for _, path, _ in stock_lens.requests} == {
        "/v1/wandb/metrics?cluster=one",
        "/v1/workloads/w-1/metrics/sources?cluster=one",
    }


class _Anything(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


def test_any_web_server_is_a_failure_that_only_strict_counts(installed: PythonEnvironment) -> None:
    with HTTPServer(("127.0.0.1", 0), _Anything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/api/v1"
        result = check(installed, address)
        usual = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address, **WELL)
        server.shutdown()
    assert result.returncode == 1
    assert f"✗ Lens at {address}: HTTP 200 with a web page, which is not an answer of Lens" in result.stdout
    assert "The hook is active; 1 failure(s), 0 warning(s)." in result.stdout
    assert usual.returncode == 0


def test_a_token_is_told_to_be_missing_taken_or_not_asked_for(
    installed: PythonEnvironment, stock_lens: StandInLens
) -> None:
    with running_stand_in(StandInLens("/v1", enveloped(sources("wandb")), TOKEN)) as lens:
        without = check(installed, lens.base_url)
        wrong = check(installed, lens.base_url, PRIMUS_LENS_API_TOKEN="wrong")
        right = check(installed, lens.base_url, PRIMUS_LENS_API_TOKEN=TOKEN)
        by_another_prefix = check(installed, lens.url + "/api/v1")
    assert f"✗ Lens at {lens.base_url}: HTTP 401" in by_another_prefix.stdout
    for refused in (without, wrong):
        assert refused.returncode == 1
        assert f"✗ Lens at {lens.base_url}: HTTP 401" in refused.stdout
        assert "→ set PRIMUS_LENS_API_TOKEN to the token of this Lens" in refused.stdout
    assert right.returncode == 0, right.stdout
    assert f"✓ Lens at {lens.base_url} answers and takes the token\n" in right.stdout
    unneeded = check(installed, stock_lens.base_url, PRIMUS_LENS_API_TOKEN=TOKEN)
    assert f"✓ Lens at {stock_lens.base_url} answers, and asks for no token" in unneeded.stdout
    assert TOKEN not in right.stdout + unneeded.stdout


class _Echo(_Anything):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"you said " + self.headers["Authorization"].encode())


def test_a_server_that_says_back_what_it_was_sent_tells_nobody_the_token(installed: PythonEnvironment) -> None:
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = check(installed, f"http://127.0.0.1:{server.server_port}/v1", PRIMUS_LENS_API_TOKEN=TOKEN)
        server.shutdown()
    assert "you said Bearer ***" in result.stdout
    assert TOKEN not in result.stdout


def test_missing_requests_is_a_failure(make_environment: MakeEnvironment, stand_ins: Path, wheel: Path) -> None:
    environment = make_environment(stand_ins)
    environment.install_quickly(wheel)
    # As after `pip install --no-deps`.
    (environment.site_packages / "requests.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'requests'\")\n"
    )
    result = check(environment, "http://127.0.0.1:9/v1")
    assert result.returncode == 1
    assert "✗ requests cannot be imported, so nothing can be sent: ModuleNotFoundError" in result.stdout
    assert f"→ run: {environment.python} -m pip install --upgrade requests" in result.stdout
    assert "✗ Lens cannot be asked" in result.stdout


@pytest.mark.parametrize(
    ("query", "fact", "status"),
    [
        (enveloped(None, 4004, "workload w-1 not found in any cluster"), "! workload w-1 is not known to this Lens", 1),
        (enveloped(None, 5000, "no"), "– WORKLOAD_UID=w-1 cannot be verified here (prefix /v1): the query was", 0),
        (sources(), "– workload w-1 has no metrics in this Lens yet", 0),
        ({"anything": 1}, "– WORKLOAD_UID=w-1 cannot be verified here (prefix /v1): queries are answered in a form", 0),
        ([], "– WORKLOAD_UID=w-1 cannot be verified here (prefix /v1): queries are answered with HTTP 200", 0),
        (None, "– WORKLOAD_UID=w-1 cannot be verified here (prefix /v1): queries are answered with HTTP 404", 0),
    ],
)
def test_a_workload_is_verified_where_queries_are_answered(
    installed: PythonEnvironment, query: Any, fact: str, status: int
) -> None:
    with running_stand_in(StandInLens("/v1", query)) as lens:
        result = check(installed, lens.base_url)
    assert fact in result.stdout
    assert "→ compare" in result.stdout.split(fact)[1]
    assert result.returncode == status


def test_without_an_address_the_known_ones_are_asked_without_the_token(
    stock_lens: StandInLens, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_destinations, "KNOWN_ADDRESSES", ("http://127.0.0.1:9/api/v1", stock_lens.base_url))
    monkeypatch.delenv("PRIMUS_LENS_API_BASE_URL", raising=False)
    monkeypatch.setenv("PRIMUS_LENS_API_TOKEN", TOKEN)
    report = Report()
    check_destinations.report_lens(report, settings.read_settings(), "w-1")
    printed = capsys.readouterr().out
    assert f"✓ Lens at {stock_lens.base_url} answers\n" in printed
    assert "first known address" in printed
    assert (report.warnings, report.failures) == (0, 0)
    assert stock_lens.requests
    assert {token for _, _, token in stock_lens.requests} == {""}

    monkeypatch.setattr(check_destinations, "KNOWN_ADDRESSES", ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/api/v1"))
    check_destinations.report_lens(report, settings.read_settings(), "w-1")
    printed = capsys.readouterr().out
    assert (report.warnings, report.failures) == (1, 0)
    assert "http://127.0.0.1:9/v1: nothing listens there" in printed
    assert "http://127.0.0.1:9/api/v1: nothing listens there" in printed
    assert "PRIMUS_LENS_API_TOKEN is not sent there" in printed
    assert "→ run: export PRIMUS_LENS_API_BASE_URL=" in printed


def test_the_hostname_of_a_node_is_a_warning_unless_the_workload_is_named(
    installed: PythonEnvironment, stock_lens: StandInLens
) -> None:
    in_pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "NODE_NAME": socket.gethostname()}
    result = check(installed, stock_lens.base_url, **in_pod, WORKLOAD_UID="")
    assert result.returncode == 1
    fact = f"! hostname {socket.gethostname()} is no name of a pod: it is the node's (NODE_NAME)"
    assert fact in result.stdout
    assert "→ set POD_NAME from the field metadata.name of the pod" in result.stdout.split(fact)[1]
    assert check(installed, stock_lens.base_url, **in_pod).returncode == 0
    named = check(installed, stock_lens.base_url, **in_pod, WORKLOAD_UID="", POD_NAME="train-0")
    assert "is no name of a pod" not in named.stdout


@pytest.mark.parametrize(
    ("hostname", "environ", "hosts", "doubt"),
    [
        ("train-0-x7k2p", {}, "# Kubernetes-managed hosts file.\n127.0.0.1 localhost\n", ""),
        ("train.example", {"POD_IP": "10.0.0.7", "HOST_IP": "10.0.0.1"}, None, ""),
        ("node-7", {}, "# Kubernetes-managed hosts file (host network).\n", "host's network"),
        ("node-7", {"MY_NODE_NAME": "node-7"}, None, "the node's (MY_NODE_NAME)"),
        ("node-7", {"POD_IP": "10.0.0.1", "HOST_IP": "10.0.0.1"}, None, "host's network"),
        ("node-7", {"POD_IP": "", "HOST_IP": ""}, None, ""),
        ("train-3", {"JOB_COMPLETION_INDEX": "3"}, None, "indexed Job"),
        ("a" * 63, {}, None, "cuts hostnames at 63"),
        ("a" * 62, {}, None, ""),
        ("My_Host", {}, None, "no pod can have this name"),
    ],
)
def test_what_speaks_against_a_hostname_as_the_name_of_a_pod(
    tmp_path: Path, hostname: str, environ: dict[str, str], hosts: str | None, doubt: str
) -> None:
    file = tmp_path / "hosts"
    if hosts is not None:
        file.write_text(hosts)
    found = doubt_hostname(hostname, environ, os.fspath(file))
    assert (doubt in found) if doubt else not found
