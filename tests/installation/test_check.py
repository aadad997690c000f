"""`primus-lens-wandb check`: what it says, and its exit status, where things are well and where they are not."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Iterator

import pytest

from ..support.lens import Lens, running_lens
from .conftest import MakeEnvironment
from .environments import (
    FIRST_PTH,
    PACKAGE,
    PTH,
    ROOT,
    STARTUP_FILES,
    STARTUP_MODULE,
    PythonEnvironment,
    Result,
    clean_environ,
)

WELL = {"WORKLOAD_UID": "w-1"}


class _Unwell(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(503)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def unwell_server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Unwell) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def lens(tmp_path: Path) -> Iterator[Lens]:
    with running_lens(tmp_path) as lens:
        yield lens


def address_of(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/api/v1"


def bad_lines(result: Result) -> list[str]:
    return [line.strip() for line in result.stdout.splitlines() if line.startswith("  ✗")]


def next_step_after(result: Result, fact: str) -> str:
    """The line below the one that holds `fact`."""
    lines = result.stdout.splitlines()
    (index,) = [number for number, line in enumerate(lines) if fact in line]
    assert lines[index + 1].startswith("      → "), result.stdout
    return str(lines[index + 1]).strip()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_no_traceback(result: Result) -> None:
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stderr == ""


def test_all_well_is_exit_0_without_a_warning(installed: PythonEnvironment, lens: Lens) -> None:
    result = installed.cli("check", "--strict", PRIMUS_LENS_API_BASE_URL=lens.base_url, **WELL)
    assert result.returncode == 0, result.stdout
    assert_no_traceback(result)
    assert "✗" not in result.stdout
    assert "  !" not in result.stdout
    assert "✓ Python " in result.stdout
    assert str(installed.python) in result.stdout
    assert str(installed.site_packages / PACKAGE) in result.stdout
    assert "(pip uninstall removes them)" in result.stdout
    assert "✓ wandb 0.99.0" in result.stdout
    assert "✓ wandb is intercepted" in result.stdout
    assert "✓ identity: workload w-1" in result.stdout
    assert f"✓ Lens at {lens.base_url} answers\n" in result.stdout
    assert lens.get("/workloads") == {"workloads": [], "total_count": 0}, "check leaves nothing in Lens"


def test_warnings_keep_exit_0_unless_strict(installed: PythonEnvironment) -> None:
    assert installed.cli("check").returncode == 0
    assert installed.cli("check", "--strict").returncode == 1


def test_hook_switched_off_is_exit_1_and_says_by_what(installed: PythonEnvironment) -> None:
    result = installed.cli("check", PRIMUS_LENS_WANDB_HOOK="off")
    assert result.returncode == 1
    assert (
        next_step_after(result, "PRIMUS_LENS_WANDB_HOOK=off switches it off") == "→ run: unset PRIMUS_LENS_WANDB_HOOK"
    )


def test_missing_startup_files_are_exit_1_and_name_the_command(installed: PythonEnvironment) -> None:
    for name in STARTUP_FILES:
        (installed.site_packages / name).unlink()
    result = installed.cli("check")
    assert result.returncode == 1
    assert_no_traceback(result)
    step = next_step_after(result, f"start-up files: none in {installed.site_packages}")
    assert step == f"→ run: {installed.python.parent}/primus-lens-wandb install"


def test_advice_without_the_script_is_by_the_interpreter(installed: PythonEnvironment) -> None:
    (installed.python.parent / "primus-lens-wandb").unlink()
    (installed.site_packages / PTH.name).unlink()
    result = installed.run("-m", "primus_lens_wandb_exporter.cli", "check")
    step = next_step_after(result, f"missing: {PTH.name}")
    assert step == f"→ run: {installed.python} -m primus_lens_wandb_exporter.cli install"


def test_one_missing_startup_file_is_a_warning(installed: PythonEnvironment) -> None:
    (installed.site_packages / "primus_lens_wandb_hook.start").unlink()
    result = installed.cli("check")
    assert result.returncode == 0
    assert "missing: primus_lens_wandb_hook.start" in result.stdout


def test_startup_files_are_shown_with_their_digests(installed: PythonEnvironment) -> None:
    result = installed.cli("check")
    for name, source in STARTUP_FILES.items():
        assert f"✓ {name} sha256:{digest(source)}\n" in result.stdout


@pytest.mark.parametrize("content", [FIRST_PTH, "import sys\n", PTH.read_text() + "\n"])
def test_startup_file_with_other_content_is_told_with_both_digests(installed: PythonEnvironment, content: str) -> None:
    pth = installed.site_packages / PTH.name
    pth.write_text(content)
    result = installed.cli("check")
    fact = f"! {pth} sha256:{digest(pth)} is not the one of version "
    assert fact in result.stdout
    assert f"which is sha256:{digest(PTH)}" in result.stdout
    assert "look at what it does" in next_step_after(result, fact)


def test_startup_file_that_cannot_be_read_is_told(installed: PythonEnvironment) -> None:
    pth = installed.site_packages / PTH.name
    pth.unlink()
    pth.symlink_to(installed.home / "nowhere")
    result = installed.cli("check")
    assert result.returncode == 1
    assert_no_traceback(result)
    assert f"! {pth} cannot be read" in result.stdout


def test_damaged_package_is_told_with_its_error(installed: PythonEnvironment) -> None:
    code = (
        "import sys; from primus_lens_wandb_exporter import cli; from pathlib import Path\n"
        f"Path({str(installed.site_packages / PACKAGE / 'wandb_hook.py')!r}).write_text('def broken(')\n"
        "sys.exit(cli.main(['check']))"
    )
    result = installed.run("-c", code)
    assert result.returncode == 1
    assert any("the package cannot be imported: SyntaxError" in line for line in bad_lines(result)), result.stdout


def test_bytecode_that_python_writes_by_itself_is_not_mentioned(installed: PythonEnvironment) -> None:
    assert "bytecode:" not in installed.cli("check").stdout


def test_missing_bytecode_is_a_note_with_commands_that_bring_it(installed: PythonEnvironment, lens: Lens) -> None:
    without = {"PYTHONDONTWRITEBYTECODE": "1", "PRIMUS_LENS_API_BASE_URL": lens.base_url, **WELL}
    result = installed.cli("check", "--strict", **without)
    assert result.returncode == 0, result.stdout
    fact = f"– bytecode: none for {installed.site_packages / STARTUP_MODULE} and "
    assert "uv pip install --compile-bytecode" in result.stdout
    command = next_step_after(result, fact).split(": ", 1)[1]
    subprocess.run(command, shell=True, check=True, env=clean_environ(PYTHONDONTWRITEBYTECODE="1"))
    assert "bytecode:" not in installed.cli("check", **without).stdout
    # Bytecode of another source than the one that is there is as good as none.
    os.utime(installed.site_packages / STARTUP_MODULE, (1, 1))
    assert (
        f"bytecode: none for {installed.site_packages / STARTUP_MODULE}, and"
        in installed.cli("check", **without).stdout
    )


def test_missing_wandb_is_exit_1_and_says_how_to_get_it(
    make_environment: MakeEnvironment, pip_library: Path, wheel: Path
) -> None:
    environment = make_environment(pip_library)
    environment.install_quickly(wheel)
    result = environment.cli("check")
    assert result.returncode == 1
    assert_no_traceback(result)
    step = next_step_after(result, "wandb is not installed")
    assert step == f"→ run: {environment.python} -m pip install 'wandb>=0.12.0'"


def test_script_called_wandb_on_pythonpath_is_found_out(installed: PythonEnvironment, stand_ins: Path) -> None:
    script = installed.home / "wandb.py"
    script.write_text("print('not the wandb you are looking for')\n")
    result = installed.cli("check", PYTHONPATH=".")
    assert result.returncode == 1
    fact = f"what is imported by that name is not wandb: {script}"
    assert "it hides %s" % (stand_ins / "wandb" / "__init__.py") in next_step_after(result, fact)


def test_script_called_wandb_in_the_current_folder_is_a_warning(installed: PythonEnvironment) -> None:
    (installed.home / "wandb.py").touch()
    result = installed.cli("check")
    assert result.returncode == 0
    assert (
        "! %s is imported in wandb's place by scripts of this folder" % (installed.home / "wandb.py") in result.stdout
    )


def test_run_folder_called_wandb_is_no_trouble(installed: PythonEnvironment) -> None:
    (installed.home / "wandb" / "offline-run-1").mkdir(parents=True)
    result = installed.cli("check")
    assert result.returncode == 0
    assert str(installed.home) not in result.stdout


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise RuntimeError('protobuf is broken')", "wandb cannot be imported: RuntimeError: protobuf is broken"),
        ("import os; os._exit(7)", "the process that imported it ended with status 7"),
        ("import sys; sys.exit(3)", "wandb cannot be imported: SystemExit: 3"),
        ("def init(): pass", "is left untouched: it has no Run.log"),
    ],
)
def test_broken_wandb_is_exit_1_and_told(installed: PythonEnvironment, source: str, expected: str) -> None:
    broken = installed.site_packages / "wandb"
    broken.mkdir()
    (broken / "__init__.py").write_text(source)
    result = installed.cli("check")
    assert result.returncode == 1
    assert_no_traceback(result)
    assert any(expected in line for line in bad_lines(result)), result.stdout


def test_every_setting_is_shown_with_where_it_comes_from(installed: PythonEnvironment) -> None:
    source = (ROOT / "src" / PACKAGE / "settings.py").read_text(encoding="utf-8")
    result = installed.cli("check", PRIMUS_LENS_WANDB_BATCH_SIZE="7")
    for variable in set(re.findall(r"PRIMUS_LENS_[A-Z_]+", source)):
        assert re.search(rf"✓ {variable} = \S+ \((set|default)\)", result.stdout), variable
    assert "✓ PRIMUS_LENS_WANDB_BATCH_SIZE = 7 (set)" in result.stdout
    assert "✓ PRIMUS_LENS_WANDB_ENHANCE_METRICS = false (default)" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PRIMUS_LENS_WANDB_BATCH_SIZE", "abc"),
        ("PRIMUS_LENS_WANDB_HOOK", "maybe"),
        ("PRIMUS_LENS_API_BASE_URL", "http://lens:port/api/v1"),
        ("NODE_RANK", "x"),
    ],
)
def test_malformed_setting_is_flagged_once(installed: PythonEnvironment, variable: str, value: str) -> None:
    result = installed.cli("check", **{variable: value})
    assert result.returncode == 0
    assert_no_traceback(result)
    assert result.stdout.count(f"! {variable}='{value}'") == 1
    assert next_step_after(result, f"{variable}='{value}'") == "→ correct it, or unset it"


def test_misspelt_setting_is_answered_with_the_right_name(installed: PythonEnvironment) -> None:
    result = installed.cli("check", PRIMUS_LENS_WANDB_OUTPUTPATH="/data")
    assert (
        next_step_after(result, "PRIMUS_LENS_WANDB_OUTPUTPATH is set")
        == "→ did you mean PRIMUS_LENS_WANDB_OUTPUT_PATH?"
    )


@pytest.mark.parametrize("address", ["http://user:p@ss@127.0.0.1:9/api?token=s3cret", "http://user:s3cret@host:x/"])
def test_secrets_in_the_address_are_not_shown(installed: PythonEnvironment, address: str) -> None:
    result = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address)
    output = result.stdout + result.stderr
    assert "***" in output
    assert "s3cret" not in output
    assert "p@ss" not in output
    assert "user" not in output.replace("this user", "")


def test_missing_identity_says_what_to_set(installed: PythonEnvironment) -> None:
    result = installed.cli("check")
    assert "WORKLOAD_UID=" in next_step_after(result, "neither WORKLOAD_UID nor POD_NAME is set")


def test_hostname_stands_in_for_the_pod_on_kubernetes(installed: PythonEnvironment) -> None:
    result = installed.cli("check", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert f"✓ identity: pod {socket.gethostname()} (pod: the name of this host)" in result.stdout


def test_writable_output_path_is_told_with_the_file_and_left_as_it_is(
    installed: PythonEnvironment, tmp_path: Path
) -> None:
    result = installed.cli("check", PRIMUS_LENS_WANDB_OUTPUT_PATH=tmp_path / "out", LOCAL_RANK="3")
    file = tmp_path / "out" / "node_0" / "rank_3" / "wandb_metrics.jsonl"
    assert f"✓ file: {file} can be written" in result.stdout
    assert not (tmp_path / "out").exists()


def test_output_path_below_a_file_is_a_warning(installed: PythonEnvironment, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = installed.cli("check", PRIMUS_LENS_WANDB_OUTPUT_PATH=tmp_path / "file" / "out")
    assert result.returncode == 0
    assert "PRIMUS_LENS_WANDB_OUTPUT_PATH" in next_step_after(result, "cannot be written: %s" % (tmp_path / "file"))


def test_a_file_that_a_job_would_refuse_is_a_warning(installed: PythonEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "node_0"
    folder.parent.mkdir()
    folder.symlink_to(tmp_path)
    result = installed.cli("check", PRIMUS_LENS_WANDB_OUTPUT_PATH=tmp_path / "out")
    assert "PRIMUS_LENS_WANDB_OUTPUT_PATH" in next_step_after(result, f"{folder} is a symbolic link, not a folder")


def test_both_ways_off_is_a_warning(installed: PythonEnvironment) -> None:
    result = installed.cli("check", PRIMUS_LENS_WANDB_API_REPORTING="no")
    assert "! nothing is recorded anywhere" in result.stdout
    assert "identity: none, and none is needed" in result.stdout


def test_refusing_port_is_told(installed: PythonEnvironment) -> None:
    assert "nothing listens there (connection refused)" in installed.cli("check").stdout


def test_unknown_host_is_told(installed: PythonEnvironment) -> None:
    result = installed.cli("check", PRIMUS_LENS_API_BASE_URL="http://lens.invalid:8080/api/v1")
    assert "the name lens.invalid is not known" in result.stdout


def test_server_that_is_not_well_is_told_with_its_status(
    installed: PythonEnvironment, unwell_server: HTTPServer
) -> None:
    address = address_of(unwell_server)
    result = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address)
    assert f"! Lens at {address}: HTTP 503" in result.stdout
    assert "look at the log of Lens" in next_step_after(result, "HTTP 503")


def test_address_without_its_path_is_told(installed: PythonEnvironment, lens: Lens) -> None:
    result = installed.cli("check", "--strict", PRIMUS_LENS_API_BASE_URL=lens.url, **WELL)
    assert result.returncode == 1
    assert f"! Lens is not at {lens.url} (HTTP 404" in result.stdout
    assert "export PRIMUS_LENS_API_BASE_URL=" + lens.url in next_step_after(result, "HTTP 404")


def test_token_that_lens_does_not_take_is_told(installed: PythonEnvironment, tmp_path: Path) -> None:
    right, reading = "right-" * 4, "reading-" * 4
    with running_lens(tmp_path, 0, "--token", right, "--read-token", reading) as lens:
        for token, status in (("wrong-" * 4, 401), ("", 401), (reading, 403)):
            variables = {"PRIMUS_LENS_API_BASE_URL": lens.base_url, "PRIMUS_LENS_API_TOKEN": token, **WELL}
            result = installed.cli("check", "--strict", **variables)
            assert result.returncode == 1, result.stdout
            assert "set PRIMUS_LENS_API_TOKEN to the token" in next_step_after(result, f"HTTP {status}")
        result = installed.cli("check", "--strict", **{**variables, "PRIMUS_LENS_API_TOKEN": right})
        assert (result.returncode, right in result.stdout) == (0, False), result.stdout
        assert f"✓ Lens at {lens.base_url} answers and takes the token\n" in result.stdout


def test_silent_server_is_told_after_three_seconds(installed: PythonEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address)
    assert result.returncode == 0
    assert "no answer within 3 s" in result.stdout


def test_server_without_tls_behind_https_is_told(installed: PythonEnvironment, unwell_server: HTTPServer) -> None:
    address = address_of(unwell_server).replace("http:", "https:")
    result = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address)
    assert "TLS failed" in result.stdout
    assert_no_traceback(result)


def test_missing_certificate_bundle_is_told(installed: PythonEnvironment, unwell_server: HTTPServer) -> None:
    address = address_of(unwell_server).replace("http:", "https:")
    bundle = installed.home / "nowhere.pem"
    result = installed.cli("check", PRIMUS_LENS_API_BASE_URL=address, REQUESTS_CA_BUNDLE=bundle)
    assert_no_traceback(result)
    assert f"! Lens at {address}" in result.stdout


def test_terminal_without_unicode_gets_plain_marks(installed: PythonEnvironment) -> None:
    result = installed.cli("check", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert "[ok] wandb is intercepted" in result.stdout
    assert "[!] " in result.stdout
    assert_no_traceback(result)


def test_reader_that_closes_early_sees_no_traceback(installed: PythonEnvironment) -> None:
    code = (
        "import os, subprocess, sys\n"
        "check = subprocess.Popen([sys.executable, '-m', 'primus_lens_wandb_exporter.cli', 'check'],"
        " stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "check.stdout.close()\n"
        "sys.stdout.write(check.stderr.read().decode()); check.wait()\n"
    )
    result = installed.run("-c", code)
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["chek"], ["check", "--loudly"]])
def test_wrong_usage_is_exit_2(installed: PythonEnvironment, arguments: list[str]) -> None:
    result = installed.cli(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: primus-lens-wandb")


def test_help_tells_the_exit_statuses(installed: PythonEnvironment) -> None:
    result = installed.cli("check", "--help")
    assert result.returncode == 0
    assert "0 the hook is active" in result.stdout
    assert "--strict" in result.stdout


def test_isolated_interpreter_checks_itself_as_it_is(installed: PythonEnvironment) -> None:
    result = installed.run("-I", "-m", "primus_lens_wandb_exporter.cli", "check")
    assert result.returncode == 0, result.stdout


def test_interpreter_without_site_is_told_so(installed: PythonEnvironment, stand_ins: Path) -> None:
    path = os.pathsep.join([str(installed.site_packages), str(stand_ins)])
    result = installed.run("-S", "-m", "primus_lens_wandb_exporter.cli", "check", PYTHONPATH=path)
    assert result.returncode == 1
    assert_no_traceback(result)
    assert any("`python -S` reads no start-up files" in line for line in bad_lines(result)), result.stdout


def test_package_that_new_processes_cannot_import_is_told(installed: PythonEnvironment) -> None:
    elsewhere = installed.folder / "elsewhere"
    elsewhere.mkdir()
    shutil.move(str(installed.site_packages / PACKAGE), str(elsewhere))
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from primus_lens_wandb_exporter import cli; sys.exit(cli.main())"
    )
    result = installed.run("-c", code, elsewhere, "check")
    assert result.returncode == 1
    assert_no_traceback(result)
    assert "a new Python process cannot import" in result.stdout
