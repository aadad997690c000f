"""Threads, coroutines, signal handlers and finalisers that log to one run: each call has the step of wandb."""

from __future__ import annotations

from ..support.arrivals import assert_all_arrived
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars


def test_twenty_threads_without_a_step(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """Each call has a value of its own, so that two calls that changed places are seen."""
    training = faulty_trainer.run(
        """
        import sys, threading, wandb
        run = wandb.init(project="p")
        sys.setswitchinterval(1e-5)
        start = threading.Barrier(20)
        def work(number):
            start.wait()
            for i in range(100):
                run.log({"value": number * 100 + i, f"of {number}": i})
        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        run.finish()
        """
    )

    assert len(scalars(training.history)) == 4000
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


def test_threads_with_commits_and_steps_coroutines_a_signal_handler_and_a_finaliser(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """Handler and finaliser come between two calls of their thread: within one, wandb may wait for itself for ever."""
    training = faulty_trainer.run(
        """
        import asyncio, gc, itertools, os, signal, sys, threading, time, wandb
        run = wandb.init(project="p")
        sys.setswitchinterval(1e-5)
        unique = itertools.count()

        def halves():
            for i in range(100):
                run.log({f"half {next(unique)}": 1}, commit=False)
                run.log({"whole": next(unique)})

        def with_steps():
            for i in range(50):
                run.log({"jumps": next(unique)}, step=i * 20, commit=bool(i % 2))

        async def coroutine(number):
            for i in range(50):
                run.log({f"coroutine {number}": i})
                await asyncio.sleep(0)

        async def coroutines():
            await asyncio.gather(*(coroutine(number) for number in range(4)))

        def on_signal(number, frame):
            run.log({"signal": next(unique)})

        class Finalised:
            def __init__(self):
                self.itself = self
            def __del__(self):
                run.log({"finalised": next(unique)})

        gc.disable()
        signal.signal(signal.SIGUSR1, on_signal)
        threads = [threading.Thread(target=work) for work in (halves, halves, with_steps)]
        threads.append(threading.Thread(target=asyncio.run, args=(coroutines(),)))
        [t.start() for t in threads]
        for i in range(200):
            Finalised()
            run.log({"main": i})
            if i % 20 == 0:
                os.kill(os.getpid(), signal.SIGUSR1)
                gc.collect()
        while any(t.is_alive() for t in threads):
            time.sleep(0.01)
        run.finish()
        """,
        timeout=200,
    )

    assert len(scalars(training.history)) >= 200
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr
