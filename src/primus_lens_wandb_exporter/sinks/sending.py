"""Delivers metrics to a server: gathers them into requests, sends, retries, gives up, counts.

What a server wants, and what its answers mean, is its batcher's and its client's business.
"""

import time
from collections import deque
from typing import TYPE_CHECKING, Callable, Deque, List, Optional, Set

from .. import diagnostics
from ..records import DetectionRecord, MetricsRecord, Record, Run
from .answers import Answer, backoff_s
from .outage import Outage
from .request import Request

if TYPE_CHECKING:
    from typing import Protocol
else:
    # typing.Protocol came with Python 3.8; only the type checker needs it.
    Protocol = object

# A request on which the server failed this often steps behind the others. When it fails right after one of those has
# arrived, and that again and again, it is the request's fault; in an outage, and at its edges, it is not.
_FAILURES_BEFORE_STEPPING_BACK = 3
_FAILURES_AFTER_DELIVERIES_BEFORE_GIVING_UP = 4
# Many servers name the value or the time that they refuse: beyond so many reasons a refusal is in the debug log, and in
# the count at the end.
_MOST_REASONS_SAID = 5
# A request that is out for this long is a reason by itself why something was not delivered.
_LONG_S = 1.0


class Batcher(Protocol):
    """Turns records into requests."""

    # How many metrics the server could not store, and how many wait for their request.
    rejected: int
    pending_metrics: int

    def add(self, record: MetricsRecord, now: float) -> None: ...

    def take_due(self, now: float, urgent: bool, full_only: bool = False) -> List[Request]:
        """Removes what is due and returns it as requests, oldest first; ``full_only`` while earlier requests wait."""

    def seconds_until_due(self, now: float) -> Optional[float]:
        """When `take_due` has something next; None when nothing is held back."""


class Client(Protocol):
    """Posts to one server. ``address`` is where, for a person to read."""

    @property
    def address(self) -> str: ...

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer: ...

    def forget_connection(self) -> None: ...


