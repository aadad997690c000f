from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Callable

import pytest

from .environments import ROOT, PythonEnvironment, build_distributions, link_libraries, make_stand_ins, make_venv


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would check out, without what lies around in a developer's folder."""
    folder = tmp_path_factory.mktemp("checkout") / "exporter"
    folder.mkdir()
    for pattern in ("*.toml", "*.md", "*.pth", "*.start", "LICENSE", "install.sh", "install_hook.py", ".gitignore"):
        for file in ROOT.glob(pattern):
            shutil.copy(file, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


@pytest.fixture(scope="session")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built once."""
    folder = tmp_path_factory.mktemp("distributions")
    build_distributions(checkout, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def sdist(distributions: Path) -> Path:
    (sdist,) = distributions.glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="session")
def pip_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip alone."""
    if importlib.util.find_spec("pip") is None:
        pytest.fail("the environment of the tests has no pip: run `python -m ensurepip` in it")
    return link_libraries(tmp_path_factory.mktemp("pip") / "library", only=r"pip($|-)")


@pytest.fixture(scope="session")
def all_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whatever the environment of the tests has: the real wandb, pip and hatchling among it."""
    return link_libraries(tmp_path_factory.mktemp("all") / "library")


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny wandb, and all that the exporter requires."""
    return make_stand_ins(tmp_path_factory.mktemp("stand-ins") / "library")


MakeEnvironment = Callable[..., PythonEnvironment]


@pytest.fixture
def make_environment(tmp_path: Path) -> MakeEnvironment:
    """Makes virtual environments with the given libraries."""

    def make(*libraries: Path) -> PythonEnvironment:
        return make_venv(tmp_path / f"environment-{len(list(tmp_path.iterdir()))}", *libraries)

    return make


@pytest.fixture
def environment(make_environment: MakeEnvironment, stand_ins: Path, pip_library: Path) -> PythonEnvironment:
    """A virtual environment with pip and a tiny wandb, and without the exporter."""
    return make_environment(stand_ins, pip_library)


@pytest.fixture
def installed(environment: PythonEnvironment, wheel: Path) -> PythonEnvironment:
    """The same with the exporter."""
    environment.install_quickly(wheel)
    return environment
