"""The mirror's ledger says who a run was, so that what is delivered later is told as it would have been at once."""

from __future__ import annotations

import json

from ..support.faults import FaultyLens
from ..support.mirrors import NAME, ledger_of
from ..support.training import Trainer


def test_a_run_is_introduced_with_its_place_attempt_project_and_name(
    wandb_version: tuple[int, ...], faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    secret = "ghp_" + "a1B2" * 9
    faulty_trainer.run(
        f"""
        import os, wandb
        run = wandb.init(project="llama pretraining", name="try {secret}")
        run.log({{"a": 1}})
        child = os.fork()
        if child == 0:
            run.log({{"a": 2}})
            os._exit(0)
        os.waitpid(child, 0)
        run.finish()
        """,
        RANK="9",
        LOCAL_RANK="1",
        NODE_RANK="1",
        WORLD_SIZE="16",
        DISPATCH_COUNT="2",
    )

    ledger = ledger_of(faulty_trainer.directory / "mirror" / "node_1" / "rank_1" / NAME).read_text()
    lines = [json.loads(line) for line in ledger.splitlines()]
    introductions = [line for line in lines if "identity" in line]
    # The run's own process, its child (older versions only warn there), and wandb's own file with their rows.
    assert len({line["writer"] for line in introductions}) == len(introductions)
    assert len(introductions) >= (2 if wandb_version >= (0, 19) else 1)
    for line in introductions:
        assert line["place"] == {"node_rank": 1, "rank": 9, "local_rank": 1, "world_size": 16, "attempt": 2}
        assert line["project"] == "llama pretraining"
        assert line["name"].startswith("try ")
    assert secret not in ledger
