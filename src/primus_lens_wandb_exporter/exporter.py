"""Feeds records to the sinks, flushes them, and keeps the one deadline of the process for waiting.

Each sink has a worker of its own, so that a Lens which does not answer never delays the file. The training thread
never waits, but in `wait_for_flush`, under a deadline. Knows the `Sink` protocol and nothing else of the sinks.
"""

import contextlib
import time
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from .child_of_run import Route, route_of_child
from .flush_mark import FlushMark
from .records import Record, Run
from .sinks import Counters, Sink
from .worker import Worker, size_in_memory

# An answer at least this often means that things flow; such waiting does not use up the flush timeout.
_FLOWING_S = 1.0
# Granted to a sink that did not stall so far, also when no time is left.
_SHORTEST_WAIT_S = 0.5
# Records and metrics: more than a second's work, and some megabytes.
_ENOUGH_TO_DO = 20_000


class FlushBudget:
    """The one deadline of a process for all its flushes: seconds that may be spent waiting while nothing flows."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = float("inf")
        self.renew()

    def renew(self) -> None:
        """At the start, and for the child of a fork, which is a process of its own."""
        self.left = self._seconds
        # How far a sink was when it last stalled, by its name.
        self._stalled_at: Dict[str, int] = {}

    def spend_on(self, work: Callable[[float], bool]) -> bool:
        """Has ``work`` done until a time of the monotonic clock; if that was not enough, what it took is used up."""
        began = time.monotonic()
        is_done = work(began + max(self.left, _SHORTEST_WAIT_S))
        if not is_done:
            self.left -= time.monotonic() - began
        return is_done

    @contextlib.contextmanager
    def as_a_whole(self) -> Iterator[None]:
        """Within this context waiting takes no longer than the flush timeout, also while things flow."""
        self._ends_at = time.monotonic() + self._seconds
        try:
            yield
        finally:
            self._ends_at = float("inf")

    def hurry(self) -> None:
        """Ends what waits `as_a_whole`, from a signal handler that interrupts it."""
        self._ends_at = 0.0

    def wait(self, worker: Worker, mark: FlushMark) -> bool:
        """Waits until the mark is settled; gives up when nothing has moved and no time is left for such waiting.

        A sink that has moved since it last stalled is waited for also when the time is used up: an outage in the
        past is no reason to leave a healthy Lens, or the file, without its last records.
        """
        sink = worker.sink
        while not mark.done.is_set():
            done = sink.work_done()
            if time.monotonic() >= self._ends_at or (self.left <= 0 and self._stalled_at.get(sink.name) == done):
                mark.abandoned = True
                return False
            began = time.monotonic()
            limit = min(_FLOWING_S, self.left) if self.left > 0 else _SHORTEST_WAIT_S
            while not mark.done.wait(0.01) and time.monotonic() < min(began + limit, self._ends_at):
                if sink.work_done() != done:
                    break
            else:
                if not mark.done.is_set():
                    self._stalled_at[sink.name] = done
                    self.left -= time.monotonic() - began
        return True


class Exporter:
    """Feeds the records of every run to every sink that takes them."""

    def __init__(self, sinks: Sequence[Sink], budget: FlushBudget, capacity_bytes: float) -> None:
        self._workers = [Worker(sink, capacity_bytes) for sink in sinks]
        self.budget = budget

    def route(self, run: Run, begun_here: bool = True) -> Route:
        """The workers whose sinks take the records of this run, which this process began or another one."""
        route: Route = tuple(worker for worker in self._workers if worker.sink.takes_run(run))
        return route if begun_here else route_of_child(route)

    @staticmethod
    def export(record: Record, route: Route) -> None:
        """Queues a record. Never blocks, never raises for a full queue."""
        size = size_in_memory(record)
        for way in route:
            if way.sink.weigh(record) is not None:
                way.put(record, size)

    def destinations(self, run: Run) -> List[str]:
        """Where the records of this run go, for a person to read."""
        return [worker.sink.destination(run) for worker in self._workers if worker.sink.takes_run(run)]

    def is_busy(self) -> bool:
        """Whether a sink has enough to do for now: who can wait does not hand over more."""
        return any(worker.backlog() > _ENOUGH_TO_DO for worker in self._workers)

    def delivers(self, run: Run, sink_name: str) -> bool:
        """Whether records of the run go to that sink."""
        return any(worker.sink.name == sink_name and worker.sink.takes_run(run) for worker in self._workers)

    def request_flush(self) -> "List[Tuple[Worker, FlushMark]]":
        """Asks every sink to deliver what it has, without waiting."""
        return [(worker, worker.request_flush()) for worker in self._workers]

    def wait_for_flush(self, marks: "List[Tuple[Worker, FlushMark]]") -> bool:
        """Waits for `request_flush` under the process's flush budget; whether everything was settled."""
        settled = True
        for worker, mark in marks:
            if worker.has_thread or mark.done.is_set():
                settled = self.budget.wait(worker, mark) and settled
            else:
                began = time.monotonic()
                worker.drain_here(began + self.budget.left)
                self.budget.left -= time.monotonic() - began
                settled = not worker.sink.work_left() and settled
        return settled

    def flush(self) -> bool:
        return self.wait_for_flush(self.request_flush())

    def held_locks(self) -> List[Any]:
        """The locks that the calling thread holds and a flush needs: it is a signal handler that interrupted it."""
        return [lock for worker in self._workers for lock in worker.held_locks()]

    def counters(self) -> Dict[str, Counters]:
        """Counters by the name of the sink."""
        return {worker.sink.name: worker.counters() for worker in self._workers}

    def reset_after_fork(self) -> None:
        for worker in self._workers:
            worker.reset()
            worker.sink.reset_after_fork()
