"""What ``check`` says of the files that run in every Python process: are they there, unchanged, and compiled?"""

import importlib.util
import os
import shlex
import struct
import sys
from typing import List

from .. import __version__, installation
from ..installation import CURRENT, STARTUP_FILES, Probe, StartupFile
from .report import Report, install_step, python_command


def report_startup_files(report: Report, facts: Probe) -> None:
    folders = installation.site_folders()
    files = installation.find_startup_files()
    for folder in dict.fromkeys(file.folder for file in files):
        there = [file for file in files if file.folder == folder]
        names = [file.name for file in there]
        missing = [name for name in STARTUP_FILES if name not in names]
        owner = "pip uninstall removes them" if all(file.recorded for file in there) else "written by hand or install"
        line = "start-up files in %s (%s)" % (folder, owner)
        if missing:
            report.warning(line + "; missing: " + ", ".join(missing), install_step())
        else:
            report.good(line)
        for file in there:
            _report_startup_file(report, file)
    searched = ", ".join(folders)
    if not folders:
        report.bad("start-up files: none are read under `python -S`", "start Python without -S")
    elif files:
        report.good("folders searched for start-up files: " + searched)
    elif facts.hooked_at_start:
        report.warning("start-up files: none in %s, and yet the hook is there" % searched, install_step())
    else:
        report.bad("start-up files: none in " + searched, *_steps_for_missing_files(facts, folders))


def _report_startup_file(report: Report, file: StartupFile) -> None:
    if file.state == CURRENT:
        report.good("%s sha256:%s" % (file.name, file.sha256))
    elif not file.sha256:
        report.warning("%s cannot be read" % file.path, "let every user read it", install_step())
    else:
        report.warning(
            "%s sha256:%s is not the one of version %s, which is sha256:%s"
            % (file.path, file.sha256, __version__, installation.expected_sha256(file.name)),
            "look at what it does: another version wrote it, or somebody changed it",
            install_step(),
        )


def _steps_for_missing_files(facts: Probe, folders: List[str]) -> List[str]:
    folder = os.path.dirname(facts.package)
    steps = [install_step()]
    if facts.package and folder not in folders:
        steps.append(
            "why: the package lies in %s, which is on the path by PYTHONPATH or the like, and Python reads start-up "
            "files in site-packages only" % folder
        )
    if sys.flags.no_user_site or sys.flags.isolated:
        steps.append("the user's site-packages are not searched, because Python was started with -I or -s")
    return steps


def report_bytecode(report: Report, facts: Probe) -> None:
    """A note at most: the hook works without bytecode, and images that go without it on purpose are many."""
    startup_modules = [file.path for file in installation.find_startup_files() if file.path.endswith(".py")]
    missing = [path for path in [*startup_modules, *_modules_of(facts.package)] if not _has_bytecode(path)]
    if not missing or not startup_modules:
        return
    # The process that was just tried has written what it could, but for modules that it had no use for.
    if all(_python_writes_bytecode_of(path) for path in missing):
        return
    report.note(
        "bytecode: none for %s%s, and Python cannot write it here: each process compiles what it uses (the start-up "
        "module costs each some 2 ms)" % (missing[0], " and %d more" % (len(missing) - 1) if len(missing) > 1 else ""),
        "run, as the owner of the files: %s -m compileall -q %s"
        % (python_command(), " ".join(map(shlex.quote, filter(None, [*startup_modules, facts.package])))),
        "or install with: uv pip install --compile-bytecode --reinstall-package %s %s"
        % ((installation.DISTRIBUTION,) * 2),
    )


def _modules_of(package: str) -> List[str]:
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(package)
        for name in sorted(names)
        if name.endswith(".py")
    ]


def _python_writes_bytecode_of(path: str) -> bool:
    folder = os.path.dirname(path)
    cache = os.path.join(folder, "__pycache__")
    return not sys.flags.dont_write_bytecode and os.access(cache if os.path.isdir(cache) else folder, os.W_OK | os.X_OK)


def _has_bytecode(path: str) -> bool:
    """Whether there is bytecode that this interpreter takes for the source at ``path`` (PEP 552)."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            magic, flags, modified, size = struct.unpack("<4sIII", file.read(16))
        source = os.stat(path)
    except (OSError, struct.error, NotImplementedError):
        return False
    unchanged = (modified, size) == (int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF)
    return magic == importlib.util.MAGIC_NUMBER and (bool(flags) or unchanged)
