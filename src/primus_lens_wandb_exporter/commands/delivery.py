"""Delivers what one mirror lacks, and says what came of it."""

import shlex
import sys
import time
from typing import Dict, List, Optional

from .. import settings
from ..records import MetricsRecord, Run
from ..sinks.delivery_ledger import DeliveryLedger
from ..sinks.lens_api import backoff_s
from ..sinks.lens_batches import Request, StepBatcher
from ..sinks.lens_client import Answer, LensClient
from .mirror import Mirror
from .report import Report, redact_addresses
from .targets import Target, Targets

# How long a server may refuse or be away before the command gives up.
PATIENCE_S = 60.0
_LONGEST_BACKOFF_S = 10.0
# How often the server may fail on one request before it is set aside, and how many may be.
_MOST_FAILURES = 4
# How often it may be asked where only a person can help: a wrong address, a certificate that is not trusted.
_MOST_FAILURES_WITHOUT_HOPE = 2
_MOST_SET_ASIDE = 20
# Of more addresses in one file than this the rest is not listed.
_MOST_ADDRESSES = 5


class Delivery:
    """Sends what one mirror lacks."""

    def __init__(
        self, report: Report, mirror: Mirror, ledger: DeliveryLedger, targets: Targets, workload_uid: Optional[str]
    ) -> None:
        self._report = report
        self._mirror = mirror
        self._ledger = ledger
        self._targets = targets
        self._workload_uid = workload_uid
        self._batcher = StepBatcher(settings.DEFAULT_BATCH_SIZE, settings.DEFAULT_FLUSH_INTERVAL_S)
        # Looking at the batches costs time for each run: worth it when another request may be full.
        self._look_at = settings.DEFAULT_BATCH_SIZE
        self._target_of_run: Dict[Run, Target] = {}
        self._announced: List[Target] = []
        self._delivered = 0
        self._refused = 0
        self._without_identity = 0
        self._not_noted = 0
        self._why_not_noted = ""
        self._set_aside: List[Request] = []
        self._gave_up = False

    def count(self) -> None:
        """Tells what is missing, and sends nothing."""
        total = self._count_missing()
        self._announce_where_nothing_was_missing()
        self._report.good("%d metrics are missing in Lens; nothing was sent (--dry-run)" % total)
        self._say_what_was_passed_over()

    def deliver(self) -> None:
        progress = _Progress(self._count_missing() if sys.stderr.isatty() else 0)
        for record in self._mirror.missing():
            if self._gave_up:
                break
            self._add(record)
            if self._batcher.pending_metrics >= self._look_at:
                self._send(self._batcher.take_due(0.0, urgent=False), progress)
                self._look_at = self._batcher.pending_metrics + settings.DEFAULT_BATCH_SIZE
        self._send(self._batcher.take_due(0.0, urgent=True), progress)
        self._send_what_was_set_aside(progress)
        progress.end()
        self._announce_where_nothing_was_missing()
        self._say_what_was_delivered()
        self._say_what_was_passed_over()

    def _count_missing(self) -> int:
        count = 0
        for record in self._mirror.missing():
            self._target_of(record.run)
            count += len(record.metrics)
        return count

    def _add(self, record: MetricsRecord) -> None:
        run = record.run
        if self._workload_uid:
            run = run._replace(identity=run.identity._replace(workload_uid=self._workload_uid))
        if not run.identity.is_known:
            self._without_identity += len(record.metrics)
            return
        self._target_of(run)
        self._batcher.add(record._replace(run=run), 0.0)

    def _target_of(self, run: Run) -> Target:
        """Where the metrics of a run go; an address is announced before anything goes there."""
        target = self._target_of_run.get(run)
        if target is None:
            introduction = self._mirror.ledger.introductions.get((run.writer, run.run_id))
            target = self._target_of_run[run] = self._targets.choose(introduction.base_url if introduction else "")
            self._announce(target)
        return target

    def _announce(self, target: Target) -> None:
        if target in self._announced:
            return
        self._announced.append(target)
        address = redact_addresses(target.address)
        if target.is_users:
            self._report.good("target: %s (%s)" % (address, target.named_by))
        else:
            self._report.warning(
                "target: %s, an address that only the file names: it gets no token" % address,
                "if it is your Lens and asks for PRIMUS_LENS_API_TOKEN, add: --base-url " + shlex.quote(address),
            )
        sys.stdout.flush()

    def _announce_where_nothing_was_missing(self) -> None:
        if self._announced:
            return
        addresses = dict.fromkeys(who.base_url for who in self._mirror.ledger.introductions.values())
        for address in list(addresses)[:_MOST_ADDRESSES] or [""]:
            self._announce(self._targets.choose(address))

    def _send(self, requests: List[Request], progress: "_Progress") -> None:
        for request in requests:
            if self._gave_up:
                return
            target = self._target_of(request.run)
            patience_s = 0.0 if target in self._targets.given_up else PATIENCE_S
            answer = _post_patiently(self._targets.client(target), request, patience_s)
            if answer.delivered:
                self._targets.given_up.discard(target)
                self._note_delivery(request, progress)
            elif answer.failed_on_request and len(self._set_aside) < _MOST_SET_ASIDE:
                # It may be this request alone on which the server fails: those behind it come first.
                self._set_aside.append(request)
            else:
                self._gave_up = answer.retry
                if answer.retry:
                    self._targets.given_up.add(target)
                self._note_refusal(request, answer)

    def _send_what_was_set_aside(self, progress: "_Progress") -> None:
        for request in self._set_aside:
            answer = self._targets.client(self._target_of(request.run)).post(request.path, request.body)
            if answer.delivered:
                self._note_delivery(request, progress)
            else:
                self._note_refusal(request, answer)

    def _note_delivery(self, request: Request, progress: "_Progress") -> None:
        request.is_delivered = True
        if all(part.is_delivered for part in request.earlier_parts):
            try:
                self._ledger.note(self._mirror.path, request.run, request.sequences)
            except OSError as error:
                self._not_noted += request.metric_count
                self._why_not_noted = str(error)
        self._delivered += request.metric_count
        progress.advance(request.metric_count)

    def _note_refusal(self, request: Request, answer: Answer) -> None:
        self._refused += request.metric_count
        self._report.bad(
            "%d metrics of run %s: %s" % (request.metric_count, request.run.run_id, answer.reason),
            "look at %s, then run this again" % redact_addresses(self._target_of(request.run).address),
        )

    def _say_what_was_delivered(self) -> None:
        if self._without_identity:
            self._report.bad(
                "%d metrics: the mirror does not say whose they are" % self._without_identity,
                "name the workload with --workload-uid",
            )
        if self._batcher.rejected:
            self._report.warning("%d metrics cannot be stored by Lens and stay in the mirror" % self._batcher.rejected)
        if self._delivered:
            self._report.good("%d metrics delivered" % self._delivered)
        if self._not_noted:
            self._report.warning(
                "%d of them could not be noted as delivered: %s" % (self._not_noted, self._why_not_noted),
                "a later sync of this file sends them again, unless the folder of the file can be written now",
            )
        if not (self._delivered or self._refused or self._without_identity):
            self._report.good("nothing was missing")

    def _say_what_was_passed_over(self) -> None:
        if self._mirror.torn_lines:
            self._report.warning(
                "%d torn or unreadable line(s) skipped: a killed process or a full disk left them"
                % self._mirror.torn_lines
            )
        ledger = self._mirror.ledger
        if ledger.unreadable_lines:
            self._report.warning("%d unreadable line(s) of the file's .delivery skipped" % ledger.unreadable_lines)
        if ledger.malformed_addresses:
            self._report.warning(
                "%d line(s) of the file's .delivery name no valid address, the first %.100r; that counts as no address"
                % (len(ledger.malformed_addresses), redact_addresses(ledger.malformed_addresses[0]))
            )
        if self._mirror.left_to_the_job:
            self._report.warning(
                "the job still runs and delivers by itself: %d call(s) are left to it" % self._mirror.left_to_the_job,
                "run this again when the job has ended",
            )


def _post_patiently(client: LensClient, request: Request, patience_s: float) -> Answer:
    """Posts until the server takes or refuses the request, fails on it again and again, or is away for so long."""
    give_up = time.monotonic() + patience_s
    failures = hopeless = attempts = 0
    while True:
        answer = client.post(request.path, request.body)
        failures += answer.failed_on_request
        hopeless += answer.needs_a_person
        if failures == _MOST_FAILURES or hopeless == _MOST_FAILURES_WITHOUT_HOPE:
            return answer
        delay = backoff_s(attempts, answer, _LONGEST_BACKOFF_S)
        if not answer.retry or time.monotonic() + delay > give_up:
            return answer
        time.sleep(delay)
        attempts += 1


class _Progress:
    """A bar on the terminal; nothing elsewhere."""

    WIDTH = 40

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def advance(self, count: int) -> None:
        self._done += count
        if self._total:
            filled = self.WIDTH * self._done // self._total
            bar = "#" * filled + "." * (self.WIDTH - filled)
            print("\r  [%s] %d of %d metrics" % (bar, self._done, self._total), end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._total and self._done:
            print(file=sys.stderr)
