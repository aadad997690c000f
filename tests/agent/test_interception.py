"""What Lens stores for a run equals what wandb itself recorded, over all forms of calls."""

from __future__ import annotations

import pytest

from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

CALL_FORMS = {
    "wandb.log": "wandb.init(project='p')\nfor i in range(20): wandb.log({'loss': 1 / (i + 1), 'i': i})",
    "run.log": "run = wandb.init(project='p')\nfor i in range(20): run.log({'loss': 1 / (i + 1), 'i': i})",
    "wandb.run.log": "wandb.init(project='p')\nfor i in range(20): wandb.run.log({'loss': i * 0.5})",
    "log function imported before": "from wandb import init\nrun = init(project='p')\nrun.log({'loss': 1})",
    "step positional, one key a call": """
writer = wandb
wandb.init(project='p')
for iteration in range(1, 8):
    for name in ('lm loss', 'grad-norm', 'learning-rate', 'loss-scale'):
        writer.log({name: iteration * 0.5}, iteration)
""",
    "step and commit=None": "wandb.init(project='p')\nfor s in (0, 8, 16): wandb.log({'a': s}, step=s, commit=None)",
    "keyword data": "wandb.init(project='p')\nfor s in range(5): wandb.log(data={'a': s * 2.0}, step=s)",
    "commit=False, then commit": """
wandb.init(project='p')
for i in range(5):
    wandb.log({'a': i}, commit=False)
    wandb.log({'b': i}, commit=False)
    wandb.log({'c': i})
""",
    "commit positional": """
wandb.init(project='p')
for i in range(5):
    wandb.log({'a': i}, None, False)
    wandb.log({'b': i}, None, True)
wandb.log({'a': 7}, 9, True)
wandb.log({'a': 8})
""",
    "steps that jump, repeat and go back": """
wandb.init(project='p')
wandb.log({'a': 1}, step=5)
wandb.log({'a': 2, 'b': 1}, step=5)
wandb.log({'a': 3}, step=3)
wandb.log({'c': 4})
wandb.log({'d': 5}, step=6, commit=True)
wandb.log({'d': 6}, step=6)
wandb.log({'d': 7})
""",
    "empty calls advance the step": "wandb.init(project='p')\nfor i in range(4): wandb.log({}); wandb.log({'a': i})",
    "a value logged again in its step": "wandb.init(project='p')\nfor i in range(9): wandb.log({'a': i}, step=i // 3)",
    "nested dicts": "wandb.init(project='p')\nwandb.log({'train': {'loss': 1, 'by': {'head': 2.5}}, 'n': {1: 2}})",
    "names with dots, slashes, spaces, unicode": (
        "wandb.init(project='p')\nwandb.log({'a.b': 1, 'train/loss': 2, 'lm loss': 3, 'größe 📈': 4, 'q\"uote': 5})"
    ),
    "media inside nested dicts": """
import numpy as np
wandb.init(project='p')
for i in range(3):
    media = {'histogram': wandb.Histogram([1, 2, i]), 'html': wandb.Html('<p>hello</p>')}
    wandb.log({'val': {'loss': i * 0.5, **media}, 'top': wandb.Histogram([1])})
""",
    "what wandb's own hooks call": """
run = wandb.init(project='p')
own = getattr(run, '_log', run.log)
for i in range(5):
    own({'hook': i}, step=i * 10)
    run.log({'a': i}, commit=False)
run.log({'b': 1})
""",
    "no call at all": "wandb.init(project='p')",
    "a with statement": "with wandb.init(project='p') as run:\n    for i in range(5): run.log({'a': i})",
    "numpy": """
import numpy as np
wandb.init(project='p')
wandb.log({'f16': np.float16(0.5), 'f32': np.float32(0.1), 'f64': np.float64(0.1)})
wandb.log({'i64': np.int64(7), 'b': np.bool_(True)})
wandb.log({'zero_d': np.array(1.5), 'one': np.array([2.5]), 'nested_one': np.array([[3.5]]), 'many': np.zeros(3)})
wandb.log({'a': 1}, step=np.int64(5))
""",
    "what is not a scalar": """
wandb.init(project='p')
wandb.log({'text': 'bert', 'none': None, 'list': [1, 2], 'histogram': wandb.Histogram([1, 2]), 'flag': True, 'a': 1})
""",
    "NaN and infinities": """
wandb.init(project='p')
wandb.log({'a': float('nan'), 'b': float('inf'), 'c': float('-inf'), 'd': 1.0})
""",
    "numbers of all sizes": "wandb.init(project='p')\nwandb.log({'a': 1e308, 'b': -5e-324, 'c': 2**53, 'd': -(2**40)})",
    "reserved names": "wandb.init(project='p')\nwandb.log({'step': 9, 'iteration': 9, 'source': 1, 'loss': 1})",
    "define_metric": """
wandb.init(project='p')
wandb.define_metric('epoch'); wandb.define_metric('val/*', step_metric='epoch')
for e in range(3): wandb.log({'epoch': e, 'val/acc': e * 0.1})
""",
}


