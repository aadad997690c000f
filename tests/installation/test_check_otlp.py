"""`primus-lens-wandb check` asks the OTLP server where one is set, and says nothing of OpenTelemetry elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import pytest

from ..support import faults, otlp_receiver
from ..support.otlp_receiver import OtlpReceiver, running_receiver
from .conftest import MakeEnvironment
from .environments import PythonEnvironment

KEY = "-".join(["key", "of", "this", "test"])


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with running_receiver() as server:
        yield server


@pytest.fixture
def with_extra(make_environment: MakeEnvironment, all_libraries: Path, wheel: Path) -> PythonEnvironment:
    environment = make_environment(all_libraries)
    environment.install_quickly(wheel)
    return environment


def test_a_server_is_asked_with_its_headers_and_gets_no_point(
    with_extra: PythonEnvironment, receiver: OtlpReceiver
) -> None:
    variables = {
        "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "PRIMUS_LENS_WANDB_API_REPORTING": "false",
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}",
    }
    result = with_extra.cli("check", "--strict", **variables)
    assert result.returncode == 0, result.stdout
    fact = f"✓ OpenTelemetry at {receiver.endpoint} answers (PRIMUS_LENS_WANDB_OTLP_ENDPOINT)\n"
    assert fact in result.stdout
    assert KEY not in result.stdout
    ((_, headers, message),) = receiver.requests
    assert headers["api-key"] == KEY
    assert len(message.resource_metrics) == 0

    receiver.behaviour = otlp_receiver.refuse(401, "who are you")
    refused = with_extra.cli("check", "--strict", **variables)
    assert refused.returncode == 1
    assert f"✗ OpenTelemetry at {receiver.endpoint}: HTTP 401 who are you" in refused.stdout
    receiver.behaviour = faults.html
    assert "✗ OpenTelemetry" in with_extra.cli("check", **variables).stdout
    receiver.down()
    away = json.loads(with_extra.cli("check", "--json", **variables).stdout)
    assert away["otlp"] == {
        "address": receiver.endpoint,
        "named_by": "PRIMUS_LENS_WANDB_OTLP_ENDPOINT",
        "state": "unreachable",
    }
    assert (away["failures"], away["warnings"]) == (0, 1)
    assert [fact["state"] for fact in away["facts"] if fact["subject"] == "otlp"] == ["warning"]


@pytest.mark.parametrize(
    ("variable", "mark"), [("PRIMUS_LENS_WANDB_OTLP_ENDPOINT", "✗"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "–")]
)
def test_the_missing_extra_is_told(installed: PythonEnvironment, variable: str, mark: str) -> None:
    result = installed.cli("check", **{variable: "http://127.0.0.1:9/v1/metrics"})
    assert f"{mark} nothing is sent to OpenTelemetry at http://127.0.0.1:9/v1/metrics ({variable}): " in result.stdout
    assert 'pip install "primus-lens-wandb-exporter[otlp]"' in result.stdout
    assert "OpenTelemetry" not in installed.cli("check").stdout
