"""What the wheel and the sdist hold, and that the start-up files keep to Python's rules for them."""

from __future__ import annotations

import csv
import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import installation

from .environments import ROOT, STARTUP_FILES, PythonEnvironment


@pytest.mark.parametrize("name", STARTUP_FILES)
def test_wheel_has_the_startup_file_at_its_root_and_in_its_record(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(name) == (ROOT / name).read_bytes()
        (record,) = [entry for entry in archive.namelist() if entry.endswith(".dist-info/RECORD")]
        recorded = {row[0] for row in csv.reader(io.StringIO(archive.read(record).decode()))}
    assert name in recorded


def test_wheel_has_both_packages_and_both_commands_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"primus_lens_wandb_exporter", "primus_lens_local", *STARTUP_FILES}
    assert "primus-lens-wandb = primus_lens_wandb_exporter.cli:main" in entry_points
    assert "primus-lens-local = primus_lens_local.cli:main" in entry_points


def test_sdist_has_what_a_wheel_is_built_from_and_the_installers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {*STARTUP_FILES, "pyproject.toml", "install.sh", "install_hook.py"} <= names


@pytest.mark.parametrize("name", STARTUP_FILES)
def test_installation_writes_what_the_wheel_brings(name: str) -> None:
    assert installation.STARTUP_FILES[name] == (ROOT / name).read_text(encoding="utf-8")


def test_startup_files_share_one_stem() -> None:
    # PEP 829: while NAME.start exists, the import lines of NAME.pth are skipped; another stem would run both.
    assert len({Path(name).stem for name in STARTUP_FILES}) == 1


def test_pth_file_is_one_line_that_starts_with_import() -> None:
    lines = (ROOT / "primus_lens_wandb_hook.pth").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("import ")


def test_start_file_has_one_line_of_the_form_of_pep_829() -> None:
    lines = (ROOT / "primus_lens_wandb_hook.start").read_bytes().decode("utf-8").splitlines()
    entries = [line for line in lines if line.strip() and not line.startswith("#")]
    assert entries == lines
    assert len(entries) == 1
    assert re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", entries[0])


def test_start_file_activates_the_hook_by_the_rules_of_pep_829(installed: PythonEnvironment) -> None:
    (installed.site_packages / "primus_lens_wandb_hook.pth").unlink()
    start = installed.site_packages / "primus_lens_wandb_hook.start"
    code = (
        "import importlib, sys\n"
        "module, name = open(sys.argv[1], encoding='utf-8').read().strip().split(':')\n"
        "function = importlib.import_module(module)\n"
        "for part in name.split('.'): function = getattr(function, part)\n"
        "assert callable(function)\n"
        "function()\n"
        "import wandb\n"
        "print(wandb._primus_lens_patched)\n"
    )
    result = installed.run("-c", code, start)
    assert result.stdout == "True\n", result.stderr
