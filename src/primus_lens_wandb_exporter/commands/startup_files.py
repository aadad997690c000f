"""``primus-lens-wandb install`` and ``uninstall``: write and remove the start-up files."""

import argparse
from typing import Any

from .. import installation
from ..installation import MISSING, Probe
from .check_interpreter import report_interception
from .environment import read_environment
from .report import Report, python_command


def describe_install(commands: Any) -> None:
    parser = commands.add_parser(
        "install",
        help="write the start-up files where pip has not brought them",
        description="Writes missing or outdated start-up files into site-packages of this interpreter, and tells "
        "whether they work. Needed after `pip install --target`, or with the package on PYTHONPATH. Calling it again "
        "changes nothing.",
        epilog="Exit status: 0 new Python processes start with the hook, 1 they do not, 2 wrong usage.",
    )
    parser.set_defaults(run=_run_install)


def _run_install(_options: argparse.Namespace) -> int:
    report = Report()
    facts = installation.probe()
    if not _write_startup_files(report, facts):
        return 1
    facts = installation.probe()
    report_interception(report, facts, read_environment())
    return 0 if facts.hooked_at_start else 1


def _write_startup_files(report: Report, facts: Probe) -> bool:
    """Brings every folder that has start-up files up to date, or one where none has; False when none could be."""
    folders = [folder for folder in installation.site_folders() if _has_startup_files(folder)]
    if not folders:
        chosen = installation.choose_folder(facts.package)
        if chosen is None:
            report.bad(
                "no folder for start-up files can be written: "
                + (", ".join(installation.site_folders()) or "none is read"),
                "use a virtual environment, or run this with the rights of the owner of the folder",
            )
            return False
        folders = [chosen]
    outcomes = [_write_into(report, folder) for folder in folders]
    return any(outcomes)


def _has_startup_files(folder: str) -> bool:
    return any(file.state != MISSING for file in installation.read_startup_files(folder))


def _write_into(report: Report, folder: str) -> bool:
    try:
        written = installation.write_startup_files(folder)
    except OSError as error:
        report.bad("start-up files are not written: %s" % error, "make %s writable and run this again" % folder)
        return False
    for path in written:
        report.good("wrote " + path)
    if not written:
        report.good("the start-up files are in " + folder)
    return True


def describe_uninstall(commands: Any) -> None:
    parser = commands.add_parser(
        "uninstall",
        help="remove the start-up files, so that wandb is left alone",
        description="Removes the start-up files from every site-packages of this interpreter. The package stays; "
        "`pip uninstall %s` removes it and them." % installation.DISTRIBUTION,
        epilog="Exit status: 0 no start-up file is left, 1 one could not be removed, 2 wrong usage.",
    )
    parser.set_defaults(run=_run_uninstall)


def _run_uninstall(_options: argparse.Namespace) -> int:
    report = Report()
    removed, errors = installation.remove_startup_files()
    for path in removed:
        report.good("removed " + path)
    for error in errors:
        report.bad("not removed: %s" % error, "run this with the rights of the owner of the file")
    if not removed and not errors:
        report.good("there are no start-up files in " + ", ".join(installation.site_folders()))
    print("The package itself goes with: %s -m pip uninstall %s" % (python_command(), installation.DISTRIBUTION))
    return 1 if errors else 0
