"""PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM: the job delivers what it has, then SIGTERM does what it would have done."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from ..support import faults
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer, Training

ON = {"PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM": "true"}
# Lens alone would wait for more of the last step for a minute.
PATIENT = {"PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "60"}
TRAINS = """
import os, signal, sys, time, wandb
BEFORE
run = wandb.init(project="p")
AFTER
for i in range(1000):
    run.log({"a": i})
print("trained", flush=True)
GO_ON
time.sleep(60)
"""


def start(
    trainer: Trainer, before: str = "", after: str = "", go_on: str = "", **variables: str
) -> subprocess.Popen[str]:
    script = TRAINS.replace("BEFORE", before).replace("AFTER", after).replace("GO_ON", go_on)
    process = trainer.start(script, **{**ON, **PATIENT, **variables})
    assert process.stdout is not None
    assert process.stdout.readline() == "trained\n", process.communicate()
    return process


def terminate(trainer: Trainer, process: subprocess.Popen[str]) -> Training:
    process.terminate()
    return trainer.finish(process)


def missing(training: Training) -> list[str]:
    return [line for line in training.stderr.splitlines() if "not delivered" in line]


def test_the_default_action_comes_after_the_flush(trainer: Trainer, lens: Lens) -> None:
    training = terminate(trainer, start(trainer))
    assert training.returncode == -signal.SIGTERM
    assert len(lens.scalars(trainer.workload)) == len(training.lines()) == 1000
    assert training.stderr == ""


def test_without_the_option_no_handler_is_installed(trainer: Trainer) -> None:
    go_on = "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)"
    process = start(trainer, go_on=go_on, PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM="")
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert terminate(trainer, process).returncode == -signal.SIGTERM


def test_a_handler_of_the_job_is_called_after_the_flush(trainer: Trainer, lens: Lens) -> None:
    before = """
from primus_lens_wandb_exporter import runtime
def handler(*arguments):
    (exporter,) = runtime._exporters.values()
    counters = exporter.counters()
    pending = [counters[name].pending for name in counters]
    for i in range(10):
        run.log({"later": i})
    # Last, so that the next signal interrupts no call; and not by print, which may be what was interrupted.
    os.write(1, ("%d %s %r\\n" % (arguments[0], type(arguments[1]).__name__, pending)).encode())
signal.signal(signal.SIGTERM, handler)
"""
    process = start(trainer, before, go_on="sys.stdin.readline(); sys.exit(7)")
    process.terminate()
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "15 frame [0, 0]\n", process.communicate()
    process.terminate()  # and once more: the job goes on, and so does the handler
    line = process.stdout.readline()
    assert line == "15 frame [0, 0]\n", process.communicate()
    assert process.stdin is not None
    process.stdin.write("\n")
    training = trainer.finish(process)
    assert training.returncode == 7
    assert len(lens.scalars(trainer.workload)) == len(training.lines()) == 1020


def test_an_ignored_signal_stays_ignored(trainer: Trainer, lens: Lens) -> None:
    before = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = start(trainer, before, go_on="sys.stdin.readline(); sys.exit(0)")
    process.terminate()
    time.sleep(1)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.write("\n")
    assert trainer.finish(process).returncode == 0
    assert len(lens.scalars(trainer.workload)) == 1000


@pytest.mark.parametrize("alive", [True, False], ids=["Lens", "dead Lens"])
def test_a_handler_that_exits_leaves_the_exit_handlers_their_part(
    alive: bool, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    before = """
import atexit
atexit.register(lambda: print("exit handlers", flush=True))
def handler(*_):
    run.log({"last": 1})
    sys.exit(143)
signal.signal(signal.SIGTERM, handler)
"""
    if not alive:
        faulty.down()
    process = start(faulty_trainer, before, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="1")
    training = terminate(faulty_trainer, process)
    assert training.returncode == 143
    assert training.stdout.endswith("exit handlers\n")
    assert len(training.lines()) == 1001
    assert len(lens.scalars(faulty_trainer.workload)) == (1001 if alive else 0)
    # What was missing at the signal, and at the end.
    assert [line.split(" were")[0].split()[-4:-1] for line in missing(training)] == (
        [] if alive else [["1000", "of", "1000"], ["1001", "of", "1001"]]
    )


@pytest.mark.parametrize("behaviour", [faults.hang, faults.delay(0.4)], ids=["hangs", "is slow"])
def test_the_flush_ends_in_time(behaviour: faults.Behaviour, faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """Also during a request that hangs, and where a Lens that answers would be waited for at exit."""
    faulty.behaviour = behaviour
    settings = {"PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "2", "PRIMUS_LENS_WANDB_BATCH_SIZE": "10"}
    process = start(faulty_trainer, go_on="time.sleep(2); print('sends', flush=True)", **settings)
    assert process.stdout is not None
    assert process.stdout.readline() == "sends\n"
    began = time.monotonic()
    training = terminate(faulty_trainer, process)
    took = time.monotonic() - began
    assert training.returncode == -signal.SIGTERM
    assert 1.5 < took < 2 + 8
    assert len(training.lines()) == 1000
    (line,) = missing(training)
    assert "primus-lens-wandb sync" in line


@pytest.mark.parametrize("handler", [False, True], ids=["default", "handler"])
def test_a_second_signal_ends_the_flush(handler: bool, faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.hang
    before = "signal.signal(signal.SIGTERM, lambda *_: os._exit(3))" if handler else ""
    process = start(faulty_trainer, before, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="50")
    process.terminate()
    time.sleep(2)
    assert process.poll() is None
    began = time.monotonic()
    training = terminate(faulty_trainer, process)
    assert time.monotonic() - began < 20
    assert training.returncode == (3 if handler else -signal.SIGTERM)


def test_a_second_signal_ends_the_flush_for_a_handler_that_only_notes_it(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty.behaviour = faults.hang
    before = "noted = []\nsignal.signal(signal.SIGTERM, lambda *_: noted.append(1))"
    go_on = "\nwhile len(noted) < 2: time.sleep(0.01)\nprint('noted', flush=True); os._exit(0)"
    process = start(faulty_trainer, before, go_on=go_on, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="50")
    process.terminate()
    time.sleep(2)
    began = time.monotonic()
    training = terminate(faulty_trainer, process)
    assert time.monotonic() - began < 20
    assert (training.returncode, training.stdout) == (0, "noted\n")


def test_forked_children_die_at_once(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.hang
    after = """
