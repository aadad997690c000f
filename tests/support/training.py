"""Runs a training script as a user does: a process of its own, real wandb, nothing of the exporter in the script."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import psutil

from .wandb_file import History, read_history, read_summary

# What a developer's shell may hold and a test must not depend on.
FOREIGN_PREFIXES = ("PRIMUS_", "WANDB_", "WORKLOAD_", "POD_", "KUBERNETES_", "SLURM_", "OMPI_", "OTEL_", "PYTHON")
FOREIGN_NAMES = {"RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "PET_NODE_RANK"}


def clean_environment(**variables: str) -> dict[str, str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and name not in FOREIGN_NAMES
    }
    environment.update(variables)
    return environment


@dataclasses.dataclass
class Training:
    """What a finished training script left behind."""

    directory: Path
    returncode: int
    stdout: str
    stderr: str

    @property
    def histories(self) -> dict[str, History]:
        """What wandb recorded, by run id."""
        return {run_id: read_history(file) for run_id, file in self.wandb_files.items()}

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """What wandb holds of their summaries at the end, by run id."""
        return {run_id: read_summary(file) for run_id, file in self.wandb_files.items()}

    @property
    def wandb_files(self) -> dict[str, Path]:
        """wandb's own files, by run id."""
        files = sorted(self.directory.glob("wandb/*run-*/run-*.wandb"))
        return {file.stem[len("run-") :]: file for file in files}

    @property
    def system_history(self) -> History:
        """What wandb recorded of the exporter's system metrics."""
        (file,) = self.directory.glob("wandb/*run-*/run-*.wandb")
        return read_history(file, prefix="_primus_")

    @property
    def history(self) -> History:
        (history,) = self.histories.values()
        return history

    @property
    def run_id(self) -> str:
        (run_id,) = self.histories
        return run_id

    def lines(self, node: int = 0, rank: int = 0) -> list[dict[str, Any]]:
        """The JSONL mirror of a node and rank; fails for a line that is not strict JSON."""
        path = self.directory / "mirror" / f"node_{node}" / f"rank_{rank}" / "wandb_metrics.jsonl"
        return [json.loads(line, parse_constant=_refuse) for line in path.read_text().splitlines()]

    def calls(self, node: int = 0, rank: int = 0) -> list[dict[str, Any]]:
        """The lines of what was logged, without those of what was read from wandb's own file."""
        return [line for line in self.lines(node, rank) if "run-" not in line["writer"]]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class Trainer:
    """Runs scripts with one interpreter, against one Lens."""

    def __init__(self, python: str, directory: Path, base_url: str, workload: str) -> None:
        self.python = python
        self.directory = directory
        self.base_url = base_url
        self.workload = workload
        # What the environment of each training has beside the usual.
        self.variables: dict[str, str] = {}

    def environment(self, **variables: str) -> dict[str, str]:
        defaults = {
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_DIR": str(self.directory),
            "WORKLOAD_UID": self.workload,
            "PRIMUS_LENS_API_BASE_URL": self.base_url,
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": str(self.directory / "mirror"),
        }
        return clean_environment(**{**defaults, **self.variables, **variables})

    def start(
        self, script: str, *, name: str = "train.py", python_args: tuple[str, ...] = (), **variables: str
    ) -> subprocess.Popen[str]:
        path = self.directory / name
        path.write_text(textwrap.dedent(script))
        return subprocess.Popen(
            [self.python, *python_args, str(path)],
            cwd=self.directory,
            env=self.environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = 120) -> Training:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(f"the training did not end within {timeout} s\n{stdout}\n{stderr}") from None
        return Training(self.directory, process.returncode, stdout, stderr)

    def kill(self, process: subprocess.Popen[str]) -> Training:
        """Kills the job, and wandb's own processes when they have not noticed by themselves: some versions never do."""
        helpers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(timeout=60)
        _, left = psutil.wait_procs(helpers, timeout=10)
        for helper in left:
            helper.kill()
        return self.finish(process)

    def run(
        self, script: str, *, timeout: float = 120, python_args: tuple[str, ...] = (), **variables: str
    ) -> Training:
        """Runs the script to its end; fails when it does not end well."""
        training = self.finish(self.start(script, python_args=python_args, **variables), timeout)
        assert training.returncode == 0, training.stdout + training.stderr
        return training
