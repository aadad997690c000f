"""The reader of wandb's own files: real ones, every encoding of a value, and damage of any kind."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter.sources import protobuf, record_log
from primus_lens_wandb_exporter.sources.record_log import NotARecordLogError, RecordLog
from primus_lens_wandb_exporter.sources.wandb_file import Event, HistoryRow, RunExit, RunStart, SummaryChange, WandbFile

from ..support.training import Trainer
from ..support.wandb_records import BLOCK, HEADER, field, frame, history


def read(raw: bytes) -> list[Event]:
    return list(WandbFile(io.BytesIO(raw)).read())


def test_reads_what_wandb_wrote(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import wandb

        with wandb.init(project="reader", name="first", tags=["a", "b"], config={"lr": 0.1}) as run:
            for step in range(300):
                run.log({"loss": 1 / (step + 1), "text": "hé", "flag": True, "nan": float("nan")})
            run.summary["best"] = 7
        """
    )
    (path,) = training.directory.glob("wandb/*run-*/run-*.wandb")
    with path.open("rb") as file:
        reader = WandbFile(file)
        events = list(reader.read())
    assert reader.damaged == 0
    (run,) = (event for event in events if isinstance(event, RunStart))
    assert (run.run_id, run.project, run.name, run.tags) == (training.run_id, "reader", "first", ("a", "b"))
    assert run.config["lr"] == 0.1
    assert run.start_time > 1.6e9
    rows = [event for event in events if isinstance(event, HistoryRow)]
    assert [row.step for row in rows] == list(range(300))
    assert rows[7].values["loss"] == 1 / 8
    assert (rows[7].values["text"], rows[7].values["flag"]) == ("hé", True)
    # A constant in some versions, wandb's own text in others.
    assert str(rows[7].values["nan"]).lower() == "nan"
    changes = [event for event in events if isinstance(event, SummaryChange)]
    assert any(change.values.get("best") == 7 for change in changes)
    assert RunExit(0) in events


def test_typed_values_are_read() -> None:
    items = {
        "none": field(3, 0),
        "yes": field(4, 1),
        "no": field(4, 0),
        "below": field(5, 2 * 2**62 - 1),
        "above": field(5, 2 * 2**61),
        "number": field(6, 2.5),
        "text": field(7, "hé"),
        "json": field(8, '{"a": [1]}'),
    }
    row = b"".join(field(1, field(1, name) + value) for name, value in items.items())
    (found,) = read(frame([field(2, row + field(2, field(1, 3)))]))
    assert isinstance(found, HistoryRow)
    assert found.step == 3
    assert found.values == {
        "none": None,
        "yes": True,
        "no": False,
        "below": -(2**62),
        "above": 2**61,
        "number": 2.5,
        "text": "hé",
        "json": {"a": [1]},
    }


def test_nested_keys_are_dotted_and_negative_steps_stay_negative() -> None:
    item = field(2, "train") + field(2, "loss") + field(16, "1.5")
    (found,) = read(frame([field(2, field(1, item) + field(2, field(1, -4)))]))
    assert found == HistoryRow(-4, {"train.loss": 1.5})


def test_step_of_the_row_itself_counts_where_the_message_has_none() -> None:
    row = field(2, field(1, field(1, "_step") + field(16, "41")))
    assert read(frame([row])) == [HistoryRow(41, {"_step": 41})]


@pytest.mark.parametrize("value", ["[" * 100_000, "{", "", "1e400", '"\\ud800"'], ids=repr)
def test_value_that_is_no_json_costs_no_other(value: str) -> None:
    items = field(1, field(1, "bad") + field(16, value)) + field(1, field(1, "good") + field(16, "1"))
    (found,) = read(frame([field(2, items)]))
    assert isinstance(found, HistoryRow)
    assert found.values["good"] == 1


@pytest.mark.parametrize("size", [0, 1, BLOCK - 7 - 7, BLOCK - 7 - 8, BLOCK - 7 - 13, BLOCK, 3 * BLOCK, 200_000])
def test_records_of_any_size_around_the_bounds_of_blocks(size: int) -> None:
    records = [b"a" * size, b"b" * 10, b"c" * size, b"d"]
    log = RecordLog(io.BytesIO(frame(records)))
    assert list(log.read()) == records
    assert log.damaged == 0


def test_file_of_another_kind_is_refused() -> None:
    for raw in (b"", b":W&", b"PK\3\4 and so on", HEADER[:-1] + b"\1"):
        with pytest.raises(NotARecordLogError):
            read(raw)


