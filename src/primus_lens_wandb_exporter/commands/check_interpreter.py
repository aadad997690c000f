"""What ``check`` says of the interpreter: the package, wandb, and whether a new process has it intercepted."""

import os
import sys
from typing import List, Tuple

from .. import __version__, installation
from ..installation import CURRENT, Probe
from .environment import SWITCH, Environment
from .report import Report, install_step, python_command


def report_interpreter(report: Report) -> None:
    if sys.prefix != getattr(sys, "base_prefix", sys.prefix):
        kind = "virtual environment"
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = "conda environment"
    else:
        kind = "not a virtual environment"
    report.good("Python %s: %s (%s, %s)" % (sys.version.split()[0], sys.executable, sys.prefix, kind))
    report.tell("python", {"executable": sys.executable, "version": sys.version.split()[0], "prefix": sys.prefix})


def report_package(report: Report, facts: Probe, is_visitor: bool) -> None:
    """``is_visitor``: this command comes from another environment, to look at this one."""
    own_folder = os.path.dirname(os.path.abspath(installation.__file__))
    if not facts.package:
        report.bad(
            "package: a new Python process cannot import %s (this command runs from %s)"
            % (installation.PACKAGE, own_folder),
            "run: %s -m pip install %s" % (python_command(), installation.DISTRIBUTION),
        )
    elif is_visitor and facts.version != __version__:
        report.warning(
            "package: %s in %s, and this command is of version %s" % (facts.version, facts.package, __version__),
            "run: %s -m pip install --upgrade %s" % (python_command(), installation.DISTRIBUTION),
        )
    elif not is_visitor and os.path.realpath(facts.package) != os.path.realpath(own_folder):
        report.warning(
            "package: a new Python process uses %s in %s, this command %s in %s"
            % (facts.version, facts.package, __version__, own_folder),
            "remove one of the two; look at PYTHONPATH, the user's and the environment's site-packages",
        )
    else:
        report.good("package: %s in %s" % (facts.version, facts.package))


def report_wandb(report: Report, facts: Probe) -> None:
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


def report_requests(report: Report, facts: Probe) -> None:
    if facts.requests_error:
        report.bad(
            "requests cannot be imported, so nothing can be sent: " + facts.requests_error,
            "run: %s -m pip install --upgrade requests" % python_command(),
        )
    elif facts.requests_version:
        report.good("requests %s" % facts.requests_version)


def report_interception(report: Report, facts: Probe, environment: Environment) -> None:
    if facts.wandb_is_patched:
        report.good("wandb is intercepted (tried in a new process: wandb._primus_lens_patched is True)")
        return
    why, steps = _why_not_intercepted(facts, environment)
    report.bad("wandb is not intercepted: " + why, *steps)


def _why_not_intercepted(facts: Probe, environment: Environment) -> Tuple[str, List[str]]:
    if not environment.hook_is_enabled:
        return "%s=%s switches it off" % (SWITCH, os.environ[SWITCH]), ["run: unset %s" % SWITCH]
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
