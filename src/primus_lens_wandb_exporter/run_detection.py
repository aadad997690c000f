"""What is told of one run and when: once nothing better is to be expected, and once more when something is new.

Frameworks are loaded after `wandb.init` too (DeepSpeed by a trainer's first step), and what was named first stays
named: so the first detection waits while only a general framework is known. The training thread looks, when it logs,
at whether there is news; the sinks' threads ask whether it is time, so that a run which does not log is told, too.
"""

import threading
import time
import weakref
from typing import Any, Callable, Dict, Hashable, Optional, Set

from . import diagnostics
from .detection import Facts, build_detection, collect_facts, current_fingerprint, fingerprint, with_loaded_now
from .detection.hints import find_frameworks
from .detection.story import keep_to_what_was_told
from .records import DetectionRecord, Run

NEVER = float("inf")
# How long the first detection waits for something better, and how many log calls show that all is loaded.
_PATIENCE_S = 30.0
_ENOUGH_CALLS = 10
_FIRST_LOOK_S = 5.0

_waiting: "Set[RunDetection]" = set()


class RunDetection:
    """The detections of one run in the process that tells of it."""

    def __init__(self, run: Run, export: Callable[[DetectionRecord], None]) -> None:
        self._run = run
        self._export = export
        # For a few instructions only: the training thread takes it, too. Re-entrant, as signal handlers may log.
        self._lock = threading.RLock()
        self._facts: Optional[Facts] = None
        self._told: Optional[Facts] = None
        self._is_over = False
        self._judged: Optional[Facts] = None
        self._is_settled = False
        self._latest_seen: Hashable = None
        self._look_again_after_s = _FIRST_LOOK_S
        self._find_wandb_run: Callable[[], Any] = _no_run

    @property
    def is_told(self) -> bool:
        """Whether a sink has taken the first detection."""
        return self._told is not None

    def begin(self, wandb_run: Any) -> float:
        """Queues the first detection, which waits; returns the time (since 1970) of the first look for news."""
        self._find_wandb_run = weakref.ref(wandb_run)
        self._facts = collect_facts(wandb_run)
        self._latest_seen = fingerprint(self._facts)
        self._ends_at = time.monotonic() + _PATIENCE_S
        _waiting.add(self)
        self._export(DetectionRecord(self._run, self._make_first, self._due_in))
        return time.time() + self._look_again_after_s

    def look(self, wandb_run: Any, calls: int = 0, run_ends: bool = False) -> float:
        """Looks for news; returns when to look again. ``calls`` is how often the run was logged to.

        What is new improves a detection that still waits. After it one more follows, and only one, with what has come
        to rest between two looks, or when the run ends. Those looks become rarer.
        """
        found = current_fingerprint(wandb_run)
        if self._told is None:
            facts = collect_facts(wandb_run) if found != self._latest_seen else self._facts
            with self._lock:
                if self._told is None:
                    self._facts = facts
            if run_ends or calls >= _ENOUGH_CALLS or time.monotonic() >= self._ends_at:
                self.tell_now()
        told = self._told
        if told is not None and found != fingerprint(told) and (run_ends or found == self._latest_seen):
            self._tell_again(collect_facts(wandb_run))
            return NEVER
        self._latest_seen = found
        if run_ends:
            return NEVER
        delay = self._look_again_after_s
        if self._is_over or told is not None:
            self._look_again_after_s *= 2
        return time.time() + delay

    def look_at_exit(self) -> None:
        """For a run that nobody has finished."""
        wandb_run = self._find_wandb_run()
        if wandb_run is not None:
            self.look(wandb_run, run_ends=True)

    def tell_now(self) -> None:
        """Nothing better is waited for."""
        self._is_over = True
        _waiting.discard(self)

    def _due_in(self) -> float:
        """For the sinks' threads: in how many seconds the first detection is to be sent."""
        left_s = self._ends_at - time.monotonic()
        if self._is_over or left_s <= 0:
            return 0.0
        facts = self._facts
        if facts is not None and self._judged is not facts:
            self._is_settled = _names_something_specific(facts)
            self._judged = facts
        return 0.0 if self._is_settled else left_s

    def _make_first(self) -> Dict[str, Any]:
        """For the sinks' threads: all of them tell the same."""
        with self._lock:
            if self._told is None:
                assert self._facts is not None
                # A run that has not logged was not looked at since it began.
                self._told = self._facts if self._is_settled else with_loaded_now(self._facts)
                self._told_at = time.time()
        self.tell_now()
        return self._make_body(self._told, self._told_at)

    def _tell_again(self, facts: Facts) -> None:
        timestamp = time.time()
        self._export(DetectionRecord(self._run, lambda: self._make_body(facts, timestamp)))

    def _make_body(self, facts: Facts, timestamp: float) -> Dict[str, Any]:
        identity = self._run.identity
        finding = keep_to_what_was_told(identity, find_frameworks(facts))
        return build_detection(facts, identity, timestamp, finding=finding)


def _no_run() -> None:
    """Nothing was begun."""


def _names_something_specific(facts: Facts) -> bool:
    try:
        return find_frameworks(facts).is_settled
    except Exception as error:  # asked by threads that must live as long as the job
        diagnostics.report_failure("detecting the framework", error)
        return True


def tell_all_now() -> None:
    """The process may end: nothing better can come."""
    for detection in list(_waiting):
        detection.tell_now()


def reset_after_fork() -> None:
    """The parent tells of its runs."""
    _waiting.clear()
