"""What has arrived of a run, in Lens and in the mirror, held against what wandb itself recorded."""

from __future__ import annotations

import dataclasses
from typing import Any

from .faults import FaultyLens
from .training import Training
from .wandb_file import scalars, summary_scalars

Points = dict[tuple[int, str], float]


@dataclasses.dataclass
class Arrivals:
    """What Lens has acknowledged of one run: by step and name, and the newest of each name of the summary."""

    history: Points
    summary: dict[str, float]
    summary_points: Points


def arrivals(faulty: FaultyLens, run_id: str) -> Arrivals:
    """Fails when a value of history came more than once and differed."""
    found = Arrivals({}, {}, {})
    for _, body in list(faulty.taken):
        for metric in body["metrics"] if body["run_id"] == run_id else ():
            key, value = (metric["step"], metric["name"]), metric["value"]
            if metric["tags"] == {"kind": "summary"}:
                found.summary[metric["name"]] = found.summary_points[key] = value
            else:
                assert metric["tags"] == {}, f"{key} has the tags {metric['tags']}"
                first = found.history.setdefault(key, value)
                assert first == value, f"{key} came with two values: {first}, {value}"
    return found


def assert_all_arrived(training: Training, faulty: FaultyLens, workload: str) -> None:
    """Lens and mirror hold what wandb recorded of every run, by names and steps, and nothing else."""
    lines = training.lines()
    for run_id, history in training.histories.items():
        recorded = scalars(history)
        found = arrivals(faulty, run_id)
        assert_same(found.history, recorded)
        assert_same_summary(found, training, run_id)
        assert_same(faulty.lens.scalars(workload, run_id), {**found.summary_points, **recorded})
        assert_same(mirrored(lines, run_id), recorded)


def assert_same_summary(found: Arrivals, training: Training, run_id: str) -> None:
    """Every value of wandb's summary that is more than the last of history; others may come, if they are wandb's."""
    summary = training.summaries[run_id]
    expected = summary_scalars(training.histories[run_id], summary)
    for name in found.summary.keys() - expected.keys():
        expected[name] = summary.get(name, summary.get(name[len("summary/") :]))
    assert_same(found.summary, expected)


def mirrored(lines: list[dict[str, Any]], run_id: str) -> Points:
    """The scalars of history in the lines of a mirror, whoever wrote them; fails for a step that has two values."""
    found: Points = {}
    for line in lines:
        if line["run_id"] != run_id or line.get("summary"):
            continue
        assert line["step"] is None or "counted_by" not in line, f"a step that is counted by wandb: {line}"
        if line["step"] is not None:
            names = {name: value for name, value in line["data"].items() if not name.startswith("_primus_")}
            for key, value in scalars({line["step"]: names}).items():
                first = found.setdefault(key, value)
                assert first == value, f"{key} has two values in the mirror: {first}, {value}"
    return found


def uncounted(lines: list[dict[str, Any]], run_id: str) -> list[dict[str, Any]]:
    """The data of the calls of which only wandb knows the step."""
    return [
        {name: value for name, value in line["data"].items() if name != "_primus_lens_enabled"}
        for line in lines
        if line["run_id"] == run_id and line["step"] is None and line.get("counted_by") == "wandb"
    ]


def assert_same(found: dict[Any, Any], expected: dict[Any, Any]) -> None:
    """Says how many are right before it shows some that are not; thousands of points are no message."""
    if found != expected:
        missing = {key: expected[key] for key in expected.keys() - found.keys()}
        extra = {key: found[key] for key in found.keys() - expected.keys()}
        wrong = {key: (found[key], expected[key]) for key in found.keys() & expected.keys()}
        wrong = {key: values for key, values in wrong.items() if values[0] != values[1]}
        raise AssertionError(
            f"{len(expected) - len(missing) - len(wrong)} of {len(expected)} are right; "
            f"missing {_some(missing)}; extra {_some(extra)}; wrong (found, expected) {_some(wrong)}"
        )


def _some(points: dict[Any, Any]) -> str:
    return f"{len(points)}: {dict(sorted(points.items())[:5])}"
