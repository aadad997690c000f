"""Children of a process that log to its run: wandb's service numbers the calls of all, nobody else can."""

from __future__ import annotations

import signal

import pytest

from ..support.arrivals import assert_all_arrived, uncounted
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars

HEAD = """
import multiprocessing, os, signal, sys, time, wandb
# Older versions only warn in a child, or need to be asked for a service.
CHILDREN_LOG = tuple(map(int, wandb.__version__.split(".")[:2])) >= (0, 19)

def log_some(run, name, count=20, **options):
    for i in range(count):
        run.log({name: i}, **options)

def log_and_die(run, name, how):
    log_some(run, name, 100)
    how()

def fork(function, *arguments):
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    return child
"""

# What happens between the beginning of a run, after which its parent logs, and its end, before which it does again.
FORKED = {
    "os.fork, one after the other": """
for number in range(3):
    os.waitpid(fork(log_some, run, "child%d" % number), 0)
    log_some(run, "between", 3)
""",
    "os.fork, while the parent logs": """
children = [fork(log_some, run, "child%d" % number) for number in range(3)]
for i in range(50):
    run.log({"meanwhile": i}, commit=False)
    run.log({"too": i})
    time.sleep(0.005)
[os.waitpid(child, 0) for child in children]
""",
    "calls with a step in parent and child": """
def with_steps(name, first):
    for i in range(0, 60, 3):
        run.log({name: i}, step=first + i)
os.waitpid(fork(with_steps, "child", 100), 0)
# wandb drops those that are older than the child's.
with_steps("parent", 130)
""",
    "a child of a child": """
def middle():
    child = fork(log_some, run, "grandchild")
    os.waitpid(child, 0)
    log_some(run, "child")
child = fork(fork, log_some, run, "grandchild alone")
os.waitpid(child, 0)
os.waitpid(fork(middle), 0)
time.sleep(0.5)
""",
    "a pool of forked workers": """
def work(i):
    run.log({"child": i})
    return i
pool = multiprocessing.get_context("fork").Pool(3)
for value in pool.imap(work, range(40)):
    run.log({"parent": value})
pool.terminate()
pool.join()
""",
    "multiprocessing, os._exit, SIGTERM and SIGKILL right after the last call": """
def die_of(number):
    os.kill(os.getpid(), number)
    time.sleep(60)
ends = [lambda: None, lambda: os._exit(0), lambda: die_of(signal.SIGTERM), lambda: die_of(signal.SIGKILL)]
context = multiprocessing.get_context("fork")
for number, how in enumerate(ends):
    child = context.Process(target=log_and_die, args=(run, "child%d" % number, how))
    child.start()
    child.join(60)
""",
    "a data loader whose workers log": """
def worker(tasks, batches):
    for task in iter(tasks.get, None):
        run.log({"worker": task})
        batches.put(task * 2)
context = multiprocessing.get_context("fork")
for epoch in range(2):
    tasks, batches = context.Queue(), context.Queue()
    workers = [context.Process(target=worker, args=(tasks, batches), daemon=True) for _ in range(2)]
    [w.start() for w in workers]
    [tasks.put(task) for task in range(20)]
    for _ in range(20):
        run.log({"loss": batches.get(timeout=60), "epoch": epoch})
    [tasks.put(None) for _ in workers]
    [w.join(60) for w in workers]
""",
}


@pytest.mark.parametrize("job", FORKED.values(), ids=FORKED.keys())
def test_what_forked_children_log_arrives_under_wandbs_steps(
    job: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """The parent logs before, meanwhile and afterwards."""
    training = faulty_trainer.run(
        HEAD + 'run = wandb.init(project="p")\nlog_some(run, "before", 10)\n' + job + 'log_some(run, "after", 10)\n'
        'wandb.log({"half": 1}, commit=False)\nwandb.log({"whole": 2}, step=5000)\nrun.finish()\n'
    )

    assert len(scalars(training.history)) >= 20
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


def test_only_children_log_and_the_parent_waits(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        HEAD
        + """
run = wandb.init(project="p")
for child in [fork(log_some, run, "child%d" % number) for number in range(2)]:
    os.waitpid(child, 0)
if not CHILDREN_LOG:
    log_some(run, "parent")
run.finish()
"""
    )

    assert len(scalars(training.history)) >= 20
    assert_all_arrived(training, faulty, faulty_trainer.workload)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_attached_children_log_arrives_under_wandbs_steps(
    method: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """Processes of their own: one is handed the run, one attaches to it by its id; a child of theirs logs as well."""
    training = faulty_trainer.run(
        HEAD
        + f"""
def handed(run):
    log_some(run, "handed", 10)
    os.waitpid(fork(log_some, run, "its child", 10), 0)
    log_some(run, "handed", 10, commit=False)

def attaches(run_id):
    run = wandb.attach(run_id)
    log_some(run, "attached")
    wandb.log({{"attached with a step": 1}}, step=300)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    run = wandb.init(project="p")
    log_some(run, "before", 10)
    if CHILDREN_LOG:
        children = [context.Process(target=handed, args=(run,)), context.Process(target=attaches, args=(run.id,))]
        for child in children:
            child.start()
        for i in range(100):
            run.log({{"meanwhile": i}})
            time.sleep(0.02)
        for child in children:
            child.join(60)
            assert child.exitcode == 0
    log_some(run, "after", 10)
    run.finish()
"""
    )

    assert len(scalars(training.history)) >= 20
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_the_mirror_has_the_calls_of_a_child_that_ends_at_once(
    end: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    training = faulty_trainer.run(
        HEAD
        + f"""
run = wandb.init(project="p")
log_some(run, "before", 5)
child = os.fork()
if child == 0:
    for i in range(100):
        run.log({{"child": i}})
    print("LOGGED" if CHILDREN_LOG else "", flush=True)
    time.sleep(0.02)
    {end}
    time.sleep(60)
print(os.waitpid(child, 0)[1])
log_some(run, "after", 5)
run.finish()
"""
    )

    assert training.stdout.split()[-1] == ("0" if "_exit" in end else str(int(signal.SIGTERM)))
    lines = training.lines()
    if "LOGGED" in training.stdout:
        calls = uncounted(lines, training.run_id)
        assert calls == [{"child": i} for i in range(100)] + [{"after": i} for i in range(5)]
    assert_all_arrived(training, faulty, faulty_trainer.workload)
