"""What the start-up files do to every Python process of an environment: next to nothing."""

from __future__ import annotations

import shutil

from .environments import PACKAGE, STARTUP_FILES, PythonEnvironment

LIST_MODULES = "import sys; print(*sorted(sys.modules))"
COUNT_FINDERS = "sum(getattr(finder, 'is_primus_lens_finder', False) for finder in sys.meta_path)"


def test_startup_imports_the_hook_and_nothing_else(installed: PythonEnvironment) -> None:
    with_hook = set(installed.run("-c", LIST_MODULES).stdout.split())
    for name in STARTUP_FILES:
        (installed.site_packages / name).unlink()
    without_hook = set(installed.run("-c", LIST_MODULES).stdout.split())
    assert with_hook - without_hook == {PACKAGE, PACKAGE + ".wandb_hook"}


def test_startup_prints_nothing(installed: PythonEnvironment) -> None:
    result = installed.run("-W", "error", "-c", "pass", PRIMUS_LENS_WANDB_DEBUG="true")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_startup_line_that_runs_twice_installs_one_finder(installed: PythonEnvironment) -> None:
    pth = installed.site_packages / "primus_lens_wandb_hook.pth"
    code = f"import sys; exec(open(sys.argv[1]).read()); print({COUNT_FINDERS})"
    assert installed.run("-c", code, pth).stdout == "1\n"


def test_two_copies_of_the_startup_files_install_one_finder(installed: PythonEnvironment) -> None:
    second = installed.folder / "second"
    second.mkdir()
    for name in STARTUP_FILES:
        shutil.copy(installed.site_packages / name, second)
    code = f"import sys, site; site.addsitedir(sys.argv[1]); print({COUNT_FINDERS})"
    assert installed.run("-c", code, second).stdout == "1\n"


def test_left_over_startup_files_without_the_package_are_silent(installed: PythonEnvironment) -> None:
    shutil.rmtree(installed.site_packages / PACKAGE)
    result = installed.run("-c", "import wandb; print(hasattr(wandb, '_primus_lens_patched'))")
    assert (result.returncode, result.stdout, result.stderr) == (0, "False\n", "")


def test_half_removed_package_is_silent(installed: PythonEnvironment) -> None:
    shutil.rmtree(installed.site_packages / PACKAGE)
    (installed.site_packages / PACKAGE).mkdir()
    result = installed.run("-c", "import wandb; print(hasattr(wandb, '_primus_lens_patched'))")
    assert (result.returncode, result.stdout, result.stderr) == (0, "False\n", "")


def test_python_without_site_is_left_alone(installed: PythonEnvironment, stand_ins: object) -> None:
    path = f"{stand_ins}:{installed.site_packages}"
    result = installed.run("-S", "-c", "import wandb; print(hasattr(wandb, '_primus_lens_patched'))", PYTHONPATH=path)
    assert (result.stdout, result.stderr) == ("False\n", "")
