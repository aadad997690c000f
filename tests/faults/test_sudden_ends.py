"""Processes that end without a word: what they logged is in the mirror, but for the last moments of a busy one."""

from __future__ import annotations

import bisect
import itertools
import json
import signal
import statistics
import threading
import time

import pytest

from ..support import faults
from ..support.faults import FaultyLens
from ..support.training import Trainer, Training

# The documentation says 20 ms. A busy machine may keep a thread from running: the median of many looks counts.
OLD_S = 0.06
NEVER_SEEN = "http://10.255.255.1:9/api/v1"
LOGS = """
import time, wandb
run = wandb.init(project="p")
number = 0
while True:
    run.log({"a": number})
    print(number, time.monotonic(), flush=True)
    number += 1
    time.sleep(%s)
"""


@pytest.mark.parametrize("pause", [0, 0.003], ids=["without pause", "often"])
def test_at_any_moment_the_mirror_has_what_is_not_quite_new(pause: float, trainer: Trainer) -> None:
    # A Lens that hangs must not keep the mirror from being written.
    process = trainer.start(LOGS % pause, PRIMUS_LENS_API_BASE_URL=NEVER_SEEN)
    assert process.stdout is not None
    output: list[str] = []
    reader = threading.Thread(target=output.extend, args=(process.stdout,))
    path = trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    deadline = time.monotonic() + 100
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    reader.start()
    looks = []
    for number in range(60):
        # Not in step with whatever period the job has.
        time.sleep(0.02 + number / 1000)
        looks.append((time.monotonic(), path.stat().st_size))
    process.kill()
    reader.join()
    process.wait()

    returned = dict(line.split() for line in output[:-1])
    whole = path.read_bytes().splitlines(keepends=True)
    ends = [*itertools.accumulate(map(len, whole))]
    ages = []
    for when, size in looks:
        first_missing = bisect.bisect_right(ends, size)
        ages.append(when - float(returned.get(str(first_missing), when)))
    assert len(returned) > 100
    assert statistics.median(ages) < OLD_S
    if whole[-1].endswith(b"\n"):
        assert json.loads(whole[-1])["data"]["a"] == len(whole) - 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_job_that_logs_rarely_is_killed_after_its_call_is_written(number: signal.Signals, trainer: Trainer) -> None:
    process = trainer.start(LOGS % 0.5, PRIMUS_LENS_API_BASE_URL=NEVER_SEEN)
    assert process.stdout is not None
    path = trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    process.stdout.readline()
    in_time = []
    for _ in range(5):
        process.stdout.readline()
        size = path.stat().st_size
        time.sleep(OLD_S)
        in_time.append(path.stat().st_size > size or path.read_bytes().count(b"\n") >= 2 + len(in_time))
    process.send_signal(number)
    training = trainer.finish(process)
    assert training.returncode == -number
    assert in_time.count(True) >= 3
    assert [line["data"]["a"] for line in training.lines()][:6] == [*range(6)]


CHILD = """
import os, sys, time, wandb

def log(run, first):
    for i in range(first, first + 20):
        run.log({"child": i})
"""


def child_calls(training: Training) -> list[int]:
    return [line["data"]["child"] for line in training.calls() if "child" in line["data"]]


