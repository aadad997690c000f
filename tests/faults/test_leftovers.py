"""A job that starts where an earlier one was cut off says so, in one line, and delivers nothing of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import leftovers
from primus_lens_wandb_exporter.commands.writer_lock import WriterLock
from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.leftovers import count_leftovers
from primus_lens_wandb_exporter.owned_files import OwnedFiles
from primus_lens_wandb_exporter.records import Run

from ..support import faults, mirrors
from ..support.commands import sync
from ..support.faults import FaultyLens
from ..support.mirrors import call, introduction, ledger_of, lines
from ..support.training import Trainer

SCRIPT = """
import os, time, wandb
run = wandb.init(project="p")
for i in range(20):
    run.log({"a": i, "text": "x"})
run.log({"text": "no number"})
if os.environ.get("STAYS"):
    print("logged", flush=True)
    time.sleep(600)
run.finish()
"""


def our_lines(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "Primus Lens" in line]


def test_after_a_kill_the_next_job_says_it_once_and_after_a_sync_no_more(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty.behaviour = faults.refuse(503, "starting")
    process = faulty_trainer.start(SCRIPT, STAYS="1")
    mirror = faulty_trainer.directory / "mirror" / "node_0" / "rank_0" / mirrors.NAME
    deadline = time.monotonic() + 60
    while not mirror.exists() or mirror.read_bytes().count(b"\n") < 21:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    faulty_trainer.kill(process)
    faulty.behaviour = faults.forward

    (line,) = our_lines(faulty_trainer.run(SCRIPT).stderr)
    assert f"1 earlier run(s) of this workload in {mirror} left metrics that Lens may not have" in line
    assert line.endswith(f"primus-lens-wandb sync {mirror}")
    assert {body["run_id"] for _, body in faulty.taken} == {json.loads(mirror.read_text().splitlines()[-1])["run_id"]}

    assert sync(faulty_trainer, "mirror").returncode == 0
    assert our_lines(faulty_trainer.run(SCRIPT).stderr) == []


def test_after_clean_ends_and_where_nothing_is_reported_nothing_is_said(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    for variables in ({}, {}, {"PRIMUS_LENS_WANDB_API_REPORTING": "false"}):
        assert our_lines(faulty_trainer.run(SCRIPT, **variables).stderr) == []


RUN = Run("new", Identity(workload_uid="w"), Place(), "new-writer")


@pytest.mark.parametrize(
    ("line", "ledger_lines", "expected"),
    [
        (call(0), [introduction("w")], 1),
        (call(0), [introduction("w"), {"writer": "w", "run_id": "r", "acknowledged": [[0, 0]]}], 0),
        (call(0), [introduction("another")], 0),
        (call(0), [], 0),
        (call(0, data={"text": "x", "_primus_lens_enabled": True}), [introduction("w")], 0),
        (call(0, step=None), [introduction("w")], 0),
        (call(0, sequence="x"), [introduction("w")], 0),
        (call(0, writer=[1], run_id={}), [introduction("w")], 0),
        (call(0, data=[1]), [introduction("w")], 0),
    ],
)
def test_only_what_lens_should_have_of_this_workload_counts(
    line: dict[str, object], ledger_lines: list[dict[str, object]], expected: int, tmp_path: Path
) -> None:
    mirror = tmp_path / mirrors.NAME
    mirror.write_bytes(lines(line, 5, None) + b"torn")
    ledger_of(mirror).write_bytes(lines(*ledger_lines))
    assert count_leftovers(OwnedFiles(str(tmp_path)), str(mirror), RUN, WriterLock(is_held=False)) == expected


def test_files_of_terabytes_cost_no_more_than_their_ends(tmp_path: Path) -> None:
    mirror = mirrors.write(tmp_path, "w")
    for file in (mirror, ledger_of(mirror)):
        content = file.read_bytes()
        with file.open("r+b") as opened:
            opened.seek(2**42)
            opened.write(b"\n" + content)
    began = time.monotonic()
    assert count_leftovers(OwnedFiles(str(tmp_path)), str(mirror), RUN, WriterLock(is_held=False)) == 1
    assert time.monotonic() - began < 10
    assert leftovers._LEDGER_BYTES < 2**20
