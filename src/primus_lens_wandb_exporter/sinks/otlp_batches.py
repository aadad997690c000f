"""Gathers log calls by run and makes them into OTLP requests. Every call is points of its own, at its own time."""

from collections import OrderedDict, deque
from itertools import islice
from types import ModuleType
from typing import Deque, Dict, Iterator, List, Optional

from .. import diagnostics, fork_safety
from ..records import MetricsRecord, Number, Run
from .otlp_attributes import Attributes, resource_attributes
from .otlp_settings import OtlpSettings
from .request import Request

# A request of this size, about a thousand points, is encoded in 1 ms: the interpreter lets training run that soon.
_FULL_BYTES = 80_000
# Servers bound their requests at some megabytes.
_MOST_BYTES = 10**6
_LONGEST_NAME = 10_000
_POINT_BYTES = 40
# The last second that nanoseconds since 1970 have room for in 63 bits, in the year 2262.
_END_OF_TIME_S = 2**63 // 10**9


class EncodingError(Exception):
    """OpenTelemetry's messages cannot be made here; says what to do."""


def load_encoding() -> ModuleType:
    """Imports what makes messages; raises EncodingError."""
    try:
        with fork_safety.importing():
            from . import otlp_encoding

            return otlp_encoding
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("opentelemetry", "google"):
            raise EncodingError("this installation is damaged (%s): install it anew" % error) from None
        raise EncodingError(
            'opentelemetry-proto is not installed: pip install "primus-lens-wandb-exporter[otlp]"'
        ) from None
    except Exception as error:  # each version of protobuf has its own for messages that are not of its time
        raise EncodingError(
            "opentelemetry-proto and protobuf do not fit together (%s: %s): pip install --upgrade opentelemetry-proto "
            "protobuf, as far as wandb allows" % (type(error).__name__, str(error).strip().partition("\n")[0])
        ) from None


class _Gathered:
    """Calls of one run that wait for their request."""

    __slots__ = ("began", "records", "size")

    def __init__(self, began: float) -> None:
        self.records: Deque[MetricsRecord] = deque()
        self.size = 0
        self.began = began


