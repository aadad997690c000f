"""Our reader against files of every minor version of wandb: what the jobs logged, and what that wandb itself reads."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest

from ..installation.environments import ROOT, find_python
from . import KEPT, reading
from .versions import VERSIONS

Event = tuple[str, dict[str, Any]]


@dataclasses.dataclass
class Kept:
    """The kept files of one version, unpacked; paths are as in ``records.json``."""

    directory: Path

    def files(self, job: str) -> list[Path]:
        found = sorted(self.directory.glob(f"{job}/wandb/*/*.wandb"))
        if not found:
            pytest.skip("this version of wandb has no such runs")
        return found

    def events(self, job: str) -> list[list[Event]]:
        return [reading.read(str(file))["events"] for file in self.files(job)]

    def truth(self, job: str) -> dict[str, Any]:
        return dict(json.loads((self.directory / job / "truth.json").read_text()))


@pytest.fixture(scope="session")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Kept]:
    directory = tmp_path_factory.mktemp("kept")

    def to_kept(version: str) -> Kept:
        if not (directory / version).exists():
            with zipfile.ZipFile(KEPT / f"{version}.zip") as archive:
                archive.extractall(directory / version)
        return Kept(directory / version)

    return to_kept


@pytest.fixture(params=[version.wandb for version in VERSIONS])
def kept(request: pytest.FixtureRequest, unpack: Callable[[str], Kept]) -> Kept:
    return unpack(request.param)


ROW_JOBS = ("rows", "typed", "media", "table", "summary", "define_metric", "resume", "fork", "rewind")


@pytest.mark.parametrize("job", ROW_JOBS)
def test_rows_are_those_that_were_logged(kept: Kept, job: str) -> None:
    rows = rows_of(event for events in kept.events(job) for event in events)
    assert marked(rows) == marked({int(step): row for step, row in kept.truth(job)["rows"].items()})


@pytest.mark.parametrize("job", ["summary", "define_metric", "resume"])
def test_summary_is_what_stands_at_the_end(kept: Kept, job: str) -> None:
    summary = summary_of(kept.events(job)[-1])
    expected = kept.truth(job)["summary"]
    assert marked({name: summary.get(name) for name in expected}) == marked(expected)
    assert "gone" not in summary


@pytest.mark.parametrize("job", ["summary", "resume"])
def test_run_and_config_are_the_jobs_own(kept: Kept, job: str) -> None:
    events = kept.events(job)[-1]
    truth = kept.truth(job)
    assert config_of(events) == truth["config"]
    (run,) = (fields for kind, fields in events if kind == "RunStart")
    assert {name: run[name] if name != "tags" else list(run[name]) for name in truth.get("run", {})} == truth.get(
        "run", {}
    )


def test_crashed_file_holds_the_first_rows_and_no_exit(kept: Kept) -> None:
    (file,) = kept.files("crash")
    found = reading.read(str(file))
    rows = rows_of(found["events"])
    truth = kept.truth("crash")["rows"]
    assert len(rows) > 20
    assert rows == {step: truth[str(step)] for step in range(len(rows))}
    assert "RunExit" not in {kind for kind, _ in found["events"]}
    assert found["damaged"] <= 1


def test_shared_runs_have_a_file_for_each_writer_and_rows_without_step(kept: Kept) -> None:
    rows = [
        {"step": row["step"], **visible(row["values"])}
        for events in kept.events("shared")
        for kind, row in events
        if kind == "HistoryRow"
    ]
    expected = [{"step": None, **row} for row in kept.truth("shared")["rows without step"]]
    assert sorted(rows, key=in_order) == sorted(expected, key=in_order)


def test_what_tensorboard_wrote_is_in_rows_with_its_global_step(kept: Kept) -> None:
    (events,) = kept.events("tensorboard")
    found: dict[str, dict[str, Any]] = {}
    rows = rows_of(events)
    assert sorted(rows) == list(range(len(rows)))
    for row in rows.values():
        found.setdefault(str(row.pop("global_step")), {}).update(row)
    assert found == kept.truth("tensorboard")["by global_step"]


def test_reader_finds_what_the_wandb_of_the_time_finds(kept: Kept) -> None:
    records = json.loads((kept.directory / "records.json").read_text())
    assert len(records) >= 9
    for path, expected in records.items():
        found = [plain(event) for event in reading.read(str(kept.directory / path))["events"]]
        assert marked(found) == marked([from_record(record) for record in expected["records"]]), path


@pytest.mark.parametrize("python_version", ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_python_reads_the_same(unpack: Callable[[str], Kept], python_version: str) -> None:
    python = find_python(python_version)
    if python is None:
        pytest.skip(f"there is no working Python {python_version} on PATH or in pyenv")
    files = [
        str(path)
        for version in (VERSIONS[0], VERSIONS[-1])
        for path in sorted(unpack(version.wandb).directory.glob("*/wandb/*/*.wandb"))
    ]
    run = subprocess.run(
        [str(python), reading.__file__, *files],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=True,
        stdout=subprocess.PIPE,
    )
    assert run.stdout.decode().strip() == json.dumps({file: reading.read(file) for file in files})


def test_kept_files_name_nobody_and_no_place() -> None:
    allowed = re.compile(rb"/(tmp/wandb-files-\w+|usr)(/|$)")
    for archive in sorted(KEPT.glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                content = opened.read(name)
                for path in re.findall(rb"(?<![\w./:%-])/(?:root|home|work|opt|mnt|data|tmp|usr|var)[\w./-]*", content):
                    assert allowed.match(path), (archive.name, name, path)
                assert not re.findall(rb"[\w.]+@[\w-]+\.[a-z]+", content), (archive.name, name)
    assert sum(archive.stat().st_size for archive in KEPT.glob("*.zip")) < 1_000_000


def rows_of(events: Any) -> dict[int, dict[str, Any]]:
    """Step -> dotted name -> value, without wandb's own names and without media; a later row of a step adds to it."""
    rows: dict[int, dict[str, Any]] = {}
    for kind, row in events:
        if kind == "HistoryRow":
            values = visible(row["values"])
            if values or has_media(row["values"]):
                rows.setdefault(row["step"], {}).update(values)
    return rows


