"""``primus-lens-wandb check``: tells what is installed, whether wandb is intercepted, and whether Lens answers."""

import argparse
import difflib
import os
import sys
import tempfile
from typing import Any

from .. import __version__, identity, installation, settings
from ..installation import CURRENT, Probe
from ..owned_files import OwnedFiles
from ..redaction import EXTRA_KEYS_VARIABLE
from ..sinks import jsonl
from .environment import Environment, read_environment
from .lens_health import ask_health
from .report import Report, install_step, python_command, redact_addresses, show
from .startup_report import report_bytecode, report_startup_files

_SWITCH = "PRIMUS_LENS_WANDB_HOOK"
_TOKEN = "PRIMUS_LENS_API_TOKEN"
# Every variable with the field of Settings that it fills, in the order of the guides.
_VARIABLES = {
    "PRIMUS_LENS_WANDB_API_REPORTING": "api_reporting",
    "PRIMUS_LENS_API_BASE_URL": "base_url",
    _TOKEN: "api_token",
    "PRIMUS_LENS_WANDB_SAVE_LOCAL": "save_local",
    "PRIMUS_LENS_WANDB_OUTPUT_PATH": "output_path",
    "PRIMUS_LENS_WANDB_ENHANCE_METRICS": "enhance_metrics",
    "PRIMUS_LENS_WANDB_SYSTEM_INTERVAL": "system_interval_s",
    "PRIMUS_LENS_WANDB_DEBUG": "debug",
    "PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM": "flush_on_sigterm",
    "PRIMUS_LENS_WANDB_ANNOUNCE": "announce",
    "PRIMUS_LENS_WANDB_BATCH_SIZE": "batch_size",
    "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": "flush_interval_s",
    "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "flush_timeout_s",
    "PRIMUS_LENS_WANDB_BUFFER_MB": "buffer_mb",
}