@pytest.mark.parametrize("script", CALL_FORMS.values(), ids=CALL_FORMS.keys())
def test_lens_holds_what_wandb_recorded(script: str, trainer: Trainer, lens: Lens) -> None:
    training = trainer.run("import wandb\n" + script + "\nwandb.finish()\n")

    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert "Primus Lens" not in training.stderr


def test_several_runs_at_once_are_kept_apart(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import wandb
        if tuple(map(int, wandb.__version__.split(".")[:2])) >= (0, 19):
            runs = [wandb.init(project="p", reinit="create_new") for _ in range(3)]
            for i in range(10):
                for k, run in enumerate(runs):
                    run.log({"a": i * 10 + k}, step=i * (k + 1))
            for run in runs:
                run.finish()
        else:  # older versions know one run at a time
            for k in range(3):
                run = wandb.init(project="p", reinit=True)
                for i in range(10):
                    run.log({"a": i * 10 + k}, step=i * (k + 1))
                run.finish()
        """
    )

    histories = training.histories
    assert len(histories) == 3
    for run_id, history in histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)


def test_a_run_that_was_started_unseen_arrives_whole(trainer: Trainer, lens: Lens) -> None:
    """A notebook installs the hook after wandb was imported and a run has logged already."""
    training = trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(3):
            run.log({"a": i})
        from primus_lens_wandb_exporter.wandb_hook import install_wandb_hook
        import primus_lens_wandb_exporter.settings as settings
        import os
        os.environ["PRIMUS_LENS_WANDB_HOOK"] = "true"
        install_wandb_hook()
        assert wandb._primus_lens_patched is True
        for i in range(3, 6):
            run.log({"a": i})
        run.finish()
        """,
        PRIMUS_LENS_WANDB_HOOK="false",
    )

    recorded = scalars(training.history)
    assert len(recorded) == 6
    assert lens.scalars(trainer.workload) == recorded


