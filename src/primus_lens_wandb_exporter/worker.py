"""One sink, its queue and its thread. Knows the `Sink` protocol and nothing else of the sinks.

The training thread only appends to the queue; a child of a run, by `put_at_once`, does the thread's work as well. The
thread starts with the first record, is woken once for a group of records, and lives as long as the process. After a
fork the child has a new lock, an empty queue and no thread.
"""

import contextlib
import sys
import threading
import time
from collections import deque
from typing import Any, Deque, Iterator, List, Optional, Tuple, Union

from . import diagnostics
from .flush_mark import FlushMark
from .records import DetectionRecord, MetricsRecord, Record
from .sinks import Counters, Sink

# How long a thread lets records gather before it takes them, to wake rarely. For a prompt sink the first record after
# a silence is taken at once and others follow this soon: a killed job has written all that is older than 20 ms.
GATHERING_TIME_S = 0.2
PROMPT_GATHERING_TIME_S = 0.01
# How many records a sink takes at a time. Between two such slices the thread lets the training thread run: without
# that, training would wait for whole switch intervals of the interpreter (5 ms each).
_SLICE = 64
_YIELD_S = 0.0002
# How many slices it takes before it works on what it has; a prompt sink works on each.
_MOST_SLICES = 64
# `put_at_once` leaves its record to whoever holds the sink for longer than this.
_LONGEST_WAIT_FOR_SINK_S = 1.0
# While somebody waits for a flush: look again this soon.
_LOOK_AGAIN_S = 1.0
# After an error in a sink it rests this long, and twice as long after each further one.
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 60.0
# About what a record takes while it waits, and each metric in it.
RECORD_BYTES, METRIC_BYTES = 300, 150


