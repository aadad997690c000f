"""What an OTLP server gets is what wandb recorded: every number, at the time of its call, for each step."""

from __future__ import annotations

import math
from typing import Any

from ..support.lens import Lens
from ..support.otlp_receiver import CONFIG, INFO, STEP, OtlpReceiver, Point
from ..support.training import Trainer, Training
from ..support.wandb_file import History, read_history, scalars

_AS_WANDB_WRITES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def numbers(history: History) -> dict[tuple[int, str], Any]:
    """Every number that wandb recorded, by step and name."""
    found = {(step, name): value for step, row in history.items() for name, value in row.items()}
    found = {
        key: _AS_WANDB_WRITES.get(value, value) if isinstance(value, str) else value for key, value in found.items()
    }
    return {key: value for key, value in found.items() if isinstance(value, (int, float))}


def _comparable(value: float) -> float | str:
    return "NaN" if value != value else value


def last_values(receiver: OtlpReceiver, run_id: str | None = None) -> dict[tuple[int, str], float]:
    return {key: values[-1] for key, values in receiver.history(run_id).items()}


def times_of_calls(training: Training, *names: str) -> list[int]:
    """When the calls with such names were, as the mirror notes it."""
    return [round(line["timestamp"] * 1e6) * 1000 for line in training.calls() if set(names) <= set(line["data"])]


def times_of(points: list[Point], metric: str) -> list[int]:
    return [point.time_ns for point in points if point.attributes["wandb.metric"] == metric]


