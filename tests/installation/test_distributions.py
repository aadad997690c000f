"""What the wheel and the sdist hold, and that the start-up files keep to Python's rules for them."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import re
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import __version__, installation

from .environments import PTH, ROOT, STARTUP_FILES, STARTUP_MODULE, PythonEnvironment

WHEEL_FILES = Path(__file__).parent / "wheel_files.txt"


@pytest.mark.parametrize("name", STARTUP_FILES)
def test_wheel_has_the_startup_file_at_its_root(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(name) == STARTUP_FILES[name].read_bytes()


def test_wheel_has_the_listed_files_and_no_others(wheel: Path) -> None:
    """Whoever adds or removes a file says so in the list, which holds the wheel's names in order, one a line."""
    listed = WHEEL_FILES.read_text(encoding="utf-8").split()
    assert listed == sorted(set(listed))
    metadata = f"primus_lens_wandb_exporter-{__version__}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    found = {name.replace(metadata, "dist-info/") for name in names}
    assert (found - set(listed), set(listed) - found) == (set(), set()), f"new and vanished files, by {WHEEL_FILES}"


def test_files_of_the_wheel_are_plain_and_readable_by_all(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        modes = [entry.external_attr >> 16 for entry in archive.infolist()]
    assert {oct(stat.S_IMODE(mode)) for mode in modes} == {"0o644"}
    assert {stat.S_IFMT(mode) for mode in modes} <= {0, stat.S_IFREG}


def test_record_of_the_wheel_has_every_file_with_its_digest_and_size(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (record,) = [name for name in contents if name.endswith(".dist-info/RECORD")]
    rows = list(csv.reader(io.StringIO(contents[record].decode())))
    assert sorted(name for name, _, _ in rows) == sorted(contents)
    for name, digest, size in rows:
        if name == record:
            assert (digest, size) == ("", "")
            continue
        sha256 = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={sha256}", len(contents[name]))


def test_wheel_has_both_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [archive.read(n).decode() for n in archive.namelist() if n.endswith("entry_points.txt")]
    assert "primus-lens-wandb = primus_lens_wandb_exporter.cli:main" in entry_points
    assert "primus-lens-local = primus_lens_local.cli:main" in entry_points


def test_sdist_has_what_a_wheel_is_built_from_and_the_installers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    sources = {str(source.relative_to(ROOT)) for source in STARTUP_FILES.values()}
    assert {*sources, "pyproject.toml", "install.sh", "install_hook.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db", ".jsonl"))]


@pytest.mark.parametrize("name", STARTUP_FILES)
def test_installation_writes_what_the_wheel_brings(name: str) -> None:
    assert installation.STARTUP_FILES[name] == STARTUP_FILES[name].read_text(encoding="utf-8")
    assert set(installation.STARTUP_FILES) == set(STARTUP_FILES)


@pytest.mark.parametrize("name", [PTH.name, STARTUP_MODULE])
def test_security_md_shows_what_runs_at_every_start_with_its_digest(name: str) -> None:
    source = STARTUP_FILES[name]
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert source.read_text(encoding="utf-8") in blocks
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert f"{digest}  {name}\n" in text, f"{name} has sha256 {digest}"


def test_startup_files_share_one_stem() -> None:
    # PEP 829: while NAME.start exists, the import lines of NAME.pth are skipped; another stem would run both.
    assert {name for name in STARTUP_FILES if Path(name).suffix != ".py"} == {PTH.name, PTH.stem + ".start"}


def test_pth_file_is_one_plain_import_line() -> None:
    (line,) = PTH.read_text(encoding="utf-8").splitlines()
    assert line.startswith("import ")
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call)}
    assert called == {"os.access", "os.path.join", "locals", "locals().get", "__import__"}


def test_no_pth_file_has_what_scanners_look_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        lines = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".pth")}
    assert set(lines) == {PTH.name}
    for line in lines.values():
        assert not re.search(r"exec|eval|compile|base64|marshal|zlib|subprocess|socket|urllib|\\x", line)


def test_start_file_has_one_line_of_the_form_of_pep_829() -> None:
    lines = PTH.with_suffix(".start").read_bytes().decode("utf-8").splitlines()
    entries = [line for line in lines if line.strip() and not line.startswith("#")]
    assert entries == lines
    assert len(entries) == 1
    assert re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", entries[0])


def test_start_file_activates_the_hook_by_the_rules_of_pep_829(installed: PythonEnvironment) -> None:
    (installed.site_packages / PTH.name).unlink()
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
