"""Forks, children, groups of ranks: no deadlock, nothing sent by two processes, nothing lost by one that ends well."""

from __future__ import annotations

import pytest

from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars


def metrics_taken(faulty: FaultyLens) -> list[tuple[str, int, str, float]]:
    return [
        (body["run_id"], metric["step"], metric["name"], metric["value"])
        for _, body in faulty.taken
        for metric in body["metrics"]
    ]


def test_a_fork_with_records_pending_sends_nothing_twice(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import os, wandb
        run = wandb.init(project="p")
        for i in range(200):
            run.log({"a": i})
            if i % 20 == 0:
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)
        run.finish()
        """
    )

    taken = metrics_taken(faulty)
    assert len(taken) == len(set(taken)) == 200
    lines = training.lines()
    assert len(lines) == 200
    assert len({(line["writer"], line["sequence"]) for line in lines}) == 200


def test_forks_while_other_threads_log_do_not_deadlock(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """The child is forked at moments when the queue's locks are held by threads that it does not have."""
    training = faulty_trainer.run(
        """
        import os, threading, time
        from primus_lens_wandb_exporter import runtime
        from primus_lens_wandb_exporter.records import MetricsRecord
        import wandb  # installs the fork handler
        exporter, run, _ = runtime.start_run("r")
        route = exporter.route(run)
        stop = threading.Event()
        def work(thread):
            i = 0
            while not stop.is_set():
                exporter.export(MetricsRecord(run, i, i, time.time(), {"a": i}, {"a": i}), route)
                i += 1
                if i % 5 == 0:
                    time.sleep(0.001)
        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
        [t.start() for t in threads]
        # Hold each lock at the moment of a fork, from another thread.
        for worker in exporter._workers:
            held, release = threading.Event(), threading.Event()
            def hold(lock=worker._lock, held=held, release=release):
                with lock:
                    held.set()
                    release.wait(10)
            holder = threading.Thread(target=hold)
            holder.start()
            held.wait(10)
            child = os.fork()
            if child == 0:
                child_exporter, child_run, _ = runtime.start_run("child")
                record = MetricsRecord(child_run, 0, 0, time.time(), {"b": 1}, {"b": 1})
                child_exporter.export(record, child_exporter.route(child_run))
                os._exit(0 if child_exporter.flush() else 1)
            release.set()
            holder.join(10)
            assert os.waitpid(child, 0)[1] == 0
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        [t.join(10) for t in threads]
        print("done")
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="60",
    )
    assert training.stdout == "done\n"
    assert [taken for taken in metrics_taken(faulty) if taken[0] == "child"] == [("child", 0, "b", 1.0)] * 2


def test_children_forked_right_after_init_can_import_what_the_exporter_imports(faulty_trainer: Trainer) -> None:
    """The exporter's thread imports requests with its first request; a module's import lock does not survive a fork."""
    training = faulty_trainer.run(
        """
        import os, signal, time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        children = []
        for _ in range(25):
            time.sleep(0.015)
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                import requests, importlib.metadata, ssl
                os._exit(0)
            children.append(child)
        print([os.waitpid(child, 0)[1] for child in children])
        run.finish()
        """
    )
    assert training.stdout.strip() == str([0] * 25)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_run_logged_from_a_child_process_arrives(
    method: str, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """wandb attaches the child to the run of its parent; versions that cannot ignore the child's calls."""
    training = faulty_trainer.run(
        f"""
        import multiprocessing, wandb

        def work(run):
            for i in range(100, 120):
                run.log({{"child": i}}, step=i)

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            run = wandb.init(project="p")
            for i in range(20):
                run.log({{"parent": i}}, step=i)
            if tuple(map(int, wandb.__version__.split(".")[:2])) >= (0, 19):
                child = context.Process(target=work, args=(run,))
                child.start()
                child.join(60)
                assert child.exitcode == 0
            run.finish()
        """
    )

    expected = scalars(training.history)
    assert lens.scalars(faulty_trainer.workload) == expected
    taken = metrics_taken(faulty)
    # The step at which the child came is delivered by the call and again from wandb's file.
    assert len(set(taken)) == len(expected) >= len(taken) - 1


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_with_a_run_of_its_own_loses_nothing(
    method: str, faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    training = faulty_trainer.run(
        f"""
        import multiprocessing

        def work(number):
            import wandb
            run = wandb.init(project="p")
            for i in range(50):
                run.log({{"a": i + number}})

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=work, args=(n,)) for n in range(2)]
            [c.start() for c in children]
            [c.join(100) for c in children]
            print([c.exitcode for c in children])
        """
    )

    assert training.stdout.split("\n")[-2] == "[0, 0]"
    arrived = {run_id: lens.scalars(faulty_trainer.workload, run_id) for run_id in training.histories}
    assert len(arrived) == 2
    assert all(len(found) == 50 for found in arrived.values())
    taken = metrics_taken(faulty)
    assert len(taken) == len(set(taken)) == 100
    assert len(training.lines()) == 100


def test_dataloader_workers_that_fork_and_die_touch_nothing(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """As a DataLoader does: a pool of forked workers in the middle of training, ended by a signal."""
    training = faulty_trainer.run(
        """
        import multiprocessing, wandb
        run = wandb.init(project="p")
        for epoch in range(3):
            pool = multiprocessing.get_context("fork").Pool(2)
            for i, value in enumerate(pool.imap(abs, range(50))):
                run.log({"a": value}, step=epoch * 50 + i)
            pool.terminate()
            pool.join()
        run.finish()
        """
    )

    assert lens.scalars(faulty_trainer.workload) == scalars(training.history)
    taken = metrics_taken(faulty)
    assert len(taken) == len(set(taken)) == 150


def test_a_daemonised_job_delivers(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """Imports first, then forks twice and trains in the grandchild."""
    faulty_trainer.run(
        """
        import os, sys, time
        import wandb
        if os.fork():
            os.wait()
            for _ in range(600):
                if os.path.exists("done"):
                    sys.exit(0)
                time.sleep(0.1)
            sys.exit("the daemon did not end")
        os.setsid()
        if os.fork():
            os._exit(0)
        run = wandb.init(project="p")
        for i in range(50):
            run.log({"a": i})
        run.finish()
        open("done", "w").close()
        """
    )
    assert len(metrics_taken(faulty)) == 50


def test_eight_ranks_that_share_an_output_path(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    """As torchrun starts them: each with its rank, all at once; every second one pair shares a local rank's file."""
    script = """
        import os, wandb
        run = wandb.init(project="p")
        rank = int(os.environ["RANK"])
        for i in range(40):
            run.log({"rank%d" % rank: i}, step=i)
        run.finish()
    """
    processes = [
        faulty_trainer.start(
            script,
            name=f"train_{rank}.py",
            RANK=str(rank),
            LOCAL_RANK=str(rank % 4),
            WORLD_SIZE="8",
            GROUP_RANK="0",
        )
        for rank in range(8)
    ]
    trainings = [faulty_trainer.finish(process, timeout=200) for process in processes]
    assert [training.returncode for training in trainings] == [0] * 8

    for rank in range(4):
        lines = trainings[0].lines(rank=rank)
        assert len(lines) == 80
        assert len({line["writer"] for line in lines}) == 2
    for run_id, history in trainings[0].histories.items():
        assert lens.scalars(faulty_trainer.workload, run_id) == scalars(history)
    taken = metrics_taken(faulty)
    assert len(taken) == len(set(taken)) == 8 * 40
