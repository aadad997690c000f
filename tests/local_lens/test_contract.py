"""Requests and what the cluster's server answers to them, from `data/contract_cases.json`, under both prefixes.

A case has a `request` (method and path below the prefix), a body as `json`, `text` or `base64`, and the `status` and
`answer` (JSON) or `text_answer`. Queries have `enveloped` too: what is answered, with status 200, under `/v1`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests

from primus_lens_local.generations import BARE, PREFIXES

from .conftest import LensProcess

CONTRACT = json.loads((Path(__file__).parent / "data" / "contract_cases.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=PREFIXES)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API, with what the queries ask for stored."""
    folder = tmp_path_factory.mktemp("lens")
    (folder / "pods").write_text("\n".join(CONTRACT["known_pods"]), encoding="utf-8")
    lens = LensProcess(folder / "lens.db", "--no-token", "--known-pods", str(folder / "pods"))
    url = f"{lens.url}{request.param}"
    for body in CONTRACT["stored"]:
        assert requests.post(f"{url}/wandb/metrics", json=body, timeout=60).status_code == 200
    yield url
    lens.process.terminate()
    lens.process.communicate(timeout=60)


def body_of(case: dict[str, Any]) -> bytes:
    if "base64" in case:
        return base64.b64decode(case["base64"])
    text = json.dumps(case["json"]) if "json" in case else case.get("text", "")
    return bytes(text, "utf-8")


def comparable(answer: Any) -> Any:
    """Leave out what only the local Lens says, and the order of a row's metrics, which the server has at random."""
    held = answer.get("data") if "meta" in answer else answer
    if isinstance(held, dict) and isinstance(held.get("data"), list):
        times = [point["timestamp"] for point in held["data"]]
        assert times == sorted(times)
        for point in held["data"]:
            point.pop("run_id", None)
        held["data"].sort(key=lambda point: (point["timestamp"], point["metric_name"]))
    return answer


@pytest.mark.parametrize("case", CONTRACT["cases"], ids=lambda case: case["name"])
def test_a_request_is_answered_as_by_the_cluster(api: str, case: dict[str, Any]) -> None:
    method, path = case["request"].split()
    answer = requests.request(method, f"{api}{path}", data=body_of(case), timeout=60)
    kind = answer.headers["content-type"].partition(";")[0]
    if "text_answer" in case:
        assert (answer.status_code, kind, answer.text) == (case["status"], "text/plain", case["text_answer"])
    elif "enveloped" in case and not api.endswith(BARE):
        assert (answer.status_code, kind, comparable(answer.json())) == (200, "application/json", case["enveloped"])
    else:
        expected = (case["status"], "application/json", case["answer"])
        assert (answer.status_code, kind, comparable(answer.json())) == expected
