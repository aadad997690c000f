"""``primus-lens-wandb check``: tells what is installed, whether wandb is intercepted, and whether Lens answers."""

import argparse
from typing import Any

from .. import __version__, installation
from .check_destinations import report_file, report_lens
from .check_interpreter import (
    report_interception,
    report_interpreter,
    report_package,
    report_requests,
    report_wandb,
)
from .check_otlp import report_otlp
from .check_settings import report_identity, report_place, report_settings
from .environment import Environment, read_environment
from .json_report import JsonReport
from .other_python import VISITOR_OPTION, check_elsewhere
from .report import Report
from .startup_report import report_bytecode, report_startup_files


def describe(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="tell whether wandb is intercepted here, with which settings, and whether Lens answers",
        description="Tells what is installed, whether a new Python process has wandb intercepted (by trying it), "
        "which settings are in force, and whether Lens answers (to an empty report, which it does not keep). "
        "Changes nothing.",
        epilog="Exit status: 0 the hook is active, 1 it is not, 2 wrong usage. Whatever else is wrong keeps 0, unless "
        "--strict is given: a Lens that does not answer, missing ids and malformed settings are warnings (!), and what "
        "answers at its address and takes nothing (another server, a missing token) is a failure.",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 also when there are warnings or other failures"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead, for programs")
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="look at this interpreter, the one that trains, and not at the one that runs this command (which pipx and "
        "uvx have for themselves)",
    )
    parser.add_argument(VISITOR_OPTION, action="store_true", dest="is_visitor", help=argparse.SUPPRESS)
    parser.set_defaults(run=_run_check)


def _run_check(options: argparse.Namespace) -> int:
    if options.python:
        return check_elsewhere(options.python, is_strict=options.strict, is_json=options.json)
    report = JsonReport() if options.json else Report()
    if not options.json:
        print("Primus Lens wandb exporter " + __version__)
    is_active = _report_all(report, read_environment(), options.is_visitor)
    is_well = is_active and not (options.strict and (report.warnings or report.failures))
    report.tell("hook_is_active", is_active)
    if isinstance(report, JsonReport):
        report.print_all()
    else:
        active = "active" if is_active else "NOT active: training here does not reach Lens"
        print("\nThe hook is %s; %d failure(s), %d warning(s)." % (active, report.failures, report.warnings))
    return 0 if is_well else 1


def _report_all(report: Report, environment: Environment, is_visitor: bool) -> bool:
    """Whether wandb is intercepted."""
    facts = installation.probe()
    values = environment.settings
    report.tell("version", __version__)
    report.title("Installation")
    report.about("interpreter")
    report_interpreter(report)
    report.about("package")
    report_package(report, facts, is_visitor)
    report.about("startup_files")
    report_startup_files(report, facts)
    report_bytecode(report, facts)
    report.about("wandb")
    report_wandb(report, facts)
    report.about("requests")
    report_requests(report, facts)
    report.about("interception")
    report_interception(report, facts, environment)
    report.title("Settings")
    report.about("settings")
    report_settings(report, environment)
    report.title("This process")
    report.about("identity")
    report_identity(report, environment)
    report.about("place")
    report_place(report, environment)
    report.title("Where metrics go")
    report.about("file")
    report_file(report, values, environment.place)
    report.about("lens")
    report_lens(report, values, environment.identity.workload_uid)
    if values.otlp is not None:
        report.about("otlp")
        report_otlp(report, values.otlp)
    return facts.wandb_is_patched
