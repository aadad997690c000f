"""Logging from anywhere: many threads, signal handlers, finalisers, the end of the interpreter."""

from __future__ import annotations

from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars


def test_many_threads_that_log_at_once(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import threading, wandb
        run = wandb.init(project="p")
        def work(thread):
            for i in range(200):
                run.log({"thread%d" % thread: i})
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        run.finish()
        """
    )

    recorded, arrived = scalars(training.history), lens.scalars(trainer.workload)
    assert len(recorded) == 1600
    assert arrived == recorded


def test_many_threads_with_explicit_steps_equal_wandb(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import threading, wandb
        run = wandb.init(project="p")
        barrier = threading.Barrier(4)
        def work(thread):
            for i in range(100):
                run.log({"thread%d" % thread: i}, step=i)
                barrier.wait()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        run.finish()
        """
    )
    recorded, arrived = scalars(training.history), lens.scalars(trainer.workload)
    assert recorded == arrived
    assert len(arrived) == 400


def test_logging_from_a_signal_handler(trainer: Trainer) -> None:
    """The handler interrupts the exporter's own lines, also while they hold its lock."""
    training = trainer.run(
        """
        import itertools, signal, time
        import wandb
        from primus_lens_wandb_exporter import interceptor, runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        exporter, run, _ = runtime.start_run("r")
        route, count = exporter.route(run), itertools.count()
        def log(value):
            number = next(count)
            exporter.export(MetricsRecord(run, number, number, time.time(), {"a": value}, {"a": value}), route)
        signal.signal(signal.SIGALRM, lambda *_: log(-1.0))
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            log(1.0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert exporter.flush()
        logged = next(count)
        for counters in exporter.counters().values():
            assert counters.received == counters.delivered == logged, (counters, logged)
        print("done")
        """,
        PRIMUS_LENS_WANDB_BUFFER_MB="4000",
    )
    assert training.stdout == "done\n"


def test_a_signal_handler_that_logs_through_wandb(trainer: Trainer, lens: Lens) -> None:
    """As jobs do on SIGUSR1 before a preemption."""
    training = trainer.run(
        """
        import os, signal, time, wandb
        run = wandb.init(project="p")
        signal.signal(signal.SIGUSR1, lambda *_: run.log({"preempted": 1}, step=1000))
        for i in range(50):
            run.log({"a": i}, step=i)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.1)
        run.finish()
        """
    )
    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert (1000, "preempted") in scalars(training.history)


