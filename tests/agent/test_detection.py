"""Lens learns what a run uses, once, and once more when that has changed."""

from __future__ import annotations

from ..support import faults
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer


def stand_in(trainer: Trainer, name: str, source: str) -> None:
    """A package with the module names of a framework that cannot be installed here."""
    path = trainer.directory.joinpath(*name.split("."))
    path.mkdir(parents=True, exist_ok=True)
    for parent in (path, *path.parents):
        if parent == trainer.directory:
            break
        init = parent / "__init__.py"
        if not init.exists():
            init.write_text("")
    (path / "__init__.py").write_text(source)


def test_a_run_is_reported_with_its_config_and_surroundings(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty_trainer.run(
        """
        import wandb
        config = {"lr": 0.1, "api_key": "s3cret-value", "max_tokens": 9}
        run = wandb.init(project="p", name="n", tags=["t"], config=config)
        run.log({"a": 1})
        run.finish()
        """,
        POD_NAME="pod-1",
        POD_NAMESPACE="ns",
        GITHUB_ACTIONS="true",
        GITHUB_SHA="abc123",
    )

    (body,) = faulty.detections
    assert (body["workload_uid"], body["pod_name"], body["namespace"]) == (faulty_trainer.workload, "pod-1", "ns")
    evidence = body["evidence"]
    assert (evidence["wandb"]["project"], evidence["wandb"]["name"], evidence["wandb"]["tags"]) == ("p", "n", ["t"])
    assert evidence["wandb"]["config"]["lr"] == 0.1
    assert evidence["wandb"]["config"]["max_tokens"] == 9
    assert "s3cret" not in str(body)
    assert evidence["build"]["git_commit"] == "abc123"
    assert "wandb" in evidence["software"]["packages"]


def test_primus_on_megatron_is_told_apart(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    stand_in(faulty_trainer, "primus", "__version__ = '0.9.1'\n")
    stand_in(faulty_trainer, "megatron.core", "")
    stand_in(faulty_trainer, "megatron.training", "")
    training = faulty_trainer.run(
        """
        import primus, megatron.core, megatron.training
        import wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        run.finish()
        """,
        PRIMUS_BACKEND="megatron",
        PRIMUS_LENS_WANDB_DEBUG="true",
    )

    (body,) = faulty.detections
    hints = body["hints"]
    assert (hints["wrapper_frameworks"], hints["base_frameworks"]) == (["primus"], ["megatron"])
    assert hints["confidence"] == "high"
    assert hints["framework_layers"]["primus"]["base_frameworks"] == ["megatron"]
    (line,) = [line for line in training.stderr.splitlines() if "✓ Detection data queued for reporting" in line]
    assert "primus" in line
    assert "high" in line
    found = lens.get(f"/workloads/{faulty_trainer.workload}/framework-detection")
    assert "primus" in str(found)


def test_what_comes_later_leads_to_one_more_detection(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    stand_in(faulty_trainer, "deepspeed", "__version__ = '0.15'\n")
    faulty_trainer.run(
        """
        import wandb
        from primus_lens_wandb_exporter import run_detection
        run_detection._PATIENCE_S = 0
        run = wandb.init(project="p")
        run.log({"a": 1})
        import deepspeed, time
        time.sleep(2)
        for i in range(20):
            run.config.update({"key%d" % i: i})
            run.log({"a": i})
        run.finish()
        """
    )

    first, second = faulty.detections
    assert first["evidence"]["wandb"]["config"] == {}
    assert second["hints"]["base_frameworks"] == ["deepspeed"]
    assert second["evidence"]["wandb"]["config"]["key19"] == 19


def test_a_detection_waits_for_a_lens_that_does_not_know_the_pod_yet(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty.behaviour = faults.refuse(400, "no valid workload found")
    process = faulty_trainer.start(
        """
        import time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        time.sleep(1)
        print("trained", flush=True)
        run.finish()
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="30",
    )
    assert process.stdout is not None
    process.stdout.readline()
    faulty.behaviour = faults.forward
    faulty_trainer.finish(process)

    assert len(faulty.detections) == len(faulty.taken) == 1


def test_secrets_reach_neither_lens_nor_file_nor_debug_log(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    secret = "ghp_" + "a1B2" * 9
    training = faulty_trainer.run(
        f"""
        import wandb
        run = wandb.init(project="p", config={{"note": "uses {secret}", "url": "https://u:{secret}@host/x"}})
        run.log({{"text": "token {secret}", "password": "hunter2hunter2", "a": 1}})
        run.finish()
        """,
        PRIMUS_LENS_WANDB_DEBUG="true",
        PRIMUS_LENS_API_BASE_URL=faulty_trainer.base_url.replace("http://", f"http://user:{secret}@"),
    )

    mirror = (faulty_trainer.directory / "mirror").rglob("*")
    files = [path.read_text() for path in mirror if path.is_file()]
    texts = [str(faulty.requests), str(faulty.detections), training.stderr, *files]
    assert len(texts) == 5
    for text in texts:
        assert secret not in text
        assert "hunter2" not in text
    assert faulty.detections


def test_a_detection_that_fails_costs_no_metric(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import wandb
        from primus_lens_wandb_exporter import run_detection
        def fail(run):
            raise RuntimeError("no facts today")
        run_detection.collect_facts = run_detection.current_fingerprint = fail
        run = wandb.init(project="p")
        del run.__dict__["_primus_lens_tracker"]  # as a run that was started unseen
        run.log({"a": 1})
        run.finish()
        import os
        os._exit(0)
        """
    )

    assert [body["metrics"][0]["value"] for _, body in faulty.taken] == [1]
    assert len([line for line in training.stderr.splitlines() if "no facts today" in line]) == 1