class OtlpBatcher:
    """Turns records into requests of whole calls. ``metrics`` of what it gets are all numbers of the call.

    Where messages cannot be made it counts what it gets as rejected, and holds nothing.
    """

    def __init__(self, settings: OtlpSettings, flush_interval_s: float) -> None:
        self._settings = settings
        self._flush_interval_s = flush_interval_s
        self._gathered: "OrderedDict[Run, _Gathered]" = OrderedDict()
        self._encoding: Optional[ModuleType] = None
        self.is_broken = False
        self.rejected = 0
        self.pending_metrics = 0

    def load(self) -> Optional[ModuleType]:
        """What makes messages; None, said once, where that cannot be imported."""
        if self._encoding is None and not self.is_broken:
            try:
                self._encoding = load_encoding()
            except EncodingError as error:
                self.is_broken = True
                if self._settings.is_own:
                    diagnostics.warn_once("otlp encoding", "nothing is sent to OpenTelemetry: %s", error)
                else:
                    diagnostics.debug("nothing is sent to OpenTelemetry: %s", error)
        return self._encoding

    def resource(self, run: Run) -> Attributes:
        return resource_attributes(run, self._settings)

    def add(self, record: MetricsRecord, now: float) -> None:
        if self.load() is None:
            self.rejected += len(record.metrics)
            return
        if record.step is None or not 0 <= record.timestamp < _END_OF_TIME_S:
            self._reject("time", len(record.metrics), "a call at the time %r has no place there", record.timestamp)
            return
        names = record.metrics
        if "" in names or max(map(len, names), default=0) > _LONGEST_NAME:
            metrics = {name: value for name, value in names.items() if 0 < len(name) <= _LONGEST_NAME}
            left_out = len(names) - len(metrics)
            self._reject("name", left_out, "metrics have names of 1 to %d characters there", _LONGEST_NAME)
            record = record._replace(metrics=metrics)
        gathered = self._gathered.get(record.run)
        if gathered is None:
            gathered = self._gathered[record.run] = _Gathered(now)
        gathered.records.append(record)
        gathered.size += _size(record)
        self.pending_metrics += len(record.metrics)

    def _reject(self, kind: str, count: int, message: str, *args: object) -> None:
        self.rejected += count
        diagnostics.warn_once(
            ("otlp", kind), "not everything is sent to OpenTelemetry: " + message + "; it stays in the file", *args
        )

    def take_due(self, now: float, urgent: bool, full_only: bool = False) -> List[Request]:
        requests: List[Request] = []
        for run in list(self._gathered):
            gathered = self._gathered[run]
            waited_enough = not full_only and now - gathered.began >= self._flush_interval_s
            while gathered.records and (urgent or waited_enough or gathered.size >= _FULL_BYTES):
                count = _cut(gathered.records, urgent, waited_enough)
                if not count:
                    break
                records = [gathered.records.popleft() for _ in range(count)]
                gathered.size -= sum(map(_size, records))
                gathered.began = now
                # What is left of it began later.
                waited_enough = False
                requests.extend(self._make_requests(run, records))
            if not gathered.records:
                del self._gathered[run]
        self.pending_metrics -= sum(request.metric_count for request in requests)
        return requests

    def seconds_until_due(self, now: float) -> Optional[float]:
        began = [gathered.began for gathered in self._gathered.values()]
        return max(0.01, min(began) + self._flush_interval_s - now) if began else None

    def _make_requests(self, run: Run, records: List[MetricsRecord]) -> List[Request]:
        if len(records) == 1 and _size(records[0]) > _MOST_BYTES:
            return self._split(run, records[0])
        return [self._make_request(run, records)]

    def _split(self, run: Run, record: MetricsRecord) -> List[Request]:
        """One call that is too large for a request; it is acknowledged with the last of its parts."""
        requests = [self._make_request(run, [record._replace(metrics=part)]) for part in _parts(record.metrics)]
        for request in requests[:-1]:
            request.sequences = []
        requests[-1].earlier_parts = tuple(requests[:-1])
        return requests

    def _make_request(self, run: Run, records: List[MetricsRecord]) -> Request:
        encoding = self.load()
        assert encoding is not None
        body = encoding.encode_records(self.resource(run), records, self._settings.has_step_attribute)
        metric_count = sum(len(record.metrics) for record in records)
        return Request("", body, metric_count, run, [record.sequence for record in records])


def _size(record: MetricsRecord) -> int:
    """About how many bytes the call takes in a request."""
    metrics = record.metrics
    return _POINT_BYTES * (len(metrics) + 1) + sum(map(len, metrics))


def _cut(records: Deque[MetricsRecord], everything: bool, waited_enough: bool) -> int:
    """How many calls the next request takes, 0 for none yet.

    Prometheus has one value for a name and a millisecond, and refuses a whole request for a point in a millisecond
    that an earlier request had: so a request ends where a millisecond does, if it is not too large by then.
    """
    size = 0
    end_of_millisecond = 0
    previous = -1
    for index, record in enumerate(records):
        millisecond = int(record.timestamp * 1000)
        if millisecond != previous:
            end_of_millisecond, previous = index, millisecond
            if size >= _FULL_BYTES:
                return index
        size += _size(record)
        if index and size > _MOST_BYTES:
            return end_of_millisecond or index
    if everything:
        return len(records)
    return (end_of_millisecond or len(records)) if waited_enough else 0


def _parts(metrics: Dict[str, Number]) -> Iterator[Dict[str, Number]]:
    items = iter(metrics.items())
    # Of the longest names as many as a request has room for.
    step = _MOST_BYTES // (_POINT_BYTES + _LONGEST_NAME)
    while True:
        part = dict(islice(items, step))
        if not part:
            return
        yield part
