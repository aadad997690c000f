"""Delivers metrics to the Lens telemetry-processor: gathers them into requests, sends, retries, gives up, counts."""

import json
import random
import time
from collections import deque
from typing import Callable, Deque, List, Optional

from .. import diagnostics, fork_safety
from ..records import DetectionRecord, MetricsRecord, Record, Run
from ..summary_names import SummaryNames
from .lens_batches import Request, StepBatcher
from .lens_client import Answer, LensClient

DETECTION_PATH = "/wandb/detection"
SHORTEST_BACKOFF_S = 0.1
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
# A request on which the server failed this often steps behind the others. When it fails right after one of those has
# arrived, and that again and again, it is the request's fault; in an outage, and at its edges, it is not.
_FAILURES_BEFORE_STEPPING_BACK = 3
_FAILURES_AFTER_DELIVERIES_BEFORE_GIVING_UP = 4
# A request that is out for this long is a reason by itself why something was not delivered.
_LONG_S = 1.0


def backoff_s(attempts: int, answer: Answer, longest_s: float = LONGEST_BACKOFF_S) -> float:
    """How long to wait after ``attempts`` failures before this one: exponential, with full jitter.

    The server's own Retry-After can make it longer, never shorter.
    """
    ceiling = min(longest_s, FIRST_BACKOFF_S * 2 ** min(attempts, 10))
    asked_for = (answer.retry_after_s or 0.0) * random.uniform(1.0, 1.1)
    return max(SHORTEST_BACKOFF_S, random.uniform(0.0, ceiling), asked_for)


class LensSink:
    """Sends what it accepted in order, each request until the server has taken or refused it.

    ``capacity_bytes`` bounds the bodies that wait during an outage; when it is reached the oldest go, counted.
    ``acknowledge`` is told the calls (by their sequence numbers) that the server has taken.
    """

    name = "lens"
    is_prompt = False

    def __init__(
        self,
        client: LensClient,
        batch_size: int,
        flush_interval_s: float,
        capacity_bytes: float,
        acknowledge: Callable[[Run, List[int]], None] = lambda run, sequences: None,
    ) -> None:
        self._client = client
        self._acknowledge = acknowledge
        self._batch_size = batch_size
        self._flush_interval_s = flush_interval_s
        self._capacity_bytes = capacity_bytes
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._client.forget_connection()
        # Many processes start together: each has its own rhythm, so that they do not send together.
        self._batcher = StepBatcher(self._batch_size, self._flush_interval_s * random.uniform(0.8, 1.0))
        self._summary_names = SummaryNames()
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
        self._detections_left = 0
        self._detections_done = 0
        self.delivered = 0
        self._refused = 0
        self.dropped = 0

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

    def takes_run(self, run: Run) -> bool:
        """Whether Lens can place the run; says once what is missing when it cannot."""
        if not run.identity.is_known:
            diagnostics.warn_once(
                "no identity",
                "nothing is sent to Lens, because neither WORKLOAD_UID nor POD_NAME is set. Set WORKLOAD_UID to the "
                "uid of the workload in Lens, or PRIMUS_LENS_WANDB_API_REPORTING=false to silence this line",
            )
        return run.identity.is_known

    def weigh(self, record: Record) -> Optional[int]:
        if isinstance(record, MetricsRecord):
            return len(record.metrics) or None
        return 0

    def pending(self) -> int:
        return self._batcher.pending_metrics + self._backlog_metrics

    def work_done(self) -> int:
        # A detection counts for one: it has no metrics, and a flush waits for it too.
        return self.delivered + self.rejected + self.dropped + self._detections_done

    def work_left(self) -> int:
        return self.pending() + self._detections_left

    def accept(self, records: List[Record]) -> None:
        now = time.monotonic()
        for record in records:
            if isinstance(record, MetricsRecord):
                self._batcher.add(self._summary_names.apply(record), now)
            else:
                self._accept_detection(record)
        self._enqueue(self._batcher.take_due(now, urgent=False, full_only=bool(self._backlog)))

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
            return self._batcher.seconds_until_due(time.monotonic())
        return max(0.0, self._next_attempt - time.monotonic())

    def _accept_detection(self, record: DetectionRecord) -> None:
        try:
            with fork_safety.importing():
                body = record.make_body()
        except Exception as error:  # the metrics beside it must not suffer
            diagnostics.report_failure("detecting the framework", error)
            return
        hints = body["hints"]
        self._detections_left += 1
        encoded = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        self._enqueue([Request(DETECTION_PATH, encoded, 0, record.run, [])])
        diagnostics.debug(
            "✓ Detection data queued for reporting: frameworks %s, confidence %s",
            ", ".join(hints["possible_frameworks"]) or "none",
            hints["confidence"],
        )

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
                "lens buffer",
                "Lens is away and the buffer is full (PRIMUS_LENS_WANDB_BUFFER_MB): the oldest metrics go first",
            )

    def _remove_oldest(self) -> Request:
        request = self._backlog.popleft()
        self._backlog_bytes -= len(request.body)
        self._backlog_metrics -= request.metric_count
        if request.path == DETECTION_PATH:
            self._detections_left -= 1
            self._detections_done += 1
        return request

    def _send_oldest(self, time_limit_s: Optional[float]) -> None:
        request = self._backlog[0]
        self._sending_since = time.monotonic()
        try:
            answer = self._client.post(request.path, request.body, time_limit_s)
        finally:
            self._sending_since = None
        self._trouble = answer.reason
        if answer.delivered:
            request.is_delivered = True
            self._remove_oldest()
            self.delivered += request.metric_count
            self._server_was_well = True
            self._attempts = 0
            if all(part.is_delivered for part in request.earlier_parts):
                self._acknowledge(request.run, request.sequences)
            diagnostics.debug("✓ Reported: %s of run %s", _describe(request), request.run.run_id)
        elif not answer.retry or self._is_poison(request, answer):
            self._remove_oldest()
            self._refused += request.metric_count
            self._trouble_at_last_loss = answer.reason
            diagnostics.warn_once(
                ("lens refused", answer.reason),
                "Lens refused %s of run %s: %s. Training goes on; nothing of it is sent again",
                _describe(request),
                request.run.run_id,
                answer.reason,
            )
        else:
            self._next_attempt = time.monotonic() + backoff_s(self._attempts, answer)
            self._attempts += 1
            diagnostics.debug("reporting failed, will retry: %s", answer.reason)
            if answer.needs_a_person:
                diagnostics.warn_once(
                    "needs a person",
                    "Lens at %s: %s. Metrics wait, and it is tried again and again; `primus-lens-wandb check` helps",
                    diagnostics.redact_addresses(self._client.base_url),
                    answer.reason,
                )

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
    return "the detection" if request.path == DETECTION_PATH else "%d metrics" % request.metric_count
