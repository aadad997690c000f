"""Which pods a cluster would know, and whose they are: a file, read again when it changes.

Without it every pod is known, as a workload of its own name. With it a test sees what the cluster says of the others.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)


class KnownPodsError(Exception):
    """The file cannot be used; the message says why, and what to do next."""


class _Known(NamedTuple):
    signature: tuple[int, ...]
    workloads: dict[str, list[str]]
    """Of each pod."""
    uids: frozenset[str]


class KnownPods:
    """What the file says now. One that can no longer be read counts as it was, and that is logged once."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise KnownPodsError if it cannot be used."""
        self._path = path
        self._known = self._read()
        self._problem = ""

    def workloads_of(self, pod_name: str) -> list[str]:
        """Return the uids of the workloads that a pod belongs to; none for a pod that is not known."""
        return self._now().workloads.get(pod_name, [])

    def has_workload(self, uid: str) -> bool:
        """Return whether any pod belongs to a workload."""
        return uid in self._now().uids

    def _now(self) -> _Known:
        try:
            if self._signature() != self._known.signature:
                self._known = self._read()
            self._problem = ""
        except (OSError, KnownPodsError) as error:
            if str(error) != self._problem:
                logger.warning("%s; the pods that it named before are known", error)
            self._problem = str(error)
        return self._known

    def _signature(self) -> tuple[int, ...]:
        found = os.stat(self._path)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> _Known:
        workloads: dict[str, list[str]] = {}
        try:
            # Before the content: what is written meanwhile is read next time.
            signature = self._signature()
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise KnownPodsError(f"the known pods cannot be read from {self._path}: {error}") from error
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) > 2:
                raise KnownPodsError(
                    f"line {number} of {self._path} has {len(words)} words: give a pod's name, and the uid of its "
                    "workload if that is not the same"
                )
            uids = workloads.setdefault(words[0], [])
            uids += [] if words[-1] in uids else [words[-1]]
        return _Known(signature, workloads, frozenset(uid for uids in workloads.values() for uid in uids))
