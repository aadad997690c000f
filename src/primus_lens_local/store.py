"""Writes: requests of the contract become rows, many requests in one transaction.

Metrics become rows in `steps`; reading is in `queries`, gathering requests into one transaction in `writer`.
"""

from __future__ import annotations

from typing import Any, Iterable, Optional, Sequence, Union

from sqlalchemy import Engine, insert

from primus_lens_local import limits
from primus_lens_local.admission import Admission
from primus_lens_local.contract import DetectionRequest, LogsRequest, MetricsRequest
from primus_lens_local.database import for_writing
from primus_lens_local.detections import chosen_frameworks
from primus_lens_local.steps import milliseconds, write_steps
from primus_lens_local.tables import MAX_ID_LENGTH, FrameworkDetection, WandbLog

StoredRequest = Union[MetricsRequest, DetectionRequest, LogsRequest]
Row = dict[str, Any]


# Of the framework that the cluster's database notes for a workload, and of that workload.
_MAX_FRAMEWORK_LENGTH = 100
_MAX_DETECTED_WORKLOAD_LENGTH = 128


class UnstorableError(Exception):
    """The cluster's database refuses this request: the server answers 500."""


class LimitError(Exception):
    """A request, or some of it, is beyond a limit and not stored; the message says which, and what to do next."""


def check_storable(request: StoredRequest) -> None:
    """Raise UnstorableError for what Postgres refuses: too long an id or framework, or U+0000 anywhere.

    Raise LimitError for a request that would keep all others waiting.
    """
    entries = request.metrics if isinstance(request, MetricsRequest) else getattr(request, "logs", ())
    if len(entries) > limits.MAX_ENTRIES:
        raise LimitError(limits.TOO_MANY_ENTRIES)
    sender = request.sender
    ids = [sender.source, sender.workload_uid, sender.pod_uid, sender.pod_name, sender.run_id]
    if isinstance(request, MetricsRequest):
        texts: Iterable[Any] = (metric.name for metric in request.metrics)
    elif isinstance(request, LogsRequest):
        texts = (entry.data for entry in request.logs)
    else:
        ids.append(request.namespace)
        texts = (request.type, request.version, request.evidence, request.hints)
        _check_framework(request)
    if any(len(text) > MAX_ID_LENGTH for text in ids):
        raise UnstorableError(f"an id is longer than {MAX_ID_LENGTH} characters")
    if _holds_nul(ids) or any(_holds_nul(text) for text in texts):
        raise UnstorableError("a text holds U+0000")


def _check_framework(request: DetectionRequest) -> None:
    """The cluster's database is asked only where a framework was detected."""
    chosen = chosen_frameworks(request.evidence)
    framework = chosen["wrapper_framework"] or chosen["base_framework"]
    if framework is None:
        return
    if len(framework) > _MAX_FRAMEWORK_LENGTH:
        raise UnstorableError(f"a framework's name is longer than {_MAX_FRAMEWORK_LENGTH} characters")
    if len(request.sender.workload) > _MAX_DETECTED_WORKLOAD_LENGTH:
        raise UnstorableError(f"the workload of a framework is longer than {_MAX_DETECTED_WORKLOAD_LENGTH} characters")


def write(
    engine: Engine, requests: Sequence[StoredRequest], admission: Optional[Admission] = None
) -> list[Optional[LimitError]]:
    """Store all requests in one transaction. On return they are committed; an exception means none is.

    Returns, for each request, why it is not stored, or not all of it.
    """
    admission = admission or Admission()
    metrics: list[MetricsRequest] = []
    detections: list[Row] = []
    logs: list[Row] = []
    refusals: list[Optional[LimitError]] = []
    try:
        with for_writing(engine).begin() as connection:
            for request in requests:
                refusal: Optional[str] = None
                if isinstance(request, MetricsRequest):
                    admitted, refusal = admission.metrics(connection, request)
                    metrics += [admitted] if admitted else []
                elif isinstance(request, DetectionRequest):
                    refusal = admission.detection(connection, request)
                    detections += [] if refusal else [_detection_row(request)]
                else:
                    logs += _log_rows(request)
                refusals.append(LimitError(refusal) if refusal else None)
            write_steps(connection, metrics)
            if detections:
                connection.execute(insert(FrameworkDetection), detections)
            if logs:
                connection.execute(insert(WandbLog), logs)
    except BaseException:
        admission.forget()
        raise
    admission.committed()
    return refusals


def _detection_row(request: DetectionRequest) -> Row:
    return {
        "workload_uid": request.sender.workload,
        "pod_uuid": request.sender.pod,
        "pod_name": request.sender.pod_name,
        "namespace": request.namespace,
        "data_source": request.sender.source,
        "type": request.type,
        "version": request.version,
        "evidence": request.evidence,
        "hints": request.hints,
        "time_ms": milliseconds(request.timestamp),
    }


def _log_rows(request: LogsRequest) -> list[Row]:
    sender = request.sender
    return [
        {
            "workload_uid": sender.workload,
            "run_id": sender.run_id,
            "pod_uuid": sender.pod,
            "data_source": sender.source,
            "step": entry.step,
            "time_ms": milliseconds(entry.timestamp),
            "data": entry.data,
        }
        for entry in request.logs
    ]


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_nul(item) for item in value)
    return False
