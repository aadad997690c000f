"""install.sh in hostile and odd surroundings: planted files, relative paths, any TMPDIR, a shell with habits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .conftest import MakeEnvironment
from .environments import PythonEnvironment, find_uv, run
from .test_install_sh import SCRIPT, SYSTEM_PATH, make_program, pipe_into_bash

MODULES = (
    "pip",
    "sys",
    "os",
    "site",
    "json",
    "re",
    "logging",
    "sitecustomize",
    "usercustomize",
    "argparse",
    "encodings",
)
PROGRAMS = ("python3", "python", "uv", "cat", "grep", "mktemp", "tee", "rm", "dirname")
# Found by both, they would be an error or a crash.
SETTINGS = {
    "uv.toml": "this is not TOML",
    "pyproject.toml": "[tool.uv]\nindex-url = 7\n",
    "pip.conf": "[install]\nno-such-option = 1\nindex-url = http://127.0.0.1:9/\n",
    "setup.cfg": "[install]\nprefix = /nowhere\n",
    ".python-version": "2.6",
    "pyvenv.cfg": "home = /nowhere\n",
}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder in which whatever is run or imported by accident leaves a file called `was-run`."""
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'was-run')!r}, 'a').write({name!r})\n")
    for name in ("primus_lens_wandb_exporter", "encodings", "hatchling"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"open({str(folder / 'was-run')!r}, 'a').write({name!r})\n")
    for name in PROGRAMS:
        make_program(folder / name, f"echo {name} >>'{folder / 'was-run'}'\n")
    for name, content in SETTINGS.items():
        (folder / name).write_text(content)
    return folder


def assert_nothing_was_run(planted: Path) -> None:
    witness = planted / "was-run"
    assert not witness.exists(), witness.read_text()


@pytest.mark.parametrize("python_path", [None, "", ".", ":", "planted", "/nowhere:"])
def test_nothing_in_the_start_folder_runs_or_is_read(
    environment: PythonEnvironment, wheel: Path, planted: Path, python_path: str | None
) -> None:
    variables = {} if python_path is None else {"PYTHONPATH": python_path}
    result = pipe_into_bash(planted, "--from", wheel, PYTHON=environment.python, **variables)
    assert_nothing_was_run(planted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_nothing_in_the_start_folder_is_read_by_uv(
    make_environment: MakeEnvironment, stand_ins: Path, wheel: Path, planted: Path
) -> None:
    environment = make_environment(stand_ins)
    path = f"{Path(find_uv()).parent}:{SYSTEM_PATH}"
    result = pipe_into_bash(planted, "--from", wheel, "--", "--no-deps", PYTHON=environment.python, PATH=path)
    assert_nothing_was_run(planted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


@pytest.mark.parametrize("entry", ["", "."])
def test_no_program_of_the_start_folder_runs(
    environment: PythonEnvironment, wheel: Path, planted: Path, entry: str
) -> None:
    path = f"{entry}:{environment.python.parent}:{SYSTEM_PATH}"
    result = pipe_into_bash(planted, "--from", wheel, PATH=path)
    assert_nothing_was_run(planted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_relative_paths_mean_the_start_folder(
    environment: PythonEnvironment, planted: Path, distributions: Path, wheel: Path
) -> None:
    shutil.copytree(distributions, planted / "wheels")
    (planted / "venv").symlink_to(environment.python.parent.parent)
    (planted / "more requirements.txt").write_text("psutil\n")
    (planted / "constraints.txt").write_text("psutil==99.0\n")
    arguments = ["--no-index", "--find-links", "wheels", "--", "-r", "more requirements.txt", "-cconstraints.txt"]
    more = ["--constraint=constraints.txt", "--log", "pip.log", f"./wheels/{wheel.name}", f"wheels/{wheel.name}"]
    variables = {"PIP_NO_INDEX": "", "PYTHON": "venv/bin/python"}
    result = pipe_into_bash(planted, *arguments, *more, **variables)
    assert_nothing_was_run(planted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()
    assert (planted / "pip.log").is_file()


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_relative_environment_means_the_start_folder(
    environment: PythonEnvironment, wheel: Path, variable: str
) -> None:
    folder = environment.python.parent.parent
    shutil.copy(wheel, folder.parent)
    variables = {variable: folder.name}
    result = pipe_into_bash(folder.parent, f"--from={wheel.name}", **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_folder_of_other_things_by_the_name_of_a_requirement_is_not_taken_for_it(
    environment: PythonEnvironment, wheel: Path
) -> None:
    (environment.home / "wandb").mkdir()
    result = pipe_into_bash(environment.home, "--from", wheel, "--", "wandb", PYTHON=environment.python)
    assert result.returncode == 0, result.stdout + result.stderr


NAMES_OF_TMPDIR = [
    "missing",
    "file",
    'it\'s "one"',
    "$(touch was-run)`touch was-run`",
    "'; touch was-run; '",
    "-rf",
    "*",
]


@pytest.mark.parametrize(
    ("tool", "name"),
    [*(("pip", name) for name in NAMES_OF_TMPDIR), ("pip", "two\nlines"), ("uv", "two\nlines"), ("uv", "missing")],
)
def test_any_tmpdir_will_do(
    make_environment: MakeEnvironment,
    stand_ins: Path,
    pip_library: Path,
    wheel: Path,
    planted: Path,
    tool: str,
    name: str,
) -> None:
    environment = make_environment(stand_ins, *([pip_library] if tool == "pip" else []))
    folder = planted / name
    if name == "file":
        folder.touch()
    elif name != "missing":
        folder.mkdir()
    for value in (folder, name):
        variables = {"PYTHON": str(environment.python), "PATH": f"{Path(find_uv()).parent}:{SYSTEM_PATH}"}
        options = ["--", "--no-deps"]
        result = pipe_into_bash(planted, "--from", wheel, *options, TMPDIR=value, **variables)
        assert_nothing_was_run(planted)
        assert not os.path.exists("/was-run")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "TMPDIR" not in result.stderr
    assert environment.wandb_is_patched()
    assert folder.is_dir() == (name not in ("missing", "file"))
    assert not folder.is_dir() or not list(folder.iterdir())


def test_habits_of_the_calling_shell_do_not_matter(
    environment: PythonEnvironment, wheel: Path, planted: Path, tmp_path: Path
) -> None:
    functions = {
        f"BASH_FUNC_{name}%%": f"() {{ echo {name} >>'{planted / 'was-run'}'; }}"
        for name in (
            "cd",
            "pwd",
            "command",
            "printf",
            "python3",
            "python",
            "uv",
            "say",
            "fail",
            "absolute",
            "cat",
            "echo",
        )
    }
    (planted / "venv").symlink_to(environment.python.parent.parent)
    habits = {"CDPATH": f"{tmp_path}:/", "GREP_OPTIONS": "-v --color=always", "IFS": "/", "POSIXLY_CORRECT": "1"}
    shutil.copy(wheel, planted)
    result = pipe_into_bash(
        planted, "--from", wheel.name, PYTHON="venv/bin/python", **habits, **functions, OLDPWD=planted
    )
    assert_nothing_was_run(planted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()


def test_start_folder_that_is_gone_is_no_trouble(environment: PythonEnvironment, wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    command = f"cd '{folder}' && rmdir '{folder}' && bash -s -- --from '{wheel}' <'{SCRIPT}'"
    result = run(["bash", "-c", command], tmp_path, PYTHON=environment.python)
    assert result.returncode == 0, result.stdout + result.stderr
    assert environment.wandb_is_patched()
