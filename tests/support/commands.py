"""The exporter's own commands, run by the interpreter that trains."""

from __future__ import annotations

import subprocess

from .training import Trainer


def sync(trainer: Trainer, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = trainer.environment(**variables)
    environment.pop("WORKLOAD_UID")
    return subprocess.run(
        [trainer.python, "-m", "primus_lens_wandb_exporter.cli", "sync", *arguments],
        cwd=trainer.directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
