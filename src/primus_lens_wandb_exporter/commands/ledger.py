"""Reads the ledger of a mirror: who its runs were, and what each destination has acknowledged of them."""

import bisect
import os
from typing import Any, BinaryIO, Dict, List, NamedTuple, Optional, Tuple

from .. import settings
from ..identity import Identity, Place
from ..sinks.delivery_ledger import LENS, merge_ranges
from .json_lines import is_count, is_id, read_objects

WriterKey = Tuple[str, str]

_LONGEST_TEXT = 2000
_LONGEST_PATH = 4096
_LARGEST_PID = 2**31 - 1


class Introduction(NamedTuple):
    """Who a run was, by the process that wrote it; an empty address, an empty host or pid 0 where it does not tell."""

    identity: Identity
    base_url: str
    host: str = ""
    pid: int = 0
    wandb_file: str = ""
    # None in the ledgers of older versions.
    place: Optional[Place] = None
    project: str = ""
    name: str = ""


class Ledger:
    """What the ledger of a mirror says; without a file, nothing."""

    def __init__(self, file: Optional[BinaryIO] = None) -> None:
        self.introductions: Dict[WriterKey, Introduction] = {}
        self.unreadable_lines = 0
        # What introductions give for an address and is none.
        self.malformed_addresses: List[str] = []
        # By destination and writer.
        self._ranges: Dict[Tuple[str, WriterKey], List[List[int]]] = {}
        for line in read_objects(file) if file is not None else ():
            if line is None or not self._take(line):
                self.unreadable_lines += 1
        for key, ranges in self._ranges.items():
            self._ranges[key] = merge_ranges(ranges)

    def has(self, key: WriterKey, sequence: int, destination: str = LENS) -> bool:
        """Whether a destination has acknowledged a call."""
        ranges = self._ranges.get((destination, key), [])
        index = bisect.bisect_right(ranges, [sequence, float("inf")]) - 1
        return index >= 0 and ranges[index][0] <= sequence <= ranges[index][1]

    def has_acknowledged(self, key: WriterKey, destination: str = LENS) -> bool:
        """Whether a destination has acknowledged anything of a writer."""
        return (destination, key) in self._ranges

    def has_acknowledged_run(self, run_id: str, destination: str) -> bool:
        """Whether a destination has acknowledged anything of a run."""
        return any(where == destination and key[1] == run_id for where, key in self._ranges)

    def _take(self, line: Dict[str, Any]) -> bool:
        """Takes over what a line says, wholly or not at all."""
        key: Any = (line.get("writer"), line.get("run_id"))
        if not all(map(is_id, key)):
            return False
        if "acknowledged" in line:
            return self._take_ranges(LENS, key, line["acknowledged"])
        if "delivered" in line:
            destination = line.get("destination")
            return is_id(destination) and self._take_ranges(destination, key, line["delivered"])
        introduction = self._read_introduction(line)
        if introduction is None:
            return False
        # The first one is the run's own: whoever appends another must not change where its metrics go.
        self.introductions.setdefault(key, introduction)
        return True

    def _take_ranges(self, destination: Any, key: WriterKey, ranges: Any) -> bool:
        if not (isinstance(ranges, list) and all(map(_is_range, ranges))):
            return False
        self._ranges.setdefault((destination, key), []).extend(ranges)
        return True

    def _read_introduction(self, line: Dict[str, Any]) -> Optional[Introduction]:
        identity = line.get("identity")
        if not isinstance(identity, dict):
            return None
        ids = [identity.get(name, "") for name in Identity._fields]
        if not all(is_id(value, may_be_empty=True) for value in ids):
            return None
        host, pid, wandb_file = line.get("host"), line.get("pid"), line.get("wandb_file")
        return Introduction(
            Identity(*ids),
            self._read_address(line.get("base_url", "")),
            host if isinstance(host, str) else "",
            pid if type(pid) is int and 0 < pid <= _LARGEST_PID else 0,
            wandb_file if isinstance(wandb_file, str) and _is_path(wandb_file) else "",
            _read_place(line.get("place")),
            _read_text(line.get("project")),
            _read_text(line.get("name")),
        )

    def _read_address(self, text: Any) -> str:
        if text == "":
            return ""
        try:
            if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
                raise ValueError
            return settings.parse_base_url(text)
        except ValueError:
            self.malformed_addresses.append(str(text)[:_LONGEST_TEXT])
            return ""


def _read_place(found: Any) -> Optional[Place]:
    if not isinstance(found, dict):
        return None
    known = {name: found[name] for name in Place._fields if name in found}
    return Place(**known) if all(map(is_count, known.values())) else None


def _read_text(found: Any) -> str:
    return found if isinstance(found, str) and len(found) <= _LONGEST_TEXT else ""


def _is_path(text: str) -> bool:
    return os.path.isabs(text) and len(text) <= _LONGEST_PATH and "\0" not in text


def _is_range(value: Any) -> bool:
    """Whether these are the first and the last of some sequence numbers."""
    return isinstance(value, list) and len(value) == 2 and all(map(is_count, value)) and value[0] <= value[1]
