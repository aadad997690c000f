"""`primus-lens-wandb sync` of wandb's own files: runs that nobody saw, and files that complete a mirror."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from primus_lens_wandb_exporter import cli
from primus_lens_wandb_exporter.commands import delivery
from primus_lens_wandb_exporter.commands import sync as sync_command

from ..detection.contract import violations
from ..support import faults, mirrors, wandb_records
from ..support.commands import sync
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.mirrors import call, introduction, ledger_of, lines
from ..support.training import Trainer, Training
from ..support.users import OTHER, command_as_the_other_user, give_away, needs_root
from ..support.wandb_file import scalars
from ..support.wandb_records import ending, row, summary, telemetry

NOBODY_LOOKS = {"PRIMUS_LENS_WANDB_HOOK": "false"}
SCRIPT = """
import wandb
run = wandb.init(project="p", name="the name", tags=["x"], config={"lr": 0.1, "api_key": "abcdefabcdef12345678"})
for i in range(200):
    run.log({"a": i, "b": i * 0.5, "bad": float("nan"), "text": "x", "flag": True, "n": {"x": i}})
run.summary["best"] = 0.75
run.summary["a"] = 1000
run.finish()
"""


def sent_by(faulty: FaultyLens) -> list[tuple[str, str, int, str]]:
    """Each value that Lens has taken; a value that went twice is there twice."""
    return [
        (body["workload_uid"], body["run_id"], metric["step"], metric["name"])
        for _, body in faulty.taken
        for metric in body["metrics"]
    ]


def test_run_that_nobody_saw_arrives_whole_and_only_once(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    training = faulty_trainer.run(SCRIPT, **NOBODY_LOOKS)
    found = sync(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"run {training.run_id}: 802 metrics of 200 rows, 2 of them its summary" in found.stdout
    assert f"workload: {faulty_trainer.workload} (--workload-uid)" in found.stdout
    expected = {**scalars(training.history), (199, "best"): 0.75, (199, "summary/a"): 1000.0}
    assert lens.scalars(faulty_trainer.workload, training.run_id) == expected
    tags = {metric["name"]: metric["tags"] for _, body in faulty.taken for metric in body["metrics"]}
    assert tags["best"] == tags["summary/a"] == {"kind": "summary"}
    assert tags["a"] == {}

    count = faulty.request_count
    again = sync(faulty_trainer, "wandb")
    assert again.returncode == 0
    assert "nothing was missing" in again.stdout
    assert faulty.request_count == count


def test_detection_tells_what_the_file_tells_and_nothing_of_this_machine(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    faulty_trainer.run(SCRIPT, **NOBODY_LOOKS)
    sync(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    (body,) = faulty.detections
    assert violations(body) == []
    evidence = body["evidence"]
    assert (evidence["wandb"]["project"], evidence["wandb"]["name"]) == ("p", "the name")
    assert evidence["wandb"]["tags"] == ["x"]
    assert evidence["wandb"]["config"]["lr"] == 0.1
    assert "abcdef" not in json.dumps(body)
    assert evidence["environment"] == evidence["software"]["packages"] == {}
    assert evidence["hardware"]["gpu_count"] == 0
    assert body["hints"]["confidence"] == "low"


def test_a_uid_that_lens_cannot_store_with_a_framework_costs_the_detection_alone(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    wandb_records.write(faulty_trainer.directory / "wandb", "r1", telemetry(1, 9), row(0, a=1), ending())
    found = sync(faulty_trainer, "--workload-uid", "w" * 129, "wandb")
    assert found.returncode == 0
    assert "what framework the run uses is not told: the workload's uid has 129 characters" in found.stdout
    assert (len(faulty.taken), faulty.detections) == (1, [])


def test_frameworks_are_what_wandb_noted_as_imported(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    wandb_records.write(faulty_trainer.directory / "wandb", "r1", telemetry(1, 9), row(0, a=1), ending())
    assert sync(faulty_trainer, "wandb").returncode == 0
    (body,) = faulty.detections
    assert violations(body) == []
    hints = body["hints"]
    assert (hints["wrapper_frameworks"], hints["base_frameworks"]) == (["lightning"], ["pytorch"])
    assert hints["confidence"] == "medium"
    assert body["evidence"]["wrapper_frameworks"] == {}
    assert body["evidence"]["system"]["python_version"] == "3.9.1"


@pytest.mark.parametrize(
    ("variables", "said", "workload"),
    [
        ({"WORKLOAD_UID": "w-{unique}"}, "workload: w-{unique} (the environment)", "w-{unique}"),
        ({}, "workload: r-{unique}, the run's own id, because neither", "r-{unique}"),
    ],
)
def test_workload_is_that_of_the_environment_or_else_the_runs_own_id(
    variables: dict[str, str], said: str, workload: str, trainer: Trainer, lens: Lens, monkeypatch: pytest.MonkeyPatch
) -> None:
    unique = trainer.workload
    wandb_records.write(trainer.directory / "wandb", f"r-{unique}", row(0, a=1), ending())
    environment = trainer.environment(**{name: value.format(unique=unique) for name, value in variables.items()})
    if not variables:
        environment.pop("WORKLOAD_UID")
    import subprocess

    command = [trainer.python, "-m", "primus_lens_wandb_exporter.cli", "sync", "wandb"]
    found = subprocess.run(command, cwd=trainer.directory, env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout
    assert said.format(unique=unique) in found.stdout
    assert lens.scalars(workload.format(unique=unique)) == {(0, "a"): 1.0}


def test_rest_of_a_run_goes_where_its_beginning_went(trainer: Trainer, lens: Lens) -> None:
    root = trainer.directory / "wandb"
    wandb_records.write(root, "r1", row(0, a=1), age_s=0)
    assert sync(trainer, "--workload-uid", trainer.workload, "wandb").returncode == 0
    wandb_records.write(root, "r1", row(0, a=1), row(1, a=2), summary(best=3), ending())
    found = sync(trainer, "wandb")
    assert f"workload: {trainer.workload} (an earlier sync)" in found.stdout
    assert "2 metrics delivered" in found.stdout
    assert lens.scalars(trainer.workload) == {(0, "a"): 1.0, (1, "a"): 2.0, (1, "best"): 3.0}


def test_rows_of_a_file_that_grows_go_at_once_and_its_summary_at_its_end(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    root = faulty_trainer.directory / "wandb"
    records = [row(0, a=1), summary(best=1), row(1, a=2)]
    path = wandb_records.write(root, "r1", *records, age_s=0)
    path.write_bytes(path.read_bytes() + b"\0\0\0\0\x50\0\x01half of a record")
    growing = sync(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    assert growing.returncode == 0
    assert "still being written: the run's summary comes with a later sync" in growing.stdout
    assert "damaged" not in growing.stdout
    assert lens.scalars(faulty_trainer.workload) == {(0, "a"): 1.0, (1, "a"): 2.0}
    assert faulty.detections == []

    wandb_records.write(root, "r1", *records, summary(best=5), ending(), age_s=0)
    assert "1 metrics delivered" in sync(faulty_trainer, "wandb").stdout
    assert lens.scalars(faulty_trainer.workload)[1, "best"] == 5.0
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 3
    assert len(faulty.detections) == 1


def test_damage_costs_the_damaged_record_only(trainer: Trainer, lens: Lens) -> None:
    rows = [row(step, a=step) for step in range(3000)]
    path = wandb_records.write(trainer.directory / "wandb", "r1", *rows)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content[:-3])
    wandb_records.rest(path)
    found = sync(trainer, "--workload-uid", trainer.workload, "wandb")
    assert found.returncode == 0, found.stdout
    assert "2 damaged record(s) skipped" in found.stdout
    assert len(lens.scalars(trainer.workload)) == 2998


def test_values_that_are_no_numbers_of_lens_cost_no_other(trainer: Trainer, lens: Lens) -> None:
    strange = [
        wandb_records.history(0, a=1, _timestamp=10**500),
        wandb_records.history(1, a=1, _timestamp=float("inf")),
        wandb_records.history(2, a=10**400, b=float("nan"), c=2),
        wandb_records.history(2**40, a=1),
        wandb_records.history(-5, a=1),
    ]
    wandb_records.write(trainer.directory / "wandb", "r1", *strange, row(9, a=9), summary(best=10**400, good=1))
    found = sync(trainer, "--workload-uid", trainer.workload, "wandb")
    assert found.returncode == 0, found.stdout
    assert "2 metrics cannot be stored by Lens" in found.stdout
    expected = {(0, "a"): 1.0, (1, "a"): 1.0, (2, "c"): 2.0, (9, "a"): 9.0, (9, "good"): 1.0}
    assert lens.scalars(trainer.workload) == expected


def killed(trainer: Trainer, faulty: FaultyLens, **variables: str) -> Training:
    """A job that logs with wandb, killed with Lens away: the mirror holds more than wandb's file."""
    faulty.down()
    process = trainer.start(
        """
        import time, wandb
        run = wandb.init(project="p")
        for i in range(100000):
            run.log({"a": i, "b": i * 0.5, "c": 1.5})
            time.sleep(0.0005)
        """,
        **variables,
    )
    mirror = trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    deadline = time.monotonic() + 60
    while not mirror.exists() or mirror.stat().st_size < 300_000:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    training = trainer.kill(process)
    faulty.up()
    (path,) = trainer.directory.glob("wandb/*run-*/run-*.wandb")
    wandb_records.rest(path)
    return training


