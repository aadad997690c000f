"""How a job ends: within the deadline when Lens is dead, with everything delivered when it is not."""

from __future__ import annotations

import re
import signal
import time

import pytest

from ..support import faults
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SCRIPT = """
import time, wandb
run = wandb.init(project="p")
for i in range(2000):
    run.log({"a": i, "b": i * 0.5})
print("trained", time.time(), flush=True)
"""
DEAD = {
    "refuses connections": None,
    "never answers": faults.hang,
    "answers one byte at a time": faults.drip,
    "fails": faults.refuse(503, "starting"),
    "takes two seconds for each answer": faults.delay(2),
}


@pytest.mark.parametrize("finishes", [True, False], ids=["finish", "exit"])
@pytest.mark.parametrize("behaviour", DEAD.values(), ids=DEAD.keys())
def test_with_a_dead_lens_the_job_ends_within_the_deadline_and_says_what_is_missing(
    behaviour: faults.Behaviour | None, finishes: bool, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    if behaviour is None:
        faulty.down()
    else:
        faulty.behaviour = behaviour
    script = SCRIPT + ("run.finish()\n" if finishes else "")
    began = time.time()
    training = faulty_trainer.run(script, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2")
    ended = time.time()

    trained = float(training.stdout.split()[1])
    # wandb's own end takes its time too, up to some seconds on a busy machine.
    assert ended - trained < 2 + 10, f"{ended - began:.1f} s in all"
    (line,) = [line for line in training.stderr.splitlines() if "not delivered" in line]
    assert "of 4000 metrics" in line
    assert re.search(r"primus-lens-wandb sync \S+/node_0/rank_0/wandb_metrics.jsonl", line)


def test_finish_and_exit_share_the_deadline(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.hang
    training = faulty_trainer.run(
        """
        import time, wandb
        waited = 0.0
        for k in range(4):
            run = wandb.init(project="p", reinit=True)
            run.log({"a": k})
            time.sleep(0.5)
            began = time.monotonic()
            from primus_lens_wandb_exporter import runtime
            for exporter in runtime._exporters.values():
                exporter.flush()
            waited += time.monotonic() - began
            run.finish()
        print(waited)
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2",
    )
    assert 1.5 <= float(training.stdout.split()[-1]) <= 3.5


def test_with_a_healthy_lens_everything_is_sent_however_much_it_is(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """Each answer takes a while, all of them far longer than the deadline."""
    faulty.behaviour = faults.delay(0.25)
    training = faulty_trainer.run(
        SCRIPT + "run.finish()\n", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1", PRIMUS_LENS_WANDB_BATCH_SIZE="200"
    )

    assert len(faulty.requests) >= 20
    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)
    assert "Primus Lens" not in training.stderr


def test_a_thread_that_goes_on_logging_does_not_keep_the_job_from_ending(trainer: Trainer) -> None:
    """As monitors do, in a daemon thread."""
    training = trainer.run(
        """
        import threading, time, wandb
        run = wandb.init(project="p")
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        exporter, own_run, _ = runtime.start_run("r")
        route = exporter.route(own_run)
        def monitor():
            i = 0
            while True:
                exporter.export(MetricsRecord(own_run, i, i, time.time(), {"a": i}, {"a": i}), route)
                i += 1
                time.sleep(0.0005)
        threading.Thread(target=monitor, daemon=True).start()
        time.sleep(1)
        run.finish()
        print("finished")
        """,
        timeout=60,
    )
    assert training.stdout == "finished\n"


def test_an_outage_in_the_past_does_not_cost_a_later_run_its_last_records(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """The first run's end used up the time for waiting; then Lens came back, and the launcher ends with os._exit."""
    faulty.down()
    process = faulty_trainer.start(
        """
        import os, sys, time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        run.finish()
        print("first", flush=True)
        sys.stdin.readline()
        run = wandb.init(project="p")
        for i in range(3000):
            run.log({"b": i})
        run.finish()
        os._exit(0)
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1",
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "first\n"
    faulty.up()
    deadline = time.monotonic() + 60
    while not lens.scalars(faulty_trainer.workload) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.stdin.write("\n")
    process.stdin.flush()
    training = faulty_trainer.finish(process)

    assert len(lens.scalars(faulty_trainer.workload)) == 3001
    assert len(training.lines()) == 3001


def test_without_finish_the_exit_delivers(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(SCRIPT)
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_a_launcher_that_ends_with_os_exit_after_finish_loses_nothing(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(SCRIPT + "run.finish()\nimport os; os._exit(0)\n")
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_an_exception_in_training_still_delivers(trainer: Trainer, lens: Lens) -> None:
    training = trainer.finish(trainer.start(SCRIPT + "raise SystemExit(3)\n"))
    assert training.returncode == 3
    assert lens.scalars(trainer.workload) == scalars(training.history)


# Says where the main thread waits for us: wandb's own end comes first, and takes seconds on a busy machine.
WATCH = """
import signal, sys, threading
# Ignored in what a shell starts in the background, and inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
def functions_of_main_thread():
    frame = sys._current_frames().get(threading.main_thread().ident)
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back
def watch():
    for caller in ("finish", "_at_exit"):
        while not {"wait_for_flush", caller} <= set(functions_of_main_thread()):
            time.sleep(0.02)
        print("waits in", caller, flush=True)
threading.Thread(target=watch, daemon=True).start()
"""


def test_ctrl_c_during_a_flush_ends_the_job_at_once(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.hang
    process = faulty_trainer.start(
        SCRIPT + WATCH + "run.finish()\nprint('not reached', flush=True)\n", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="90"
    )
    assert process.stdout is not None
    for waiting in ("waits in finish", "waits in _at_exit"):  # a second one ends the exit handler
        while process.stdout.readline().strip() != waiting:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
    began = time.monotonic()
    training = faulty_trainer.finish(process)
    assert time.monotonic() - began < 30
    assert "not reached" not in training.stdout
    assert "KeyboardInterrupt" in training.stderr


@pytest.mark.parametrize("how", ["SIGKILL", "os._exit"])
def test_after_a_crash_the_mirror_holds_every_call_older_than_half_a_second(how: str, trainer: Trainer) -> None:
    end = "os.kill(os.getpid(), signal.SIGKILL)" if how == "SIGKILL" else "os._exit(9)"
    process = trainer.start(
        f"""
        import os, signal, time, wandb
        run = wandb.init(project="p")
        for i in range(200):
            run.log({{"a": i}})
            print(i, time.time(), flush=True)
            time.sleep(0.01)
        print("end", time.time(), flush=True)
        {end}
        """,
        # A Lens that hangs must not keep the mirror from being written.
        PRIMUS_LENS_API_BASE_URL="http://10.255.255.1:9/api/v1",
    )
    training = trainer.finish(process)
    assert training.returncode == (-signal.SIGKILL if how == "SIGKILL" else 9)
    *calls, end_line = [line.split() for line in training.stdout.splitlines()]
    old = [int(number) for number, when in calls if float(when) < float(end_line[1]) - 0.5]
    assert len(old) > 50
    mirror = trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    whole = [line for line in mirror.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    assert len(whole) >= len(old)
    assert len(training.lines()) == len(whole), "every line that ends is whole"
