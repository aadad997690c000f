"""The OTLP server down, slow, overloaded or wrong: everything arrives afterwards, in order, once, with its times."""

from __future__ import annotations

import textwrap
import time
from typing import Any

import pytest

from ..support import faults, otlp_receiver
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.otlp_receiver import OtlpReceiver
from ..support.training import Trainer, Training
from ..support.wandb_file import scalars

# Logs 300 calls in about 3 s; "trained" is printed before the end of the run.
SCRIPT = """
import time, wandb
run = wandb.init(project="p")
print("started", flush=True)
for i in range(300):
    run.log({"a": i, "b": i * 0.5})
    time.sleep(0.01)
print("trained", flush=True)
run.finish()
"""
PATIENT = {"PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "60"}


def wait_for_line(process: Any, expected: str) -> None:
    assert process.stdout is not None
    while True:
        line = process.stdout.readline()
        assert line, "the training ended early"
        if line.strip() == expected:
            return


def assert_all_arrived_once(receiver: OtlpReceiver, training: Training) -> None:
    assert receiver.history() == {key: [value] for key, value in scalars(training.history).items()}
    times = [round(line["timestamp"] * 1e6) * 1000 for line in training.calls()]
    for name in ("a", "b"):
        assert [point.time_ns for point in receiver.points() if point.name == name] == times


@pytest.mark.parametrize(
    "outage",
    [
        *(otlp_receiver.refuse(status, "busy") for status in (429, 500, 502, 503, 504)),
        otlp_receiver.refuse(503, "busy", Retry_After="1"),
        otlp_receiver.refuse(429, "busy", Retry_After="0"),
        otlp_receiver.refuse(401, "no token"),
        faults.foreign(403, b"not from here"),
        faults.foreign(404, b"404 page not found\n"),
        faults.foreign(405, b""),
        faults.foreign(400, b"Client sent an HTTP request to an HTTPS server.\n"),
        faults.foreign(200, b'{"meta": {"code": 2000}}'),
        faults.close,
        faults.html,
        faults.redirect,
        faults.flood_with_100_continue,
    ],
    ids=[
        *("429", "500", "502", "503", "504", "retry after", "no patience", "no token", "forbidden"),
        *("404", "405", "another protocol", "another API", "closes", "web page", "redirect", "100 Continue"),
    ],
)
def test_a_trouble_that_passes_loses_nothing(
    outage: faults.Behaviour, receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    receiver.behaviour = outage
    process = otlp_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "trained")
    receiver.behaviour = otlp_receiver.accept
    training = otlp_trainer.finish(process)

    assert training.returncode == 0, training.stderr
    assert_all_arrived_once(receiver, training)


def test_a_server_that_goes_down_in_the_middle_gets_everything_when_it_comes_back(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    process = otlp_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "started")
    time.sleep(1.5)
    receiver.down()
    wait_for_line(process, "trained")
    receiver.up()
    training = otlp_trainer.finish(process)

    assert training.returncode == 0
    assert_all_arrived_once(receiver, training)


def test_an_answer_that_drips_is_given_up(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    receiver.behaviour = faults.drip
    process = otlp_trainer.start(SCRIPT, **PATIENT, OTEL_EXPORTER_OTLP_TIMEOUT="2000")
    wait_for_line(process, "trained")
    receiver.behaviour = otlp_receiver.accept
    training = otlp_trainer.finish(process)

    assert_all_arrived_once(receiver, training)


def test_the_server_decides_how_long_to_wait(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    receiver.behaviour = otlp_receiver.refuse(503, "busy", Retry_After="3")
    process = otlp_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "trained")
    receiver.behaviour = otlp_receiver.accept
    otlp_trainer.finish(process)

    times = [when for when, _, _ in receiver.requests]
    # One attempt may come sooner: when the run ends.
    assert sum(later - earlier < 2.9 for earlier, later in zip(times, times[1:])) <= 1 + len(receiver.taken)


def test_what_the_server_refuses_for_good_is_counted_and_said_once(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    receiver.behaviour = otlp_receiver.refuse(400, "names must be short")
    training = otlp_trainer.run(SCRIPT, **PATIENT)

    assert "600 refused" in training.stderr
    assert training.stderr.count("OpenTelemetry refused") == 1
    assert "names must be short" in training.stderr
    assert "sync --to otlp" in training.stderr


def test_partial_success_counts_as_rejected_and_is_not_acknowledged(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    receiver.behaviour = otlp_receiver.accept_but_for(3, "three points are too old")
    training = otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(10):
            run.log({"a": i})
        run.finish()
        """,
        PRIMUS_LENS_WANDB_DEBUG="true",
    )

    assert "rejected=3" in training.stderr
    assert "delivered=7" in training.stderr
    assert "three points are too old" in training.stderr
    ledger = training.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl.delivery"
    assert '"destination": "otlp"' not in ledger.read_text()


@pytest.mark.parametrize("is_partial", [True, False])
def test_a_server_that_words_each_refusal_anew_does_not_fill_the_log(
    is_partial: bool, receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    def refuse(handler: faults.Handler, body: bytes) -> None:
        message = f"the point of {time.time_ns()} is too old"
        if is_partial:
            otlp_receiver.accept_but_for(1, message)(handler, body)
        else:
            otlp_receiver.refuse(400, message)(handler, body)

    receiver.behaviour = refuse
    training = otlp_trainer.run(
        """
        import time, wandb
        run = wandb.init(project="p")
        for i in range(60):
            run.log({"a": i})
            time.sleep(0.1)
        run.finish()
        """,
        PRIMUS_LENS_WANDB_FLUSH_INTERVAL="0.01",
    )

    assert len(receiver.requests) > 10
    assert 1 <= training.stderr.count("is too old. Training goes on") <= 5
    assert training.stderr.count("were not delivered to OpenTelemetry") == 1


def test_what_the_server_took_is_acknowledged_in_the_ledger(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(SCRIPT, **PATIENT)

    ledger = training.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl.delivery"
    assert '"destination": "otlp"' in ledger.read_text()
    assert '"acknowledged"' not in ledger.read_text()


@pytest.mark.parametrize("away", ["otlp", "lens"])
def test_an_outage_of_one_destination_does_not_touch_the_other(
    away: str, receiver: OtlpReceiver, faulty: FaultyLens, otlp_trainer: Trainer, lens: Lens
) -> None:
    if away == "otlp":
        receiver.behaviour = faults.hang
    else:
        faulty.behaviour = faults.hang
    training = otlp_trainer.run(
        SCRIPT,
        PRIMUS_LENS_WANDB_API_REPORTING="true",
        PRIMUS_LENS_API_BASE_URL=faulty.base_url,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="3",
    )

    if away == "otlp":
        assert lens.scalars(otlp_trainer.workload) == scalars(training.history)
        assert "metrics were not delivered to OpenTelemetry at http://127.0.0.1" in training.stderr
    else:
        assert_all_arrived_once(receiver, training)
        assert "metrics were not delivered to Lens at http://127.0.0.1" in training.stderr


def test_two_dead_servers_cost_a_job_one_flush_timeout(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    receiver.behaviour = faults.hang
    script = textwrap.dedent(
        """
        import time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        print("trained", time.time(), flush=True)
        run.finish()
        """
    )
    began = time.monotonic()
    otlp_trainer.run(script, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    without_waiting = time.monotonic() - began
    began = time.monotonic()
    training = otlp_trainer.run(
        script,
        PRIMUS_LENS_WANDB_API_REPORTING="true",
        PRIMUS_LENS_API_BASE_URL=receiver.endpoint.replace("/v1/metrics", "/api/v1"),
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="4",
    )
    assert time.monotonic() - began < without_waiting + 4 + 15
    assert training.stderr.count("were not delivered to") == 2


def test_memory_for_an_outage_is_bounded_and_the_oldest_goes_first(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    receiver.behaviour = faults.foreign(503, b"")
    process = otlp_trainer.start(
        """
        import time, wandb
        run = wandb.init(project="p")
        for i in range(10000):
            run.log({"a": i, "b": i})
            if i % 100 == 0:
                time.sleep(0.02)
        print("trained", flush=True)
        run.finish()
        """,
        **PATIENT,
        PRIMUS_LENS_WANDB_BUFFER_MB="0.5",
        PRIMUS_LENS_WANDB_DEBUG="true",
    )
    lines: list[str] = []
    assert process.stderr is not None
    # The debug log must not fill the pipe.
    import threading

    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    wait_for_line(process, "trained")
    receiver.behaviour = otlp_receiver.accept
    process.wait(timeout=120)
    reader.join(timeout=30)

    (counters,) = [line for line in lines if "otlp at the end" in line]
    found = dict(part.split("=") for part in counters.partition("Counters(")[2].rstrip(")\n").split(", "))
    assert int(found["received"]) == 20_000
    assert int(found["dropped"]) > 0
    assert int(found["dropped"]) + int(found["delivered"]) == 20_000
    steps = [step for step, _ in receiver.history()]
    assert max(steps) == 9999
    assert len(receiver.points()) == int(found["delivered"])
