"""Writes: requests of the contract become rows, many requests in one transaction.

Reading is in `queries`, gathering requests into one transaction in `writer`.
"""

from __future__ import annotations

from typing import Any, Iterable, Sequence, Union

from sqlalchemy import Engine, func, insert
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from primus_lens_local.contract import DetectionRequest, LogsRequest, MetricsRequest, Sender
from primus_lens_local.decoding import INT64_MAX, INT64_MIN
from primus_lens_local.tables import MAX_ID_LENGTH, FrameworkDetection, TrainingPerformance, WandbLog, utc_now

StoredRequest = Union[MetricsRequest, DetectionRequest, LogsRequest]
Row = dict[str, Any]

RESERVED_NAMES = frozenset({"step", "run_id", "source", "history", "created_at", "updated_at", "iteration"})
"""Metadata on the server: a metric with such a name is hidden, here it is not stored at all."""


class UnstorableError(Exception):
    """The cluster's database refuses this request: the server answers 500."""


def check_storable(request: StoredRequest) -> None:
    """Raise UnstorableError for what Postgres refuses: an id over 256 characters, or U+0000 anywhere."""
    sender = request.sender
    ids = [sender.source, sender.workload_uid, sender.pod_uid, sender.pod_name, sender.run_id]
    if isinstance(request, MetricsRequest):
        texts: Iterable[Any] = (metric.name for metric in request.metrics)
    elif isinstance(request, LogsRequest):
        texts = (entry.data for entry in request.logs)
    else:
        ids.append(request.namespace)
        texts = (request.type, request.version, request.evidence, request.hints)
    if any(len(text) > MAX_ID_LENGTH for text in ids):
        raise UnstorableError(f"an id is longer than {MAX_ID_LENGTH} characters")
    if _holds_nul(ids) or any(_holds_nul(text) for text in texts):
        raise UnstorableError("a text holds U+0000")


def write(engine: Engine, requests: Sequence[StoredRequest]) -> None:
    """Store all requests in one transaction. On return they are committed; an exception means none is."""
    steps = _step_rows(request for request in requests if isinstance(request, MetricsRequest))
    detections = [_detection_row(request) for request in requests if isinstance(request, DetectionRequest)]
    logs = [row for request in requests if isinstance(request, LogsRequest) for row in _log_rows(request)]
    with engine.begin() as connection:
        if steps:
            connection.execute(_STEP_UPSERT, steps)
        if detections:
            connection.execute(insert(FrameworkDetection), detections)
        if logs:
            connection.execute(insert(WandbLog), logs)


def int32(step: int) -> int:
    """Wrap as the server's `iteration` column does."""
    return (step + 2**31) % 2**32 - 2**31


def milliseconds(timestamp: float) -> int:
    """Turn seconds since 1970 into whole milliseconds, held within int64."""
    return round(max(INT64_MIN, min(timestamp * 1000, INT64_MAX)))


def _step_upsert() -> Insert:
    """Insert a step, or merge it into the stored one: new values win, other metrics stay."""
    statement = sqlite_insert(TrainingPerformance)
    new, stored = statement.excluded, TrainingPerformance
    return statement.on_conflict_do_update(
        index_elements=["workload_uid", "run_id", "data_source", "iteration"],
        set_={
            "performance": func.json_patch(stored.performance, new.performance),
            "times_ms": func.json_patch(stored.times_ms, new.times_ms),
            "first_time_ms": func.min(stored.first_time_ms, new.first_time_ms),
            "last_time_ms": func.max(stored.last_time_ms, new.last_time_ms),
            "pod_uuid": new.pod_uuid,
            "updated_at": new.updated_at,
        },
    )


_STEP_UPSERT = _step_upsert()


def _step_rows(requests: Iterable[MetricsRequest]) -> list[Row]:
    rows: dict[tuple[str, str, str, int], Row] = {}
    now = utc_now()
    for request in requests:
        sender = request.sender
        for metric in request.metrics:
            if metric.name in RESERVED_NAMES:
                continue
            time_ms = milliseconds(metric.timestamp)
            key = (sender.workload, sender.run_id, sender.source, int32(metric.step))
            row = rows.get(key)
            if row is None:
                row = rows[key] = _new_step_row(key, time_ms)
                row["created_at"] = row["updated_at"] = now
            row["pod_uuid"] = _pod(sender)
            row["performance"][metric.name] = metric.value
            row["times_ms"][metric.name] = time_ms
            row["first_time_ms"] = min(row["first_time_ms"], time_ms)
            row["last_time_ms"] = max(row["last_time_ms"], time_ms)
    return list(rows.values())


def _new_step_row(key: tuple[str, str, str, int], time_ms: int) -> Row:
    workload_uid, run_id, data_source, iteration = key
    return {
        "workload_uid": workload_uid,
        "run_id": run_id,
        "data_source": data_source,
        "iteration": iteration,
        "serial": 0,
        "performance": {"run_id": run_id},
        "times_ms": {},
        "first_time_ms": time_ms,
        "last_time_ms": time_ms,
    }


def _detection_row(request: DetectionRequest) -> Row:
    return {
        "workload_uid": request.sender.workload,
        "pod_uuid": _pod(request.sender),
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
            "pod_uuid": _pod(sender),
            "data_source": sender.source,
            "step": entry.step,
            "time_ms": milliseconds(entry.timestamp),
            "data": entry.data,
        }
        for entry in request.logs
    ]


def _pod(sender: Sender) -> str:
    return sender.pod_uid or sender.pod_name


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_nul(item) for item in value)
    return False
