"""The whole payload: its types, its size, no secrets in it, and the strict local Lens accepts it."""

import json
import math
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primus_lens_wandb_exporter.detection import build_detection, collect_facts
from primus_lens_wandb_exporter.identity import Identity

from . import stand_ins
from .contract import violations
from .stand_ins import IDENTITY, Modules, OldRun, Run, payload
from .test_redaction import SECRET, SHAPES

SetVariables = Callable[..., None]

DIFFICULT = {
    "nan": math.nan,
    "huge": 10**400,
    "numpy": np.float32(0.1),
    "array": np.zeros(3),
    "nul": "a\0b",
    "half": "\ud800",
    "path": Path("/a"),
    "nested": {"deep": [{"set": {1, 2}}]},
    "key\0": 1,
    "long": "x" * 100_000,
}


def busy(modules: Modules) -> Modules:
    stand_ins.primus(modules, "megatron")
    stand_ins.megatron(modules)
    stand_ins.hugging_face_trainer(modules)
    return modules


def test_every_field_has_the_contracts_type(modules: Modules) -> None:
    assert violations(payload(modules)) == []
    assert violations(payload(busy(modules), DIFFICULT)) == []


def test_the_type_checker_would_notice() -> None:
    body = payload(Modules())
    body["evidence"]["hardware"]["gpu_count"] = 8.0
    body["evidence"]["wandb"]["tags"] = [1]
    body["evidence"]["pytorch"]["detected_modules"]["jax"] = 1
    body["hints"]["confidence"] = None
    assert len(violations(body)) == 4


def test_ids_and_time_are_passed_on(modules: Modules) -> None:
    body = build_detection(collect_facts(Run(), modules), IDENTITY, 1700000000, modules)
    ids = ("source", "type", "version", "workload_uid", "pod_uid", "pod_name", "namespace")
    assert [body[key] for key in ids] == [
        "wandb",
        "framework_detection_raw",
        "1.0",
        "workload",
        "uid",
        "pod",
        "namespace",
    ]
    assert body["timestamp"] == 1700000000.0


@pytest.mark.parametrize("run_class", [Run, OldRun])
def test_the_run_is_in_the_evidence(run_class: Any, modules: Modules) -> None:
    body = build_detection(collect_facts(run_class({"lr": 0.1}), modules), Identity(), 1.0, modules)
    assert body["evidence"]["wandb"] == {
        "project": "project",
        "name": "name",
        "id": "id",
        "config": {"lr": 0.1},
        "tags": ["a", "b"],
    }


@pytest.mark.parametrize("kind", SHAPES)
def test_no_secret_is_in_the_payload(kind: str, modules: Modules, set_variables: SetVariables) -> None:
    secret = SHAPES[kind]
    run = Run({"command": secret, "list": [{"a": secret}], "hf_token": SECRET, "max_tokens": 4096}, project=secret)
    run._settings.run_name = secret
    run._settings.run_tags = (secret,)
    # Where a bound cuts it in two.
    run._config._items.update(("cut_%d" % at, "x" * at + " " + secret) for at in range(900, 1300, 10))
    set_variables(PRIMUS_CONFIG=secret, IMAGE_TAG=secret, GIT_URL=secret)
    text = json.dumps(build_detection(collect_facts(run, modules), IDENTITY, 1.0, modules))
    assert SECRET not in text
    assert '"max_tokens": 4096' in text


def test_the_largest_payload_is_bounded(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(SLURM_JOB_NAME="x" * 100_000, PRIMUS_CONFIG="y" * 100_000)
    config = {"text_%d" % index: "password=a " * 1000 for index in range(2000)}
    run = Run(config, project="p" * 100_000)
    run._settings.run_tags = tuple("t" * 1000 for _ in range(1000))
    body = build_detection(collect_facts(run, busy(modules)), IDENTITY, 1.0, modules)
    assert len(json.dumps(body["evidence"]["wandb"]["config"])) <= 64 * 1024
    assert len(json.dumps(body)) < 128 * 1024


texts = st.text(alphabet=st.characters(), max_size=40)
configs = st.dictionaries(
    texts,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner), st.tuples(inner)),
        max_leaves=20,
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(configs, texts, st.lists(texts), st.sampled_from(["framework", "base_framework", "trainer"]), texts)
def test_any_run_gives_a_payload_of_the_contract(
    config: Dict[str, Any], name: str, tags: Any, key: str, framework: str
) -> None:
    run = Run({**config, key: framework}, project=name)
    run._settings.run_tags = tuple(tags)
    modules = Modules()
    body = build_detection(collect_facts(run, modules), IDENTITY, 1.0, modules)
    assert violations(body) == []
    json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert "\\u0000" not in json.dumps(body)


def test_the_strict_local_lens_accepts_it(tmp_path: Path, modules: Modules) -> None:
    pytest.importorskip("fastapi", reason="the local Lens needs the extra `local`")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    from primus_lens_local.server import create_app

    with TestClient(create_app(str(tmp_path / "lens.db"))) as client:
        for body in (payload(Modules()), payload(busy(modules), DIFFICULT)):
            answer = client.post("/api/v1/wandb/detection", content=json.dumps(body, allow_nan=False))
            assert answer.status_code == 200, answer.text
        stored = client.get("/api/v1/workloads/workload/framework-detection").json()
    assert (stored["wrapper_framework"], stored["base_framework"]) == ("primus", "megatron")