def test_logging_from_finalisers(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import gc, wandb
        run = wandb.init(project="p")
        class Logs:
            def __init__(self, step):
                self.step, self.me = step, self
            def __del__(self):
                run.log({"collected": self.step})
        for i in range(300):
            Logs(i)
            run.log({"a": i})
        gc.collect()
        run.finish()
        """
    )
    recorded, arrived = scalars(training.history), lens.scalars(trainer.workload)
    # A collection in the middle of wandb's own log call may change places with it, and wandb may refuse a nested call
    # with an error, after which nobody can tell whether it took it.
    taken = {(name, value) for (_, name), value in recorded.items()}
    found = {(name, value) for (_, name), value in arrived.items()}
    assert found <= taken
    assert {("a", float(i)) for i in range(300)} <= found
    assert len(taken - found) <= training.stderr.count("Error")
    assert len({step for step, _ in arrived}) == len(arrived) == len(found)


def test_a_run_that_is_finished_by_a_finaliser(trainer: Trainer, lens: Lens) -> None:
    """As veRL's tracker does."""
    training = trainer.run(
        """
        import wandb
        class Tracker:
            def __init__(self):
                self.run = wandb.init(project="p")
            def __del__(self):
                self.run.finish()
        def train():
            tracker = Tracker()
            for i in range(100):
                tracker.run.log({"a": i})
        train()
        """
    )
    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert len(training.lines()) == 100


def test_records_of_a_finaliser_at_the_very_end_reach_the_mirror(trainer: Trainer, lens: Lens) -> None:
    """The interpreter is being torn down: no other thread runs, nothing can be imported, and nothing may hang.

    wandb itself hangs when it is asked to finish a run at that moment, so a record stands in for the call.
    """
    training = trainer.run(
        """
        import sys, time
        import wandb
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        class Tracker:
            def __init__(self):
                self.exporter, self.run, _ = runtime.start_run("r")
                self.route = self.exporter.route(self.run)
            def log(self, step, record=MetricsRecord, now=time.time()):
                self.exporter.export(record(self.run, step, step, now, {"a": step}, {"a": step}), self.route)
            def __del__(self, is_finalizing=sys.is_finalizing):
                assert is_finalizing()
                self.log(100)
                self.exporter.flush()
        sys.modules["keeps it until the end"] = tracker = Tracker()
        for step in range(100):
            tracker.log(step)
        """,
        timeout=20,
    )
    assert training.stderr == ""
    assert {(step, "a") for step in range(100)} <= lens.scalars(trainer.workload).keys()
    assert [line["step"] for line in training.lines()] == list(range(101))


def test_logging_at_exit_without_a_thread_to_start(trainer: Trainer) -> None:
    """Since Python 3.12 no thread starts while the interpreter shuts down: the exit handler delivers by itself."""
    training = trainer.run(
        """
        import atexit, time
        def first_record_of_the_process():
            exporter, run, _ = runtime.start_run("r")
            exporter.export(MetricsRecord(run, 0, 0, time.time(), {"a": 1}, {"a": 1}), exporter.route(run))
        import wandb  # registers the exporter's exit handler
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        atexit.register(first_record_of_the_process)
        """
    )
    assert training.stderr == ""
    assert [line["data"]["a"] for line in training.lines()] == [1]


def test_memory_stays_flat_without_the_garbage_collector(trainer: Trainer) -> None:
    """Primus switches the collector off while it trains: the exporter makes no reference cycles."""
    training = trainer.run(
        """
        import gc, time
        import wandb
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord, convert
        gc.disable()
        exporter, run, _ = runtime.start_run("r")
        route = exporter.route(run)
        def log(count):
            for i in range(count):
                metrics, data = convert({"a": i, "b": float("nan"), "n": {"c": True}})
                exporter.export(MetricsRecord(run, i, i, time.time(), metrics, data), route)
            assert exporter.flush()
        log(2000)
        gc.collect()
        before = len(gc.get_objects())
        log(20000)
        print(len(gc.get_objects()) - before, gc.collect())
        """
    )
    grown, _unreachable = map(int, training.stdout.split())
    # requests itself leaves a few cycles for each answer; the exporter none for a record.
    assert grown < 20000


def test_hundreds_of_runs_in_one_process_leave_nothing_behind(trainer: Trainer, lens: Lens) -> None:
    """As a sweep does, though with stand-ins for wandb's runs, which take a second each."""
    training = trainer.run(
        """
        import gc, os, threading
        import wandb
        from primus_lens_wandb_exporter.records import MetricsRecord
        from primus_lens_wandb_exporter.run_tracker import RunTracker

        def one_run(number):
            tracker = RunTracker("run%d" % number, 0, 0)
            for step in range(5):
                record = MetricsRecord(tracker.run, step, step, 1.0, {"a": step}, {"a": step})
                tracker.exporter.export(record, tracker.route)
            assert tracker.exporter.flush()
            tracker.end()

        def left():
            gc.collect()
            return threading.active_count(), len(os.listdir("/proc/self/fd")), len(gc.get_objects())

        for number in range(50):
            one_run(number)
        threads, files, objects = left()
        for number in range(50, 350):
            one_run(number)
        now = left()
        print(now[0] - threads, now[1] - files, now[2] - objects)
        """,
        timeout=200,
    )
    threads, files, objects = map(int, training.stdout.split())
    assert (threads, files) == (0, 0)
    assert objects < 300 * 3
    assert len(lens.points(trainer.workload)) == 350 * 5