def mirrored(trainer: Trainer) -> dict[tuple[int, str], float]:
    text = (trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl").read_text()
    found = {}
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            parsed = json.loads(line)
            found.update({(parsed["step"], name): float(parsed["data"][name]) for name in ("a", "b", "c")})
    return found


@pytest.mark.parametrize(
    "order", [["."], ["wandb"], ["mirror"], ["wandb", "mirror"], ["mirror", "wandb"]], ids="+".join
)
def test_after_a_kill_mirror_and_file_complete_each_other_and_no_value_goes_twice(
    order: list[str], faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    training = killed(faulty_trainer, faulty)
    mirror = faulty_trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    # The file has rows that the mirror has not: of its beginning.
    in_mirror = mirror.read_text().splitlines(keepends=True)
    mirror.write_text("".join(in_mirror[50:]))
    in_file = scalars(training.history)
    expected = {**in_file, **mirrored(faulty_trainer)}
    assert len(in_file) > 150
    for path in [*order, "."]:
        found = sync(faulty_trainer, path)
        assert found.returncode == 0, found.stdout + found.stderr
    assert lens.scalars(faulty_trainer.workload, training.run_id) == expected
    sent = sent_by(faulty)
    assert len(sent) == len(set(sent))


def test_a_file_alone_first_and_a_mirror_alone_later_send_nothing_twice(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """The first command does not know of the mirror; the second finds the file by the mirror's ledger."""
    root = faulty_trainer.directory
    path = wandb_records.write(root / "wandb", "r", *(row(step, a=step) for step in range(3)))
    mirror = mirrors.write(root / "out", faulty_trainer.workload, calls=5)
    ledger_of(mirror).write_bytes(lines(introduction(faulty_trainer.workload, wandb_file=str(path))))
    first = sync(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    assert "3 metrics delivered" in first.stdout
    second = sync(faulty_trainer, "out")
    assert second.returncode == 0
    assert "2 metrics delivered" in second.stdout
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 5
    assert lens.scalars(faulty_trainer.workload) == mirrors.whole(5)
    assert sync(faulty_trainer, ".").stdout.count("nothing was missing") == 2


def uncounted(number: int) -> dict[str, Any]:
    return call(number, step=None, counted_by="wandb", data={"tb": number})


def test_calls_that_only_wandb_counts_come_from_the_file_that_the_ledger_names(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    root = faulty_trainer.directory
    path = wandb_records.write(root / "elsewhere" / "wandb", "r", *(row(10 * step, tb=step) for step in range(3)))
    mirror = mirrors.write(root / "out", faulty_trainer.workload)
    mirror.write_bytes(lines(call(0), *map(uncounted, range(1, 4))))
    ledger_of(mirror).write_bytes(lines(introduction(faulty_trainer.workload, wandb_file=str(path))))
    found = sync(faulty_trainer, "out")
    assert found.returncode == 0, found.stdout
    assert lens.scalars(faulty_trainer.workload) == {(0, "a"): 0.0, (0, "tb"): 0.0, (10, "tb"): 1.0, (20, "tb"): 2.0}
    # Its process has told Lens what the run is.
    assert faulty.detections == []
    assert sync(faulty_trainer, "out").stdout.count("nothing was missing") == 2

    path.unlink()
    gone = sync(faulty_trainer, "out")
    assert gone.returncode == 0
    assert f"3 call(s) of run r have their steps in {path} alone, which is gone" in gone.stdout


def test_rows_that_the_job_delivered_from_its_file_are_not_sent_again(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    path = wandb_records.write(faulty_trainer.directory / "wandb", "r", *(row(step, a=step) for step in range(4)))
    mirror = mirrors.write(faulty_trainer.directory / "out", faulty_trainer.workload)
    mirror.write_bytes(b"")
    folder = path.parent.name
    ledger_of(mirror).write_bytes(
        lines(
            introduction(faulty_trainer.workload, wandb_file=str(path)),
            {"writer": folder, "run_id": "r", "acknowledged": [[0, 2]]},
        )
    )
    assert "1 metrics delivered" in sync(faulty_trainer, ".").stdout
    assert [step for _, _, step, _ in sent_by(faulty)] == [3]


def test_rows_of_a_living_job_are_left_to_it(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    process = faulty_trainer.start(
        """
        import sys, wandb
        run = wandb.init(project="p", id="living")
        run.log({"a": 1})
        print("logged", flush=True)
        sys.stdin.readline()
        """
    )
    assert process.stdout is not None
    process.stdout.readline()
    ledger = ledger_of(faulty_trainer.directory / "mirror" / "node_0" / "rank_0" / mirrors.NAME)
    deadline = time.monotonic() + 30
    while not ledger.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (path,) = faulty_trainer.directory.glob("wandb/*run-*/run-living.wandb")
    planted = wandb_records.write(faulty_trainer.directory / "wandb", "living", row(7, x=7), folder=path.parent.name)
    found = sync(faulty_trainer, "wandb")
    assert "the job still runs and delivers by itself: 1 row(s) are left to it" in found.stdout, found.stdout
    assert found.returncode == 0
    assert ("living", 7, "x") not in [key[1:] for key in sent_by(faulty)]
    assert planted.exists()
    faulty_trainer.finish(process)


def test_older_file_of_a_resumed_run_overwrites_nothing_of_a_newer_one(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    root = faulty_trainer.directory / "wandb"
    for part, started in enumerate((100, 200, 300)):
        rows = [row(part * 2 + step, a=part * 10 + step) for step in range(4)]
        folder = f"run-2023111{part}_000000-r"
        wandb_records.write(root, "r", *rows, summary(part=part), ending(), folder=folder, started=started)
    found = sync(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    assert found.returncode == 0
    expected = {0: 0, 1: 1, 2: 10, 3: 11, 4: 20, 5: 21, 6: 22, 7: 23}
    expected_scalars = {(step, "a"): float(value) for step, value in expected.items()}
    assert lens.scalars(faulty_trainer.workload) == {**expected_scalars, (7, "part"): 2.0}
    assert len(sent_by(faulty)) == len(set(sent_by(faulty)))
    assert len(faulty.detections) == 1
    assert sync(faulty_trainer, "wandb").stdout.count("nothing was missing") == 3


def test_second_part_of_a_resumed_run_that_no_mirror_saw_is_not_taken_for_the_first(
    faulty_trainer: Trainer, lens: Lens
) -> None:
    """Offline, wandb begins at step 0 again: what the mirror holds of these steps is not what this file holds."""
    root = faulty_trainer.directory
    first = wandb_records.write(root / "wandb", "r", row(0, a=1), folder="run-1-r", started=100)
    wandb_records.write(root / "wandb", "r", row(0, a=2), folder="run-2-r", started=200)
    mirror = mirrors.write(root / "out", faulty_trainer.workload, calls=1)
    ledger_of(mirror).write_bytes(lines(introduction(faulty_trainer.workload, wandb_file=str(first))))
    assert sync(faulty_trainer, ".").returncode == 0
    assert lens.scalars(faulty_trainer.workload) == {(0, "a"): 2.0}


def test_latest_run_is_the_run_that_it_links_to(trainer: Trainer, lens: Lens) -> None:
    path = wandb_records.write(trainer.directory / "wandb", "r1", row(0, a=1), ending())
    (trainer.directory / "wandb" / "latest-run").symlink_to(path.parent.name)
    (trainer.directory / "wandb" / "debug.log").write_text("not a run")
    found = sync(trainer, "--workload-uid", trainer.workload, "wandb/latest-run")
    assert "1 metrics delivered" in found.stdout
    again = sync(trainer, "wandb")
    assert again.stdout.count("run-r1.wandb") == again.stdout.count("nothing was missing") == 1


HOSTILE = {
    "a FIFO": (lambda path: os.mkfifo(path), "is a FIFO, not a regular file"),
    "a link": (lambda path: path.symlink_to("/etc/hostname"), "is a symbolic link, not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link, not a regular file"),
    "another file": (lambda path: path.write_text("hello"), "it does not begin as a .wandb file does"),
    "a big text": (lambda path: path.write_bytes(b"x" * 3_000_000), "it does not begin as a .wandb file does"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_wandb_file_is_one_line_and_costs_no_other(name: str, trainer: Trainer, lens: Lens) -> None:
    make, said = HOSTILE[name]
    for number in (1, 3):
        wandb_records.write(trainer.directory / "wandb" / str(number), f"r{number}", row(number, a=1), ending())
    folder = trainer.directory / "wandb" / "2"
    folder.mkdir()
    make(folder / "x.wandb")
    found = sync(trainer, "--workload-uid", trainer.workload, "wandb")
    assert found.returncode == 1
    assert found.stdout.count("✗") == 1
    assert said in found.stdout
    assert "internal error" not in found.stdout
    assert lens.scalars(trainer.workload) == {(1, "a"): 1.0, (3, "a"): 1.0}


def test_empty_file_of_a_young_run_and_a_folder_of_such_a_name_are_no_trouble(trainer: Trainer) -> None:
    root = trainer.directory / "wandb"
    (root / "my.wandb").mkdir(parents=True)
    (root / "run-1").mkdir()
    (root / "run-1" / "run-1.wandb").write_bytes(b"")
    found = sync(trainer, "wandb")
    assert found.returncode == 0, found.stdout
    assert "nothing was missing" in found.stdout


def test_sparse_file_of_terabytes_is_passed_over_at_once(trainer: Trainer, lens: Lens) -> None:
    path = wandb_records.write(trainer.directory / "wandb", "r1", *(row(step, a=step) for step in range(2000)))
    with path.open("r+b") as file:
        file.truncate(2**42)
    wandb_records.rest(path)
    found = sync(trainer, "--workload-uid", trainer.workload, "wandb")
    assert found.returncode == 0, found.stdout
    assert "damaged record(s) skipped" in found.stdout
    assert len(lens.scalars(trainer.workload)) == 2000


def test_thousands_of_folders_cost_little(trainer: Trainer, lens: Lens) -> None:
    for number in range(3000):
        (trainer.directory / "wandb" / f"run-{number}" / "files").mkdir(parents=True)
    wandb_records.write(trainer.directory / "wandb", "r1", row(0, a=1), ending())
    assert sync(trainer, "--workload-uid", trainer.workload, "wandb").returncode == 0
    assert lens.scalars(trainer.workload) == {(0, "a"): 1.0}


def test_dry_run_tells_of_each_run_and_sends_nothing(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    for number in range(3):
        rows = [row(step, a=1, b=2) for step in range(number + 1)]
        wandb_records.write(faulty_trainer.directory / "wandb", f"r{number}", *rows, ending())
    found = sync(faulty_trainer, "--dry-run", "wandb")
    assert found.returncode == 0
    for number in range(3):
        assert f"run r{number}: {2 * number + 2} metrics of {number + 1} rows" in found.stdout
    assert faulty.request_count == 0
    assert not list(faulty_trainer.directory.glob("wandb/*/*.delivery"))


def test_lens_that_refuses_is_exit_code_1_and_a_later_sync_delivers(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    wandb_records.write(faulty_trainer.directory / "wandb", "r1", row(0, a=1), ending())
    faulty.behaviour = faults.refuse(400, "invalid request format")
    arguments = ("--workload-uid", faulty_trainer.workload, "wandb")
    refused = sync(faulty_trainer, *arguments)
    assert refused.returncode == 1
    assert "1 metrics of run r1: HTTP 400 invalid request format" in refused.stdout
    faulty.behaviour = faults.forward
    assert sync(faulty_trainer, *arguments).returncode == 0
    assert lens.scalars(faulty_trainer.workload) == {(0, "a"): 1.0}
    assert len(faulty.detections) == 1


@pytest.mark.parametrize("text", ["yesterday", "7", "d", "-1d", "2026-13-01", "1e9d", "", "99999999999999d", "½d"])
def test_malformed_since_is_wrong_usage(text: str, trainer: Trainer) -> None:
    found = sync(trainer, f"--since={text}", ".")
    assert found.returncode == 2
    assert "is neither a date" in found.stderr


@pytest.mark.parametrize("form", ["2d", "48h", "2880m", "%Y-%m-%d", "%Y-%m-%dT%H:%M"])
def test_only_files_written_since_then_are_delivered(form: str, trainer: Trainer, lens: Lens) -> None:
    root = trainer.directory / "wandb"
    wandb_records.write(root, "old", row(0, old=1), ending(), age_s=5 * 86400)
    wandb_records.write(root, "new", row(0, new=1), ending())
    since = time.strftime(form, time.localtime(time.time() - 2 * 86400))
    found = sync(trainer, "--workload-uid", trainer.workload, "--since", since, "wandb")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 file(s) were not written since then" in found.stdout
    assert lens.scalars(trainer.workload) == {(0, "new"): 1.0}


def test_since_reads_an_age_and_a_date() -> None:
    assert sync_command._since("90m") == pytest.approx(time.time() - 5400, abs=60)
    assert sync_command._since("2026-11-01T12:30") == time.mktime((2026, 11, 1, 12, 30, 0, 0, 0, -1))


@needs_root
def test_folder_that_cannot_be_written_costs_the_note_only(shared_folder: Path, trainer: Trainer, lens: Lens) -> None:
    path = wandb_records.write(shared_folder / "wandb", "r1", row(0, a=1), ending())
    give_away(shared_folder / "wandb")
    path.parent.chmod(0o555)
    path.chmod(0o444)
    arguments = ("sync", "--workload-uid", trainer.workload, str(shared_folder / "wandb"))
    found = command_as_the_other_user(*arguments, PRIMUS_LENS_API_BASE_URL=lens.base_url)
    path.parent.chmod(0o755)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 of them could not be noted as delivered" in found.stdout
    assert lens.scalars(trainer.workload) == {(0, "a"): 1.0}


@needs_root
@pytest.mark.parametrize("owner", [0, OTHER - 1])
def test_ledger_of_one_user_opens_no_file_of_another(
    owner: int, shared_folder: Path, trainer: Trainer, lens: Lens
) -> None:
    """Else a user would get the metrics of root, or of somebody else, sent to an address of their own."""
    victim = wandb_records.write(trainer.directory / "home" / "wandb", "r", row(5, secret=1), ending())
    for file in (victim, victim.parent, victim.parent.parent):
        os.chown(file, owner, owner)
    mirror = mirrors.write(shared_folder / "out", trainer.workload)
    mirror.write_bytes(lines(call(0), uncounted(1)))
    ledger_of(mirror).write_bytes(lines(introduction(trainer.workload, lens.base_url, wandb_file=str(victim))))
    give_away(mirror.parent)
    found = sync(trainer, "--trust-owner", str(shared_folder), PRIMUS_LENS_API_BASE_URL="")
    assert found.returncode == 0, found.stdout
    assert lens.scalars(trainer.workload) == {(0, "a"): 0.0}
    assert str(victim) not in found.stdout
    assert not ledger_of(victim).exists()


@needs_root
def test_mirror_of_one_user_says_nothing_of_the_runs_of_another(
    shared_folder: Path, trainer: Trainer, lens: Lens
) -> None:
    """A planted mirror with the same run id must neither hide rows nor say where they go."""
    mirror = mirrors.write(shared_folder / "planted", "stolen-" + trainer.workload, "http://127.0.0.1:9/api/v1")
    give_away(mirror.parent)
    path = wandb_records.write(shared_folder / "victim" / "wandb", "r", row(0, a=5), ending())
    for file in (path, path.parent, path.parent.parent, path.parent.parent.parent):
        os.chown(file, OTHER - 1, OTHER - 1)
    os.utime(path)
    wandb_records.rest(path)
    found = sync(trainer, "--trust-owner", "--base-url", lens.base_url, str(shared_folder))
    assert found.returncode == 0, found.stdout
    assert "workload: r, the run's own id" in found.stdout
    assert lens.scalars("stolen-" + trainer.workload) == mirrors.whole()
    assert (0, "a") in lens.scalars("r", "r")
    assert (ledger_of(path).stat().st_uid, ledger_of(path).stat().st_gid) == (OTHER - 1, OTHER - 1)


@needs_root
def test_user_delivers_the_file_that_their_own_ledger_names_and_no_link(
    shared_folder: Path, trainer: Trainer, lens: Lens
) -> None:
    path = wandb_records.write(shared_folder / "wandb", "r", row(5, b=1), ending())
    mirror = mirrors.write(shared_folder / "out", trainer.workload, lens.base_url)
    ledger_of(mirror).write_bytes(lines(introduction(trainer.workload, wandb_file=str(path))))
    for folder in ("wandb", "out"):
        give_away(shared_folder / folder)
    found = command_as_the_other_user("sync", str(mirror), PRIMUS_LENS_API_BASE_URL=lens.base_url)
    assert found.returncode == 0, found.stdout + found.stderr
    assert lens.scalars(trainer.workload) == {**mirrors.whole(), (5, "b"): 1.0}


def test_file_whose_mirror_lens_refuses_is_delivered_all_the_same(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    root = faulty_trainer.directory
    path = wandb_records.write(root / "wandb", "r", row(0, a=0), row(7, b=1), ending())
    mirror = mirrors.write(root / "out", faulty_trainer.workload)
    ledger_of(mirror).write_bytes(lines(introduction(faulty_trainer.workload, wandb_file=str(path))))
    faulty.behaviour = faults.refuse_if(
        lambda body: any(metric["name"] == "a" for metric in body.get("metrics", [])), faults.forward, 400, "no"
    )
    found = sync(faulty_trainer, "out")
    assert found.returncode == 1
    assert lens.scalars(faulty_trainer.workload) == {(7, "b"): 1.0}


def test_file_waits_while_lens_is_away_in_the_middle_of_its_mirror(
    faulty: FaultyLens, tmp_path: Path, lens: Lens, workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the mirror holds behind that place is not known: it would go twice."""
    path = wandb_records.write(tmp_path / "wandb", "r", *(row(step, a=step) for step in range(3000)), ending())
    mirror = mirrors.write(tmp_path / "out", workload, calls=3000)
    ledger_of(mirror).write_bytes(lines(introduction(workload, wandb_file=str(path))))
    monkeypatch.setattr(delivery, "PATIENCE_S", 0.2)
    faulty.behaviour = faults.refuse_if(
        lambda body: any(metric["step"] == 700 for metric in body.get("metrics", [])), faults.forward, 503, "away"
    )
    arguments = ["sync", "--base-url", faulty.base_url, str(tmp_path)]
    assert cli.main(arguments) == 1
    assert 0 < len(sent_by(faulty)) < 3000
    faulty.behaviour = faults.forward
    assert cli.main(arguments) == 0
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 3000
    assert lens.scalars(workload) == mirrors.whole(3000)


def test_run_that_has_only_begun_is_not_reported_yet(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """A job with the exporter that loads its data has a file, and no mirror before its first log call."""
    wandb_records.write(faulty_trainer.directory / "wandb", "r1", telemetry(1))
    found = sync(faulty_trainer, "wandb")
    assert found.returncode == 0
    assert "nothing was missing" in found.stdout
    assert faulty.request_count == 0


def test_two_workloads_with_one_run_id_keep_their_values_apart(trainer: Trainer, lens: Lens) -> None:
    """As two projects have, or a run that was resumed as another workload."""
    workloads = (trainer.workload + "-a", trainer.workload + "-b")
    for number, workload in enumerate(workloads):
        folder = f"run-2023111{4 + number}_221320-r"
        started = 1_700_000_000 + number
        path = wandb_records.write(
            trainer.directory / "wandb", "r", row(0, a=number), ending(), folder=folder, started=started
        )
        mirror = mirrors.write(trainer.directory / "out" / str(number), workload, calls=0)
        mirror.write_bytes(lines(call(5, data={"a": number})))
        ledger_of(mirror).write_bytes(lines(introduction(workload, wandb_file=str(path))))
    found = sync(trainer, ".")
    assert found.returncode == 0, found.stdout
    assert lens.scalars(workloads[0]) == {(0, "a"): 0.0, (5, "a"): 0.0}
    assert lens.scalars(workloads[1]) == {(0, "a"): 1.0, (5, "a"): 1.0}
    assert sync(trainer, ".").stdout.count("nothing was missing") == 4
