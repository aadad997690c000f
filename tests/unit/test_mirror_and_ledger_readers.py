"""Both readers take anything: they raise nothing, find every well-formed line, and send Lens only what it can take."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from primus_lens_wandb_exporter.commands import json_lines
from primus_lens_wandb_exporter.commands import mirror as mirror_reader
from primus_lens_wandb_exporter.commands.json_lines import read_objects
from primus_lens_wandb_exporter.commands.ledger import Ledger
from primus_lens_wandb_exporter.commands.mirror import Mirror
from primus_lens_wandb_exporter.commands.writer_lock import WriterLock
from primus_lens_wandb_exporter.owned_files import OwnedFiles
from primus_lens_wandb_exporter.sinks.delivery_ledger import merge_ranges
from primus_lens_wandb_exporter.sinks.lens_batches import StepBatcher

from ..support import mirrors
from ..support.mirrors import call, introduction, ledger_of, lines

# No noise has this writer.
WRITER = "the-writer"
KEY = (WRITER, "r")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -(2**63), 10**400, -1, 0])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["w", "r", "\ud800", "\0", "x" * 300, "http://a/api", "http://a:x", "NaN"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)
NAMES = ("timestamp", "step", "data", "run_id", "writer", "sequence", "acknowledged", "identity", "base_url")
FIELDS = dict.fromkeys((*NAMES, "host", "pid", "destination", "delivered"), VALUES)


def spoilt(line: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The line with some fields replaced by anything, and some left out."""
    return st.fixed_dictionaries({}, optional=FIELDS).map(lambda changes: {**line, "writer": "another", **changes})


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


RAW_NOISE = (
    b"[" * 5000,
    b'{"a":' * 5000,
    b'{"step": %s}' % (b"9" * 5000),
    b'{"timestamp": 1e400}',
    b"\xff\xfe",
    b"\0" * 100,
    b'{"a": NaN}',
)
NOISE = (
    st.binary(max_size=40).filter(lambda raw: b"\n" not in raw)
    | (VALUES | spoilt(call(0)) | spoilt(introduction("w"))).map(encoded)
    | st.sampled_from(RAW_NOISE)
)
FILES = st.lists(st.none() | NOISE, min_size=1, max_size=12)

usual = hypothesis_settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def noisy(parts: list[bytes | None], well_formed: Iterator[dict[str, Any]]) -> tuple[bytes, list[dict[str, Any]]]:
    """A file of noise, with a well-formed line in the place of each None, and those lines."""
    found = []
    content = b""
    for part in parts:
        if part is None:
            found.append(next(well_formed))
        content += (lines(found[-1])) if part is None else part + b"\n"
    return content, found


@usual
@given(FILES)
@example([b"[" * 100_000, None, b"9" * 100_000, None])
def test_a_mirror_of_anything_gives_every_well_formed_call_and_nothing_that_lens_refuses(
    tmp_path: Path, parts: list[bytes | None]
) -> None:
    content, expected = noisy(parts, (call(number, writer=WRITER) for number in range(len(parts))))
    path = mirrors.write(tmp_path, "workload")
    path.write_bytes(content)
    with path.open("rb") as file:
        mirror = Mirror(str(path), file, OwnedFiles(str(tmp_path)))
        records = list(mirror.missing())
        again = list(mirror.missing())
    assert records == again
    assert [record.sequence for record in records if (record.run.writer, record.run.run_id) == KEY] == [
        line["sequence"] for line in expected
    ]
    noise = [part for part in parts if part is not None and part.strip()]
    assert mirror.torn_lines <= len(noise)

    batcher = StepBatcher(500, 1.0)
    for record in records:
        batcher.add(record, 0.0)
    for request in batcher.take_due(0.0, urgent=True):
        body = json.loads(request.body, parse_constant=pytest.fail)
        assert all(isinstance(body[name], str) for name in ("workload_uid", "pod_uid", "pod_name", "run_id"))
        for metric in body["metrics"]:
            assert isinstance(metric["name"], str)
            assert metric["name"]
            assert type(metric["step"]) is int
            assert 0 <= metric["step"] < 2**31
            assert type(metric["value"]) in (int, float)
            assert math.isfinite(metric["value"])
            assert 0 <= metric["timestamp"] < 253402300800


RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: [pair[0], pair[0] + pair[1]]), max_size=5
)


@usual
@given(FILES, st.lists(RANGES, min_size=12, max_size=12))
def test_a_ledger_of_anything_knows_what_its_well_formed_lines_acknowledge(
    parts: list[bytes | None], ranges: list[list[list[int]]]
) -> None:
    def well_formed() -> Iterator[dict[str, Any]]:
        yield introduction("the-first", "http://first/api", writer=WRITER)
        for numbers in ranges:
            yield {"writer": WRITER, "run_id": "r", "acknowledged": numbers}
            yield introduction("a-later-one", "http://later/api", writer=WRITER)

    content, expected = noisy(parts, well_formed())
    ledger = Ledger(io.BytesIO(content))
    acknowledged = {
        number for line in expected for first, last in line.get("acknowledged", ()) for number in range(first, last + 1)
    }
    assert {number for number in range(100) if ledger.has(KEY, number)} == acknowledged
    if expected:
        assert ledger.introductions[KEY].identity.workload_uid == "the-first"
        assert ledger.introductions[KEY].base_url == "http://first/api"
    for known in ledger.introductions.values():
        assert all(isinstance(value, str) and len(value) <= 256 for value in known.identity)
        assert isinstance(known.host, str)
        assert 0 <= known.pid < 2**31
        assert re.match(r"https?://[^\s]+$|$", known.base_url)
    assert ledger.unreadable_lines <= len([part for part in parts if part is not None and part.strip()])


