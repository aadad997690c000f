"""Delivers what one file holds and a destination lacks, and says what came of it."""

import shlex
import sys
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Set

from .. import settings
from ..records import SUMMARY, MetricsRecord, Run
from ..sinks.answers import Answer, backoff_s
from ..sinks.delivery_ledger import DeliveryLedger
from ..sinks.lens_address import KNOWN_ADDRESSES
from ..sinks.request import Request
from ..sinks.sending import Client
from .destination import Target, Targets
from .progress import Progress
from .report import Report, redact_addresses
from .source import DETECTION_SEQUENCE, Source

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
_MOST_RUNS = 50


class Session(NamedTuple):
    """What all deliveries of one command share. ``patience_s`` is how long a server may refuse or be away before a
    file gives up; without any, a server that was away for one file is not asked for the next."""

    report: Report
    targets: Targets
    workload_uid: Optional[str] = None
    is_dry_run: bool = False
    patience_s: Optional[float] = None
    # How long one request may take; None is as long as a job would wait.
    request_limit_s: Optional[float] = None
    # Whether somebody has asked the command to end: then nothing more is sent.
    is_ending: Callable[[], bool] = lambda: False


class _Count:
    """What one run lacks, or what of it was delivered."""

    __slots__ = ("metrics", "rows", "summary")

    def __init__(self) -> None:
        self.metrics = self.rows = self.summary = 0

    def add(self, record: MetricsRecord) -> None:
        self.metrics += len(record.metrics)
        if record.kind == SUMMARY:
            self.summary += len(record.metrics)
        else:
            self.rows += 1

    def __str__(self) -> str:
        summary = ", %d of them its summary" % self.summary if self.summary else ""
        return "%s metrics of %s rows%s" % (format(self.metrics, ","), format(self.rows, ","), summary)


