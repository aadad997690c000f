"""Wrong settings and broken installations: one line that says what to do, and the other sinks go on."""

from __future__ import annotations

import base64
import subprocess
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ..support import faults, otlp_receiver
from ..support.certificates import self_signed
from ..support.faults import Handler
from ..support.lens import Lens
from ..support.otlp_receiver import OtlpReceiver
from ..support.training import Trainer, Training
from ..support.wandb_file import scalars

SCRIPT = """
import wandb
run = wandb.init(project="p")
for i in range(20):
    run.log({"a": i})
run.finish()
"""
OURS = "PRIMUS_LENS_WANDB_OTLP_ENDPOINT"
STANDARD = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
# Stand-ins for what the interpreter would import: a package that is not there, and messages of another time.
MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.proto"):
            raise ModuleNotFoundError("No module named 'opentelemetry'", name="opentelemetry")
sys.meta_path.insert(0, Missing())
"""
TOO_OLD = """
import sys
class TooOld:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.proto.metrics"):
            raise TypeError("Descriptors cannot be created directly.\\nIf this call came from a _pb2.py file, ...")
sys.meta_path.insert(0, TooOld())
"""


def ours(training: Training) -> list[str]:
    return [line for line in training.stderr.splitlines() if "Primus Lens" in line]


def assert_the_others_went_on(training: Training, lens: Lens, workload: str) -> None:
    assert lens.scalars(workload) == scalars(training.history)
    assert len(training.calls()) == 20


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (MISSING, 'pip install "primus-lens-wandb-exporter[otlp]"'),
        (TOO_OLD, "pip install --upgrade opentelemetry-proto protobuf"),
    ],
    ids=["not installed", "too old"],
)
def test_messages_that_cannot_be_made_are_one_line(
    before: str, words: str, otlp_trainer: Trainer, receiver: OtlpReceiver, lens: Lens
) -> None:
    training = otlp_trainer.run(before + SCRIPT, PRIMUS_LENS_WANDB_API_REPORTING="true")

    (line,) = ours(training)
    assert "nothing is sent to OpenTelemetry" in line
    assert words in line
    assert receiver.requests == []
    assert_the_others_went_on(training, lens, otlp_trainer.workload)


def test_where_only_the_standard_names_the_endpoint_a_missing_package_is_a_debug_line(
    otlp_trainer: Trainer, receiver: OtlpReceiver
) -> None:
    quiet = otlp_trainer.run(MISSING + SCRIPT, **{OURS: "", STANDARD: receiver.endpoint})
    assert ours(quiet) == []
    loud = otlp_trainer.run(MISSING + SCRIPT, **{OURS: "", STANDARD: receiver.endpoint}, PRIMUS_LENS_WANDB_DEBUG="true")
    assert sum("pip install" in line for line in ours(loud)) == 1
    assert "rejected=20" in loud.stderr


def test_the_standards_own_variable_is_enough(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    training = otlp_trainer.run(SCRIPT, **{OURS: "", STANDARD: receiver.endpoint})
    assert ours(training) == []
    assert len(receiver.points()) == 20


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (faults.html, "with a web page"),
        (faults.foreign(404, b"404 page not found\n"), "404"),
        (faults.foreign(200, b'{"meta": {"code": 2000}}'), "not an answer of an OTLP server"),
        (otlp_receiver.refuse(401, "no token"), "OTEL_EXPORTER_OTLP_HEADERS"),
        (faults.redirect, "redirect to http://127.0.0.1:1/login"),
    ],
    ids=["web page", "404", "another API", "401", "redirect"],
)
def test_what_is_no_otlp_server_is_said_while_it_is_tried(
    behaviour: faults.Behaviour, words: str, otlp_trainer: Trainer, receiver: OtlpReceiver, lens: Lens
) -> None:
    receiver.behaviour = behaviour
    training = otlp_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_API_REPORTING="true", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0.5")

    said, at_the_end = ours(training)
    assert words in said
    assert "20 metrics wait" in said
    assert "What to do: set " in said
    assert "20 of 20 metrics were not delivered to OpenTelemetry" in at_the_end
    assert "20 pending" in at_the_end
    assert_the_others_went_on(training, lens, otlp_trainer.workload)


def test_a_malformed_endpoint_is_one_line(otlp_trainer: Trainer, lens: Lens) -> None:
    training = otlp_trainer.run(SCRIPT, **{OURS: "collector:4317"}, PRIMUS_LENS_WANDB_API_REPORTING="true")
    (line,) = ours(training)
    assert OURS in line
    assert_the_others_went_on(training, lens, otlp_trainer.workload)


def test_headers_and_compression_are_as_the_standard_says(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    training = otlp_trainer.run(
        SCRIPT,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20dTpw,x-tenant=team%20a,content-type=text/plain",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    assert ours(training) == []
    assert len(receiver.points()) == 20
    headers = {name.lower(): value for _, found, _ in receiver.requests for name, value in found.items()}
    assert headers["authorization"] == "Basic dTpw"
    assert headers["x-tenant"] == "team a"
    assert headers["content-encoding"] == "gzip"
    assert headers["content-type"] == "application/x-protobuf"


def test_the_secrets_of_headers_are_told_to_nobody(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    secret = base64.b64encode(b"user:" + b"pass" * 4).decode()

    def say_back(handler: Handler, body: bytes) -> None:
        handler.answer(400, f"you sent {handler.headers['Authorization']} and {secret}".encode())

    receiver.behaviour = say_back
    training = otlp_trainer.run(
        SCRIPT,
        OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Basic {secret}",
        PRIMUS_LENS_WANDB_DEBUG="true",
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1",
    )
    assert "you sent ***" in training.stderr
    assert secret not in training.stderr
    ledger = training.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl.delivery"
    assert secret not in ledger.read_text()


@pytest.fixture
def tls_receiver(receiver: OtlpReceiver, tmp_path: Path) -> tuple[OtlpReceiver, Path]:
    certificate = self_signed(tmp_path)
    handler: Any = type("TlsHandler", (otlp_receiver._OtlpHandler,), {"receiver": receiver})
    receiver.down()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = certificate.context.wrap_socket(server.socket, server_side=True)
    receiver.port, receiver._server, receiver.is_down = server.server_address[1], server, False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return receiver, certificate.path


def test_the_certificate_is_the_standards(tls_receiver: tuple[OtlpReceiver, Path], otlp_trainer: Trainer) -> None:
    receiver, path = tls_receiver
    endpoint = {OURS: f"https://127.0.0.1:{receiver.port}"}
    trusted = otlp_trainer.run(SCRIPT, **endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=str(path))
    assert ours(trusted) == []
    assert len(receiver.points()) == 20

    for certificate, words in (("", "certificate is not trusted"), ("/nonexistent/ca.pem", "cannot be read")):
        training = otlp_trainer.run(
            SCRIPT,
            **endpoint,
            OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
            PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0.5",
        )
        assert words in ours(training)[0]
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in ours(training)[0]
    assert len(receiver.points()) == 20


def test_without_an_endpoint_nothing_of_it_is_loaded(trainer: Trainer, receiver: OtlpReceiver) -> None:
    script = SCRIPT + (
        "import sys\n"
        "print(sorted(name for name in sys.modules if name.startswith('primus_lens_wandb_exporter.sinks.otlp')))"
    )
    assert trainer.run(script).stdout.splitlines()[-1] == "[]"
    asked = trainer.run(script, **{OURS: receiver.endpoint}).stdout.splitlines()[-1]
    assert "otlp_api" in asked


def test_messages_are_not_imported_on_the_training_thread(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    training = otlp_trainer.run(
        """
        import sys, threading
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name.startswith(("opentelemetry.proto", "primus_lens_wandb_exporter.sinks.otlp_encoding")):
                    print(threading.current_thread().name, flush=True)
        sys.meta_path.insert(0, Watch())
        """
        + SCRIPT.replace("\n", "\n        ")
    )
    names = set(training.stdout.split("\n")) - {""}
    assert names == {"primus-lens-otlp"}, training.stdout
    assert len(receiver.points()) == 20


def test_the_jobs_own_opentelemetry_stays_as_it_is(otlp_trainer: Trainer, receiver: OtlpReceiver) -> None:
    if subprocess.run([otlp_trainer.python, "-c", "import opentelemetry.sdk.metrics"], capture_output=True).returncode:
        pytest.skip("the SDK of OpenTelemetry is not installed beside this wandb")
    training = otlp_trainer.run(
        """
        from opentelemetry import metrics
        before = metrics.get_meter_provider()
        """
        + SCRIPT.replace("\n", "\n        ")
        + """
        assert metrics.get_meter_provider() is before
        from opentelemetry.sdk.metrics import MeterProvider
        mine = MeterProvider()
        metrics.set_meter_provider(mine)
        assert metrics.get_meter_provider() is mine
        """
    )
    assert "Overriding" not in training.stderr
    assert len(receiver.points()) == 20
