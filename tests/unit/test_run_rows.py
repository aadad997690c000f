"""What wandb's file says of a run as a whole: rows, and the summary that belongs to them."""

from __future__ import annotations

import io

from primus_lens_wandb_exporter.sources.run_rows import RunRows

from ..support.wandb_records import ending, frame, row, run, summary


def read(*records: bytes) -> RunRows:
    rows = RunRows(io.BytesIO(frame([run("r"), *records])))
    for _ in rows.read():
        pass
    return rows


def test_summary_of_a_row_that_a_killed_process_did_not_write_is_none() -> None:
    """wandb writes it before the row."""
    records = [summary(a=1, _step=0), row(0, a=1), summary(a=2, best=7, _step=1)]
    assert read(*records).summary() == {}
    assert read(*records, row(1, a=2)).summary() == {"best": 7}
    assert read(*records, ending()).summary() == {"a": 2, "best": 7}


def test_summary_that_the_user_sets_needs_no_row() -> None:
    assert read(summary(best=7)).summary() == {"best": 7}
    assert read(row(0, a=1), summary(best=7), summary(best=8, a=5)).summary() == {"best": 8, "a": 5}


def test_damaged_file_tells_no_older_value_of_a_metric_as_its_summary() -> None:
    """wandb writes what a row changes in the summary as a record of its own, which may be the damaged one."""
    records = [summary(a=1, _step=0), row(0, a=1), summary(a=2, best=7, _step=1), row(1, a=2, b=3), ending()]
    raw = frame(records)
    lost = frame(records[:2])
    damaged = bytearray(raw)
    damaged[len(lost) + 7] ^= 1
    rows = RunRows(io.BytesIO(bytes(damaged)))
    assert [found.metrics for found in rows.read()] == [{"a": 1}, {"a": 2, "b": 3}]
    assert rows.damaged == 1
    assert rows.summary() == {}