def test_growing_file_is_read_on_where_it_ended() -> None:
    rows = [history(step, loss=step, text="x" * 5000) for step in range(40)]
    whole = frame(rows)
    file = io.BytesIO()
    reader = WandbFile(file)
    found: list[Event] = []
    for end in [0, 3, 7, 10, *range(20, len(whole), 777), len(whole)]:
        file.seek(0, io.SEEK_END)
        file.write(whole[file.tell() : end])
        found += reader.read(is_complete=False)
    assert [row.step for row in found if isinstance(row, HistoryRow)] == list(range(40))
    assert reader.damaged == 0


def test_record_without_bound_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "LARGEST_RECORD", 100_000)
    log = RecordLog(io.BytesIO(frame([b"a", b"b" * 300_000, b"c"])))
    assert list(log.read()) == [b"a", b"c"]
    assert log.damaged == 1


ROWS = [history(step, loss=step * 0.5, note="n" * (step % 7) * 900) for step in range(60)]
WHOLE = frame(ROWS)
STEPS = list(range(60))


def steps_of(raw: bytes) -> list[int | None]:
    return [event.step for event in read(raw) if isinstance(event, HistoryRow)]


@given(st.integers(7, len(WHOLE)))
def test_file_that_was_cut_off_holds_the_rows_before_the_cut(end: int) -> None:
    found = steps_of(WHOLE[:end])
    assert found == STEPS[: len(found)]
    whole_rows = sum(end >= len(frame(ROWS[: count + 1])) for count in range(len(ROWS)))
    assert len(found) == whole_rows


@given(st.integers(7, len(WHOLE) - 1), st.binary(min_size=1, max_size=40))
def test_damage_costs_only_what_it_touches(position: int, noise: bytes) -> None:
    raw = bytearray(WHOLE)
    raw[position : position + len(noise)] = noise
    found = steps_of(bytes(raw[: len(WHOLE)]))
    assert set(found) <= set(STEPS)
    # 40 bytes touch at most two rows, and what follows a damaged length is found by its checksum.
    assert len(STEPS) - len(found) <= 2
    assert found == sorted(found, key=STEPS.index)


@given(st.binary(max_size=3000), st.booleans())
def test_noise_raises_nothing_and_reads_nothing(noise: bytes, is_complete: bool) -> None:
    reader = WandbFile(io.BytesIO(HEADER + noise))
    assert not [event for event in reader.read(is_complete) if isinstance(event, HistoryRow)]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_records_that_are_no_messages_raise_nothing(records: list[bytes]) -> None:
    file = WandbFile(io.BytesIO(frame(records)))
    list(file.read())
    # Field 2, history, holding anything at all.
    list(WandbFile(io.BytesIO(frame(field(2, record) for record in records))).read())


def test_real_file_damaged_in_its_middle_keeps_the_rest(tmp_path: Path) -> None:
    raw = bytearray(WHOLE)
    raw[BLOCK // 2] ^= 0xFF
    reader = WandbFile(io.BytesIO(bytes(raw)))
    rows = [event for event in reader.read() if isinstance(event, HistoryRow)]
    assert len(rows) == len(ROWS) - 1
    assert reader.damaged == 1


@pytest.mark.parametrize(
    ("piece", "most"),
    [(None, 400), (b"\1", 2002), (b"\0\x08\1", 2002), (b"\xff\x3f\1", 2002), (b"some text ", 2)],
    ids=["random", "1", "2K", "16K", "text"],
)
def test_garbage_behind_a_good_header_is_looked_at_in_few_places(
    piece: bytes | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 32,768 offsets of a block by itself took minutes for 200 MB."""
    blocks = 32
    garbage = random.Random(1).randbytes(blocks * BLOCK) if piece is None else piece * (blocks * BLOCK // len(piece))
    looks: list[int] = []
    end_of_chunk = record_log._end_of_chunk

    def counted(block: bytes, offset: int) -> int | None:
        looks.append(offset)
        return end_of_chunk(block, offset)

    monkeypatch.setattr(record_log, "_end_of_chunk", counted)
    log = RecordLog(io.BytesIO(HEADER + garbage))
    assert list(log.read()) == []
    assert blocks <= log.damaged <= blocks + 1
    assert len(looks) <= most * (blocks + 1)


def test_record_of_millions_of_empty_fields_takes_no_memory_and_costs_no_other() -> None:
    hostile = field(2, b"\x0a\0" * (protobuf.MOST_FIELDS + 1))
    events = WandbFile(io.BytesIO(frame([history(0, a=1), hostile, history(1, a=2)])))
    assert [event.step for event in events.read() if isinstance(event, HistoryRow)] == [0, 1]
    assert events.damaged == 1


def test_exit_record_with_two_codes_costs_nothing() -> None:
    assert read(frame([field(18, field(1, 1) + field(1, 2)), history(0, a=1)])) == [RunExit(2), HistoryRow(0, {"a": 1})]
