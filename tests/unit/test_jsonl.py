"""Whole lines of strict JSON, whatever else writes, dies or fills the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from primus_lens_wandb_exporter import diagnostics
from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.owned_files import OwnedFiles
from primus_lens_wandb_exporter.records import MetricsRecord, Run
from primus_lens_wandb_exporter.sinks.delivery_ledger import DeliveryLedger
from primus_lens_wandb_exporter.sinks.jsonl import LOOK_AGAIN_S, JsonlSink, encode_line, path_of

RUN = Run("r1", Identity("w"), Place(node_rank=1, local_rank=2), "writer")


def sink_at(directory: Path) -> JsonlSink:
    files = OwnedFiles(str(directory))
    return JsonlSink(files, 1e6, DeliveryLedger("", files))


def record(sequence: int, data: dict[str, Any], step: int | None = 0) -> MetricsRecord:
    return MetricsRecord(RUN, sequence, step, 5.25, {}, data)


def lines(directory: Path) -> list[Any]:
    return [json.loads(line) for line in Path(path_of(str(directory), RUN.place)).read_text().splitlines()]


def test_a_line_is_as_documented() -> None:
    assert json.loads(encode_line(record(3, {"loss": 0.5}, step=10))) == {
        "timestamp": 5.25,
        "step": 10,
        "data": {"loss": 0.5, "_primus_lens_enabled": True},
        "run_id": "r1",
        "writer": "writer",
        "sequence": 3,
    }


def test_non_finite_numbers_are_wandbs_strings_at_any_depth() -> None:
    data = {"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 1.0, "e": {"_type": "x", "shape": [1]}}
    assert json.loads(encode_line(record(0, data)))["data"] == {
        "a": "NaN",
        "b": "Infinity",
        "c": "-Infinity",
        "d": 1.0,
        "e": {"_type": "x", "shape": [1]},
        "_primus_lens_enabled": True,
    }


@pytest.mark.parametrize("name", ["größe", "\ud800", "a\nb", "\0", "'\"\\"])
def test_any_name_is_one_line(name: str) -> None:
    line = encode_line(record(0, {name: name}))
    assert line.count(b"\n") == 1
    assert json.loads(line)["data"][name] == name


def test_directories_are_made_and_files_appended_to(tmp_path: Path) -> None:
    for sequence in range(2):
        sink = sink_at(tmp_path / "deep" / "er")
        sink.accept([record(sequence, {"a": 1})])
        assert sink.work(urgent=False) is None
        assert (sink.delivered, sink.pending()) == (1, 0)
    path = tmp_path / "deep" / "er" / "node_1" / "rank_2" / "wandb_metrics.jsonl"
    assert len(path.read_text().splitlines()) == 2


def test_a_mirror_that_somebody_removed_is_begun_anew(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "out")
    for sequence in range(2):
        sink.accept([record(sequence, {"a": 1})])
        sink.work(urgent=False)
        path = Path(path_of(str(tmp_path / "out"), RUN.place))
        assert [json.loads(line)["sequence"] for line in path.read_text().splitlines()] == [sequence]
        assert "identity" in Path(str(path) + ".delivery").read_text()
        shutil.rmtree(tmp_path / "out")
        time.sleep(LOOK_AGAIN_S)


def test_half_a_line_of_a_killed_process_stays_alone(tmp_path: Path) -> None:
    path = Path(path_of(str(tmp_path), RUN.place))
    path.parent.mkdir(parents=True)
    path.write_text('{"timestamp": 1, "da')
    sink = sink_at(tmp_path)
    sink.accept([record(0, {"a": 1})])
    sink.work(urgent=False)
    torn, whole = path.read_text().splitlines()
    assert torn == '{"timestamp": 1, "da'
    assert json.loads(whole)["sequence"] == 0


def test_half_a_line_in_the_ledger_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a killed process, and of a disk that was full."""
    from primus_lens_wandb_exporter.sinks import delivery_ledger

    path = tmp_path / "wandb_metrics.jsonl"
    ledger_path = Path(str(path) + ".delivery")
    ledger_path.write_text('{"writer": "w", "ackn')
    ledger = DeliveryLedger("", OwnedFiles(str(tmp_path)))
    ledger.introduce(str(path), RUN)
    with monkeypatch.context() as full_disk:
        real_write = os.write
        full_disk.setattr(delivery_ledger.os, "write", lambda descriptor, content: real_write(descriptor, content[:20]))
        with pytest.raises(OSError, match="No space left"):
            ledger.note(str(path), RUN, [7])
    ledger.note(str(path), RUN, [7, 8])
    torn, introduction, torn_too, acknowledged = ledger_path.read_text().splitlines()
    assert json.loads(introduction)["identity"]["workload_uid"] == "w"
    assert json.loads(acknowledged)["acknowledged"] == [[7, 8]]
    assert len(torn) == 21
    assert len(torn_too) == 20


