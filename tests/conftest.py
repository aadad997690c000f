from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Iterator

import pytest

from .support.faults import FaultyLens, faulty_lens
from .support.lens import Lens, running_lens
from .support.training import Trainer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--training-python",
        default=sys.executable,
        help="the interpreter that runs the training scripts: one with the exporter and a wandb of its own",
    )


@pytest.fixture(scope="session")
def training_python(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.getoption("--training-python"))


@pytest.fixture(scope="session")
def wandb_version(training_python: str) -> tuple[int, ...]:
    """Of the interpreter that runs the training scripts; (0, 31) for 0.31.0."""
    command = [training_python, "-c", "import wandb; print(wandb.__version__)"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in text.split(".")[:2])


@pytest.fixture(scope="session")
def lens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lens]:
    """One local Lens for all tests; each test has a workload of its own."""
    with running_lens(tmp_path_factory.mktemp("lens")) as server:
        yield server


@pytest.fixture
def workload() -> str:
    return f"workload-{uuid.uuid4()}"


@pytest.fixture
def trainer(tmp_path: Path, training_python: str, lens: Lens, workload: str) -> Trainer:
    return Trainer(training_python, tmp_path, lens.base_url, workload)


@pytest.fixture
def faulty(lens: Lens) -> Iterator[FaultyLens]:
    """A Lens that misbehaves on request, in front of the real one."""
    with faulty_lens(lens) as server:
        yield server


@pytest.fixture
def faulty_trainer(tmp_path: Path, training_python: str, faulty: FaultyLens, workload: str) -> Trainer:
    return Trainer(training_python, tmp_path, faulty.base_url, workload)
