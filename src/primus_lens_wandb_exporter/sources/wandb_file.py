"""What wandb itself recorded of a run: the records of its ``.wandb`` file, in the order in which they were written.

The numbers of the fields are those of wandb's protobuf messages, the same from 0.12.0 to 0.31.0. History values come as
JSON, or typed (``x_history_value_encoding``, from 0.31). Records of other kinds are passed over.
"""

import json
import re
from typing import Any, BinaryIO, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from .protobuf import Field, MessageError, read_fields, to_double, to_int, to_message, to_text, to_zigzag
from .record_log import RecordLog

# Fields of Record.
_HISTORY, _SUMMARY, _CONFIG, _TELEMETRY, _RUN, _EXIT = 2, 3, 5, 11, 17, 18
# Fields of an item of history, summary and config.
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
_NONE, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON = 3, 4, 5, 6, 7, 8
# An item that is a name in one piece (field 1 or 2) and JSON begins with these; a length below 128 takes one byte.
_NAME_TAGS = (_KEY << 3 | 2, _NESTED_KEY << 3 | 2)
_JSON_TAG = b"\x82\x01"
_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z").match
STEP = "_step"
TIMESTAMP = "_timestamp"


class RunStart(NamedTuple):
    """The run, as it was known when the record was written; later ones complete earlier ones.

    ``start_time`` is in seconds since 1970, 0.0 where it is not known.
    """

    run_id: str = ""
    entity: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    host: str = ""
    tags: Tuple[str, ...] = ()
    starting_step: int = 0
    start_time: float = 0.0
    config: Dict[str, Any] = {}


class HistoryRow(NamedTuple):
    """One row of history by dotted names, wandb's own (``_step``, ``_timestamp``, ``_runtime``) included."""

    step: Optional[int]
    values: Dict[str, Any]


class SummaryChange(NamedTuple):
    """What was set and removed in the run's summary, by dotted names."""

    values: Dict[str, Any]
    removed: Tuple[str, ...] = ()


class ConfigChange(NamedTuple):
    """What was set and removed in the run's config, by dotted names."""

    values: Dict[str, Any]
    removed: Tuple[str, ...] = ()


class RunExit(NamedTuple):
    """The run ended. A file without it was left by a crash, or is still being written."""

    exit_code: int = 0


class Telemetry(NamedTuple):
    """What wandb noted of the process: its own numbers for the libraries that were imported, and versions."""

    imports: FrozenSet[int] = frozenset()
    python_version: str = ""


Event = Union[RunStart, HistoryRow, SummaryChange, ConfigChange, RunExit, Telemetry]


class WandbFile:
    """Reads a file that may be damaged, and may still grow. ``damaged`` counts what could not be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._log = RecordLog(file)
        self._damaged_records = 0

    @property
    def damaged(self) -> int:
        return self._log.damaged + self._damaged_records

    def read(self, is_complete: bool = True) -> Iterator[Event]:
        """Yields what was not yielded before; see `RecordLog.read`. Raises NotARecordLogError; OSError passes."""
        for record in self._log.read(is_complete):
            try:
                event = _to_event(record)
            except MessageError:
                self._damaged_records += 1
                continue
            if event is not None:
                yield event


def _to_event(record: bytes) -> Optional[Event]:
    for number, value in read_fields(record):
        if number == _HISTORY:
            return _to_history(to_message(value))
        if number == _SUMMARY:
            return SummaryChange(*_to_change(to_message(value)))
        if number == _CONFIG:
            return ConfigChange(*_to_change(to_message(value)))
        if number == _TELEMETRY:
            return _to_telemetry(to_message(value))
        if number == _RUN:
            return _to_run(to_message(value))
        if number == _EXIT:
            codes = [to_int(code) for field, code in to_message(value) if field == 1]
            return RunExit(codes[-1] if codes else 0)
    return None


def _to_history(fields: List[Field]) -> HistoryRow:
    values: Dict[str, Any] = {}
    step: Optional[int] = None
    for number, value in fields:
        if number == 1:
            _read_item(value, values)
        elif number == 2:
            # Zero is not written.
            step = 0
            for field, count in to_message(value):
                if field == 1:
                    step = to_int(count)
    # Some versions leave the message out of the last row, which has its step all the same.
    own_step = values.get(STEP)
    return HistoryRow(own_step if type(own_step) is int else step, values)


def _to_change(fields: List[Field]) -> Tuple[Dict[str, Any], Tuple[str, ...]]:
    values: Dict[str, Any] = {}
    removed: Dict[str, Any] = {}
    for number, value in fields:
        if number == 1:
            _read_item(value, values)
        elif number == 2:
            _read_item(value, removed)
    return values, tuple(removed)


def _read_item(item: "Union[int, bytes]", values: Dict[str, Any]) -> None:
    if isinstance(item, bytes) and _read_plain_item(item, values):
        return
    key = ""
    nested: List[str] = []
    found: Any = None
    for number, value in to_message(item):
        if number in (_VALUE_JSON, _JSON):
            try:
                found = json.loads(to_text(value))
            except (ValueError, RecursionError):
                # One value that wandb wrote and nobody can read costs no other.
                return
        elif number == _KEY:
            key = to_text(value)
        elif number == _NESTED_KEY:
            nested.append(to_text(value))
        elif number == _NUMBER:
            found = to_double(value)
        elif number == _INTEGER:
            found = to_zigzag(value)
        elif number == _BOOLEAN:
            found = bool(value)
        elif number == _TEXT:
            found = to_text(value)
        elif number == _NONE:
            found = None
    values[".".join(nested) if nested else key] = found


def _read_plain_item(item: bytes, values: Dict[str, Any]) -> bool:
    """Reads what almost every item is, a name in one piece and a short number as JSON; False for anything else.

    Four times as fast as field by field: a row of five metrics comes with fifteen items, those of its summary included.
    """
    try:
        end = 2 + item[1]
        if (
            item[0] not in _NAME_TAGS
            or end > 129
            or item[end : end + 2] != _JSON_TAG
            or len(item) != end + 3 + item[end + 2]
        ):
            return False
        number = _JSON_NUMBER(item, end + 3)
        if number is None or item[end + 2] > 127:
            return False
        values[item[2:end].decode("utf-8")] = float(number.group()) if number.lastindex else int(number.group())
    except (IndexError, ValueError):
        # Whether it is damaged is found out field by field.
        return False
    return True


def _to_run(fields: List[Field]) -> RunStart:
    texts = {1: "run_id", 2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name", 13: "host"}
    found: Dict[str, Any] = {}
    tags: List[str] = []
    for number, value in fields:
        if number in texts:
            found[texts[number]] = to_text(value)
        elif number == 10:
            tags.append(to_text(value))
        elif number == 14:
            found["starting_step"] = to_int(value)
        elif number == 17:
            found["start_time"] = _to_seconds(to_message(value))
        elif number == 4:
            found["config"] = _to_change(to_message(value))[0]
    return RunStart(tags=tuple(tags), **found)


def _to_telemetry(fields: List[Field]) -> Telemetry:
    imports: Set[int] = set()
    python_version = ""
    for number, value in fields:
        if number in (1, 2):
            # Each library is a field that is true: those seen at the start of the run, and at its end.
            imports.update(library for library, is_there in to_message(value) if is_there)
        elif number == 4:
            python_version = to_text(value)
    return Telemetry(frozenset(imports), python_version)


def _to_seconds(fields: List[Field]) -> float:
    parts = {number: to_int(value) for number, value in fields}
    return parts.get(1, 0) + parts.get(2, 0) / 1e9