def test_versions_that_know_lens_alone_take_no_other_destination_for_it(tmp_path: Path) -> None:
    """They look for `acknowledged`, and for `identity`, and pass over what has neither."""
    path = str(tmp_path / "wandb_metrics.jsonl")
    ledger = DeliveryLedger("", OwnedFiles(str(tmp_path)))
    ledger.acknowledge(path, RUN, [1, 2])
    ledger.acknowledge(path, RUN, [2, 4, 3], "otlp")
    ledger.acknowledge(path, RUN, [], "otlp")
    of_lens, of_otlp = map(json.loads, Path(path + ".delivery").read_text().splitlines())
    assert of_lens == {"writer": "writer", "run_id": "r1", "acknowledged": [[1, 2]]}
    assert of_otlp == {"writer": "writer", "run_id": "r1", "destination": "otlp", "delivered": [[2, 4]]}


def test_destinations_acknowledge_at_once_while_somebody_removes_the_ledger(tmp_path: Path) -> None:
    """Whoever writes then opens the new file; nobody writes to a descriptor that another thread has closed."""
    path = str(tmp_path / "wandb_metrics.jsonl")
    ledger_path = Path(path + ".delivery")
    ledger = DeliveryLedger("", OwnedFiles(str(tmp_path)))
    failures: list[BaseException] = []

    def acknowledge(destination: str) -> None:
        try:
            for number in range(500):
                ledger.note(path, RUN, [number], destination)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=acknowledge, args=(name,)) for name in ("lens", "otlp", "another")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ledger_path.unlink(missing_ok=True)
    assert failures == []
    ledger.note(path, RUN, [9])
    assert json.loads(ledger_path.read_text().splitlines()[-1])["acknowledged"] == [[9, 9]]


def test_a_fork_while_a_thread_acknowledges_keeps_no_child_waiting(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys, threading, time
        from primus_lens_wandb_exporter.identity import Identity, Place
        from primus_lens_wandb_exporter.records import MetricsRecord, Run
        from primus_lens_wandb_exporter.sinks.delivery_ledger import DeliveryLedger
        from primus_lens_wandb_exporter.sinks.jsonl import JsonlSink
        from primus_lens_wandb_exporter.owned_files import OwnedFiles
        files = OwnedFiles(sys.argv[1])
        ledger = DeliveryLedger("", files)
        sink = JsonlSink(files, 1e9, ledger)
        is_held, may_end = threading.Event(), threading.Event()
        def hold():
            with ledger._lock:
                is_held.set()
                may_end.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        is_held.wait()
        if os.fork() == 0:
            sink.reset_after_fork()
            sink.accept([MetricsRecord(Run("r", Identity("w"), Place(), "w"), 0, 0, 1.0, {}, {"a": 1})])
            sink.work(True)
            os._exit(0)
        _, status = os.wait()
        may_end.set()
        sys.exit(status)
        """
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=120).returncode == 0


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from primus_lens_wandb_exporter.identity import Identity, Place
        from primus_lens_wandb_exporter.records import MetricsRecord, Run
        from primus_lens_wandb_exporter.sinks.delivery_ledger import DeliveryLedger
        from primus_lens_wandb_exporter.sinks.jsonl import JsonlSink
        from primus_lens_wandb_exporter.owned_files import OwnedFiles
        run = Run("r", Identity("w"), Place(1, 0, 2), sys.argv[2])
        files = OwnedFiles(sys.argv[1])
        sink = JsonlSink(files, 1e9, DeliveryLedger("", files))
        for batch in range(100):
            sink.accept([
                MetricsRecord(run, batch * 20 + i, i, 1.0, {}, {"x" * (i * 97 % 400): "y" * 300}) for i in range(20)
            ])
            sink.work(False)
        """
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"writer-{number}"]) for number in range(4)
    ]
    assert [writer.wait(200) for writer in writers] == [0] * 4
    found: dict[str, list[int]] = {}
    for line in lines(tmp_path):
        found.setdefault(line["writer"], []).append(line["sequence"])
    assert found == {f"writer-{number}": list(range(2000)) for number in range(4)}


def test_a_path_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "_seen", {})
    (tmp_path / "file").write_text("")
    sink = sink_at(tmp_path / "file")
    for sequence in range(3):
        sink.accept([record(sequence, {"a": 1})])
        sink.work(urgent=False)
    (message,) = [text for text in caplog.messages if "wandb_metrics.jsonl is not" in text]
    assert str(tmp_path / "file") in message
    assert (sink.delivered, sink.dropped, sink.pending()) == (0, 3, 0)


def test_one_write_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes part of a write: what follows starts on a line of its own, and nothing is lost."""
    from primus_lens_wandb_exporter.sinks import jsonl

    real_write = os.write
    budgets = iter([10, 95, 1, 3, 200])

    def short_write(descriptor: int, content: bytes) -> int:
        return real_write(descriptor, content[: next(budgets, len(content))])

    monkeypatch.setattr(jsonl.os, "write", short_write)
    sink = sink_at(tmp_path)
    sink.accept([record(sequence, {"a": 1}) for sequence in range(5)])
    sink.work(urgent=False)
    whole = []
    for line in Path(path_of(str(tmp_path), RUN.place)).read_text().splitlines():
        try:
            whole.append(json.loads(line)["sequence"])
        except ValueError:
            continue
    assert whole == [0, 1, 2, 3, 4]
    assert sink.delivered == 5