class SendingSink:
    """Sends what it accepted in order, each request until the server has taken or refused it.

    ``capacity_bytes`` bounds the bodies that wait during an outage; when it is reached the oldest go, counted.
    ``acknowledge`` is told the calls (by their sequence numbers) that the server has taken.
    """

    name: str
    title: str
    is_prompt = False

    def __init__(
        self,
        client: Client,
        make_batcher: Callable[[], Batcher],
        capacity_bytes: float,
        acknowledge: Callable[[Run, List[int]], None] = lambda run, sequences: None,
    ) -> None:
        self._client = client
        self._acknowledge = acknowledge
        self._make_batcher = make_batcher
        self._capacity_bytes = capacity_bytes
        self._outage = Outage(self.title)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._client.forget_connection()
        self._outage.reset()
        self._batcher = self._make_batcher()
        self._backlog: Deque[Request] = deque()
        self._backlog_bytes = 0
        self._backlog_metrics = 0
        self._attempts = 0
        self._next_attempt = 0.0
        self._was_urgent = False
        self._sending_since: Optional[float] = None
        self._trouble = ""
        self._trouble_at_last_loss = ""
        # Whether the answer before this one was a delivery.
        self._server_was_well = False
        self._messages_left = 0
        self._messages_done = 0
        self._reasons_said: Set[str] = set()
        self.delivered = 0
        self._refused = 0
        self.dropped = 0

    @property
    def address(self) -> str:
        """Where it sends, for a person to read."""
        return self._client.address

    @property
    def is_off(self) -> bool:
        """Whether it can send nothing at all, which it has said."""
        return False

    @property
    def rejected(self) -> int:
        return self._refused + self._batcher.rejected

    @property
    def trouble(self) -> str:
        """Why not everything is delivered, in a person's words; empty where nothing failed."""
        since = self._sending_since
        waits_s = time.monotonic() - since if since is not None else 0.0
        if waits_s >= _LONG_S:
            return "no answer for %.0f s" % waits_s
        return self._trouble or self._trouble_at_last_loss

    def destination(self, run: Run) -> str:
        return "%s at %s" % (self.title, self.address)

    def takes_run(self, run: Run) -> bool:
        raise NotImplementedError

    def weigh(self, record: Record) -> Optional[int]:
        raise NotImplementedError

    def pending(self) -> int:
        return self._batcher.pending_metrics + self._backlog_metrics

    def work_done(self) -> int:
        # A detection counts for one: it has no metrics, and a flush waits for it too.
        return self.delivered + self.rejected + self.dropped + self._messages_done

    def work_left(self) -> int:
        return self.pending() + self._messages_left

    def accept(self, records: List[Record]) -> None:
        now = time.monotonic()
        for record in records:
            if isinstance(record, MetricsRecord):
                self._batcher.add(self._prepare(record), now)
            else:
                self._accept_message(record)
        self._enqueue(self._batcher.take_due(now, urgent=False, full_only=bool(self._backlog)))

    def _prepare(self, record: MetricsRecord) -> MetricsRecord:
        """The record as this server is to get it."""
        raise NotImplementedError

    def _accept_message(self, record: DetectionRecord) -> None:
        """Sends what is told of a run by `_send_message`, or not at all."""
        raise NotImplementedError

    def _send_message(self, path: str, body: bytes, run: Run) -> None:
        self._messages_left += 1
        self._enqueue([Request(path, body, 0, run, [])])

    def work(self, urgent: bool, time_limit_s: Optional[float] = None) -> Optional[float]:
        now = time.monotonic()
        # While requests wait, steps gather to full ones: after an outage there is less to send.
        self._enqueue(self._batcher.take_due(now, urgent, full_only=bool(self._backlog)))
        if urgent and not self._was_urgent:
            # Somebody waits: one attempt at once, whatever the backoff says.
            self._next_attempt = now
        self._was_urgent = urgent
        if self._backlog and now >= self._next_attempt:
            self._send_oldest(time_limit_s)
        if not self._backlog:
            self._outage.nothing_waits()
            return self._batcher.seconds_until_due(time.monotonic())
        until_said = self._outage.say_if_due(self.address, self.pending())
        until_attempt = max(0.0, self._next_attempt - time.monotonic())
        return until_attempt if until_said is None else min(until_attempt, until_said)

    def _enqueue(self, requests: List[Request]) -> None:
        for request in requests:
            self._backlog.append(request)
            self._backlog_bytes += len(request.body)
            self._backlog_metrics += request.metric_count
        while self._backlog_bytes > self._capacity_bytes and len(self._backlog) > 1:
            dropped = self._remove_oldest()
            self.dropped += dropped.metric_count
            self._trouble_at_last_loss = self._trouble
            diagnostics.warn_once(
                ("buffer", self.name),
                "%s is away and the buffer is full (PRIMUS_LENS_WANDB_BUFFER_MB): the oldest metrics go first",
                self.title,
            )

    def _remove_oldest(self) -> Request:
        request = self._backlog.popleft()
        self._backlog_bytes -= len(request.body)
        self._backlog_metrics -= request.metric_count
        if not request.metric_count:
            self._messages_left -= 1
            self._messages_done += 1
        return request

    def _send_oldest(self, time_limit_s: Optional[float]) -> None:
        request = self._backlog[0]
        began = self._sending_since = time.monotonic()
        try:
            answer = self._client.post(request.path, request.body, time_limit_s)
        finally:
            self._sending_since = None
        self._trouble = answer.reason
        if answer.delivered:
            self._remove_oldest()
            rejected = min(answer.rejected, request.metric_count)
            # What is stored half can be delivered again.
            request.is_delivered = not rejected
            self.delivered += request.metric_count - rejected
            self._server_was_well = True
            self._attempts = 0
            self._outage.went_well(self.address)
            if rejected:
                self._note_rejected(request, rejected, answer.reason)
            elif all(part.is_delivered for part in request.earlier_parts):
                self._acknowledge(request.run, request.sequences)
            diagnostics.debug("✓ Reported: %s of run %s", _describe(request), request.run.run_id)
        elif not answer.retry or self._is_poison(request, answer):
            self._remove_oldest()
            self._refused += request.metric_count
            self._trouble_at_last_loss = answer.reason
            self._say_refusal(
                answer.reason,
                "%s refused %s of run %s: %s. Training goes on; %s",
                self.title,
                _describe(request),
                request.run.run_id,
                answer.reason,
                answer.next_step or "nothing of it is sent again",
            )
        else:
            self._outage.went_wrong(answer, began)
            self._next_attempt = time.monotonic() + backoff_s(self._attempts, answer)
            self._attempts += 1
            diagnostics.debug("reporting failed, will retry: %s", answer.reason)

    def _note_rejected(self, request: Request, rejected: int, reason: str) -> None:
        self._refused += rejected
        self._trouble_at_last_loss = reason
        self._say_refusal(
            reason,
            "%s took %s of run %s but for %d: %s. Training goes on",
            self.title,
            _describe(request),
            request.run.run_id,
            rejected,
            reason,
        )

    def _say_refusal(self, reason: str, message: str, *args: object) -> None:
        if reason in self._reasons_said:
            return
        if len(self._reasons_said) == _MOST_REASONS_SAID:
            diagnostics.debug(message, *args)
            return
        self._reasons_said.add(reason)
        diagnostics.warn_once(("refused", self.name, reason), message, *args)

    def _is_poison(self, request: Request, answer: Answer) -> bool:
        """Whether the server fails on this request only; lets the others pass to find out."""
        if not answer.failed_on_request:
            self._server_was_well = False
            return False
        request.failures += 1
        # Only the first failure after a delivery tells that it is the request and not the server.
        request.failures_after_deliveries += self._server_was_well
        self._server_was_well = False
        if request.failures_after_deliveries >= _FAILURES_AFTER_DELIVERIES_BEFORE_GIVING_UP:
            return True
        if request.failures % _FAILURES_BEFORE_STEPPING_BACK == 0:
            self._backlog.rotate(-1)
        return False


def _describe(request: Request) -> str:
    return "%d metrics" % request.metric_count if request.metric_count else "the detection"
