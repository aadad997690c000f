"""What wandb's own file holds of a run, as the exporter delivers it: scalars by dotted names, under wandb's steps."""

from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..records import END_OF_TIME_S, Number, convert
from .wandb_file import (
    STEP,
    TIMESTAMP,
    ConfigChange,
    HistoryRow,
    RunExit,
    RunStart,
    SummaryChange,
    Telemetry,
    WandbFile,
)

# What wandb adds by itself to rows and summary.
_WANDBS_OWN = frozenset(("_step", "_timestamp", "_runtime", "_wandb"))
_MEDIA_MARK = "._type"
# The summary that stands behind so many rows has this number and theirs: no row has.
SUMMARY_SEQUENCE = (1 << 62) + 1


class Row(NamedTuple):
    """A row of history. ``sequence`` counts the rows of the file, from 0; ``timestamp`` is in seconds since 1970,
    0.0 where the file does not tell. ``metrics`` and ``data`` are those of a `MetricsRecord`."""

    sequence: int
    step: int
    timestamp: float
    metrics: Dict[str, Number]
    data: Dict[str, Any]


# Makes of metrics and data of a row the values that somebody wants of it.
ValuesOf = Callable[[Dict[str, Number], Dict[str, Any]], Dict[str, Number]]


class RunRows:
    """Reads rows as they come, and keeps what is known of the run so far.

    ``values_of`` says what stands for the metrics of rows and summary.
    """

    def __init__(self, file: BinaryIO, values_of: ValuesOf = lambda metrics, data: metrics) -> None:
        self._values_of = values_of
        self._file = WandbFile(file)
        self._rows = 0
        # Rows of a run with mode="shared" have no step: wandb's server numbers them, in the order in which they reach
        # it. They count as they stand in the file.
        self.unnumbered = 0
        self._summary: Dict[str, Any] = {}
        # What rows that were not read yet change in it.
        self._changes_ahead: List[SummaryChange] = []
        self._last_values: Dict[str, Number] = {}
        self.start = RunStart()
        self.telemetry = Telemetry()
        self.config: Dict[str, Any] = {}
        self.newest_step: Optional[int] = None
        self.newest_timestamp = 0.0
        self.has_ended = False

    @property
    def damaged(self) -> int:
        """How many records could not be read."""
        return self._file.damaged

    @property
    def next_sequence(self) -> int:
        """The number of the row that follows all that was read."""
        return self._rows

    def read(self, is_complete: bool = True) -> Iterator[Row]:
        """Yields the rows that were not yielded before; see `RecordLog.read`.

        Raises NotARecordLogError; OSError passes.
        """
        for event in self._file.read(is_complete):
            if isinstance(event, Telemetry):
                self.telemetry = Telemetry(
                    self.telemetry.imports | event.imports, event.python_version or self.telemetry.python_version
                )
            elif isinstance(event, HistoryRow):
                yield self._to_row(event)
            elif isinstance(event, SummaryChange):
                self._take_change(event)
            elif isinstance(event, ConfigChange):
                _apply(self.config, event.values, event.removed)
            elif isinstance(event, RunStart):
                self.start = _complete(self.start, event)
                self.config.update(event.config)
            elif isinstance(event, RunExit):
                self.has_ended = True
                self._apply_changes_ahead()

    def summary(self) -> Dict[str, Number]:
        """The scalars of the summary that are not simply the last ones of history.

        Of a damaged file none that history has, too: the record that brought the last value to the summary may be lost.
        """
        metrics = self._values_of(*convert(_without_media(self._summary)))
        logged = self._last_values
        if self.damaged:
            return {name: value for name, value in metrics.items() if name not in logged}
        return {name: value for name, value in metrics.items() if not _is_same(logged.get(name), value)}

    def has_logged(self, name: str) -> bool:
        """Whether history has values of that name."""
        return name in self._last_values

    def _take_change(self, change: SummaryChange) -> None:
        """wandb writes what a row changes in the summary before the row, which a killed process leaves out."""
        step = change.values.get(STEP)
        if type(step) is int and (self.newest_step is None or step > self.newest_step):
            self._changes_ahead.append(change)
        else:
            _apply(self._summary, change.values, change.removed)

    def _apply_changes_ahead(self) -> None:
        for change in self._changes_ahead:
            _apply(self._summary, change.values, change.removed)
        self._changes_ahead.clear()

    def _to_row(self, event: HistoryRow) -> Row:
        timestamp = event.values.get(TIMESTAMP)
        if isinstance(timestamp, (int, float)) and 0 < timestamp < END_OF_TIME_S:
            self.newest_timestamp = float(timestamp)
        metrics, data = convert(_without_media(event.values))
        metrics = self._values_of(metrics, data)
        self._last_values.update(metrics)
        step = event.step
        if step is None:
            step = self.unnumbered
            self.unnumbered += 1
        self.newest_step = step
        self._apply_changes_ahead()
        self._rows += 1
        return Row(self._rows - 1, step, self.newest_timestamp or self.start.start_time, metrics, data)


def _is_same(one: Optional[Number], other: Number) -> bool:
    """As ``==``, and NaN is NaN."""
    return one == other or (one != one and other != other)


def _without_media(values: Dict[str, Any]) -> Dict[str, Any]:
    """Without wandb's own names, and with media as wandb-core writes them, name by name, put together again."""
    media: Dict[str, Dict[str, Any]] = {}
    for name in values:
        if name.endswith(_MEDIA_MARK):
            media[name[: -len(_MEDIA_MARK)]] = {"_type": values[name]}
    found = {name: value for name, value in values.items() if name.partition(".")[0] not in _WANDBS_OWN}
    if not media:
        return found
    prefixes = tuple(name + "." for name in media)
    found = {name: value for name, value in found.items() if not name.startswith(prefixes)}
    found.update(media)
    return found


def _apply(values: Dict[str, Any], changed: Dict[str, Any], removed: Tuple[str, ...]) -> None:
    for name in removed:
        values.pop(name, None)
        for below in [other for other in values if other.startswith(name + ".")]:
            del values[below]
    for name, value in changed.items():
        # To the end: of {"a": {"b": 1}} and "a.b" the later one counts.
        values.pop(name, None)
        values[name] = value


def _complete(known: RunStart, later: RunStart) -> RunStart:
    """The later of two records of a run, with what only the earlier one tells."""
    fields: List[Any] = [new or old for new, old in zip(later, known)]
    return RunStart(*fields)
