#!/usr/bin/env python3
"""Checks, installs or removes the Primus Lens wandb exporter in the Python that runs this file.

    python install_hook.py check        is wandb intercepted here? if not: why, and what to do
    python install_hook.py install      install the package if need be, write start-up files that are missing
    python install_hook.py uninstall    remove the start-up files and the package; nothing is left behind

Works from a checkout and as a lone file. Exit status: 0 done, 1 not done or not active, 2 wrong usage.
"""

import sys

# Python puts the folder of a script first on the path. A folder of downloads is no place to take modules from.
if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]

import argparse
import importlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
from typing import Any, List, Optional, Sequence

PACKAGE = "primus_lens_wandb_exporter"
DISTRIBUTION = "primus-lens-wandb-exporter"
REQUIREMENT = DISTRIBUTION + ">=1.0"
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "src", PACKAGE)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="install_hook.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("check", "install", "uninstall"))
    parser.add_argument("--strict", action="store_true", help="with check: exit with 1 also when there are warnings")
    options = parser.parse_args(arguments)
    if options.strict and options.action != "check":
        parser.error("--strict goes with check only")
    try:
        if options.action == "check":
            return check(options.strict)
        return install() if options.action == "install" else uninstall()
    except KeyboardInterrupt:
        return 130


def check(strict: bool) -> int:
    """Returns 0 when wandb is intercepted, else 1, also when the package is not installed."""
    cli = import_cli()
    if cli is None:
        say_what_is_missing()
        print("To install it, run: %s %s install" % (quote(sys.executable), quote(os.path.abspath(__file__))))
        return 1
    return run_cli(cli, "check", *(["--strict"] if strict else []))


def install() -> int:
    """Returns 0 when new processes start with the hook; installs the checkout, or else from the package index."""
    if import_cli() is None:
        say_what_is_missing()
        source = HERE if is_checkout() else REQUIREMENT
        print("Installing %s …" % source, flush=True)
        if not run_installer("install", "--upgrade", source):
            print("The installation failed; the reason is above. In a virtual environment it needs no rights:")
            print(
                "  %s -m venv ~/primus-lens && ~/primus-lens/bin/python %s install" % (quote(sys.executable), __file__)
            )
            return 1
    # In a new process: this one may have looked for the package before it was there.
    command = [sys.executable, "-m", PACKAGE + ".cli", "install"]
    return 1 if run_in_empty_folder(command) else 0


def uninstall() -> int:
    """Returns 0 when nothing is left, also when there was nothing."""
    cli = import_cli()
    removed = True
    if cli is not None:
        removed = run_cli(cli, "uninstall") == 0
    else:
        installation = load_installation_from_checkout()
        if installation is not None:
            paths, errors = installation.remove_startup_files()
            removed = not errors
            for outcome in ["removed %s" % path for path in paths] + ["not removed: %s" % error for error in errors]:
                print(outcome)
    if not is_installed():
        print("%s is not installed in %s: there is no package to remove." % (DISTRIBUTION, sys.prefix))
        return 0 if removed else 1
    if not run_installer("uninstall", DISTRIBUTION):
        return 1
    if is_installed():
        print("Another copy is left, or one that pip did not install (PYTHONPATH, --target): %s" % place_of_package())
        print("Run this again, or remove that folder by hand.")
        return 1
    print("Nothing of %s is left in %s." % (DISTRIBUTION, sys.prefix))
    return 0 if removed else 1


def import_cli() -> Any:
    """The command line of the installed package; None when there is none, or one from before 1.0."""
    try:
        return importlib.import_module(PACKAGE + ".cli")
    except ImportError:
        return None


def run_cli(cli: Any, *arguments: str) -> int:
    return int(cli.main(list(arguments), program="install_hook.py"))


def load_installation_from_checkout() -> Any:
    """The module that knows the start-up files, from the sources beside this file; None when there are none."""
    path = os.path.join(SOURCES, "installation.py")
    if not os.path.isfile(path):
        return None
    spec = importlib.util.spec_from_file_location("primus_lens_installation", path)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_checkout() -> bool:
    return os.path.isfile(os.path.join(HERE, "pyproject.toml")) and os.path.isdir(SOURCES)


def is_installed() -> bool:
    return bool(place_of_package())


def place_of_package() -> str:
    """The folder of the package as a new process finds it, or an empty string."""
    code = "import importlib.util as u; s = u.find_spec(%r); print((s and s.origin) or '')" % PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        answer = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE)
    return os.path.dirname(answer.stdout.decode(errors="replace").strip())


def say_what_is_missing() -> None:
    if is_installed():
        print("✗ a version of %s before 1.0 is installed in %s" % (DISTRIBUTION, place_of_package()))
    else:
        print("✗ %s is not installed for %s" % (DISTRIBUTION, sys.executable))


def run_installer(action: str, *arguments: str) -> bool:
    """Runs pip, or uv where the environment has no pip, and tells whether it succeeded."""
    command = make_installer_command(action)
    if not command:
        print("There is neither pip for %s nor uv. Get pip with: %s -m ensurepip" % ((quote(sys.executable),) * 2))
        return False
    return run_in_empty_folder([*command, *arguments]) == 0


def make_installer_command(action: str) -> List[str]:
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", action, "--disable-pip-version-check"]
        return [*command, "--yes"] if action == "uninstall" else command
    uv = shutil.which("uv")
    return [uv, "pip", action, "--python", sys.executable] if uv else []


def run_in_empty_folder(command: List[str]) -> int:
    """`python -m` puts the current folder first on the path; nothing in an empty one gets in the way."""
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL).returncode


def quote(text: str) -> str:
    return shlex.quote(text)


if __name__ == "__main__":
    sys.exit(main())
