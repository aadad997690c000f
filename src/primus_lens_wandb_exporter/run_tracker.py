"""What the exporter remembers of one wandb run in one process: its step, its route, what was said of its framework."""

import time
from typing import Any, Dict, Hashable

from . import runtime
from .detection import Facts, build_detection, collect_facts, current_fingerprint, fingerprint
from .records import DetectionRecord
from .steps import StepCounter

# Frameworks are loaded and config is added after wandb.init, most of it soon.
_FIRST_SECOND_LOOK_S = 5.0
_NEVER = float("inf")


class RunTracker:
    """One run, from `wandb.init` (or its first log call) to its end."""

    __slots__ = (
        "_latest_seen",
        "_look_again_after_s",
        "_reported",
        "_sampler",
        "counter",
        "exporter",
        "generation",
        "look_again_at",
        "route",
        "run",
    )

    def __init__(self, run_id: str, current_step: int, generation: int, begun_here: bool = True) -> None:
        self.counter = StepCounter(current_step)
        self._reported: Hashable = None
        self._latest_seen: Hashable = None
        self.look_again_at = _NEVER
        self._look_again_after_s = _FIRST_SECOND_LOOK_S
        self.enter_process(run_id, generation, begun_here)

    def enter_process(self, run_id: str, generation: int, begun_here: bool = False) -> None:
        """At the start, and in the child of a fork: the same step, but another writer and empty queues."""
        self.exporter, self.run, self._sampler = runtime.start_run(run_id, begun_here)
        self.route = self.exporter.route(self.run, begun_here)
        self.generation = generation

    @property
    def has_sampler(self) -> bool:
        """Whether system metrics join the log calls of this run."""
        return self._sampler is not None

    def latest_sample(self) -> Dict[str, float]:
        """The newest system metrics; empty when there are none. Not to be changed."""
        sampler = self._sampler  # another thread may end the run meanwhile
        return sampler.latest() if sampler is not None else _NO_SAMPLE

    def report_detection(self, wandb_run: Any) -> None:
        """Queues what the run uses; the training thread only copies cheap facts."""
        facts = collect_facts(wandb_run)
        self._reported = self._latest_seen = fingerprint(facts)
        self._export_detection(facts)
        self.look_again_at = time.time() + self._look_again_after_s

    def look_again(self, wandb_run: Any, run_ends: bool = False) -> None:
        """Reports once more, and only once, when frameworks were loaded or config was added since `wandb.init`.

        What is new must have come to rest between two looks, or the run must end. Looks become rarer.
        """
        if self.look_again_at == _NEVER:
            return
        found = current_fingerprint(wandb_run)
        if found != self._reported and (run_ends or found == self._latest_seen):
            self._export_detection(collect_facts(wandb_run))
            self.look_again_at = _NEVER
            return
        self._latest_seen = found
        self._look_again_after_s *= 2
        self.look_again_at = _NEVER if run_ends else time.time() + self._look_again_after_s

    def _export_detection(self, facts: Facts) -> None:
        run, timestamp = self.run, time.time()

        def make_body() -> Dict[str, Any]:
            return build_detection(facts, run.identity, timestamp)

        self.exporter.export(DetectionRecord(run, make_body), self.route)

    def end(self) -> None:
        """The run is over: it needs no system metrics any more. Calling it again changes nothing."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            sampler.stop()


_NO_SAMPLE: Dict[str, float] = {}
