"""Requests generated from the OpenAPI description: no answer is 500 but the contract's own, none is undescribed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.10")

import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from primus_lens_local.generations import PREFIXES
from primus_lens_local.server import create_app
from primus_lens_local.tables import MAX_ID_LENGTH

# Of both generations.
SHARED = [
    ("POST", "/wandb/metrics"),
    ("POST", "/wandb/logs"),
    ("POST", "/wandb/detection"),
    ("POST", "/wandb/batch"),
    ("GET", "/workloads/{workload_uid}/metrics/sources"),
    ("GET", "/workloads/{workload_uid}/metrics/available"),
    ("GET", "/workloads/{workload_uid}/metrics/data"),
    ("GET", "/workloads/{workload_uid}/metrics/iteration-times"),
]
PATHS = [
    *[(method, prefix + path) for prefix in PREFIXES for method, path in SHARED],
    ("GET", "/api/v1/workloads/{workload_uid}/metrics/summary"),
    ("GET", "/api/v1/workloads"),
    ("GET", "/api/v1/workloads/{workload_uid}/runs"),
    ("GET", "/api/v1/workloads/{workload_uid}/framework-detection"),
    ("GET", "/health"),
]

# The others have nothing in them that could be wrong.
NEGATED = PATHS[: len(PREFIXES) * len(SHARED) + 1]


@pytest.fixture
def app(database: str) -> Iterator[Any]:
    app = create_app(database)
    with TestClient(app):
        yield app


def described(app: Any) -> dict[str, Any]:
    document: dict[str, Any] = app.openapi()
    return document


def test_every_operation_is_tested_here(tmp_path: Path) -> None:
    document = described(create_app(str(tmp_path / "lens.db")))
    found = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert found == set(PATHS)


def is_the_contracts_trap(case: Any) -> bool:
    """U+0000 in a text, or an id over 256 characters."""
    text = case.body if isinstance(case.body, (str, bytes)) else json.dumps(case.body)
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return "\\u0000" in found or "\0" in found or any(len(word) > MAX_ID_LENGTH for word in found.split('"'))


@pytest.mark.parametrize(("method", "path"), PATHS, ids=str)
def test_right_requests_are_answered_as_described(app: Any, method: str, path: str) -> None:
    check_generated(app, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("method", "path"), NEGATED, ids=str)
def test_wrong_requests_are_answered_as_described(app: Any, method: str, path: str) -> None:
    check_generated(app, method, path, GenerationMode.NEGATIVE)


def check_generated(app: Any, method: str, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(described(app))
    schema.app = app
    strategy = schema[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: Any) -> None:
        response = case.call()
        if response.status_code == 500:
            assert method == "POST", response.text
            assert response.json()["meta"]["message"].startswith("failed to process ")
            assert is_the_contracts_trap(case), case.as_curl_command()
        case.validate_response(
            response,
            checks=[
                schemathesis.checks.CHECKS.get_one(name)
                for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
            ],
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check()
