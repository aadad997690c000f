"""What the start-up files do to every Python process of an environment: next to nothing."""

from __future__ import annotations

import sys

from .environments import (
    PACKAGE,
    PTH,
    STARTUP_FILES,
    STARTUP_MODULE,
    STARTUP_PACKAGE,
    PythonEnvironment,
    copy_startup_files,
)

LIST_MODULES = "import sys; print(*sorted(sys.modules))"
COUNT_FINDERS = "sum(getattr(finder, 'is_primus_lens_finder', False) for finder in sys.meta_path)"
IS_PATCHED = "import wandb; print(hasattr(wandb, '_primus_lens_patched'))"
# `-S` leaves start-up to us, and the hook of `sys` sees every file that is opened by it.
LIST_OPENED = """
import os, sys
opened = set()
sys.addaudithook(lambda event, arguments: opened.add(str(arguments[0])) if event == "open" else None)
import site
site.main()
site_packages = sys.argv[1]
print(*sorted(os.path.relpath(path, site_packages) for path in opened if path.startswith(site_packages + os.sep)))
"""


def test_startup_imports_the_startup_module_and_nothing_else(installed: PythonEnvironment) -> None:
    with_hook = set(installed.run("-c", LIST_MODULES).stdout.split())
    for name in STARTUP_FILES:
        (installed.site_packages / name).unlink()
    without_hook = set(installed.run("-c", LIST_MODULES).stdout.split())
    assert with_hook - without_hook == {STARTUP_PACKAGE}


def test_startup_opens_the_line_and_the_module_and_nothing_else(installed: PythonEnvironment) -> None:
    others = {"libraries_of_the_test.pth"}

    def opened(**variables: str) -> set[str]:
        result = installed.run("-S", "-c", LIST_OPENED, installed.site_packages, **variables)
        assert result.stderr == ""
        return set(result.stdout.split()) - others

    bytecode = f"{STARTUP_PACKAGE}/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    # Python tries the bytecode first.
    assert opened(PYTHONDONTWRITEBYTECODE="1") == {PTH.name, bytecode, STARTUP_MODULE}
    installed.run("-c", "pass")
    assert opened() == {PTH.name, bytecode}


def test_a_probe_for_wandb_imports_the_hook_alone_and_an_import_all(installed: PythonEnvironment) -> None:
    probe = "import importlib.util, sys; importlib.util.find_spec('wandb'); "
    ours = f"print(*sorted(name for name in sys.modules if name.startswith('{PACKAGE}')))"
    assert installed.run("-c", probe + ours).stdout.split() == [PACKAGE, f"{PACKAGE}.wandb_hook"]
    assert f"{PACKAGE}.interceptor" in installed.run("-c", "import sys, wandb; " + ours).stdout.split()


def test_startup_prints_nothing(installed: PythonEnvironment) -> None:
    result = installed.run("-W", "error", "-c", "pass", PRIMUS_LENS_WANDB_DEBUG="true")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_folder_that_is_read_twice_installs_one_finder(installed: PythonEnvironment) -> None:
    code = f"import sys, site; site.addsitedir(sys.argv[1]); print({COUNT_FINDERS})"
    assert installed.run("-c", code, installed.site_packages).stdout == "1\n"


def test_two_copies_of_the_startup_files_install_one_finder(installed: PythonEnvironment) -> None:
    second = installed.folder / "second"
    second.mkdir()
    copy_startup_files(second)
    code = f"import sys, site; site.addsitedir(sys.argv[1]); print({COUNT_FINDERS})"
    assert installed.run("-c", code, second).stdout == "1\n"


def test_line_that_runs_where_nobody_names_its_folder_does_nothing(installed: PythonEnvironment) -> None:
    """Python 3.15 runs the lines of .pth files so; it reads the .start file instead, where there is one."""
    code = f"import sys; exec(open(sys.argv[1]).read(), {{}}); print({COUNT_FINDERS})"
    assert installed.run("-S", "-c", code, PTH, cwd=installed.site_packages).stdout == "0\n"


def test_folder_by_the_name_of_the_package_does_not_hide_it(installed: PythonEnvironment) -> None:
    (installed.home / PACKAGE).mkdir()
    result = installed.run("-c", IS_PATCHED)
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_hook_of_a_notebook_and_of_the_startup_files_are_one(installed: PythonEnvironment) -> None:
    code = (
        "import sys, wandb, primus_lens_wandb_exporter.wandb_hook as hook\n"
        "original = wandb.init.__wrapped__\n"
        "hook.install_wandb_hook()\n"
        f"print({COUNT_FINDERS}, wandb.init.__wrapped__ is original)\n"
    )
    assert installed.run("-c", code).stdout == "1 True\n"


def test_notebook_without_startup_files_installs_the_hook_before_and_after_the_import(
    installed: PythonEnvironment,
) -> None:
    for name in STARTUP_FILES:
        (installed.site_packages / name).unlink()
    lines = ["import primus_lens_wandb_exporter.wandb_hook as hook; hook.install_wandb_hook()", "import wandb"]
    for order in (lines, lines[::-1]):
        code = "\n".join([*order, "import sys", f"print(wandb._primus_lens_patched, {COUNT_FINDERS})"])
        result = installed.run("-c", code)
        assert (result.stdout, result.stderr) == ("True 1\n", "")


def test_damaged_package_costs_the_import_of_wandb_nothing(installed: PythonEnvironment) -> None:
    (installed.site_packages / PACKAGE / "wandb_hook.py").write_text("def broken(")
    result = installed.run("-c", IS_PATCHED)
    assert (result.returncode, result.stdout, result.stderr) == (0, "False\n", "")


def test_python_without_site_is_left_alone(installed: PythonEnvironment, stand_ins: object) -> None:
    path = f"{stand_ins}:{installed.site_packages}"
    result = installed.run("-S", "-c", IS_PATCHED, PYTHONPATH=path)
    assert (result.stdout, result.stderr) == ("False\n", "")
