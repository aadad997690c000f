"""Every way of installing activates the hook, and every way of uninstalling leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import MakeEnvironment
from .environments import STARTUP_FILES, PythonEnvironment, find_python, make_venv


@pytest.fixture
def building(make_environment: MakeEnvironment, stand_ins: Path, all_libraries: Path) -> PythonEnvironment:
    """An environment that can build: the tiny wandb comes first, then the libraries of the tests."""
    return make_environment(stand_ins, all_libraries)


@pytest.fixture(params=["wheel", "sdist", "editable"])
def arguments(request: pytest.FixtureRequest, wheel: Path, sdist: Path, checkout: Path) -> list[object]:
    forms: dict[str, list[object]] = {
        "wheel": [wheel],
        "sdist": ["--no-build-isolation", sdist],
        "editable": ["--no-build-isolation", "--editable", checkout],
    }
    return forms[request.param]


def test_pip_activates_and_removes_without_a_trace(building: PythonEnvironment, arguments: list[str]) -> None:
    before = building.files()
    assert not building.wandb_is_patched()
    building.pip("install", *arguments)
    assert building.wandb_is_patched()
    for name in STARTUP_FILES:
        assert (building.site_packages / name).is_file()
    building.pip("uninstall", "--yes", "primus-lens-wandb-exporter")
    assert not building.wandb_is_patched()
    assert building.files() == before


def test_uv_activates_and_removes_without_a_trace(building: PythonEnvironment, arguments: list[str]) -> None:
    before = building.files()
    building.uv("install", "--no-deps", *arguments)
    assert building.wandb_is_patched()
    building.uv("uninstall", "primus-lens-wandb-exporter")
    assert not building.wandb_is_patched()
    assert building.files() == before


def test_real_wandb_is_patched_after_pip_install(
    make_environment: MakeEnvironment, all_libraries: Path, wheel: Path
) -> None:
    environment = make_environment(all_libraries)
    # With its dependencies resolved: wandb, requests and psutil are there.
    environment.pip("install", wheel)
    code = "import wandb; print(wandb._primus_lens_patched is True, wandb.sdk.wandb_run.Run.log.__module__)"
    assert environment.run("-c", code).stdout == "True wandb.sdk.wandb_run\n"
    check = environment.cli("check")
    assert check.returncode == 0, check.stdout + check.stderr


def test_python37_installs_checks_and_uninstalls(tmp_path: Path, stand_ins: Path, wheel: Path) -> None:
    python37 = find_python("3.7")
    if python37 is None:
        pytest.skip("there is no working Python 3.7 on PATH or in pyenv")
    environment = make_venv(tmp_path / "python3.7", stand_ins, python=python37)
    before = environment.files()
    environment.pip("install", wheel)
    assert environment.wandb_is_patched()
    check = environment.cli("check")
    assert check.returncode == 0, check.stdout + check.stderr
    assert "Python 3.7" in check.stdout
    assert environment.cli("uninstall").returncode == 0
    assert not environment.wandb_is_patched()
    assert environment.cli("install").returncode == 0
    assert environment.wandb_is_patched()
    environment.pip("uninstall", "--yes", "primus-lens-wandb-exporter")
    assert environment.files() == before


def test_target_install_reads_no_startup_files_until_install_writes_them(
    environment: PythonEnvironment, wheel: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    environment.pip("install", "--no-deps", "--target", target, wheel)
    cli = ["-m", "primus_lens_wandb_exporter.cli"]
    assert not environment.wandb_is_patched(PYTHONPATH=target)

    check = environment.run(*cli, "check", PYTHONPATH=target)
    assert check.returncode == 1
    assert f"start-up files: none in {environment.site_packages}" in check.stdout
    assert f"the package lies in {target}, which is on the path by PYTHONPATH" in check.stdout

    install = environment.run(*cli, "install", PYTHONPATH=target)
    assert install.returncode == 0, install.stdout + install.stderr
    assert environment.wandb_is_patched(PYTHONPATH=target)
    # Other processes of the environment do not have the package on their path: they must not notice.
    assert not environment.wandb_is_patched()