def test_a_forked_child_that_ends_by_os_exit_has_written_every_call(trainer: Trainer) -> None:
    training = trainer.run(
        CHILD
        + """
import threading
run = wandb.init(project="p")
run.log({"parent": 0})
for number in range(5):
    child = os.fork()
    if child == 0:
        log(run, number * 100)
        assert not any(thread.name.endswith("jsonl") for thread in threading.enumerate())
        if number == 4:  # a child that forks again
            grandchild = os.fork()
            if grandchild == 0:
                log(run, 500)
            else:
                os.waitpid(grandchild, 0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
run.finish()
"""
    )
    assert sorted(child_calls(training)) == [number * 100 + i for number in range(6) for i in range(20)]
    lines = training.lines()
    assert len({(line["writer"], line["sequence"]) for line in lines}) == len(lines)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_threads_signal_handlers_and_finalisers_of_a_child_write_at_once(end: str, trainer: Trainer) -> None:
    """They meet inside the exporter's own lines; a record stands in for a call, so that wandb is no bottleneck."""
    training = trainer.run(
        f"""
        import itertools, os, signal, threading, time
        import wandb
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        exporter, run, _ = runtime.start_run("r")
        count = itertools.count()
        child = os.fork()
        if child:
            os._exit(0 if os.waitpid(child, 0)[1] in (0, 9) else 1)
        exporter, run, _ = runtime.start_run("r", begun_here=False)
        route = exporter.route(run, begun_here=False)
        returned = []
        def log(thread):
            number = next(count)
            values = {{"child": number}}
            exporter.export(MetricsRecord(run, number, number, time.time(), values, values), route)
            returned.append(number)
        class Logs:
            def __del__(self):
                log(0)
        depth = 0
        def handler(*_):
            # No deeper: on a busy machine a call takes longer than the timer, and Python's stack would end.
            global depth
            if depth < 5:
                depth += 1
                log(0)
                depth -= 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        def work():
            for i in range(300):
                log(1)
                Logs()
        threads = [threading.Thread(target=work) for _ in range(3)]
        [thread.start() for thread in threads]
        work()
        [thread.join() for thread in threads]
        signal.setitimer(signal.ITIMER_REAL, 0)
        log(2)
        with open("returned", "w") as file:
            file.write(" ".join(map(str, returned)))
        {end}
        """,
        PRIMUS_LENS_WANDB_API_REPORTING="false",
    )
    returned = [int(number) for number in (trainer.directory / "returned").read_text().split()]
    assert len(returned) >= 2400
    assert sorted(child_calls(training)) == sorted(returned)


def test_workers_of_a_terminated_pool_have_written_what_they_logged(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import multiprocessing, os, time, wandb
        run = wandb.init(project="p")
        run.log({"parent": 0})
        def work(number):
            run.log({"child": number})
            open("logged%d" % number, "w").close()
            time.sleep(600)
        pool = multiprocessing.get_context("fork").Pool(3)
        pool.map_async(work, range(3), chunksize=1)
        while sum(os.path.exists("logged%d" % number) for number in range(3)) < 3:
            time.sleep(0.001)
        pool.terminate()
        pool.join()
        run.finish()
        """
    )
    assert sorted(child_calls(training)) == [0, 1, 2]


def test_a_child_of_a_dead_lens_writes_and_ends_as_fast(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.behaviour = faults.hang
    training = faulty_trainer.run(
        CHILD
        + """
run = wandb.init(project="p")
run.log({"parent": 0})
child = os.fork()
if child == 0:
    log(run, 0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("ended", flush=True)
os._exit(0)
"""
    )
    assert training.stdout == "ended\n"
    assert child_calls(training) == list(range(20))


def test_a_daemon_and_a_child_with_a_run_of_its_own_write_on_a_thread(trainer: Trainer) -> None:
    """They may train for days: the file must not cost them a moment of each call."""
    training = trainer.run(
        """
        import os, threading, time
        import wandb
        from primus_lens_wandb_exporter.run_tracker import RunTracker
        from primus_lens_wandb_exporter.child_of_run import AtOnce
        from primus_lens_wandb_exporter.records import MetricsRecord
        def log(tracker):
            record = MetricsRecord(tracker.run, 0, 0, time.time(), {"child": 1}, {"child": 1})
            tracker.exporter.export(record, tracker.route)
            return any(thread.name.endswith("jsonl") for thread in threading.enumerate())
        reader, writer = os.pipe()
        inherited = RunTracker("r", 0, 0)
        if os.fork() == 0:
            own = RunTracker("own", 0, 1)
            os.write(writer, b"own run: %d\\n" % log(own))
            if os.fork() == 0:
                while os.getppid() != 1 and os.path.exists("/proc/%d" % os.getppid()) and os.getppid() == parent_pid:
                    time.sleep(0.01)
                inherited.enter_process("r", 2)
                os.write(writer, b"daemon: %d\\n" % log(inherited))
                time.sleep(0.5)
                os._exit(0)
            os._exit(0)
        os.wait()
        os.close(writer)
        with open(reader) as answers:
            print(answers.read())
        """.replace("while os.getppid() != 1", "parent_pid = os.getppid()\n                while os.getppid() != 1"),
        PRIMUS_LENS_WANDB_API_REPORTING="false",
    )
    assert training.stdout.split("\n")[:2] == ["own run: 1", "daemon: 1"]
