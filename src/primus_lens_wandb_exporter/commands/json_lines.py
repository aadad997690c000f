"""Reads files of JSON lines that may hold anything: what is no object by our rules is passed over, and counted."""

import json
from typing import Any, BinaryIO, Dict, Iterator, Optional

from ..identity import MAXIMUM_ID_LENGTH
from ..sparse_files import leave_hole

# A log call of 100,000 metrics is a line of some 6 MB. Longer lines are passed over without being held in memory.
LONGEST_LINE = 16 * 1024 * 1024
_PIECE = 64 * 1024
# The mirror holds integers of up to 1024 bits; older Pythons need seconds for what is much longer.
_MOST_DIGITS = 400
_LARGEST_COUNT = 2**63 - 1


def read_objects(file: BinaryIO) -> "Iterator[Optional[Dict[str, Any]]]":
    """The object of each line, None for a line that holds none: half a line of a killed process, or no JSON."""
    while True:
        raw = file.readline(LONGEST_LINE)
        if not raw:
            return
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                if not raw.strip(b"\0"):
                    leave_hole(file)
                raw = file.readline(_PIECE)
            yield None
        elif raw.strip():
            yield _parse(raw)


def _parse(raw: bytes) -> "Optional[Dict[str, Any]]":
    try:
        found = json.loads(raw.decode("utf-8"), parse_int=_parse_int, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and raw.endswith(b"\n") else None


def _parse_int(text: str) -> Any:
    return int(text) if len(text) <= _MOST_DIGITS else float(text)


def _refuse_constant(text: str) -> None:
    raise ValueError("%s is not JSON" % text)


def is_id(value: Any, may_be_empty: bool = False) -> bool:
    """Whether Lens can store this as an id."""
    if not isinstance(value, str) or len(value) > MAXIMUM_ID_LENGTH or "\0" in value:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return may_be_empty or bool(value)


def is_count(value: Any) -> bool:
    """Whether this is a whole number from 0 on that 64 bits can hold; True and 1.0 are none."""
    return type(value) is int and 0 <= value <= _LARGEST_COUNT
