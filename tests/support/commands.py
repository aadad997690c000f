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


def start_follow(
    trainer: Trainer, *arguments: str, interval_s: float = 0.2, silence_s: float = 1.0, **variables: str
) -> subprocess.Popen[str]:
    """``sync --follow`` that looks more often than it does for people, and waits less."""
    environment = trainer.environment(**{"PYTHONUNBUFFERED": "1", **variables})
    environment.pop("WORKLOAD_UID")
    hurried = f"""
import sys
from primus_lens_wandb_exporter import cli
from primus_lens_wandb_exporter.commands import follow, wandb_run, watched
follow.INTERVAL_S, follow.LONGEST_INTERVAL_S, follow._FIRST_RETRY_S = {interval_s}, {4 * interval_s}, {2 * interval_s}
follow.REQUEST_LIMIT_S = 3.0
wandb_run.SILENCE_S = watched.SILENCE_S = {silence_s}
sys.exit(cli.main(["sync", "--follow", *sys.argv[1:]]))
"""
    return subprocess.Popen(
        [trainer.python, "-c", hurried, *arguments],
        cwd=trainer.directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