import multiprocessing
pool = multiprocessing.get_context("fork").Pool(2)
pool.map(os.getpgid, [0, 0])
began = time.monotonic()
pool.terminate()
pool.join()
print(time.monotonic() - began, flush=True)
child = os.fork()
if child == 0:
    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
    time.sleep(60)
time.sleep(1)
os.kill(child, signal.SIGTERM)
print(os.waitpid(child, 0)[1], flush=True)
"""
    script = TRAINS.replace("BEFORE", "").replace("AFTER", after).replace("GO_ON", "os._exit(0)")
    training = faulty_trainer.finish(
        faulty_trainer.start(script, **ON, **PATIENT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="50")
    )
    pool, in_force, status, _ = training.stdout.splitlines()
    assert float(pool) < 20
    assert (in_force, status) == ("True", str(signal.SIGTERM.value))


def test_a_handler_of_the_parent_is_the_childs_again(trainer: Trainer) -> None:
    before = "def handler(*_): os._exit(5)\nsignal.signal(signal.SIGTERM, handler)"
    go_on = """
child = os.fork()
if child == 0:
    print(signal.getsignal(signal.SIGTERM) is handler, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
    training = trainer.finish(start(trainer, before, go_on=go_on))
    assert training.stdout == "True\n5\n"


def test_a_run_that_begins_on_another_thread_leaves_the_signal_alone_and_says_so(trainer: Trainer) -> None:
    process = trainer.start(
        """
        import threading, time, wandb
        def train():
            run = wandb.init(project="p")
            run.log({"a": 1})
            print("trained", flush=True)
        threading.Thread(target=train).start()
        time.sleep(60)
        """,
        **ON,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "trained\n"
    time.sleep(0.5)
    training = terminate(trainer, process)
    assert training.returncode == -signal.SIGTERM
    assert training.stderr.count("outside of the main thread") == 1


def test_a_later_handler_that_calls_the_one_it_found_ends_as_it_likes(trainer: Trainer, lens: Lens) -> None:
    """As Lightning's does: it stops after the step, and calls what was there. The default it would not have called."""
    after = """
found = signal.getsignal(signal.SIGTERM)
def handler(signum, frame):
    if callable(found):
        found(signum, frame)
    os.write(1, b"stops after this step\\n")
    os._exit(4)
signal.signal(signal.SIGTERM, handler)
"""
    training = terminate(trainer, start(trainer, after=after))
    assert (training.returncode, training.stdout) == (4, "stops after this step\n")
    assert len(lens.scalars(trainer.workload)) == 1000


def test_a_signal_anywhere_in_a_log_call_delivers_everything(trainer: Trainer) -> None:
    """Many signals, some of them while the interrupted lines hold a lock that the exporter's threads need."""
    training = trainer.run(
        """
        import itertools, os, signal, sys, threading, time
        import wandb
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        calls = []
        signal.signal(signal.SIGTERM, lambda *_: calls.append(time.monotonic()))
        exporter, run, _ = runtime.start_run("r")
        route, count = exporter.route(run), itertools.count()
        stop, killer_ended = [], threading.Event()
        def log():
            number = next(count)
            exporter.export(MetricsRecord(run, number, number, time.time(), {"a": 1}, {"a": 1}), route)
        def kill():
            for _ in range(200):
                time.sleep(0.005)
                seen = len(calls)
                os.kill(os.getpid(), signal.SIGTERM)
                while len(calls) == seen:
                    time.sleep(0.0005)
            stop.append(True)
        threading.Thread(target=kill, daemon=True).start()
        longest = began = 0.0
        while not stop:
            began = time.monotonic()
            log()
            longest = max(longest, time.monotonic() - began)
        with exporter._workers[0]._lock:
            held = len(calls)
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(100):
                time.sleep(0.001)
            assert len(calls) == held, "it waits until the lock is free"
        while len(calls) == held:
            time.sleep(0.001)
        print(len(calls), longest, flush=True)
        assert exporter.flush()
        logged = next(count)
        for counters in exporter.counters().values():
            assert counters.received == counters.delivered == logged, (counters, logged)
        """,
        **ON,
        PRIMUS_LENS_WANDB_API_REPORTING="false",
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="20",
    )
    calls, longest = training.stdout.split()
    assert int(calls) == 201
    # No flush waited for a thread that waits for the interrupted lines.
    assert float(longest) < 20
