"""The job's last line says why Lens was not reached, in the words of `primus-lens-wandb check`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from ..support import hostile
from ..support.certificates import self_signed
from ..support.commands import sync
from ..support.hostile import HostileServer, envelope, hostile_server
from ..support.lens import Lens
from ..support.training import Trainer

# What a job does, without wandb.
SCRIPT = """
import time
from primus_lens_wandb_exporter import runtime
from primus_lens_wandb_exporter.records import MetricsRecord
exporter, run, _ = runtime.start_run("r")
exporter.export(MetricsRecord(run, 0, 0, time.time(), {"a": 1}, {"a": 1}), exporter.route(run))
runtime.shut_down()
"""


def last_line(trainer: Trainer, base_url: str, **variables: str) -> str:
    training = trainer.run(
        SCRIPT, **{"PRIMUS_LENS_API_BASE_URL": base_url, "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "5", **variables}
    )
    lines = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "1 of 1 metrics were not delivered to Lens at" in lines[-1], training.stderr
    assert "primus-lens-wandb sync /" in lines[-1]
    return lines[-1]


def check(trainer: Trainer, base_url: str, **variables: str) -> str:
    found = subprocess.run(
        [trainer.python, "-m", "primus_lens_wandb_exporter.cli", "check"],
        env=trainer.environment(PRIMUS_LENS_API_BASE_URL=base_url, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    (line,) = [line for line in found.stdout.splitlines() if "Lens at" in line]
    return line


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[HostileServer]:
    with hostile_server(hostile.send(hostile.GOOD), self_signed(tmp_path).context) as server:
        yield server


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("http://127.0.0.1:9/api/v1", "nothing listens there (connection refused)"),
        ("http://lens.invalid/api/v1", "the name lens.invalid is not known"),
        ("http://user:let-me-in@127.0.0.1:9/api/v1?cluster=c", "nothing listens there (connection refused)"),
    ],
    ids=["refused", "unknown name", "secrets in the address"],
)
def test_no_connection(base_url: str, words: str, trainer: Trainer) -> None:
    for line in (last_line(trainer, base_url), check(trainer, base_url)):
        assert words in line
        assert "let-me-in" not in line
        assert "cluster=c" not in line


def test_the_debug_log_has_no_secret_of_the_address(trainer: Trainer) -> None:
    """A gateway's query may be one, whatever its parts are called."""
    base_url = "http://user:let-me-in@127.0.0.1:9/api/v1?cluster=c"
    training = trainer.run("import wandb\n" + SCRIPT, PRIMUS_LENS_API_BASE_URL=base_url, PRIMUS_LENS_WANDB_DEBUG="true")
    assert "is intercepted: init, log, finish; Lens at http://" in training.stderr
    assert "let-me-in" not in training.stderr
    assert "cluster=c" not in training.stderr


def test_a_certificate_that_is_not_trusted(secure: HostileServer, trainer: Trainer) -> None:
    words = "its certificate is not trusted"
    assert words in last_line(trainer, secure.base_url)
    assert words in check(trainer, secure.base_url)


def test_a_missing_file_of_certificates(secure: HostileServer, trainer: Trainer) -> None:
    bundle = str(trainer.directory / "nowhere.pem")
    for line in (
        last_line(trainer, secure.base_url, REQUESTS_CA_BUNDLE=bundle),
        check(trainer, secure.base_url, REQUESTS_CA_BUNDLE=bundle),
    ):
        assert f"the trusted certificates cannot be read ({bundle}: No such file or directory)" in line


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hostile.answer(404, b"404 page not found\n"), 'HTTP 404 "404 page not found", which is not an answer of Lens'),
        (hostile.answer(200, b"<html>Log in</html>"), "HTTP 200 with a web page, which is not an answer of Lens"),
        (hostile.answer(302, b"", b"Location: http://sso.example/"), "redirect to http://sso.example/"),
        (hostile.answer(401, envelope(401, "no")), "HTTP 401 no (is PRIMUS_LENS_API_TOKEN right?)"),
        (hostile.answer(401, b'{"code":401,"message":"authentication required"}'), "is PRIMUS_LENS_API_TOKEN right?"),
        (hostile.answer(503, envelope(503, "out of disk")), "HTTP 503 out of disk"),
        (hostile.answer(400, envelope(400, "no valid workload found")), "HTTP 400 no valid workload found"),
        (hostile.send_and_close(b""), "the connection was closed without an answer"),
        (hostile.drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), "no answer for "),
    ],
    ids=["404", "page", "redirect", "401", "foreign 401", "503", "unknown pod", "closes", "drips"],
)
def test_no_good_answer(behaviour: hostile.Behaviour, words: str, trainer: Trainer) -> None:
    with hostile_server(behaviour) as server:
        assert words in last_line(trainer, server.base_url, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2")


def test_what_only_a_person_can_mend_is_said_once_at_once(trainer: Trainer) -> None:
    with hostile_server(hostile.answer(404, b"404 page not found\n")) as server:
        training = trainer.run(
            SCRIPT.replace("runtime.shut_down()", "time.sleep(4)"), PRIMUS_LENS_API_BASE_URL=server.base_url
        )
        assert len(server.bodies) > 1
    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "404 page not found" in line
    assert "tried again" in line


def test_sync_gives_up_soon_where_waiting_cannot_help(trainer: Trainer) -> None:
    last_line(trainer, "http://127.0.0.1:9/api/v1")
    with hostile_server(hostile.answer(404, b"404 page not found\n")) as server:
        found = sync(trainer, "--base-url", server.base_url, "mirror")
        assert sum(body != b"{}" for body in server.bodies) == 2
    assert found.returncode == 1
    assert "404 page not found" in found.stdout


def test_what_waited_for_a_wrong_address_is_delivered_to_the_right_one(trainer: Trainer, lens: Lens) -> None:
    with hostile_server(hostile.answer(404, b"404 page not found\n")) as server:
        last_line(trainer, server.base_url)
        sent = [json.loads(body) for body in server.bodies]
        # Beside the metrics only the question whether Lens is at the sibling of the address.
        assert {body["metrics"][0]["name"] for body in sent if body} == {"a"}
    assert lens.points(trainer.workload) == []

    found = sync(trainer, "--base-url", lens.base_url, "--workload-uid", trainer.workload, "mirror")
    assert found.returncode == 0, found.stdout + found.stderr
    assert lens.scalars(trainer.workload) == {(0, "a"): 1.0}