def test_what_one_destination_has_taken_says_nothing_of_another() -> None:
    def taken(destination: Any, ranges: Any) -> dict[str, Any]:
        return {"writer": WRITER, "run_id": "r", "destination": destination, "delivered": ranges}

    ledger = Ledger(
        io.BytesIO(
            lines(
                {"writer": WRITER, "run_id": "r", "acknowledged": [[0, 1]]},
                taken("otlp", [[1, 2]]),
                *(taken(nonsense, [[0, 9]]) for nonsense in ("", None, 1, ["otlp"])),
                taken("otlp", [[9, 0]]),
                taken("otlp", None),
            )
        )
    )
    assert [number for number in range(10) if ledger.has(KEY, number)] == [0, 1]
    assert [number for number in range(10) if ledger.has(KEY, number, "otlp")] == [1, 2]
    assert [ledger.has_acknowledged(KEY, destination) for destination in ("lens", "otlp", "x")] == [True, True, False]
    assert ledger.unreadable_lines == 6


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)).map(sorted), max_size=20))
def test_enormous_ranges_cost_nothing(ranges: list[list[int]]) -> None:
    ledger = Ledger(io.BytesIO(lines({"writer": WRITER, "run_id": "r", "acknowledged": ranges})))
    for first, last in ranges:
        assert ledger.has(KEY, first)
        assert ledger.has(KEY, last)
    assert ledger._ranges["lens", KEY] == merge_ranges([list(pair) for pair in ranges])


@given(st.binary(max_size=300), st.integers(1, 20))
def test_lines_over_the_limit_are_counted_and_passed_over(content: bytes, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "LONGEST_LINE", limit)
        patch.setattr(json_lines, "_PIECE", 3)
        assert len(list(read_objects(io.BytesIO(content)))) == sum(
            1 for line in content.split(b"\n") if line.strip() or len(line) >= limit
        )


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path) -> None:
    """A sparse file of 500 MB, read in pieces."""
    import tracemalloc

    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.write(lines(call(0)))
        file.truncate(500_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + lines(call(1)))
    tracemalloc.start()
    with path.open("rb") as file:
        found = list(read_objects(file))
        _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line and line["sequence"] for line in found] == [0, None, 1]
    assert most < 4 * json_lines.LONGEST_LINE


def test_a_line_of_a_hundred_thousand_metrics_is_read() -> None:
    line = call(0, data={f"gradient_norm/layer.{number}.weight": 0.5 + number for number in range(100_000)})
    (found,) = read_objects(io.BytesIO(lines(line)))
    assert found == line


def test_what_describes_an_object_gives_no_metric(tmp_path: Path) -> None:
    """The mirror describes a number that is too large for it as {"_type": "int", "bits": 2000}."""
    path = mirrors.write(tmp_path, "workload")
    path.write_bytes(lines(call(0, data={"a": 1, "huge": {"_type": "int", "bits": 2000}, "list": [1]})))
    with path.open("rb") as file:
        (record,) = Mirror(str(path), file, OwnedFiles(str(tmp_path))).missing()
    assert record.metrics == {"a": 1}


@pytest.mark.parametrize("pid", [-1, 0, -(2**40), 2**31, 2**80, True, "1", 1.5, None, [1]])
def test_no_odd_process_id_is_ever_asked_about(pid: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-1 would be every process of the user, 0 those of our own group."""
    asked = []
    monkeypatch.setattr(os, "kill", lambda number, number_of_signal: asked.append((number, number_of_signal)))
    monkeypatch.setattr(mirror_reader, "look_at_lock", lambda files, path: WriterLock(is_held=True))
    path = mirrors.write(tmp_path, "workload")
    host = socket.gethostname()
    ledger_of(path).write_bytes(lines(introduction("workload", host=host, pid=pid)))
    with path.open("rb") as file:
        assert len(list(Mirror(str(path), file, OwnedFiles(str(tmp_path))).missing())) == 3
    assert asked == []


def test_a_process_that_lives_is_found_by_asking_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_reader, "look_at_lock", lambda files, path: WriterLock(is_held=True))
    path = mirrors.write(tmp_path, "workload")
    host = socket.gethostname()
    ledger_of(path).write_bytes(lines(introduction("workload", host=host, pid=os.getpid())))
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    try:
        with path.open("rb") as file:
            mirror = Mirror(str(path), file, OwnedFiles(str(tmp_path)))
            assert list(mirror.missing()) == []
        assert mirror.left_to_the_job == 3
        time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == []
