"""Reads for the page's charts: the steps of a run in at most a few hundred blocks, kept up to date as steps arrive.

A block covers `width` consecutive steps and holds, for one metric, how many values there are, their mean and their
extremes: no spike is lost however long the run. A short run has blocks of one step, which are its points.
Blocks are computed by the database. Only those whose steps changed are computed again.
"""

from __future__ import annotations

import math
import time
from typing import Any, Collection, Iterator, NamedTuple, Optional

from sqlalchemy import BigInteger, ColumnElement, Connection, Float, case, cast, func, literal, select

from primus_lens_local.steps import RESERVED_NAMES
from primus_lens_local.summaries import RunKey
from primus_lens_local.tables import TrainingPerformance

MAX_BLOCKS = 800
"""A metric of a run has at most so many; a chart is about as many pixels wide."""

_Row = TrainingPerformance
_VALUES_PER_READ = 40_000
_MAX_READS = 256
_ROWS_AT_ONCE = 50
# Whole steps, of which one may have 2 MB.
_STEPS_AT_ONCE = 4
_FIRST_STEP = -(2**31)
# Several writers of one run may deliver out of order by so much; what comes later still is found by counting.
_LATE_MS = 2000
# Sums of huge values would overflow, which PostgreSQL refuses. A power of two changes no digit.
_SCALE = 2.0**-32


class Block(NamedTuple):
    """Consecutive steps of one metric."""

    size: int
    """How many values it holds."""
    first_step: int
    last_step: int
    time_ms: int
    """When the first of its steps began, in milliseconds since 1970."""
    mean: float
    low: float
    high: float
    version: int
    """When the page last computed it; grows."""

    def joined(self, later: Block) -> Block:
        """Return both as one block."""
        size = self.size + later.size
        mean = self.mean * (self.size / size) + later.mean * (later.size / size)
        return Block(
            size,
            self.first_step,
            later.last_step,
            self.time_ms,
            mean,
            min(self.low, later.low),
            max(self.high, later.high),
            max(self.version, later.version),
        )


class Extent(NamedTuple):
    """How far a run has come, as its summary says."""

    step_count: int
    first_step: int
    last_step: int
    last_time_ms: int
    value_count: int
    """Values of all metrics."""

    @classmethod
    def of(cls, summary: Any) -> Extent:
        """Return the extent that a row of run summaries, with its `value_count`, tells."""
        return cls(
            summary.step_count,
            summary.first_iteration,
            summary.last_iteration,
            summary.last_time_ms,
            int(summary.value_count),
        )


class RunBlocks:
    """All metrics of one run as blocks."""

    def __init__(self, key: RunKey) -> None:
        self.key = key
        self.width = 1
        self.most_blocks = MAX_BLOCKS
        """Of all metrics together: where there are many, their blocks are wider."""
        self.metrics: dict[str, dict[int, Block]] = {}
        self._extent: Optional[Extent] = None
        self._unread: list[tuple[int, int]] = []
        self._was_recounted = False

    @property
    def is_complete(self) -> bool:
        """Whether every step that is known of has been read."""
        return not self._unread

    @property
    def size(self) -> int:
        """Return the number of blocks held."""
        return sum(map(len, self.metrics.values()))

    def refresh(self, connection: Connection, extent: Extent, version: int, deadline: float) -> bool:
        """Read what changed, in parts, until `deadline` (of time.monotonic); return whether anything did."""
        if extent != self._extent:
            self._note_changes(connection, extent)
        changed = False
        while self._unread and time.monotonic() < deadline:
            self._read(connection, *self._unread.pop(0), version)
            changed = True
            if not self._unread:
                self._recount()
        return changed

    def since(self, metric: str, version: int) -> list[Block]:
        """Return the blocks of a metric computed after `version`, in the order of their steps."""
        blocks = self.metrics.get(metric, {})
        return [blocks[index] for index in sorted(blocks) if blocks[index].version > version]

    def _note_changes(self, connection: Connection, extent: Extent) -> None:
        before, self._extent = self._extent, extent
        if before is None:
            self.width = block_width(extent.step_count, extent.first_step, extent.last_step)
            self._unread = list(_parts(extent.value_count, extent.first_step, extent.last_step))
            return
        self._was_recounted = False
        is_new = (*_is_run(self.key), _Row.last_time_ms >= before.last_time_ms - _LATE_MS)
        count, first, last = connection.execute(
            select(func.count(), func.min(_Row.iteration), func.max(_Row.iteration)).where(*is_new)
        ).one()
        values = count * extent.value_count // extent.step_count
        if values > _VALUES_PER_READ:
            self._unread += _parts(values, first, last)
            return
        for step in connection.scalars(select(_Row.iteration).where(*is_new).order_by(_Row.iteration)):
            low, high = self._aligned(step, step)
            if self._unread and self._unread[-1][0] <= low <= self._unread[-1][1] + 1:
                self._unread[-1] = (self._unread[-1][0], max(high, self._unread[-1][1]))
            else:
                self._unread.append((low, high))

    def _recount(self) -> None:
        """Read the whole run once more if values are missing: they came late, at steps far from the newest."""
        if self._extent is None or self._was_recounted:
            return
        known = sum(block.size for blocks in self.metrics.values() for block in blocks.values())
        if known < self._extent.value_count:
            self._was_recounted = True
            self._unread = list(_parts(self._extent.value_count, self._extent.first_step, self._extent.last_step))

    def _read(self, connection: Connection, first_step: int, last_step: int, version: int) -> None:
        for metric, index, block in read_blocks(
            connection, self.key, *self._aligned(first_step, last_step), self.width, version=version
        ):
            self.metrics.setdefault(metric, {})[index] = block
        while max(map(len, self.metrics.values()), default=0) > MAX_BLOCKS or (
            self.size > max(self.most_blocks, len(self.metrics))
        ):
            self.width *= 2
            self.metrics = {metric: _halved(blocks, version) for metric, blocks in self.metrics.items()}

    def _aligned(self, first_step: int, last_step: int) -> tuple[int, int]:
        """Widen a range of steps to whole blocks."""
        first, last = _block_of(first_step, self.width), _block_of(last_step, self.width)
        return first * self.width + _FIRST_STEP, (last + 1) * self.width + _FIRST_STEP - 1


def read_blocks(
    connection: Connection,
    key: RunKey,
    first_step: int,
    last_step: int,
    width: int,
    *,
    metrics: Optional[Collection[str]] = None,
    version: int = 0,
) -> Iterator[tuple[str, int, Block]]:
    """Yield (metric, block number, block) for the steps from `first_step` to `last_step`, both included."""
    name, value = _entries(connection.dialect.name)
    number = (cast(_Row.iteration, BigInteger) + literal(-_FIRST_STEP, BigInteger)) // literal(width, BigInteger)
    steps = _Row.iteration.between(literal(first_step, BigInteger), literal(last_step, BigInteger))
    wanted = name.not_in(RESERVED_NAMES) if metrics is None else name.in_(metrics)
    query = (
        select(
            name,
            number,
            func.count(),
            func.min(_Row.iteration),
            func.max(_Row.iteration),
            func.min(_Row.first_time_ms),
            func.sum(value * _SCALE),
            func.min(value),
            func.max(value),
        )
        .where(*_is_run(key), steps, wanted)
        .group_by(name, number)
        .order_by(name, number)
    )
    # Each row holds the name anew.
    rows = connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
    for metric, index, count, first, last, time_ms, scaled_sum, low, high in rows:
        mean = scaled_sum / count / _SCALE
        yield metric, index, Block(count, first, last, time_ms, mean, low, high, version)


def count_steps(connection: Connection, key: RunKey, first_step: int, last_step: int) -> int:
    """Return how many steps of a run lie in a range."""
    query = select(func.count()).where(*_is_run(key), _Row.iteration.between(first_step, last_step))
    return connection.scalar(query) or 0


def block_width(step_count: int, first_step: int, last_step: int) -> int:
    """Return how many steps a block takes so that about MAX_BLOCKS hold them; a power of two."""
    if step_count <= MAX_BLOCKS:
        return 1
    width = 1
    while (last_step - first_step + 1) / width > MAX_BLOCKS - 1:
        width *= 2
    return width


def last_values(connection: Connection, key: RunKey, metrics: Collection[str], limit: int) -> dict[str, float]:
    """Return the newest value of each metric, as far as the last `limit` steps have it."""
    newest = select(_Row.performance).where(*_is_run(key)).order_by(_Row.iteration.desc()).limit(limit)
    found: dict[str, float] = {}
    for performance in connection.scalars(newest.execution_options(yield_per=_STEPS_AT_ONCE)):
        for metric in metrics:
            if metric in performance:
                found.setdefault(metric, performance[metric])
        if len(found) == len(metrics):
            break
    return found


def _is_run(key: RunKey) -> tuple[ColumnElement[bool], ...]:
    return (
        _Row.workload_uid == key.workload_uid,
        _Row.run_id == key.run_id,
        _Row.data_source == key.data_source,
    )


def _entries(dialect: str) -> tuple[Any, Any]:
    """Return name and value of each metric of a step, as columns that join themselves to its row."""
    if dialect == "postgresql":
        entries: Any = func.json_each_text(_Row.performance).table_valued("key", "value", joins_implicitly=True)
        name = entries.c.key
        # The row also holds texts; the database may convert before it filters.
        return name, case((name.in_(RESERVED_NAMES), None), else_=cast(entries.c.value, Float(53)))
    entries = func.json_each(_Row.performance).table_valued("key", "value", joins_implicitly=True)
    return entries.c.key, entries.c.value


def _parts(value_count: int, first_step: int, last_step: int) -> Iterator[tuple[int, int]]:
    """Cut a range of steps into parts that are read one after the other, spread over the range from the start on."""
    count = min(_MAX_READS, max(1, value_count // _VALUES_PER_READ))
    length = math.ceil((last_step - first_step + 1) / count)
    bits = max(1, (count - 1).bit_length())
    for number in sorted(range(count), key=lambda part: f"{part:0{bits}b}"[::-1]):
        first = first_step + number * length
        if first <= last_step:
            yield first, min(first + length - 1, last_step)


def _block_of(step: int, width: int) -> int:
    return (step - _FIRST_STEP) // width


def _halved(blocks: dict[int, Block], version: int) -> dict[int, Block]:
    halved: dict[int, Block] = {}
    for index in sorted(blocks):
        half = index // 2
        halved[half] = halved[half].joined(blocks[index]) if half in halved else blocks[index]
    return {index: block._replace(version=version) for index, block in halved.items()}
