"""Lens down, slow, overloaded or wrong: everything arrives afterwards, in order, once."""

from __future__ import annotations

import json
import textwrap
import time
from typing import Any

import pytest

from ..support import faults
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer
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


def assert_each_metric_was_taken_once(faulty: FaultyLens) -> None:
    sent = [(metric["step"], metric["name"]) for _, body in faulty.taken for metric in body["metrics"]]
    assert len(sent) == len(set(sent)), "a metric was sent twice"
    assert [step for step, _ in sent] == sorted(step for step, _ in sent), "metrics arrived out of order"


@pytest.mark.parametrize(
    "outage",
    [
        faults.refuse(503, "starting"),
        faults.refuse(500, "failed to process metrics"),
        faults.refuse(429, "slow down", Retry_After="1"),
        faults.refuse(408, "timeout"),
        faults.refuse(425, "early"),
        faults.refuse(400, "no valid workload found"),
        faults.refuse(503, "starting", Retry_After="0"),
        faults.close,
        faults.html,
        faults.redirect,
        faults.foreign(404, b"404 page not found\n"),
        faults.foreign(200, b"[" * 60_000),
        faults.flood_with_100_continue,
    ],
    ids=[
        *("503", "500", "429", "408", "425", "unknown pod", "no patience", "closes"),
        *("web page", "redirect", "404 text", "deep JSON", "100 Continue"),
    ],
)
def test_a_trouble_that_passes_loses_nothing(
    outage: faults.Behaviour, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.behaviour = outage
    process = faulty_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "trained")
    faulty.behaviour = faults.forward
    training = faulty_trainer.finish(process)

    assert training.returncode == 0, training.stderr
    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)
    assert_each_metric_was_taken_once(faulty)


def test_a_lens_that_is_down_at_the_start_gets_everything_when_it_comes(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.down()
    process = faulty_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "trained")
    faulty.up()
    training = faulty_trainer.finish(process)

    assert training.returncode == 0
    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)
    assert_each_metric_was_taken_once(faulty)


def test_a_lens_that_goes_down_in_the_middle_gets_everything_when_it_comes_back(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    process = faulty_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "started")
    time.sleep(1.5)
    faulty.down()
    wait_for_line(process, "trained")
    faulty.up()
    training = faulty_trainer.finish(process)

    assert training.returncode == 0
    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)


def test_a_lens_that_stores_but_dies_before_it_answers_ends_with_the_right_values(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.behaviour = faults.close_after_storing
    process = faulty_trainer.start(SCRIPT, **PATIENT)
    wait_for_line(process, "trained")
    faulty.behaviour = faults.forward
    training = faulty_trainer.finish(process)

    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)


@pytest.mark.parametrize("behaviour", [faults.drip, faults.drip_a_header], ids=["body", "header"])
def test_an_answer_that_drips_is_given_up(
    behaviour: faults.Behaviour, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """It would take a minute; the next attempts are answered well."""
    faulty.behaviour = behaviour
    process = faulty_trainer.start(
        """
        import wandb
        from primus_lens_wandb_exporter.sinks import lens_client
        lens_client.ANSWER_TIMEOUT_S = 3.0  # instead of 30: the test has no patience
        """
        + textwrap.indent(SCRIPT, " " * 8),
        **PATIENT,
    )
    wait_for_line(process, "trained")
    faulty.behaviour = faults.forward
    training = faulty_trainer.finish(process)

    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)


def test_retry_after_is_honoured(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.refuse(429, "slow down", Retry_After="2")
    process = faulty_trainer.start(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    faulty_trainer.finish(process)

    times = [when for when, _ in faulty.requests]
    # The end of the run and the exit of the process may each ask once at once.
    gaps = sorted(later - earlier for earlier, later in zip(times, times[1:], strict=False))
    assert all(gap >= 1.9 for gap in gaps[:-2] or [2])


@pytest.mark.parametrize("retry_after", ["0", "-5", "Mon, 01 Jan 2001 00:00:00 GMT", "nan"])
def test_a_server_that_asks_for_no_delay_is_not_asked_all_the_time(
    retry_after: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty.behaviour = faults.refuse(429, "slow down", Retry_After=retry_after)
    faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")

    assert 1 <= faulty.request_count <= 30


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid request format"),
        (400, "either workload_uid or pod_name is required"),
        (401, "unauthorized"),
        (404, "not found"),
        (413, "too large"),
    ],
)
def test_a_request_that_is_refused_for_good_does_not_block_those_behind_it(
    status: int, message: str, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    def has_poison(body: dict[str, Any]) -> bool:
        return any(metric["step"] == 20 for metric in body.get("metrics", []))

    faulty.behaviour = faults.refuse_if(has_poison, faults.forward, status, message)
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_BATCH_SIZE="10")

    expected = scalars(training.history)
    arrived = lens.scalars(faulty_trainer.workload)
    assert arrived.items() <= expected.items()
    assert len(expected) - 10 <= len(arrived) < len(expected)
    refused = [line for line in training.stderr.splitlines() if "Lens refused" in line and message in line]
    assert len(refused) == 1
    assert len([body for _, body in faulty.requests if has_poison(body)]) == 1


def test_a_request_on_which_the_server_always_fails_does_not_block_those_behind_it(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    def has_poison(body: dict[str, Any]) -> bool:
        return any(metric["step"] == 20 for metric in body.get("metrics", []))

    faulty.behaviour = faults.refuse_if(has_poison, faults.forward, 500, "failed to process metrics")
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_BATCH_SIZE="10", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="20")

    expected = scalars(training.history)
    arrived = lens.scalars(faulty_trainer.workload)
    assert arrived.items() <= expected.items()
    assert len(expected) - 10 <= len(arrived) < len(expected)


def test_a_request_that_a_proxy_refuses_does_not_block_those_behind_it(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """It answers in its own words: nobody can tell whether Lens would have taken it."""

    def behave(handler: faults.Handler, body: bytes) -> None:
        too_large = any(metric["step"] == 20 for metric in json.loads(body).get("metrics", []))
        (faults.foreign(413, b"<html>Request Entity Too Large</html>") if too_large else faults.forward)(handler, body)

    faulty.behaviour = behave
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_BATCH_SIZE="10", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="20")

    expected = scalars(training.history)
    arrived = lens.scalars(faulty_trainer.workload)
    assert arrived.items() <= expected.items()
    assert len(expected) - 10 <= len(arrived) < len(expected)


def test_a_full_buffer_loses_the_oldest_and_counts_it(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    faulty.down()
    process = faulty_trainer.start(
        """
        import time, wandb
        run = wandb.init(project="p")
        for i in range(3000):
            run.log({"metric_%d" % k: i * 10 + k for k in range(10)})
        time.sleep(1)
        print("trained", flush=True)
        run.finish()
        """,
        PRIMUS_LENS_WANDB_BUFFER_MB="1",
        PRIMUS_LENS_WANDB_DEBUG="true",
        **PATIENT,
    )
    import threading

    errors: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or []), daemon=True)
    reader.start()
    wait_for_line(process, "trained")
    faulty.up()
    assert process.wait(timeout=120) == 0
    reader.join(20)

    arrived = lens.scalars(faulty_trainer.workload)
    steps = sorted({step for step, _ in arrived})
    assert steps[-1] == 2999
    assert steps == list(range(steps[0], 3000)), "the newest are kept without a gap"
    (counters,) = [line for line in errors if "lens at the end" in line]
    dropped = 30000 - len(arrived)
    assert dropped > 0
    assert f"received=30000, delivered={len(arrived)}, rejected=0, dropped={dropped}, pending=0" in counters