class Delivery:
    """Sends what one file holds and the destination of the session lacks."""

    def __init__(self, session: Session, source: Source, ledger: DeliveryLedger) -> None:
        self._session = session
        self._report = session.report
        self._source = source
        self._ledger = ledger
        self._targets = session.targets
        self._destination = session.targets.destination
        self._batcher = self._targets.make_batcher()
        # Looking at the batches costs time for each run: worth it when another request may be full.
        self._look_at = settings.DEFAULT_BATCH_SIZE
        self._target_of_run: Dict[Run, Target] = {}
        self._announced: List[Target] = []
        self._counts: Dict[str, _Count] = {}
        self._delivered_of_run: Dict[str, int] = {}
        self._delivered = 0
        self._delivered_to: Set[str] = set()
        self._refused = 0
        self._without_identity = 0
        self._not_noted = 0
        self._why_not_noted = ""
        self._set_aside: List[Request] = []
        self.gave_up = False

    def count(self) -> None:
        """Tells what is missing, and sends nothing."""
        for record in self._source.missing():
            self._target_of(record.run)
            self._count(record)
        self._source.announce(self._report, self._session.workload_uid)
        self._announce_where_nothing_was_missing()
        total = sum(count.metrics for count in self._counts.values())
        self._report.good(
            "%d metrics are missing in %s; nothing was sent (--dry-run)" % (total, self._destination.title)
        )
        self._say_counts()
        self._say_what_was_passed_over()

    def deliver(self) -> None:
        progress = Progress(self._source)
        run: Optional[Run] = None
        for record in self._source.missing():
            if self.gave_up:
                break
            if run is None:
                self._source.announce(self._report, self._session.workload_uid)
            run = self._add(record)
            if self._batcher.pending_metrics >= self._look_at:
                self._send(self._batcher.take_due(0.0, urgent=False))
                self._look_at = self._batcher.pending_metrics + settings.DEFAULT_BATCH_SIZE
                progress.show(self._delivered)
        self._send(self._batcher.take_due(0.0, urgent=True))
        self._send_what_was_set_aside()
        progress.end(self._delivered)
        self._tell_of_run()
        self._announce_where_nothing_was_missing()
        self._say_what_was_delivered()
        self._say_what_was_passed_over()

    def _count(self, record: MetricsRecord) -> None:
        self._counts.setdefault(record.run.run_id, _Count()).add(record)

    def _add(self, record: MetricsRecord) -> Run:
        run = self._with_workload(record.run)
        if self._destination.needs_workload and not run.identity.is_known:
            self._without_identity += len(record.metrics)
            return run
        self._target_of(run)
        self._count(record)
        self._batcher.add(record._replace(run=run), 0.0)
        return run

    def _with_workload(self, run: Run) -> Run:
        if not self._session.workload_uid:
            return run
        return run._replace(identity=run.identity._replace(workload_uid=self._session.workload_uid))

    def _tell_of_run(self) -> None:
        """Also of a run that has no metrics."""
        if self.gave_up:
            return
        run = self._source.untold_run()
        if run is None:
            return
        run = self._with_workload(run)
        longest = self._destination.longest_workload_uid
        if len(run.identity.workload_uid) > longest:
            self._report.note(
                "what framework the run uses is not told: the workload's uid has %d characters, and %s stores at "
                "most %d with a framework" % (len(run.identity.workload_uid), self._destination.title, longest)
            )
            return
        path, body = self._targets.encode_detection(run, self._source.detection(run))
        self._target_of(run)
        self._send([Request(path, body, 0, run, [DETECTION_SEQUENCE])])

    def _target_of(self, run: Run) -> Target:
        """Where the metrics of a run go; an address is announced before anything goes there."""
        target = self._target_of_run.get(run)
        if target is None:
            target = self._target_of_run[run] = self._targets.choose(self._source.address_of(run))
            self._announce(target)
        return target

    def _announce(self, target: Target) -> None:
        if target in self._announced:
            return
        self._announced.append(target)
        address = redact_addresses(target.address)
        if not address:
            known = ", ".join(KNOWN_ADDRESSES)
            self._report.good("target: the first of these where a Lens answers, as none is set: " + known)
        elif target.is_users:
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
        addresses = dict.fromkeys(self._source.addresses())
        for address in list(addresses)[:_MOST_ADDRESSES] or [""]:
            self._announce(self._targets.choose(address))

    def _send(self, requests: List[Request]) -> None:
        for request in requests:
            if self.gave_up or self._session.is_ending():
                self.gave_up = True
                return
            target = self._target_of(request.run)
            patience_s = PATIENCE_S if self._session.patience_s is None else self._session.patience_s
            if target in self._targets.given_up:
                if not patience_s:
                    self.gave_up = True
                    return
                patience_s = 0.0
            answer = _post_patiently(self._targets.client(target), request, patience_s, self._session.request_limit_s)
            if answer.delivered:
                self._targets.given_up.discard(target)
                self._note_delivery(request, answer)
            elif answer.failed_on_request and len(self._set_aside) < _MOST_SET_ASIDE:
                # It may be this request alone on which the server fails: those behind it come first.
                self._set_aside.append(request)
            else:
                self.gave_up = answer.retry
                if answer.retry:
                    self._targets.given_up.add(target)
                self._note_refusal(request, answer)

    def _send_what_was_set_aside(self) -> None:
        for request in self._set_aside:
            if self._session.is_ending():
                self.gave_up = True
                return
            client = self._targets.client(self._target_of(request.run))
            answer = client.post(request.path, request.body, self._session.request_limit_s)
            if answer.delivered:
                self._note_delivery(request, answer)
            else:
                self._note_refusal(request, answer)

    def _note_delivery(self, request: Request, answer: Answer) -> None:
        rejected = min(answer.rejected, request.metric_count)
        # What is stored half can be delivered again.
        request.is_delivered = not rejected
        if rejected:
            self._note_refusal(request, answer, rejected)
        elif all(part.is_delivered for part in request.earlier_parts):
            try:
                self._source.note(self._ledger, request)
            except OSError as error:
                self._not_noted += request.metric_count
                self._why_not_noted = str(error)
        run_id, count = request.run.run_id, request.metric_count - rejected
        self._delivered_of_run[run_id] = self._delivered_of_run.get(run_id, 0) + count
        self._delivered += count
        self._delivered_to.add(self._server(request.run))

    def _server(self, run: Run) -> str:
        return "%s at %s" % (self._destination.title, self._targets.client(self._target_of(run)).address)

    def _note_refusal(self, request: Request, answer: Answer, metric_count: Optional[int] = None) -> None:
        count = request.metric_count if metric_count is None else metric_count
        self._refused += count
        what = "%d metrics" % count if count else "what is known"
        address = self._targets.client(self._target_of(request.run)).address
        self._report.refused(
            self._server(request.run),
            "%s of run %s: %s" % (what, request.run.run_id, answer.reason),
            "look at %s, then run this again" % address,
            is_away=answer.retry,
        )

    def _say_what_was_delivered(self) -> None:
        if self._without_identity:
            self._report.bad(
                "%d metrics: the mirror does not say whose they are" % self._without_identity,
                "name the workload with --workload-uid",
            )
        if self._batcher.rejected:
            self._report.warning(
                "%d metrics cannot be stored by %s and stay in the file"
                % (self._batcher.rejected, self._destination.title)
            )
        if self._delivered_to:
            self._report.answered(self._delivered_to)
        if self._delivered:
            self._report.event("%d metrics delivered to %s" % (self._delivered, self._destination.title))
            self._say_counts()
        if self._not_noted:
            self._report.warning(
                "%d of them could not be noted as delivered: %s" % (self._not_noted, self._why_not_noted),
                "a later sync of this file sends them again, unless the folder of the file can be written now",
            )
        if not (self._delivered or self._refused or self._without_identity or self.gave_up):
            self._report.good("nothing was missing")

    def _say_counts(self) -> None:
        for run_id, count in list(self._counts.items())[:_MOST_RUNS]:
            delivered = self._delivered_of_run.get(run_id, 0)
            is_part = not self._session.is_dry_run and delivered < count.metrics
            self._report.note("run %s: %s%s" % (run_id, "%d of " % delivered if is_part else "", count))
        if len(self._counts) > _MOST_RUNS:
            self._report.note("and %d more runs" % (len(self._counts) - _MOST_RUNS))

    def _say_what_was_passed_over(self) -> None:
        self._source.say_passed_over(self._report)
        ledger = self._source.ledger
        if ledger.unreadable_lines:
            self._report.warning("%d unreadable line(s) of the file's .delivery skipped" % ledger.unreadable_lines)
        if ledger.malformed_addresses:
            self._report.warning(
                "%d line(s) of the file's .delivery name no valid address, the first %.100r; that counts as no address"
                % (len(ledger.malformed_addresses), redact_addresses(ledger.malformed_addresses[0]))
            )


def _post_patiently(client: Client, request: Request, patience_s: float, request_limit_s: Optional[float]) -> Answer:
    """Posts until the server takes or refuses the request, fails on it again and again, or is away for so long."""
    give_up = time.monotonic() + patience_s
    failures = hopeless = attempts = 0
    while True:
        answer = client.post(request.path, request.body, request_limit_s)
        failures += answer.failed_on_request
        hopeless += answer.needs_a_person
        if failures == _MOST_FAILURES or hopeless == _MOST_FAILURES_WITHOUT_HOPE:
            return answer
        delay = backoff_s(attempts, answer, _LONGEST_BACKOFF_S)
        if not answer.retry or time.monotonic() + delay > give_up:
            return answer
        time.sleep(delay)
        attempts += 1