class Worker:
    """One sink, its queue and its thread."""

    def __init__(self, sink: Sink, capacity_bytes: float) -> None:
        self.sink = sink
        self._capacity_bytes = capacity_bytes
        self._many_bytes = capacity_bytes / 4
        self.reset()

    def reset(self) -> None:
        """Back to an empty queue without a thread: at the start, and in the child of a fork."""
        # Re-entrant, and held for a few instructions only: a signal handler or a finaliser may log at any moment.
        self._lock = threading.RLock()
        self._queue: Deque[Union[Tuple[Record, int], FlushMark]] = deque()
        self._queued_bytes = 0
        # Detections that are not due yet.
        self._waiting: List[DetectionRecord] = []
        self._taken = 0
        self._dropped = 0
        self._queued_marks = 0
        self._first_start = threading.Lock()
        self._started = False
        self._rest_s = 0.0
        self._rests_until = 0.0
        # A lock used as a bell: released by whoever has news, acquired by the thread to wait for them. Unlike a
        # condition it can be rung from a signal handler that interrupted the ringing.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._waits_for_bell = False
        # While the thread lets records gather it is rung only when they become many.
        self._gathers = False
        self._renew_sink_lock()

    def _renew_sink_lock(self) -> None:
        # Held while the sink is used, also around I/O: the training thread takes it in `put_at_once` alone. Re-entrant,
        # so that a signal handler or a finaliser that logs finds out that it interrupted its own thread there.
        self._sink_lock = threading.RLock()
        self._uses_sink = False

    def put(self, record: Record, size: int) -> None:
        """Queues a record of ``size`` bytes that the sink takes. When the queue is full the oldest goes, and counts.

        It is in the way of every call of wandb's log: what another thread can do, such as to weigh, is left to it.
        """
        if sys.is_finalizing():
            # No other thread runs any more, and one may have been stopped while it held the lock.
            self._lock = threading.RLock()
        with self._lock:
            self._queue.append((record, size))
            self._queued_bytes += size
            if self._queued_bytes > self._capacity_bytes:
                self._drop_oldest()
        if not self._started:
            self._start()
        elif self._waits_for_bell or (self._gathers and self._queued_bytes > self._many_bytes):
            self._waits_for_bell = self._gathers = False
            self._ring()

    def put_at_once(self, record: Record, size: int) -> None:
        """As `put`, but the sink has worked on the record when this returns: I/O on the calling thread.

        For a process that may end at any moment without notice. What cannot be written now is left to the next call.
        """
        if sys.is_finalizing():
            self._lock = threading.RLock()
            self._renew_sink_lock()
        with self._lock:
            self._queue.append((record, size))
            self._queued_bytes += size
        # Again, if a signal handler or a finaliser has logged since the last look.
        while self._queue and self._take_turn_with_sink():
            pass

    def _take_turn_with_sink(self) -> bool:
        """One turn of the thread's work, here; whether there may be more to do."""
        # This interrupted the same thread in the middle of its turn: that one goes on to release the lock.
        is_nested = self._sink_lock in self.held_locks()
        try:
            if not is_nested and not self._sink_lock.acquire(timeout=_LONGEST_WAIT_FOR_SINK_S):
                return False
            # If it uses the sink just now it also goes on to take the record.
            records = [] if self._uses_sink else self._take(with_marks=False)[0]
            if records:
                self._accept(records)
                self._work(False, None)
            return bool(records)
        finally:
            # Also where an exception (of an interrupt, of a handler) came between acquiring and the next line.
            if not is_nested:
                try:  # not contextlib.suppress: what is called before the release may be interrupted
                    self._sink_lock.release()
                except RuntimeError:  # not acquired
                    pass

    def held_locks(self) -> List[Any]:
        """Those of its locks that the calling thread holds."""
        # Both of Python's implementations have the method; threading.Condition calls it, too.
        locks: List[Any] = [self._lock, self._sink_lock]
        return [lock for lock in locks if lock._is_owned()]

    def _weigh(self, record: Record) -> int:
        return self.sink.weigh(record) or 0

    def _drop_oldest(self) -> None:
        marks = []
        while self._queued_bytes > self._capacity_bytes and len(self._queue) > 1:
            entry = self._queue.popleft()
            if isinstance(entry, FlushMark):
                marks.append(entry)
                continue
            record, size = entry
            self._queued_bytes -= size
            weight = self._weigh(record)
            self._taken += weight
            self._dropped += weight
        self._queue.extendleft(reversed(marks))

    def backlog(self) -> int:
        """About how much is to be done: the records in the queue, and what the sink has not settled."""
        return len(self._queue) + self.sink.work_left()

    def counters(self) -> Counters:
        sink = self.sink
        with self._lock:
            # Counted here and not in `put`: a signal handler that logs may come between any two instructions there.
            queued = sum(self._weigh(entry[0]) for entry in list(self._queue) if not isinstance(entry, FlushMark))
            return Counters(
                received=self._taken + queued,
                delivered=sink.delivered,
                rejected=sink.rejected,
                dropped=self._dropped + sink.dropped,
                pending=queued + sink.pending(),
            )

    def request_flush(self) -> FlushMark:
        """Asks the thread to deliver everything queued so far."""
        mark = FlushMark()
        if sys.is_finalizing():
            self._lock = threading.RLock()
            self._renew_sink_lock()
        with self._lock:
            if not self._started and not self._queue and not self._waiting and not self.sink.work_left():
                mark.done.set()
                return mark
            self._queue.append(mark)
            self._queued_marks += 1
        if not self._started:
            self._start()
        self._ring()
        return mark

    def _start(self) -> None:
        # One call into C decides: a signal handler that logs may come between any two instructions, and of two threads
        # for one sink each would undo what the other counts.
        if not self._first_start.acquire(False):
            return
        self._started = True
        name = "primus-lens-" + self.sink.name
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:
            # The interpreter is shutting down and starts no threads: `flush` does the work itself.
            self._started = False

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            # Rung already.
            return

    def _wait(self, seconds: Optional[float]) -> None:
        self._bell.acquire(timeout=-1 if seconds is None else max(0.0, seconds))

    def _run(self) -> None:
        marks: List[FlushMark] = []
        while True:
            delay = self._turn(marks)
            if delay == 0.0:
                time.sleep(_YIELD_S)
                continue
            if marks:
                # Somebody waits for a flush: they may give up meanwhile, so look again soon.
                self._wait(_LOOK_AGAIN_S if delay is None else min(delay, _LOOK_AGAIN_S))
                continue
            if self.sink.is_prompt:
                self._gather(PROMPT_GATHERING_TIME_S)
                self._wait_for_news(delay)
            else:
                self._wait_for_news(delay)
                self._gather(GATHERING_TIME_S)

    def _wait_for_news(self, seconds: Optional[float]) -> None:
        self._waits_for_bell = True
        if not self._queue:
            self._wait(seconds)
        self._waits_for_bell = False

    def _gather(self, seconds: float) -> None:
        self._gathers = True
        if not self._queued_marks:
            self._wait(seconds)
        self._gathers = False

    def _turn(self, marks: List[FlushMark], time_limit_s: Optional[float] = None) -> Optional[float]:
        """Moves what is queued to the sink and lets it work once; collects and settles flush marks."""
        slices = 1 if self.sink.is_prompt else min(_MOST_SLICES, 1 + len(self._queue) // _SLICE)
        for number in range(slices):
            if number:
                time.sleep(_YIELD_S)
            records, new_marks = self._take()
            if records:
                self._accept(records)
            delay_of_waiting = self._accept_due()
            for mark in new_marks:
                mark.settled_at = self.sink.work_done() + self.sink.work_left()
                marks.append(mark)
                # Somebody waits: one attempt at once, also of a sink that rests.
                self._rests_until = 0.0
        marks[:] = [mark for mark in marks if not mark.abandoned]
        delay = self._work(bool(marks), time_limit_s)
        for mark in marks:
            if self.sink.work_done() >= mark.settled_at:
                mark.done.set()
        marks[:] = [mark for mark in marks if not mark.done.is_set()]
        if len(self._queue) > _SLICE:
            return 0.0
        return min((seconds for seconds in (delay, delay_of_waiting) if seconds is not None), default=None)

    def _accept_due(self) -> Optional[float]:
        """Gives the sink the detections that are due; returns in how many seconds the next one is."""
        if not self._waiting:
            return None
        delays = [(record.due_in(), record) for record in self._waiting]
        self._waiting = [record for delay, record in delays if delay > 0]
        due: List[Record] = [record for delay, record in delays if delay <= 0]
        if due:
            self._accept(due)
        return min((delay for delay, _ in delays if delay > 0), default=None)

    def _accept(self, records: List[Record]) -> None:
        try:
            with self._using_sink():
                self.sink.accept(records)
        except Exception as error:  # the thread must live as long as the job
            diagnostics.report_failure("the %s sink" % self.sink.name, error)

    def _work(self, urgent: bool, time_limit_s: Optional[float]) -> Optional[float]:
        rest = self._rests_until - time.monotonic()
        if rest > 0:
            return rest
        try:
            with self._using_sink():
                delay = self.sink.work(urgent, time_limit_s)
        except Exception as error:  # the thread must live as long as the job, and must not spin
            diagnostics.report_failure("the %s sink" % self.sink.name, error)
            delay = self._rest_s = min(max(_FIRST_REST_S, self._rest_s * 2), _LONGEST_REST_S)
            self._rests_until = time.monotonic() + delay
        else:
            self._rest_s = 0.0
        return delay

    @contextlib.contextmanager
    def _using_sink(self) -> Iterator[None]:
        with self._sink_lock:
            self._uses_sink = True
            try:
                yield
            finally:
                self._uses_sink = False

    def _take(self, with_marks: bool = True) -> Tuple[List[Record], List[FlushMark]]:
        records: List[Record] = []
        marks: List[FlushMark] = []
        with self._lock:
            while len(records) < _SLICE:
                try:
                    entry = self._queue.popleft()
                except IndexError:  # asked before, a signal handler that logs could take the last one meanwhile
                    break
                if isinstance(entry, FlushMark):
                    if not with_marks:
                        # It and what is behind it are the thread's, which is about to take them.
                        self._queue.appendleft(entry)
                        break
                    marks.append(entry)
                    self._queued_marks -= 1
                    continue
                record, size = entry
                self._queued_bytes -= size
                # Not in the line that adds: a signal handler that logs may come into the call.
                weight = self._weigh(record)
                self._taken += weight
                if isinstance(record, DetectionRecord):
                    self._waiting.append(record)
                else:
                    records.append(record)
        return records, marks

    @property
    def has_thread(self) -> bool:
        return self._started and not sys.is_finalizing()

    def drain_here(self, deadline: float) -> None:
        """Delivers on the calling thread: at interpreter shutdown there is no other."""
        self._rests_until = 0.0
        while self._queue or self.sink.work_left() or any(record.due_in() <= 0 for record in self._waiting):
            left = deadline - time.monotonic()
            delay = self._turn([FlushMark()], max(0.05, left))
            # Without its import system the interpreter can do no more than write what is ready.
            if left <= 0 or not sys.meta_path:
                return
            # Not for what is queued, and not for what only waits to become better.
            if self.sink.work_left():
                time.sleep(min(delay or 0.0, left))


def size_in_memory(record: Record) -> int:
    """About how many bytes the record takes while it waits."""
    if not isinstance(record, MetricsRecord):
        return 50_000
    size = RECORD_BYTES + METRIC_BYTES * len(record.metrics)
    return size if record.data is record.metrics else size + 200 * len(record.data)
