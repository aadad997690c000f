"""`primus-lens-wandb check --python PATH` looks at the interpreter that trains, `--json` speaks to programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..support.stand_in_lens import StandInLens, enveloped, running_stand_in, sources
from .conftest import MakeEnvironment
from .environments import PACKAGE, PythonEnvironment, find_python, make_venv

WELL = {"WORKLOAD_UID": "w-1"}
SECRET = "-".join(["s3cret", "of", "this", "test"])


@pytest.fixture
def own(make_environment: MakeEnvironment, wheel: Path) -> PythonEnvironment:
    """As pipx makes one: with the exporter, and without wandb and requests."""
    environment = make_environment()
    environment.install_quickly(wheel)
    return environment


def test_the_interpreter_that_trains_is_looked_at(own: PythonEnvironment, installed: PythonEnvironment) -> None:
    with running_stand_in(StandInLens("/v1", enveloped(sources("wandb")))) as lens:
        variables = {"PRIMUS_LENS_API_BASE_URL": lens.base_url, **WELL}
        result = own.cli("check", "--strict", "--python", str(installed.python), **variables)
        by_folder = own.cli("check", "--strict", "--python", str(installed.folder / "venv"), **variables)
        relative = os.path.relpath(installed.folder / "venv", own.home)
        by_relative = own.cli("check", "--strict", "--python", relative, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "✓ Python 3" in result.stdout
    assert str(installed.python) in result.stdout
    assert (
        f"✓ package: {own.run('-c', f'import {PACKAGE}; print({PACKAGE}.__version__)').stdout.strip()} in "
        + str(installed.site_packages / PACKAGE)
        in result.stdout
    )
    assert "✓ wandb 0.99.0" in result.stdout
    assert f"✓ Lens at {lens.base_url} answers" in result.stdout
    assert str(own.folder) not in result.stdout
    for result_by_folder in (by_folder, by_relative):
        assert (result_by_folder.returncode, result_by_folder.stdout) == (0, result.stdout), result_by_folder.stderr
    assert own.cli("check", "--strict", **WELL).returncode == 1


def test_what_is_wrong_there_is_said_with_commands_for_there(
    own: PythonEnvironment, installed: PythonEnvironment, make_environment: MakeEnvironment
) -> None:
    empty = make_environment()
    result = installed.cli("check", "--python", str(empty.python), **WELL)
    assert result.returncode == 1
    assert f"→ run: {empty.python} -m pip install primus-lens-wandb-exporter" in result.stdout
    reverse = installed.cli("check", "--python", str(own.python), **WELL)
    assert reverse.returncode == 1
    assert "✗ wandb is not installed for this interpreter" in reverse.stdout
    assert "✗ requests cannot be imported" in reverse.stdout
    assert f"→ run: {own.python} -m pip install --upgrade requests" in reverse.stdout


def test_another_version_there_is_a_warning(own: PythonEnvironment, installed: PythonEnvironment) -> None:
    (installed.site_packages / PACKAGE / "__init__.py").write_text("__version__ = '0.9'\n")
    result = own.cli("check", "--python", str(installed.python), **WELL)
    assert f"! package: 0.9 in {installed.site_packages / PACKAGE}, and this command is of version" in result.stdout


@pytest.mark.parametrize("version", ["3.7", "3.13"])
def test_any_supported_python_can_be_looked_at_and_nothing_is_left_behind(
    own: PythonEnvironment, tmp_path: Path, version: str
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    there = make_venv(tmp_path / "there", python=python, with_pip=False)
    result = own.cli("check", "--python", str(there.python), **WELL)
    assert result.returncode == 1
    assert result.stderr == ""
    assert f"✓ Python {version}." in result.stdout
    assert "✗ package: a new Python process cannot import" in result.stdout
    assert not list((own.site_packages / PACKAGE).rglob(f"*-{version.replace('.', '')}.pyc"))


def test_what_is_no_interpreter_is_wrong_usage(own: PythonEnvironment, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 2.7\n")
    script.chmod(0o755)
    for path, why in (
        ("/nowhere/python", "No such file"),
        (os.devnull, "Permission denied"),
        ("/bin/ls", "is no Python interpreter"),
        (str(script), "is Python 2.7; the exporter needs 3.7 or newer"),
    ):
        result = own.cli("check", "--python", path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == f"primus-lens-wandb check: error: --python {path} " + result.stderr.split(f"{path} ")[1]
        assert why in result.stderr


@pytest.mark.parametrize("elsewhere", [False, True])
def test_json_has_what_a_program_needs_and_no_secret(
    own: PythonEnvironment, installed: PythonEnvironment, elsewhere: bool, tmp_path: Path
) -> None:
    arguments = ["--python", str(installed.python)] if elsewhere else []
    with running_stand_in(StandInLens("/v1", enveloped(sources("wandb")), SECRET)) as lens:
        variables = {
            "PRIMUS_LENS_API_BASE_URL": lens.base_url + "?key=" + SECRET,
            "PRIMUS_LENS_API_TOKEN": SECRET,
            "PRIMUS_LENS_WANDB_BATCH_SIZE": "many",
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": str(tmp_path),
            **WELL,
        }
        result = (own if elsewhere else installed).cli("check", "--json", *arguments, **variables)
        text = (own if elsewhere else installed).cli("check", *arguments, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert SECRET not in result.stdout + text.stdout
    found = json.loads(result.stdout)
    assert found["format"] == 1
    assert found["hook_is_active"] is True
    assert (found["failures"], found["warnings"]) == (0, 1)
    assert found["python"]["executable"] == str(installed.python)
    assert found["lens"] == {
        "address": lens.base_url + "?***",
        "state": "lens",
        "prefix": "/v1",
        "queries": "envelope",
        "token": "taken",
        "workload": "known",
    }
    assert found["identity"]["workload_uid"] == "w-1"
    assert found["place"] == {"node_rank": 0, "rank": 0, "local_rank": 0, "world_size": 1, "attempt": 0}
    assert found["file"] == {"path": f"{tmp_path}/node_0/rank_0/wandb_metrics.jsonl", "is_writable": True}
    settings = found["settings"]
    assert settings["PRIMUS_LENS_API_TOKEN"] == {"value": "***", "is_set": True, "is_malformed": False}
    assert settings["PRIMUS_LENS_WANDB_BATCH_SIZE"] == {"value": "500", "is_set": True, "is_malformed": True}
    (complaint,) = [fact for fact in found["facts"] if fact["state"] == "warning"]
    assert complaint["section"] == "Settings"
    assert complaint["subject"] == "settings"
    assert complaint["text"].startswith("PRIMUS_LENS_WANDB_BATCH_SIZE='many' is not")
    assert complaint["next_steps"] == ["correct it, or unset it"]
    subjects = ["interpreter", "package", "startup_files", "wandb", "requests", "interception"]
    assert list(dict.fromkeys(fact["subject"] for fact in found["facts"])) == [
        *subjects,
        *("settings", "identity", "place", "file", "lens"),
    ]
    # A person is told the same.
    assert [line[4:] for line in text.stdout.splitlines() if line[2:3] in "✓–!✗" and line[3:4] == " "] == [
        fact["text"] for fact in found["facts"]
    ]


def test_json_tells_a_lens_that_is_not_there(installed: PythonEnvironment) -> None:
    result = installed.cli("check", "--json", "--strict")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["lens"]["state"] == "unreachable"
    assert found["hook_is_active"] is True
    assert {fact["subject"] for fact in found["facts"] if fact["state"] == "warning"} == {"identity", "lens"}