def test_20_000_calls_arrive_as_60_000_points_at_the_times_of_their_calls(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    training = otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(20000):
            run.log({"train/loss": 1 / (i + 1), "epoch": i // 100, "lr": 0.1 ** (i % 7)})
        run.finish()
        """,
        timeout=240,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="60",
    )

    points = receiver.points()
    assert len(points) == 60_000
    assert last_values(receiver) == numbers(training.history)
    calls = times_of_calls(training, "train/loss")
    for name in ("train/loss", "epoch", "lr"):
        assert times_of(points, name) == calls
    assert [p.time_ns for p in receiver.all_points() if p.name == STEP] == calls
    # wandb's own clock is read in the same call, by some versions in whole seconds, by others in another process.
    (file,) = training.wandb_files.values()
    wandbs = {step: row["_timestamp"] for step, row in read_history(file, prefix="_timestamp").items()}
    ours = {step: point.time_ns / 1e9 for step, point in enumerate(p for p in points if p.name == "epoch")}
    assert wandbs.keys() == ours.keys()
    assert max(abs(wandbs[step] - ours[step]) for step in ours) < 20


def test_numbers_of_every_kind_keep_their_type_and_value(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(
        """
        import numpy as np, wandb
        run = wandb.init(project="p")
        run.log({"int": 3, "float": 0.1, "true": True, "false": False, "nan": float("nan"), "inf": float("inf"),
                 "less": float("-inf"), "tiny": 5e-324, "large": 2**62, "negative": -(2**63)})
        run.log({"array": np.float32(0.5), "one": np.array([7]), "nested": {"a": {"b": 1.5}}, "step": 9, "source": 2.5})
        run.log({"text": "bert", "histogram": wandb.Histogram([1, 2]), "none": None})
        run.log({"bool of numpy": np.bool_(True), "损失/α": 1.0, "with space": 2})
        run.finish()
        """
    )

    found = {p.attributes["wandb.metric"]: p.value for p in receiver.points()}
    assert math.isnan(found.pop("nan"))
    expected: dict[str, Any] = {
        "int": 3,
        "float": 0.1,
        "true": 1,
        "false": 0,
        "inf": math.inf,
        "less": -math.inf,
        "tiny": 5e-324,
        "large": 2**62,
        "negative": -(2**63),
        "array": 0.5,
        "one": 7,
        "nested.a.b": 1.5,
        "step": 9,
        "source": 2.5,
        "bool of numpy": 1,
        "损失/α": 1.0,
        "with space": 2,
    }
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in expected.items()}
    recorded = {name for _, name in numbers(training.history)}
    assert recorded == {*expected, "nan"}, "wandb's own record holds other numbers"


def test_each_call_is_points_of_its_own(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(
        """
        import time, wandb
        run = wandb.init(project="p")
        for i in range(3):
            run.log({"loss": i}, step=0)
            time.sleep(0.01)
        run.log({"late": 1}, step=5)
        run.log({"dropped": 1}, step=2)
        run.finish()
        """
    )

    assert receiver.history() == {(0, "loss"): [0, 1, 2], (5, "late"): [1]}
    assert times_of(receiver.points(), "loss") == times_of_calls(training, "loss")


def test_a_summary_is_told_from_history(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"loss": 0.5})
        run.summary["best"] = 7
        run.summary["loss"] = 0.25
        run.finish()
        """
    )

    found = {(p.attributes["wandb.metric"], p.kind): p.value for p in receiver.points()}
    assert found == {("loss", ""): 0.5, ("best", "summary"): 7, ("summary/loss", "summary"): 0.25}


def test_rows_that_only_wandb_numbers_come_from_its_file(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(
        """
        import wandb
        from tensorboardX import SummaryWriter
        run = wandb.init(project="p", sync_tensorboard=True)
        writer = SummaryWriter("tb")
        for i in range(20):
            writer.add_scalar("loss", 1 / (i + 1), i)
            writer.flush()
            run.log({"mine": i})
        writer.close()
        run.finish()
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="30",
        # Old versions of wandb note whole seconds: several rows have the same time.
        PRIMUS_LENS_WANDB_OTLP_STEP_ATTRIBUTE="true",
    )

    assert last_values(receiver) == numbers(training.history)


def test_the_step_is_an_attribute_on_request_only(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    script = """
    import wandb
    run = wandb.init(project="p")
    for i in range(5):
        run.log({"loss": i}, step=i * 10)
    run.finish()
    """
    otlp_trainer.run(script)
    assert not any(STEP in point.attributes for point in receiver.points())

    receiver.taken.clear()
    otlp_trainer.run(script, PRIMUS_LENS_WANDB_OTLP_STEP_ATTRIBUTE="true")
    assert [point.attributes[STEP] for point in receiver.points()] == [0, 10, 20, 30, 40]


def test_the_resource_says_who_sends(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p", name="my run")
        run.log({"loss": 1})
        run.finish()
        """,
        POD_NAME="pod-1",
        POD_UID="uid-1",
        POD_NAMESPACE="ns",
        NODE_RANK="2",
        RANK="17",
        LOCAL_RANK="1",
        WORLD_SIZE="24",
        DISPATCH_COUNT="3",
        OTEL_SERVICE_NAME="pretraining",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment=prod,team=a%20b,service.instance.id=same-for-all",
    )

    (resource,) = {str(point.resource): point.resource for point in receiver.points()}.values()
    assert resource == {
        "service.name": "pretraining",
        "service.instance.id": f"{training.run_id}/2.1.3",
        "wandb.run.id": training.run_id,
        "wandb.run.name": "my run",
        "wandb.project": "p",
        "primus.workload.uid": otlp_trainer.workload,
        "k8s.pod.name": "pod-1",
        "k8s.pod.uid": "uid-1",
        "k8s.namespace.name": "ns",
        "wandb.node_rank": 2,
        "wandb.rank": 17,
        "wandb.local_rank": 1,
        "wandb.attempt": 3,
        "deployment.environment": "prod",
        "team": "a b",
    }


def test_ranks_do_not_overwrite_each_other(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    processes = [
        otlp_trainer.start(
            """
            import os, wandb
            run = wandb.init(project="p", id="shared")
            for i in range(50):
                run.log({"loss": i + 1000 * int(os.environ["RANK"])})
            run.finish()
            """,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="2",
            WANDB_DIR=str(otlp_trainer.directory / f"rank{rank}"),
        )
        for rank in range(2)
        if (otlp_trainer.directory / f"rank{rank}").mkdir() is None
    ]
    for process in processes:
        assert otlp_trainer.finish(process).returncode == 0

    series: dict[str, list[float]] = {}
    for point in receiver.points():
        series.setdefault(point.resource["service.instance.id"], []).append(point.value)
    assert series == {"shared/0.0": list(range(50)), "shared/0.1": list(range(1000, 1050))}


def test_lens_file_and_opentelemetry_get_the_same_at_once(
    receiver: OtlpReceiver, otlp_trainer: Trainer, lens: Lens
) -> None:
    training = otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(500):
            run.log({"loss": 1 / (i + 1), "flag": i % 2 == 0, "odd": float("nan") if i % 3 else i})
        run.finish()
        """,
        PRIMUS_LENS_WANDB_API_REPORTING="true",
    )

    found, expected = last_values(receiver), numbers(training.history)
    assert {key: _comparable(value) for key, value in found.items()} == {k: _comparable(v) for k, v in expected.items()}
    assert lens.scalars(otlp_trainer.workload) == scalars(training.history)
    assert len(training.calls()) == 500


def test_what_a_run_uses_is_told_without_its_secrets(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    secret = "hf_" + "abcdefghijklmnopqrstuvwxyz" + "01234567"
    otlp_trainer.run(
        f"""
        import wandb
        config = {{"lr": 0.1, "model": {{"layers": 12}}, "hf_token": "{secret}", "note": "use {secret} here"}}
        run = wandb.init(project="p", name="with {secret}", config=config, tags=["a", "b"])
        run.log({{"loss": 1}})
        run.finish()
        """,
        PRIMUS_BACKEND="megatron",
    )

    points = receiver.all_points()
    info = [point for point in points if point.name == INFO]
    assert info
    assert all(point.value == 1 for point in info)
    assert info[0].attributes["wandb.tags"] == "a,b"
    assert info[0].attributes["wandb.python.version"]
    config = {p.attributes["wandb.config.key"]: p.attributes["wandb.config.value"] for p in points if p.name == CONFIG}
    assert config["lr"] == "0.1"
    assert config["model.layers"] == "12"
    assert "hf_token" in config
    assert secret not in str(points)