def test_wandbs_own_file_is_read_for_an_x_axis_once_a_call_leaves_it_out(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
import threading
import wandb
def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == 'primus-lens-wandb-file']
run = wandb.init(project='p')
run.define_metric('epoch')
run.define_metric('*', step_metric='epoch', step_sync=True)
for i in range(5): run.log({'epoch': i, 'loss': i * 0.5})
assert not threads(), threads()
run.log({'loss': 9.0})
assert threads()
run.finish()
"""
    )
    recorded = scalars(training.history)
    assert recorded[5, "epoch"] == 4.0
    assert lens.scalars(trainer.workload, training.run_id) == recorded


def test_a_dict_or_array_changed_after_the_call_changes_nothing(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import numpy as np, wandb
        wandb.init(project="p")
        values, total = {}, np.zeros(())
        for i in range(50):
            total += 1
            values["a"], values["total"], values["nested"] = i, total, {"b": i}
            wandb.log(values)
            values["nested"]["b"] = -1
            values.clear()
        total += 1000
        wandb.finish()
        """
    )

    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_the_mirror_has_a_line_for_every_call(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import numpy as np, wandb
        wandb.init(project="p")
        wandb.log({"loss": 0.5, "model_name": "bert", "flag": True, "n": {"x": 1}})
        wandb.log({"bad": float("nan"), "up": float("inf"), "down": float("-inf")}, step=10)
        wandb.log({"late": 1}, step=3)
        wandb.log({"image": wandb.Histogram([1, 2]), "array": np.zeros((2, 3)), "text": "x" * 100000, "step": 4})
        wandb.finish()
        """,
        LOCAL_RANK="3",
        NODE_RANK="2",
    )

    lines = training.lines(node=2, rank=3)
    assert [line["step"] for line in lines] == [0, 10, None, 10]
    assert lines[0]["data"] == {
        "loss": 0.5,
        "model_name": "bert",
        "flag": True,
        "n.x": 1,
        "_primus_lens_enabled": True,
    }
    assert lines[1]["data"]["bad"] == "NaN"
    assert lines[1]["data"]["up"] == "Infinity"
    assert lines[1]["data"]["down"] == "-Infinity"
    assert lines[3]["data"]["image"]["_type"] == "histogram"
    assert lines[3]["data"]["array"] == {"_type": "numpy.ndarray", "shape": [2, 3]}
    assert len(lines[3]["data"]["text"]) < 2000
    assert lines[3]["data"]["step"] == 4
    assert {line["run_id"] for line in lines} == {training.run_id}
    assert abs(lines[0]["timestamp"] - lines[3]["timestamp"]) < 60


def test_wandbs_own_errors_reach_the_caller_and_record_nothing(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        def error_of(call):
            try:
                call()
            except Exception as error:
                return type(error).__name__
        print(error_of(lambda: run.log([1])))
        print(error_of(lambda: run.log({1: 2})))
        print(error_of(lambda: run.log()))
        print(error_of(lambda: run.log({"a": 1}, step="x")))
        run.log({"good": 1})
        run.finish()
        """
    )

    errors = training.stdout.split()
    assert errors[0] in ("TypeError", "ValueError")
    assert errors[1] in ("TypeError", "ValueError")
    assert errors[2] == "TypeError"
    assert errors[3] != "None"
    assert {name for _, name in lens.scalars(trainer.workload)} == {"good"}
    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert "Primus Lens" not in training.stderr


def test_a_disabled_run_is_not_tracked(trainer: Trainer, lens: Lens) -> None:
    trainer.run(
        """
        import wandb
        run = wandb.init(project="p", mode="disabled")
        run.log({"a": 1}); wandb.log({"b": 2})
        run.finish()
        """
    )

    assert lens.points(trainer.workload) == []


def test_with_the_switch_off_wandb_is_untouched(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        """
        import sys, wandb
        assert not hasattr(wandb, "_primus_lens_patched")
        assert "primus_lens_wandb_exporter.interceptor" not in sys.modules
        run = wandb.init(project="p"); run.log({"a": 1}); run.finish()
        """,
        PRIMUS_LENS_WANDB_HOOK="Off",
    )

    assert scalars(training.history) == {(0, "a"): 1.0}
    assert lens.points(trainer.workload) == []


def test_what_is_wrapped_keeps_its_signature_name_and_type(trainer: Trainer) -> None:
    trainer.run(
        """
        import inspect, pickle, wandb
        from wandb.sdk.wandb_run import Run
        taker = getattr(Run, "_log", Run.log)
        for function in (wandb.init, taker, Run.finish):
            original = function.__wrapped__
            assert inspect.signature(function) == inspect.signature(original)
            assert (function.__name__, function.__doc__) == (original.__name__, original.__doc__)
            assert function.__module__ == original.__module__ and inspect.isfunction(function)
        run = wandb.init(project="p")
        assert isinstance(run, Run) and type(run) is Run
        assert wandb.sdk.init is wandb.init
        run.finish()
        """
    )


def test_a_run_is_freed_without_the_garbage_collector(trainer: Trainer) -> None:
    """The exporter adds no reference cycle: what keeps a run alive without us keeps it with us, and nothing else."""
    script = """
        import gc, sys, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        run.finish()
        gc.collect()
        holders = [h for h in gc.get_referrers(run) if getattr(type(h), "__module__", "").startswith("primus_lens")]
        print(len(holders))
    """
    assert trainer.run(script).stdout.split()[-1] == "0"
