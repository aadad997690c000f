"""What a terminal would obey is shown, not sent: else whoever names a path, a setting or an error could steer it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import unicodedata
from pathlib import Path

import pytest

from primus_lens_wandb_exporter.diagnostics import printable

from ..support import hostile
from ..support.hostile import envelope, hostile_server
from ..support.training import clean_environment

# Clears the screen, returns the cursor, forges a line, C1's CSI, reverses the direction of the text, rings, deletes.
ATTACK = "\x1b[2J\rforged\n✓ all is well\x9b31m\u202eevil\u2066\x07\x08\x7f"
HARMLESS = "Größe 学習 é ✓"


def on_a_terminal(arguments: list[str], cwd: Path, **variables: str) -> str:
    """Everything that the command writes when its stdout and stderr are a terminal."""
    master, slave = pty.openpty()
    environment = clean_environment(PYTHONIOENCODING="utf-8", **variables)
    process = subprocess.Popen(arguments, cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    written = b""
    try:
        while True:
            written += os.read(master, 65536)
    except OSError:
        # The last one that held the terminal has gone.
        pass
    os.close(master)
    process.wait(timeout=60)
    return written.decode().replace("\r\n", "\n")


def assert_harmless(shown: str, *allowed: str) -> None:
    found = {char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")} - {"\n", *allowed}
    assert not found, repr(shown)
    assert not [line for line in shown.splitlines() if line.startswith(("forged", "✓ all is well"))], repr(shown)


def test_ordinary_letters_stay_and_controls_are_escaped() -> None:
    assert printable(HARMLESS) == HARMLESS
    assert printable("a\x00\x1b[0m\r\n\x85\u2028\ud800\u00a0") == "a\\x00\\x1b[0m\\r\\n\\x85\\u2028\\ud800\\xa0"


@pytest.mark.parametrize("debug", ["false", "true"])
@pytest.mark.parametrize("status", [400, 503, 404])
def test_a_servers_message_in_the_log(status: int, debug: str, training_python: str, tmp_path: Path) -> None:
    script = f"""
import time
from primus_lens_wandb_exporter import runtime
from primus_lens_wandb_exporter.records import MetricsRecord
exporter, run, _ = runtime.start_run({"run" + ATTACK!r})
exporter.export(MetricsRecord(run, 0, 0, time.time(), {{"a": 1}}, {{"a": 1}}), exporter.route(run))
runtime.shut_down()
"""
    content = (HARMLESS + ATTACK + "\0").encode() if status == 404 else envelope(status, HARMLESS + ATTACK + "\0")
    with hostile_server(hostile.answer(status, content)) as server:
        shown = on_a_terminal(
            [training_python, "-c", script],
            tmp_path,
            WORKLOAD_UID="w",
            PRIMUS_LENS_API_BASE_URL=server.base_url,
            PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2",
            PRIMUS_LENS_WANDB_OUTPUT_PATH=str(tmp_path / ("mirror" + ATTACK)),
            PRIMUS_LENS_WANDB_DEBUG=debug,
        )
    assert "not delivered to Lens" in shown
    assert HARMLESS in shown
    assert "\\x1b[2J" in shown
    assert_harmless(shown)


def test_the_header_of_a_redirect_in_the_log(training_python: str, tmp_path: Path) -> None:
    script = """
from primus_lens_wandb_exporter import diagnostics
from primus_lens_wandb_exporter.sinks.lens_client import LensClient
import sys
diagnostics.LOGGER.warning("%s", LensClient(sys.argv[1]).post("/wandb/metrics", b"{}").reason)
"""
    location = b"Location: http://sso/\x1b[2J\x9b31m\x08\x7f\x0b"
    with hostile_server(hostile.answer(302, b"", location)) as server:
        shown = on_a_terminal([training_python, "-c", script, server.base_url], tmp_path)
    assert "redirect to http://sso/" in shown
    assert_harmless(shown)


def test_a_traceback_in_the_debug_log(training_python: str, tmp_path: Path) -> None:
    script = f"""
from primus_lens_wandb_exporter import diagnostics
diagnostics.enable_debug_log()
try:
    raise ValueError({ATTACK!r})
except ValueError as error:
    diagnostics.report_failure("a test", error)
"""
    shown = on_a_terminal([training_python, "-c", script], tmp_path)
    assert "Traceback" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_settings_paths_and_ids_in_check(training_python: str, tmp_path: Path) -> None:
    shown = on_a_terminal(
        [training_python, "-m", "primus_lens_wandb_exporter.cli", "check"],
        tmp_path,
        WORKLOAD_UID=HARMLESS + ATTACK,
        POD_NAME="pod" + ATTACK,
        RANK="1" + ATTACK,
        PRIMUS_LENS_API_BASE_URL="http://127.0.0.1:9/" + ATTACK,
        PRIMUS_LENS_WANDB_BATCH_SIZE="5" + ATTACK,
        PRIMUS_LENS_WANDB_REDACT_KEYS="k" + ATTACK,
        PRIMUS_LENS_WANDB_OUTPUT_PATH=str(tmp_path / ATTACK.replace("/", "")),
        **{"PRIMUS_LENS_WANDB_" + ATTACK.replace("=", ""): "1"},
    )
    assert "workload " + HARMLESS in shown
    assert shown.count("\\x1b[2J") >= 5
    assert_harmless(shown)


def test_paths_runs_and_messages_in_sync(training_python: str, tmp_path: Path) -> None:
    folder = tmp_path / ("mirror " + HARMLESS + ATTACK)
    folder.mkdir()
    line = {"timestamp": 1.0, "step": 1, "data": {"a": 1}, "run_id": "r" + ATTACK, "writer": "w", "sequence": 1}
    (folder / "wandb_metrics.jsonl").write_text(json.dumps(line) + "\n")
    with hostile_server(hostile.answer(400, envelope(400, "bad" + ATTACK))) as server:
        shown = on_a_terminal(
            [
                *(training_python, "-m", "primus_lens_wandb_exporter.cli", "sync", str(folder)),
                *("--workload-uid", "w", "--base-url", server.base_url),
            ],
            tmp_path,
        )
    assert "1 metrics of run r\\x1b[2J" in shown
    assert "HTTP 400 bad\\x1b[2J" in shown
    assert HARMLESS in shown
    assert_harmless(shown)


@pytest.mark.parametrize(
    "arguments",
    [["sync", ATTACK], ["sync", "--base-url", ATTACK, "."], ["check", ATTACK], [ATTACK], ["sync", "--\x1b[2J", "."]],
    ids=["path", "address", "surplus", "command", "option"],
)
def test_arguments_in_complaints(arguments: list[str], training_python: str, tmp_path: Path) -> None:
    shown = on_a_terminal([training_python, "-m", "primus_lens_wandb_exporter.cli", *arguments], tmp_path)
    assert "\\x1b[2J" in shown
    assert_harmless(shown)
