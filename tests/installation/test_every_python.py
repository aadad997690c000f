"""The start-up line on every Python from 3.7 on: it works, and is silent whatever has been removed around it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from .environments import PACKAGE, PTH, STARTUP_MODULE, STARTUP_PACKAGE, PythonEnvironment, find_python, make_venv

VERSIONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
IS_PATCHED = "import wandb; print(getattr(wandb, '_primus_lens_patched', False))"


@pytest.fixture(params=VERSIONS)
def unpacked(request: pytest.FixtureRequest, tmp_path: Path, stand_ins: Path, wheel: Path) -> PythonEnvironment:
    """The wheel, unpacked into an environment of this version: the newest installers know no 3.7."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no working Python {request.param} on PATH or in pyenv")
    environment = make_venv(tmp_path / request.param, stand_ins, python=python, with_pip=False)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site_packages)
    return environment


def assert_patched(environment: PythonEnvironment, expected: bool, *flags: str, **variables: str) -> None:
    result = environment.run(*flags, "-c", IS_PATCHED, **variables)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{expected}\n", ""), flags


def test_every_way_of_starting_has_wandb_intercepted(unpacked: PythonEnvironment) -> None:
    for flags in (
        [],
        ["-I"],
        ["-E", "-s"],
        ["-W", "error"],
        ["-X", "importtime"],
        ["-X", "frozen_modules=off"],
        ["-OO"],
    ):
        result = unpacked.run(*flags, "-c", IS_PATCHED)
        assert (result.returncode, result.stdout) == (0, "True\n"), flags
        assert result.stderr == "" or "importtime" in flags
    assert_patched(unpacked, True, PYTHONSAFEPATH="1")
    assert_patched(unpacked, True, PYTHONDONTWRITEBYTECODE="1")
    result = unpacked.run("-m", "site")
    assert (result.returncode, result.stderr) == (0, "")


def test_what_is_left_of_a_removed_package_is_silent(unpacked: PythonEnvironment) -> None:
    folder = unpacked.site_packages
    assert_patched(unpacked, True)
    assert list((folder / STARTUP_PACKAGE / "__pycache__").iterdir()), "there must be bytecode to be left over"

    (folder / STARTUP_MODULE).rename(folder / "aside")
    assert_patched(unpacked, False)  # the module's bytecode, the line and the package
    (folder / "aside").rename(folder / STARTUP_MODULE)
    assert_patched(unpacked, True)

    for file in [path for path in (folder / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc"]:
        file.unlink()
    assert_patched(unpacked, False)  # only bytecode and folders of the package
    shutil.rmtree(folder / PACKAGE)
    assert_patched(unpacked, False)  # the line and the module
    shutil.rmtree(folder / STARTUP_PACKAGE)
    assert_patched(unpacked, False)  # only the line
    assert (folder / PTH.name).exists()
