"""`primus-lens-wandb install` and `uninstall`, and `python install_hook.py`, in good and bad situations."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .conftest import MakeEnvironment
from .environments import (
    FIRST_PTH,
    FIRST_START,
    PTH,
    STARTUP_FILES,
    STARTUP_MODULE,
    STARTUP_PACKAGE,
    PythonEnvironment,
    copy_startup_files,
    find_uv,
    make_whole_python,
    run,
)


def remove_startup_files(environment: PythonEnvironment) -> None:
    for name in STARTUP_FILES:
        (environment.site_packages / name).unlink()


def test_install_writes_what_is_missing_and_then_nothing_more(installed: PythonEnvironment) -> None:
    remove_startup_files(installed)
    first = installed.cli("install")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("✓ wrote ") == 3
    assert installed.wandb_is_patched()
    second = installed.cli("install")
    assert second.returncode == 0
    assert f"the start-up files are in {installed.site_packages}" in second.stdout
    assert "wrote" not in second.stdout


def test_install_replaces_a_startup_file_of_another_version(installed: PythonEnvironment) -> None:
    pth = installed.site_packages / PTH.name
    pth.write_text("import sys\n")
    assert installed.cli("install").returncode == 0
    assert pth.read_bytes() == PTH.read_bytes()


@pytest.fixture
def with_first_files(installed: PythonEnvironment) -> PythonEnvironment:
    """The package of today beside the start-up files that 1.0.0 wrote."""
    remove_startup_files(installed)
    (installed.site_packages / PTH.name).write_text(FIRST_PTH)
    (installed.site_packages / PTH.with_suffix(".start").name).write_text(FIRST_START)
    return installed


def test_startup_files_of_the_first_version_work_and_are_replaced_by_install(
    with_first_files: PythonEnvironment,
) -> None:
    assert with_first_files.wandb_is_patched()
    assert f"missing: {STARTUP_MODULE}" in with_first_files.cli("check").stdout
    assert with_first_files.cli("install").returncode == 0
    for name, source in STARTUP_FILES.items():
        assert (with_first_files.site_packages / name).read_bytes() == source.read_bytes()
    assert with_first_files.wandb_is_patched()


def test_startup_files_of_the_first_version_are_removed_by_uninstall(with_first_files: PythonEnvironment) -> None:
    assert with_first_files.cli("uninstall").returncode == 0
    assert not [name for name in STARTUP_FILES if (with_first_files.site_packages / name).exists()]
    assert not with_first_files.wandb_is_patched()


def test_install_replaces_outdated_files_also_where_another_folder_is_in_order(
    tmp_path: Path, stand_ins: Path, pip_library: Path, wheel: Path
) -> None:
    environment = make_whole_python(tmp_path / "whole", stand_ins, pip_library)
    base = {"PYTHONUSERBASE": str(tmp_path / "user")}
    environment.pip("install", "--user", wheel, **base)
    left_over = environment.site_packages / PTH.name
    left_over.write_text(FIRST_PTH)
    install = environment.run("-m", "primus_lens_wandb_exporter.cli", "install", **base)
    assert install.returncode == 0, install.stdout + install.stderr
    assert left_over.read_bytes() == PTH.read_bytes()
    assert environment.wandb_is_patched(**base)


def test_installed_startup_files_can_be_read_by_other_users(installed: PythonEnvironment) -> None:
    remove_startup_files(installed)
    installed.cli("install")
    for name in STARTUP_FILES:
        assert (installed.site_packages / name).stat().st_mode & 0o444 == 0o444


def test_install_without_a_writable_folder_is_exit_1(installed: PythonEnvironment) -> None:
    remove_startup_files(installed)
    # A folder in the place of the file stops also root, who can write everywhere.
    (installed.site_packages / PTH.name).mkdir()
    result = installed.cli("install")
    assert result.returncode == 1
    assert "start-up files are not written" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert not list(installed.site_packages.glob("*.tmp"))


def test_uninstall_removes_the_startup_files_and_keeps_the_package(installed: PythonEnvironment) -> None:
    result = installed.cli("uninstall")
    assert result.returncode == 0
    assert result.stdout.count("✓ removed ") == 3
    assert "-m pip uninstall primus-lens-wandb-exporter" in result.stdout
    assert not installed.wandb_is_patched()
    assert not (installed.site_packages / STARTUP_PACKAGE).exists()
    assert installed.cli("uninstall").returncode == 0
    assert installed.cli("--version").stdout.startswith("primus-lens-wandb ")


def test_pip_uninstall_works_after_uninstall(installed: PythonEnvironment) -> None:
    installed.cli("uninstall")
    installed.pip("uninstall", "--yes", "primus-lens-wandb-exporter")
    assert installed.leftovers() == []


def test_uninstall_that_fails_is_exit_1(installed: PythonEnvironment) -> None:
    pth = installed.site_packages / PTH.name
    pth.unlink()
    pth.mkdir()
    result = installed.cli("uninstall")
    assert result.returncode == 1
    assert "✗ not removed" in result.stdout


def test_user_site_is_searched_and_written_where_it_is_read(
    tmp_path: Path, stand_ins: Path, pip_library: Path, wheel: Path
) -> None:
    environment = make_whole_python(tmp_path / "whole", stand_ins, pip_library)
    base = {"PYTHONUSERBASE": str(tmp_path / "user")}
    environment.pip("install", "--user", wheel, **base)
    cli = ["-m", "primus_lens_wandb_exporter.cli"]
    check = environment.run(*cli, "check", **base)
    assert check.returncode == 0, check.stdout
    assert "start-up files in %s" % (tmp_path / "user") in check.stdout
    assert environment.run(*cli, "uninstall", **base).returncode == 0
    assert environment.run(*cli, "install", **base).returncode == 0
    assert list((tmp_path / "user").rglob(PTH.name))
    # -s: the user's site-packages are not read, so the package is not there either.
    assert environment.run("-s", *cli, "check", **base).returncode == 1


class TestInstallHook:
    """`python install_hook.py`, from a checkout and as a lone file."""

    @pytest.fixture
    def lone_file(self, tmp_path: Path, checkout: Path) -> Path:
        folder = tmp_path / "downloads"
        folder.mkdir()
        return Path(shutil.copy(checkout / "install_hook.py", folder))

    @pytest.mark.parametrize("place", ["checkout", "lone_file"])
    def test_check_without_the_package_is_exit_1_and_says_how_to_install(
        self, environment: PythonEnvironment, place: str, request: pytest.FixtureRequest
    ) -> None:
        found = request.getfixturevalue(place)
        script = found / "install_hook.py" if found.is_dir() else found
        result = environment.run(script, "check")
        assert result.returncode == 1
        assert f"is not installed for {environment.python}" in result.stdout
        assert f"run: {environment.python} {script} install" in result.stdout

    def test_check_is_the_check_of_the_package(self, installed: PythonEnvironment, lone_file: Path) -> None:
        well = installed.run(lone_file, "check")
        assert well.returncode == 0
        assert "✓ wandb is intercepted" in well.stdout
        assert installed.run(lone_file, "check", "--strict").returncode == 1
        remove_startup_files(installed)
        assert installed.run(lone_file, "check").returncode == 1

    @pytest.mark.parametrize("flags", [[], ["-I"]])
    def test_nothing_beside_the_lone_file_runs(
        self, installed: PythonEnvironment, lone_file: Path, flags: list[str]
    ) -> None:
        witness = lone_file.parent / "was-run"
        for name in ("argparse", "importlib", "os", "shlex", "subprocess", "tempfile", "pip", "json", "site", "wandb"):
            (lone_file.parent / f"{name}.py").write_text(f"open({str(witness)!r}, 'a').write({name!r})\n")
        for action in ("check", "install", "uninstall"):
            result = installed.run(*flags, lone_file.name, action, cwd=lone_file.parent)
            assert result.returncode == 0, result.stdout + result.stderr
        assert not witness.exists(), witness.read_text()
        assert installed.leftovers() == []

    def test_install_writes_missing_startup_files(self, installed: PythonEnvironment, lone_file: Path) -> None:
        remove_startup_files(installed)
        result = installed.run(lone_file, "install")
        assert result.returncode == 0, result.stdout + result.stderr
        assert installed.wandb_is_patched()

    def test_install_brings_the_package_from_its_checkout(
        self, make_environment: MakeEnvironment, stand_ins: Path, all_libraries: Path, checkout: Path
    ) -> None:
        environment = make_environment(stand_ins, all_libraries)
        # pip's spelling of --no-build-isolation: the variable switches the isolation off by saying no to it.
        result = environment.run(checkout / "install_hook.py", "install", PIP_NO_BUILD_ISOLATION="0")
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"Installing {checkout}" in result.stdout
        assert environment.wandb_is_patched()

    def test_lone_file_installs_from_the_index(
        self, environment: PythonEnvironment, lone_file: Path, distributions: Path
    ) -> None:
        result = environment.run(lone_file, "install", PIP_FIND_LINKS=distributions)
        assert result.returncode == 0, result.stdout + result.stderr
        assert environment.wandb_is_patched()

    def test_install_that_fails_is_exit_1_and_says_what_to_do(
        self, environment: PythonEnvironment, lone_file: Path
    ) -> None:
        result = environment.run(lone_file, "install")
        assert result.returncode == 1
        assert "The installation failed" in result.stdout
        assert "Traceback" not in result.stdout + result.stderr

    def test_uninstall_leaves_nothing_behind(
        self, environment: PythonEnvironment, lone_file: Path, wheel: Path
    ) -> None:
        before = environment.files()
        environment.pip("install", wheel)
        environment.wandb_is_patched()
        result = environment.run(lone_file, "uninstall")
        assert result.returncode == 0, result.stdout + result.stderr
        assert environment.files() == before
        assert environment.run(lone_file, "uninstall").returncode == 0

    def test_uninstall_removes_startup_files_that_pip_does_not_know(
        self, environment: PythonEnvironment, checkout: Path
    ) -> None:
        copy_startup_files(environment.site_packages)
        assert not environment.wandb_is_patched()
        result = environment.run(checkout / "install_hook.py", "uninstall")
        assert result.returncode == 0, result.stdout + result.stderr
        assert environment.leftovers() == []

    def test_uninstall_without_pip_goes_by_uv(
        self, make_environment: MakeEnvironment, stand_ins: Path, wheel: Path, lone_file: Path
    ) -> None:
        environment = make_environment(stand_ins)
        environment.install_quickly(wheel)
        path = os.pathsep.join([str(Path(find_uv()).parent), os.environ["PATH"]])
        result = environment.run(lone_file, "uninstall", PATH=path)
        assert result.returncode == 0, result.stdout + result.stderr
        assert environment.leftovers() == []

    def test_uninstall_with_neither_pip_nor_uv_is_exit_1(
        self, make_environment: MakeEnvironment, stand_ins: Path, wheel: Path, lone_file: Path
    ) -> None:
        environment = make_environment(stand_ins)
        environment.install_quickly(wheel)
        result = environment.run(lone_file, "uninstall", PATH="/nowhere")
        assert result.returncode == 1
        assert "-m ensurepip" in result.stdout

    def test_version_before_1_0_is_told_and_replaced(
        self, environment: PythonEnvironment, lone_file: Path, distributions: Path
    ) -> None:
        old = environment.site_packages / "primus_lens_wandb_exporter"
        old.mkdir()
        (old / "__init__.py").write_text("__version__ = '0.2.0'\n")
        metadata = environment.site_packages / "primus_lens_wandb_exporter-0.2.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: primus-lens-wandb-exporter\nVersion: 0.2.0\n")
        (metadata / "INSTALLER").write_text("pip\n")
        (metadata / "RECORD").write_text(
            "primus_lens_wandb_exporter/__init__.py,,\n"
            + "".join(f"{metadata.name}/{name},,\n" for name in ("METADATA", "INSTALLER", "RECORD"))
        )
        check = environment.run(lone_file, "check")
        assert check.returncode == 1
        assert "before 1.0 is installed" in check.stdout
        install = environment.run(lone_file, "install", PIP_FIND_LINKS=distributions)
        assert install.returncode == 0, install.stdout + install.stderr
        assert environment.wandb_is_patched()

    @pytest.mark.parametrize("arguments", [[], ["remove"], ["install", "--strict"]])
    def test_wrong_usage_is_exit_2(self, lone_file: Path, environment: PythonEnvironment, arguments: list[str]) -> None:
        result = run([environment.python, lone_file, *arguments], environment.home)
        assert result.returncode == 2