def describe(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="tell whether wandb is intercepted here, with which settings, and whether Lens answers",
        description="Tells what is installed, whether a new Python process has wandb intercepted (by trying it), "
        "which settings are in force, and whether Lens answers (to an empty report, which it does not keep). "
        "Changes nothing.",
        epilog="Exit status: 0 the hook is active, 1 it is not, 2 wrong usage. A Lens that does not answer, missing "
        "ids and malformed settings are warnings (!) and keep 0, unless --strict is given.",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 also when there are warnings")
    parser.set_defaults(run=_run_check)


def _run_check(options: argparse.Namespace) -> int:
    report = Report()
    facts = installation.probe()
    environment = read_environment()
    values = environment.settings
    print("Primus Lens wandb exporter " + __version__)
    report.title("Installation")
    _report_interpreter(report)
    _report_package(report, facts)
    report_startup_files(report, facts)
    report_bytecode(report, facts)
    _report_wandb(report, facts)
    report_interception(report, facts, environment)
    report.title("Settings")
    _report_settings(report, environment)
    report.title("This process")
    _report_identity(report, environment)
    report.title("Where metrics go")
    _report_file(report, values, environment.place)
    _report_lens(report, values)
    active = facts.wandb_is_patched
    print("\nThe hook is %s; %d failure(s), %d warning(s)." % (_active(active), report.failures, report.warnings))
    return 0 if active and not (options.strict and (report.warnings or report.failures)) else 1


def _active(active: bool) -> str:
    return "active" if active else "NOT active: training here does not reach Lens"


def _report_interpreter(report: Report) -> None:
    if sys.prefix != getattr(sys, "base_prefix", sys.prefix):
        kind = "virtual environment"
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = "conda environment"
    else:
        kind = "not a virtual environment"
    report.good("Python %s: %s (%s, %s)" % (sys.version.split()[0], sys.executable, sys.prefix, kind))


def _report_package(report: Report, facts: Probe) -> None:
    own_folder = os.path.dirname(os.path.abspath(installation.__file__))
    if not facts.package:
        report.bad(
            "package: a new Python process cannot import %s (this command runs from %s)"
            % (installation.PACKAGE, own_folder),
            "run: %s -m pip install %s" % (python_command(), installation.DISTRIBUTION),
        )
    elif os.path.realpath(facts.package) != os.path.realpath(own_folder):
        report.warning(
            "package: a new Python process uses %s in %s, this command %s in %s"
            % (facts.version, facts.package, __version__, own_folder),
            "remove one of the two; look at PYTHONPATH, the user's and the environment's site-packages",
        )
    else:
        report.good("package: %s in %s" % (facts.version, facts.package))


def _report_wandb(report: Report, facts: Probe) -> None:
    install = "run: %s -m pip install 'wandb>=0.12.0'" % python_command()
    if facts.wandb_error.startswith("ModuleNotFoundError: No module named 'wandb'"):
        report.bad("wandb is not installed for this interpreter", install)
    elif facts.wandb_error:
        report.bad("wandb cannot be imported: " + facts.wandb_error, "try: %s -c 'import wandb'" % python_command())
    elif facts.ended:
        report.bad("wandb: the process that imported it " + facts.ended, "try: %s -c 'import wandb'" % python_command())
    elif not facts.wandb_is_whole:
        hidden = facts.other_wandbs
        step = "rename it, or take its folder off PYTHONPATH; it hides " + hidden[0] if hidden else install
        report.bad("wandb: what is imported by that name is not wandb: " + facts.wandb_file, step)
    else:
        report.good("wandb %s: %s" % (facts.wandb_version, facts.wandb_file))
    for name in ("wandb.py", os.path.join("wandb", "__init__.py")):
        local = os.path.abspath(name)
        if os.path.isfile(local) and local != facts.wandb_file:
            report.warning(
                "%s is imported in wandb's place by scripts of this folder" % local, "rename it, or start elsewhere"
            )


def report_interception(report: Report, facts: Probe, environment: Environment) -> None:
    if facts.wandb_is_patched:
        report.good("wandb is intercepted (tried in a new process: wandb._primus_lens_patched is True)")
        return
    why, steps = _why_not_intercepted(facts, environment)
    report.bad("wandb is not intercepted: " + why, *steps)


def _why_not_intercepted(facts: Probe, environment: Environment) -> "tuple[str, list[str]]":
    if not environment.hook_is_enabled:
        return "%s=%s switches it off" % (_SWITCH, os.environ[_SWITCH]), ["run: unset %s" % _SWITCH]
    if sys.flags.no_site:
        return "`python -S` reads no start-up files", ["start Python without -S"]
    if not facts.package:
        return "the package is not there (see above)", []
    if not facts.hooked_at_start:
        if any(_startup_files_are_current(folder) for folder in installation.site_folders()):
            return "the start-up files are there, but have no effect", [
                "look for an error: %s -v -c pass 2>&1 | grep -i -A9 %s" % (python_command(), "primus_lens")
            ]
        return "no start-up file installs the hook (see above)", [install_step()]
    if facts.package_error:
        return "the package cannot be imported: " + facts.package_error, [
            "run: %s -m pip install --force-reinstall --no-deps %s" % (python_command(), installation.DISTRIBUTION)
        ]
    if facts.messages:
        return " ".join(facts.messages), ["run: %s -m pip install --upgrade 'wandb>=0.12.0'" % python_command()]
    if facts.wandb_is_whole:
        return "the hook is there, but did not come to see the import", [
            "another import hook may load wandb by itself; call "
            "primus_lens_wandb_exporter.wandb_hook.install_wandb_hook() after `import wandb`"
        ]
    return "there is no wandb to intercept (see above)", []


def _startup_files_are_current(folder: str) -> bool:
    return all(file.state == CURRENT for file in installation.read_startup_files(folder))


def _report_settings(report: Report, environment: Environment) -> None:
    in_force: "dict[str, object]" = {_SWITCH: environment.hook_is_enabled}
    for variable, field in _VARIABLES.items():
        in_force[variable] = getattr(environment.settings, field)
    in_force[_TOKEN] = "***" if environment.settings.api_token else None
    in_force[EXTRA_KEYS_VARIABLE] = os.environ.get(EXTRA_KEYS_VARIABLE) or None
    for variable, value in in_force.items():
        complaints = environment.warnings_about(variable)
        for complaint in complaints:
            report.warning(redact_addresses(complaint), "correct it, or unset it")
        if not complaints:
            is_set = bool(os.environ.get(variable, "").strip())
            report.good("%s = %s (%s)" % (variable, show(value), "set" if is_set else "default"))
    for variable in sorted(os.environ):
        if variable.startswith("PRIMUS_LENS_WANDB_") and variable not in in_force:
            similar = difflib.get_close_matches(variable, in_force, 1)
            step = "did you mean %s?" % similar[0] if similar else "unset it"
            report.warning("%s is set, but there is no such setting" % variable, step)


def _report_identity(report: Report, environment: Environment) -> None:
    who, place = environment.identity, environment.place
    labels = ("workload", "pod uid", "pod", "namespace")
    parts = ", ".join("%s %s" % (label, value) for label, value in zip(labels, who) if value)
    if who.is_known:
        stand_in = who.pod_name and not os.environ.get("POD_NAME", "").strip()
        report.good("identity: %s%s" % (parts, " (pod: the name of this host)" if stand_in else ""))
    elif environment.settings.api_reporting:
        report.warning(
            "identity: neither WORKLOAD_UID nor POD_NAME is set, so nothing is sent to Lens",
            "run: export WORKLOAD_UID=<uid of the workload in Lens>, or set POD_NAME to the name of the pod",
        )
    else:
        report.good("identity: none, and none is needed: reporting is off")
    report.good(
        "place: node %d, rank %d of %d, local rank %d"
        % (place.node_rank, place.rank, place.world_size, place.local_rank)
    )
    about_settings = {text for variable in (_SWITCH, *_VARIABLES) for text in environment.warnings_about(variable)}
    for text in environment.warnings:
        if text not in about_settings:
            report.warning(text, "correct it, or unset it")


def _report_file(report: Report, values: settings.Settings, place: identity.Place) -> None:
    if values.output_path is None:
        report.good("file: none, because PRIMUS_LENS_WANDB_OUTPUT_PATH is not set")
        return
    root = os.path.abspath(values.output_path)
    path = jsonl.path_of(root, place)
    if not values.save_local:
        report.good("file: none, because PRIMUS_LENS_WANDB_SAVE_LOCAL is false")
        return
    problem = _why_not_writable(root, path)
    if problem:
        report.warning(
            "file: %s cannot be written: %s" % (path, problem),
            "set PRIMUS_LENS_WANDB_OUTPUT_PATH to a folder that this user can write",
        )
    else:
        report.good("file: %s can be written" % path)


def _why_not_writable(root: str, path: str) -> str:
    """Tries it and leaves nothing behind; an empty string when all is well."""
    try:
        os.close(OwnedFiles(root).open(path, os.O_RDWR))
        return ""
    except (FileNotFoundError, NotADirectoryError):
        folder = os.path.dirname(path)
    except OSError as error:
        return str(error)
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return "%s: %s" % (folder, error.strerror)


def _report_lens(report: Report, values: settings.Settings) -> None:
    if not values.api_reporting:
        report.good("Lens: not used, because PRIMUS_LENS_WANDB_API_REPORTING is false")
        if values.output_path is None or not values.save_local:
            report.warning(
                "nothing is recorded anywhere: both reporting and the file are off",
                "set PRIMUS_LENS_WANDB_API_REPORTING=true or PRIMUS_LENS_WANDB_OUTPUT_PATH",
            )
        return
    base_url = values.base_url or settings.DEFAULT_BASE_URL
    address = redact_addresses(base_url)
    trouble = ask_health(base_url, values.api_token)
    if trouble:
        report.warning("Lens at %s: %s" % (address, trouble[0]), trouble[1])
    else:
        report.good("Lens at %s answers%s" % (address, " and takes the token" if values.api_token else ""))
