"""The file beside each mirror that says who its runs are and what each destination has acknowledged of them.

``primus-lens-wandb sync`` reads both to deliver what is missing. One line is an introduction, ``{"writer", "run_id",
"identity", "place", "project", "name", "base_url", "host", "pid", "wandb_file"}``, or an acknowledgement with the
ranges of sequence numbers in the mirror that a destination has taken, ``[[first, last], …]``: of Lens ``{"writer",
"run_id", "acknowledged"}``, of another ``{"writer", "run_id", "destination", "delivered"}``, which versions that know
Lens alone pass over. As long as a process that writes here lives, it holds a shared lock on the file.
"""

import errno
import fcntl
import json
import os
import socket
import threading
from typing import Any, Dict, Iterable, List, Set, Tuple
from urllib.parse import urlsplit, urlunsplit

from .. import diagnostics
from ..owned_files import OwnedFiles, RefusedError, ends_in_half_a_line, is_stale
from ..records import Run
from ..redaction import redact_text

SUFFIX = ".delivery"
# Destinations, by the names of their sinks.
LENS = "lens"
OTLP = "otlp"


def path_of_ledger(mirror_path: str) -> str:
    return mirror_path + SUFFIX


class DeliveryLedger:
    """Appends to the ledgers of one process. A ledger that cannot be written is one warning: delivery goes on."""

    def __init__(self, base_url: str, files: OwnedFiles) -> None:
        self._base_url = _without_secrets(base_url)
        self._files = files
        self._descriptors: Dict[str, int] = {}
        self._introduced: Set[Tuple[str, str]] = set()
        # Ledgers that end in half a line: the next one must not follow it.
        self._torn: Set[str] = set()
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """The threads of all sinks write here; one of them may have been at it when the process forked."""
        # Re-entrant: a finaliser may log in the middle of a line, and a child of a run writes on the thread that logs.
        self._lock = threading.RLock()

    def introduce(self, mirror_path: str, run: Run) -> None:
        """Notes who the run is, before its first line in the mirror."""
        if (run.writer, run.run_id) not in self._introduced:
            self._introduce(mirror_path, run)

    def introduce_again(self, mirror_path: str, run: Run) -> None:
        """Notes it once more where somebody removed the ledger meanwhile."""
        if self._is_stale(mirror_path):
            self._introduce(mirror_path, run)

    def _introduce(self, mirror_path: str, run: Run) -> None:
        line = {
            "writer": run.writer,
            "run_id": run.run_id,
            "identity": run.identity._asdict(),
            "place": run.place._asdict(),
            "project": redact_text(run.project),
            "name": redact_text(run.name),
            "base_url": self._base_url,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "wandb_file": run.wandb_file,
        }
        try:
            self._append(mirror_path, line)
            self._introduced.add((run.writer, run.run_id))
        except OSError as error:
            self._warn(mirror_path, error)

    def acknowledge(self, mirror_path: str, run: Run, sequences: List[int], destination: str = LENS) -> None:
        """Notes that a destination has taken these calls."""
        try:
            self.note(mirror_path, run, sequences, destination)
        except OSError as error:
            self._warn(mirror_path, error)

    def note(self, mirror_path: str, run: Run, sequences: List[int], destination: str = LENS) -> None:
        """As `acknowledge`, but raises OSError when it cannot be written."""
        if not sequences:
            return
        line: Dict[str, Any] = {"writer": run.writer, "run_id": run.run_id}
        ranges = merge_ranges([n, n] for n in sequences)
        line.update(
            {"acknowledged": ranges} if destination == LENS else {"destination": destination, "delivered": ranges}
        )
        self._append(mirror_path, line)

    def close(self) -> None:
        """Gives up the files and the locks on them."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _warn(self, mirror_path: str, error: OSError) -> None:
        path = path_of_ledger(mirror_path)
        # Where the mirror cannot be written either, the mirror says so.
        if path in self._descriptors or (isinstance(error, RefusedError) and error.path == path):
            diagnostics.warn_once(
                ("ledger", path), "%s is not written: %s; a later sync may deliver some metrics again", path, error
            )

    def _is_stale(self, mirror_path: str) -> bool:
        path = path_of_ledger(mirror_path)
        with self._lock:
            descriptor = self._descriptors.get(path)
            return descriptor is not None and is_stale(descriptor, path)

    def _append(self, mirror_path: str, line: Dict[str, Any]) -> None:
        with self._lock:
            self._write(path_of_ledger(mirror_path), json.dumps(line).encode("ascii") + b"\n")

    def _write(self, path: str, content: bytes) -> None:
        descriptor = self._descriptors.get(path)
        if descriptor is not None and is_stale(descriptor, path):
            del self._descriptors[path]
            os.close(descriptor)
            descriptor = None
        if descriptor is None:
            descriptor = self._descriptors[path] = _open_ledger(self._files, path)
            if ends_in_half_a_line(descriptor):
                self._torn.add(path)
        if path in self._torn:
            content = b"\n" + content
        if os.write(descriptor, content) < len(content):
            self._torn.add(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn.discard(path)


def _without_secrets(url: str) -> str:
    """Without user and query: both may be secrets."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _open_ledger(files: OwnedFiles, path: str) -> int:
    """Opens a ledger for appending and shows, by a shared lock, that its writer lives; raises OSError."""
    descriptor = files.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        # A sync that looks at this moment, or a file system without locks: then nobody can tell that we live.
        return descriptor
    return descriptor


def merge_ranges(ranges: Iterable[List[int]]) -> List[List[int]]:
    """The fewest inclusive ranges that hold the same numbers: [3, 4], [1, 2], [7, 7] become [1, 4], [7, 7]."""
    merged: List[List[int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return merged
