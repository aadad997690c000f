"""``primus-lens-wandb sync``: delivers from the mirror what Lens has not acknowledged."""

import argparse
import fcntl
import os
import sys
import time
from typing import Any, Dict, List

from .. import settings
from ..records import MetricsRecord, Run
from ..sinks.delivery_ledger import DeliveryLedger
from ..sinks.lens_api import backoff_s
from ..sinks.lens_batches import Request, StepBatcher
from ..sinks.lens_client import Answer, LensClient
from .mirror import Mirror, find_mirrors
from .report import Report, redact_addresses

# How long a server may refuse or be away before the command gives up.
PATIENCE_S = 60.0
_LONGEST_BACKOFF_S = 10.0
# How often the server may fail on one request before it is set aside, and how many may be.
_MOST_FAILURES = 4
# How often it may be asked where only a person can help: a wrong address, a certificate that is not trusted.
_MOST_FAILURES_WITHOUT_HOPE = 2
_MOST_SET_ASIDE = 20


def describe(commands: Any) -> None:
    parser = commands.add_parser(
        "sync",
        help="deliver to Lens what a job could not: after an outage, a crash, or from another machine",
        description="Delivers from the JSONL mirror every metric that Lens has not acknowledged, to the right run and "
        "step. Running it twice sends nothing twice. It is safe while the job still runs.",
        epilog="Exit status: 0 Lens has everything, 1 something could not be delivered, 2 wrong usage.",
    )
    parser.add_argument("path", help="a wandb_metrics.jsonl, or a directory: every mirror below it")
    parser.add_argument("--dry-run", action="store_true", help="tell what is missing, send nothing")
    parser.add_argument(
        "--base-url",
        type=_base_url,
        help="where Lens is; else PRIMUS_LENS_API_BASE_URL, else the address that the job had",
    )
    parser.add_argument("--workload-uid", help="the workload to deliver to; else the one that the job had")
    parser.set_defaults(run=run)


def _base_url(text: str) -> str:
    try:
        return settings.parse_base_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("%r %s" % (text, error)) from None


def run(options: argparse.Namespace) -> int:
    report = Report()
    mirrors = find_mirrors(options.path)
    if not mirrors:
        report.bad(
            "there is no mirror at %s" % options.path,
            "give a wandb_metrics.jsonl, or the directory in PRIMUS_LENS_WANDB_OUTPUT_PATH",
        )
        return 1
    for path in mirrors:
        _sync_mirror(report, path, options)
    return 1 if report.failures else 0


def _sync_mirror(report: Report, path: str, options: argparse.Namespace) -> None:
    report.title(path)
    try:
        with open(path, "rb") as locked:
            try:
                # Jobs take no lock on the mirror itself: this one keeps two syncs apart.
                fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report.bad("another sync is at work on this file", "wait for it to end")
                return
            except OSError:
                report.warning("this file system has no locks: nothing keeps a second sync from working on this file")
            _Delivery(report, Mirror(path), options).deliver()
    except OSError as error:
        report.bad("%s" % error, "make the file readable, and its directory writable")


class _Delivery:
    """Sends what one mirror lacks."""

    def __init__(self, report: Report, mirror: Mirror, options: argparse.Namespace) -> None:
        self._report = report
        self._mirror = mirror
        self._options = options
        self._batcher = StepBatcher(settings.DEFAULT_BATCH_SIZE, settings.DEFAULT_FLUSH_INTERVAL_S)
        self._ledger = DeliveryLedger("")
        self._clients: Dict[str, LensClient] = {}
        self._delivered = 0
        self._refused = 0
        self._without_identity = 0
        self._set_aside: List[Request] = []
        self._gave_up = False

    def deliver(self) -> None:
        total = self._count() if self._options.dry_run or sys.stderr.isatty() else 0
        if self._options.dry_run:
            self._report.good("%d metrics are missing in Lens; nothing was sent (--dry-run)" % total)
            self._say_what_was_passed_over()
            return
        progress = _Progress(total)
        for record in self._mirror.missing():
            if self._gave_up:
                break
            self._add(record)
            if self._batcher.pending_metrics >= settings.DEFAULT_BATCH_SIZE:
                self._send(self._batcher.take_due(0.0, urgent=False), progress)
        self._send(self._batcher.take_due(0.0, urgent=True), progress)
        self._send_what_was_set_aside(progress)
        progress.end()
        self._say_what_was_delivered()
        self._say_what_was_passed_over()

    def _count(self) -> int:
        count = sum(len(record.metrics) for record in self._mirror.missing())
        self._mirror.torn_lines = self._mirror.left_to_the_job = 0
        return count

    def _add(self, record: MetricsRecord) -> None:
        run = record.run
        if self._options.workload_uid:
            run = run._replace(identity=run.identity._replace(workload_uid=self._options.workload_uid))
        if not run.identity.is_known:
            self._without_identity += len(record.metrics)
            return
        self._batcher.add(record._replace(run=run), 0.0)

    def _send(self, requests: List[Request], progress: "_Progress") -> None:
        for request in requests:
            if self._gave_up:
                return
            answer = _post_patiently(self._client_of(request.run), request)
            if answer.delivered:
                self._note_delivery(request, progress)
            elif answer.failed_on_request and len(self._set_aside) < _MOST_SET_ASIDE:
                # It may be this request alone on which the server fails: those behind it come first.
                self._set_aside.append(request)
            else:
                self._gave_up = answer.retry
                self._note_refusal(request, answer)

    def _send_what_was_set_aside(self, progress: "_Progress") -> None:
        for request in self._set_aside:
            answer = self._client_of(request.run).post(request.path, request.body)
            if answer.delivered:
                self._note_delivery(request, progress)
            else:
                self._note_refusal(request, answer)

    def _note_delivery(self, request: Request, progress: "_Progress") -> None:
        request.is_delivered = True
        if all(part.is_delivered for part in request.earlier_parts):
            self._ledger.acknowledge(self._mirror.path, request.run, request.sequences)
        self._delivered += request.metric_count
        progress.advance(request.metric_count)

    def _note_refusal(self, request: Request, answer: Answer) -> None:
        self._refused += request.metric_count
        self._report.bad(
            "%d metrics of run %s: %s" % (request.metric_count, request.run.run_id, answer.reason),
            "look at %s, then run this again" % redact_addresses(self._client_of(request.run).base_url),
        )

    def _client_of(self, run: Run) -> LensClient:
        introduction = self._mirror.ledger.introductions.get((run.writer, run.run_id))
        base_url = (
            self._options.base_url
            or (settings.read_settings().base_url if os.environ.get("PRIMUS_LENS_API_BASE_URL") else "")
            or (introduction.base_url if introduction else "")
            or settings.DEFAULT_BASE_URL
        )
        if base_url not in self._clients:
            self._clients[base_url] = LensClient(base_url, settings.read_settings().api_token)
        return self._clients[base_url]

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
        elif not (self._refused or self._without_identity):
            self._report.good("nothing was missing")

    def _say_what_was_passed_over(self) -> None:
        if self._mirror.torn_lines:
            self._report.warning(
                "%d torn line(s) skipped: a killed process or a full disk left them" % self._mirror.torn_lines
            )
        if self._mirror.left_to_the_job:
            self._report.warning(
                "the job still runs and delivers by itself: %d call(s) are left to it" % self._mirror.left_to_the_job,
                "run this again when the job has ended",
            )


def _post_patiently(client: LensClient, request: Request) -> Answer:
    """Posts until the server takes or refuses the request, fails on it again and again, or is away for `PATIENCE_S`."""
    give_up = time.monotonic() + PATIENCE_S
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