def in_order(row: dict[str, Any]) -> tuple[int, float]:
    return row["writer"], row["loss"]


def visible(values: dict[str, Any]) -> dict[str, Any]:
    flat = flatten(values)
    media = tuple(name[: -len("_type")] for name in flat if name.endswith("._type"))
    return {name: value for name, value in flat.items() if not name.startswith(("_", *media))}


def has_media(values: dict[str, Any]) -> bool:
    return any(name.endswith("._type") for name in flatten(values))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return flat


def summary_of(events: list[Event]) -> dict[str, Any]:
    """What is left when each change has taken the place of what it names, and of all below that."""
    summary: dict[str, Any] = {}
    for kind, change in events:
        if kind == "SummaryChange":
            named = (*change["values"], *change["removed"])
            below = tuple(f"{name}." for name in named)
            summary = {name: value for name, value in summary.items() if name not in named}
            summary = {name: value for name, value in summary.items() if not name.startswith(below)}
            summary.update(flatten(change["values"]))
    return summary


def config_of(events: list[Event]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for kind, fields in events:
        if kind == "RunStart":
            config.update(fields["config"])
        elif kind == "ConfigChange":
            config.update(fields["values"])
    return {name: value for name, value in flatten(config).items() if not name.startswith("_")}


def plain(event: Event) -> list[Any]:
    kind, fields = event
    if kind == "HistoryRow":
        return ["history", fields["step"], fields["values"], []]
    if kind == "RunExit":
        return ["exit", fields["exit_code"], {}, []]
    if kind == "RunStart":
        texts = {name: fields[name] for name in ("run_id", "project", "host", "job_type", "group", "starting_step")}
        return ["run", None, fields["config"], {**texts, "display_name": fields["name"], "tags": [*fields["tags"]]}]
    return [kind.replace("Change", "").lower(), None, fields["values"], [*fields["removed"]]]


def from_record(record: list[Any]) -> list[Any]:
    kind, step, items, others = record
    values = {name: json.loads(value) for name, value in items}
    return [kind, values.get("_step", step) if kind == "history" else step, values, others]


def marked(value: Any) -> Any:
    """Equal only for equal values of the same sort: NaN is itself, and 1 is not True."""
    if isinstance(value, dict):
        return {name: marked(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [marked(inner) for inner in value]
    if isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
        return ("as it is", str(value))
    return value
