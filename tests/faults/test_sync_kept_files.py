"""`primus-lens-wandb sync` of the kept files of every version of wandb: Lens holds what the jobs say they logged."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from primus_lens_wandb_exporter import cli

from ..support.lens import Lens
from ..support.wandb_file import scalars

KEPT = Path(__file__).resolve().parent.parent / "data" / "wandb_files"
VERSIONS = sorted(archive.stem for archive in KEPT.glob("*.zip"))
# Without media, which Lens does not get, and without runs of which only a server knows the steps.
WITH_ROWS = ("rows", "typed", "media", "table", "summary", "define_metric", "resume", "fork", "rewind")


def sync(directory: Path, lens: Lens, workload: str, capsys: pytest.CaptureFixture[str]) -> str:
    status = cli.main(["sync", "--base-url", lens.base_url, "--workload-uid", workload, str(directory)])
    output = capsys.readouterr().out
    assert status == 0, output
    return output


def expected_summary(truth: dict[str, Any]) -> dict[tuple[int, str], float]:
    """What of the summary is not the last value of history, at the newest step."""
    history = {int(step): row for step, row in truth["rows"].items()}
    last = {name: value for _, name, value in sorted((s, n, v) for (s, n), v in scalars(history).items())}
    logged = {name for row in history.values() for name in row}
    return {
        (max(history), f"summary/{name}" if name in logged else name): float(value)
        for name, value in truth.get("summary", {}).items()
        if isinstance(value, (int, float)) and math.isfinite(value) and last.get(name) != value
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_lens_holds_what_was_logged(
    version: str, tmp_path: Path, lens: Lens, workload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(KEPT / f"{version}.zip") as archive:
        archive.extractall(tmp_path)
    jobs = sorted(path.parent.name for path in tmp_path.glob("*/truth.json"))
    assert len(jobs) > 5
    for job in jobs:
        truth = json.loads((tmp_path / job / "truth.json").read_text())
        of_job = f"{workload}-{job}"
        if not list((tmp_path / job).rglob("*.wandb")):
            continue
        output = sync(tmp_path / job, lens, of_job, capsys)
        assert "✗" not in output
        found = lens.scalars(of_job)
        if job in WITH_ROWS:
            expected = scalars({int(step): row for step, row in truth["rows"].items()})
            summary = expected_summary(truth)
            assert {key: value for key, value in found.items() if key in expected} == expected, (version, job)
            assert {key: value for key, value in found.items() if key in summary} == summary, (version, job)
            # Some versions compute a best value, others none: the job does not say.
            others = {name for _, name in found.keys() - expected.keys() - summary.keys()}
            assert others <= {"accuracy.best"}, (version, job)
        elif job == "crash":
            expected = scalars({int(step): row for step, row in truth["rows"].items()})
            assert len(found) > 40
            assert found.items() <= expected.items(), (version, job)
        elif job == "shared":
            assert "row(s) have no step in this file" in output
        elif job == "tensorboard":
            # Some versions write a row for each value; the writer's own step stands beside it.
            wanted = {
                (int(step), name): value for step, row in truth["by global_step"].items() for name, value in row.items()
            }
            assert wanted == {
                (int(found[step, "global_step"]), name): value
                for (step, name), value in found.items()
                if name in ("train/loss", "train/accuracy")
            }, (version, job)
        again = sync(tmp_path / job, lens, of_job, capsys)
        assert "delivered" not in again, (version, job)
