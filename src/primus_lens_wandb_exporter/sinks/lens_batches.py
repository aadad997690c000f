"""Gathers metrics by run and step and makes them into request bodies, by what the server's cost and rules ask for.

The server keeps one row per step: all metrics of a step go in one request, once. So a step is held back until a later
one of its run has begun, or until it has waited for the flush interval.
"""

import json
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Tuple

from .. import diagnostics
from ..records import MetricsRecord, Number, Run
from .request import Request

_encode = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode

METRICS_PATH = "/wandb/metrics"
# The server stores a step as int32; a larger one would come out as another step.
_LARGEST_STEP = 2**31 - 1
# Servers bound their requests: the local Lens takes 4 MB. 500 metrics with common names have 0.1 MB.
_MOST_BYTES = 10**6
# What a metric takes beside its name.
_METRIC_BYTES = 120
# However they are escaped, 500 names of this length stay far below what servers take.
_SHORT_NAME = 100


class _Step:
    """What was logged for one step of one run so far; a name logged again keeps its last value, as in wandb."""

    __slots__ = ("began", "metric_count", "sequences", "values")

    def __init__(self, began: float) -> None:
        self.values: Dict[str, Tuple[Number, float, str]] = {}
        self.metric_count = 0
        self.sequences: List[int] = []
        self.began = began


class StepBatcher:
    """Turns records into requests of whole steps, at most ``batch_size`` metrics and about 1 MB each.

    Runs are never mixed.
    """

    def __init__(self, batch_size: int, flush_interval_s: float) -> None:
        self._batch_size = batch_size
        self._flush_interval_s = flush_interval_s
        self._steps_by_run: "OrderedDict[Run, OrderedDict[int, _Step]]" = OrderedDict()
        self.rejected = 0
        self.pending_metrics = 0

    def add(self, record: MetricsRecord, now: float) -> None:
        step_number = record.step
        if step_number is None or not 0 <= step_number <= _LARGEST_STEP:
            self.rejected += len(record.metrics)
            diagnostics.warn_once(
                "step range",
                "step %s is not sent to Lens, which stores steps from 0 to %d; it stays in the file",
                step_number,
                _LARGEST_STEP,
            )
            return
        steps = self._steps_by_run.get(record.run)
        if steps is None:
            steps = self._steps_by_run[record.run] = OrderedDict()
        step = steps.get(step_number)
        if step is None:
            step = steps[step_number] = _Step(now)
        timestamp, kind = record.timestamp, record.kind
        for name, value in record.metrics.items():
            if not name or "\0" in name:
                self.rejected += 1
                diagnostics.warn_once(
                    "metric name", "metric %r is not sent to Lens, which cannot store such a name", name
                )
                continue
            if len(name) > _SHORT_NAME and _bytes_of(name) > _MOST_BYTES:
                self.rejected += 1
                diagnostics.warn_once(
                    "long metric name",
                    "metric %r… is not sent to Lens: its name has %d characters, more than a request may; "
                    "it stays in the file",
                    name[:_SHORT_NAME],
                    len(name),
                )
                continue
            step.values[name] = (value, timestamp, kind)
            step.metric_count += 1
            self.pending_metrics += 1
        step.sequences.append(record.sequence)

    def take_due(self, now: float, urgent: bool, full_only: bool = False) -> List[Request]:
        """Removes the steps that are due and returns them as requests, oldest first.

        Full requests are due as soon as their steps are over; all else when it has waited for the flush interval
        (unless ``full_only``, while earlier requests wait), or when it is ``urgent``.
        """
        requests: List[Request] = []
        for run in list(self._steps_by_run):
            steps = self._steps_by_run[run]
            latest = next(reversed(steps))
            waited = now - next(iter(steps.values())).began
            waited_enough = urgent or (waited >= self._flush_interval_s and not full_only)
            over = [number for number in steps if number != latest]
            if waited_enough and (urgent or now - steps[latest].began >= self._flush_interval_s):
                over.append(latest)
            if not waited_enough and sum(len(steps[number].values) for number in over) < self._batch_size:
                continue
            requests.extend(self._make_requests(run, [(number, steps.pop(number)) for number in over]))
            if not steps:
                del self._steps_by_run[run]
        self.pending_metrics -= sum(request.metric_count for request in requests)
        return requests

    def seconds_until_due(self, now: float) -> Optional[float]:
        """When `take_due` has something next; None when nothing is held back."""
        began = [next(iter(steps.values())).began for steps in self._steps_by_run.values()]
        return max(0.01, min(began) + self._flush_interval_s - now) if began else None

    def _make_requests(self, run: Run, steps: "List[Tuple[int, _Step]]") -> List[Request]:
        requests: List[Request] = []
        metrics: List[Dict[str, Any]] = []
        size = 0
        metric_count = 0
        sequences: List[int] = []

        def close() -> None:
            nonlocal metrics, size, metric_count, sequences
            if metrics:
                requests.append(Request(METRICS_PATH, encode_body(run, metrics), metric_count, run, sequences))
            metrics, size, metric_count, sequences = [], 0, 0, []

        for number, step in steps:
            step_size = sum(map(_bytes_of, step.values))
            if metrics and (len(metrics) + len(step.values) > self._batch_size or size + step_size > _MOST_BYTES):
                close()
            first_part = len(requests)
            # Values logged twice are counted with the first part of their step.
            metric_count += step.metric_count - len(step.values)
            for name, (value, timestamp, kind) in step.values.items():
                name_size = _bytes_of(name)
                if len(metrics) == self._batch_size or (metrics and size + name_size > _MOST_BYTES):
                    close()
                size += name_size
                tags = {"kind": kind} if kind else {}
                metrics.append({"name": name, "value": value, "step": number, "timestamp": timestamp, "tags": tags})
                metric_count += 1
            # A step in several requests is acknowledged with its last one.
            sequences.extend(step.sequences)
            if len(requests) > first_part:
                earlier = tuple(requests[first_part:])
                close()
                requests[-1].earlier_parts = earlier
        close()
        return requests


def _bytes_of(name: str) -> int:
    """About what a metric takes in a body; long names exactly, as JSON escapes a character in up to 12 bytes."""
    length = len(name)
    return _METRIC_BYTES + (length if length <= _SHORT_NAME else len(json.dumps(name)))


def encode_body(run: Run, metrics: List[Dict[str, Any]]) -> bytes:
    """The body of ``POST /wandb/metrics``: the ids of the run and its metrics."""
    identity = run.identity
    body = {
        "source": "wandb",
        "workload_uid": identity.workload_uid,
        "pod_uid": identity.pod_uid,
        "pod_name": identity.pod_name,
        "run_id": run.run_id,
        "metrics": metrics,
        "timestamp": metrics[-1]["timestamp"],
    }
    return _encode(body).encode("ascii")
