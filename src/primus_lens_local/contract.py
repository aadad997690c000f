"""The four requests of the ingest API: their shapes, decoded into dataclasses.

Only shapes live here; what a request does is the store's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from primus_lens_local.decoding import ANY, BOOL, FLOAT64, INT64, STRING, List, Map, Struct, parse

_SUMMARY = "summary"


class _Tags(Map):
    """The tags of a metric; all that is kept of them is whether they make it a value of its run's summary."""

    def decode(self, value: Any) -> Any:
        # Most have none.
        return value != () and super().decode(value).get("kind") == _SUMMARY


_IDS = {"source": STRING, "workload_uid": STRING, "pod_uid": STRING, "pod_name": STRING}
_METRIC = Struct({"name": STRING, "value": FLOAT64, "step": INT64, "timestamp": FLOAT64, "tags": _Tags(STRING)})
_LOG = Struct({"step": INT64, "timestamp": FLOAT64, "data": Map(ANY)})
_FREE_MAPS = Map(Map(ANY))
_EVIDENCE = Struct(
    {
        "wandb": Struct(
            {"project": STRING, "name": STRING, "id": STRING, "config": Map(ANY), "tags": List(STRING)},
        ),
        "environment": Map(STRING),
        "pytorch": Struct(
            {"available": BOOL, "version": STRING, "cuda_available": BOOL, "detected_modules": Map(BOOL)},
        ),
        "wrapper_frameworks": _FREE_MAPS,
        "base_frameworks": _FREE_MAPS,
        "system": Map(ANY),
        "hardware": Struct(
            {
                "gpu_arch": STRING,
                "gpu_count": INT64,
                "gpu_memory_gb": FLOAT64,
                "gpu_name": STRING,
                "rocm_version": STRING,
                "cuda_version": STRING,
            }
        ),
        "software": Struct({"rocm_version": STRING, "packages": Map(STRING)}),
        "build": Struct(
            dict.fromkeys(
                (
                    "build_url",
                    "dockerfile_url",
                    "image_tag",
                    "build_date",
                    "git_commit",
                    "git_branch",
                    "git_repo",
                    "ci_pipeline_id",
                ),
                STRING,
            )
        ),
    }
)
_HINTS = Struct(
    {
        "wrapper_frameworks": List(STRING),
        "base_frameworks": List(STRING),
        "possible_frameworks": List(STRING),
        "confidence": STRING,
        "primary_indicators": List(STRING),
        "framework_layers": _FREE_MAPS,
    }
)

METRICS_BODY = Struct({**_IDS, "run_id": STRING, "metrics": List(_METRIC), "timestamp": FLOAT64})
LOGS_BODY = Struct({**_IDS, "run_id": STRING, "logs": List(_LOG), "timestamp": FLOAT64})
DETECTION_BODY = Struct(
    {
        **_IDS,
        "type": STRING,
        "version": STRING,
        "namespace": STRING,
        "evidence": _EVIDENCE,
        "hints": _HINTS,
        "timestamp": FLOAT64,
    }
)
BATCH_BODY = Struct({"detection": DETECTION_BODY, "metrics": METRICS_BODY, "logs": LOGS_BODY})


@dataclass(frozen=True)
class Sender:
    """Who sent a request. The ids are empty strings where none was given."""

    source: str
    workload_uid: str
    pod_uid: str
    pod_name: str
    run_id: str

    @property
    def is_identified(self) -> bool:
        """At least one of the ids that name a workload is there."""
        return bool(self.workload_uid or self.pod_name)

    @property
    def workload(self) -> str:
        """The workload this belongs to. The cluster looks a pod up; here a pod alone is its own workload."""
        return self.workload_uid or self.pod_name

    @property
    def pod(self) -> str:
        """What names the pod."""
        return self.pod_uid or self.pod_name


class Metric(NamedTuple):
    """One value of one step; `timestamp` is in seconds since 1970."""

    name: str
    value: float
    step: int
    timestamp: float
    is_summary: bool = False
    """Set for the run as a whole, not logged to its history."""


@dataclass(frozen=True)
class LogEntry:
    """What one wandb.log call held; `timestamp` is in seconds since 1970."""

    step: int
    timestamp: float
    data: dict[str, Any]


@dataclass(frozen=True)
class MetricsRequest:
    """`POST /wandb/metrics`."""

    sender: Sender
    metrics: list[Metric]


@dataclass(frozen=True)
class LogsRequest:
    """`POST /wandb/logs`."""

    sender: Sender
    logs: list[LogEntry]


@dataclass(frozen=True)
class DetectionRequest:
    """`POST /wandb/detection`; `evidence` and `hints` hold the fields of the contract that were given."""

    sender: Sender
    type: str
    version: str
    namespace: str
    evidence: dict[str, Any]
    hints: dict[str, Any]
    timestamp: float


@dataclass(frozen=True)
class BatchRequest:
    """`POST /wandb/batch`: any of the three; a part that is absent or null is None."""

    detection: DetectionRequest | None
    metrics: MetricsRequest | None
    logs: LogsRequest | None


def decode_metrics(body: bytes) -> MetricsRequest:
    """Decode a metrics body; raise FormatError where the server answers `invalid request format`."""
    return _metrics(METRICS_BODY.decode(parse(body)))


def decode_logs(body: bytes) -> LogsRequest:
    """Decode a logs body; raise FormatError where the server answers `invalid request format`."""
    return _logs(LOGS_BODY.decode(parse(body)))


def decode_detection(body: bytes) -> DetectionRequest:
    """Decode a detection body; raise FormatError where the server answers `invalid request format`."""
    return _detection(DETECTION_BODY.decode(parse(body)))


def decode_batch(body: bytes) -> BatchRequest:
    """Decode a batch body; one malformed part is a FormatError for all."""
    parts = BATCH_BODY.decode(parse(body))
    return BatchRequest(
        detection=_detection(parts["detection"]) if "detection" in parts else None,
        metrics=_metrics(parts["metrics"]) if "metrics" in parts else None,
        logs=_logs(parts["logs"]) if "logs" in parts else None,
    )


def _sender(fields: dict[str, Any]) -> Sender:
    get = fields.get
    return Sender(
        source=get("source", ""),
        workload_uid=get("workload_uid", ""),
        pod_uid=get("pod_uid", ""),
        pod_name=get("pod_name", ""),
        run_id=get("run_id", ""),
    )


def _metrics(fields: dict[str, Any]) -> MetricsRequest:
    metrics = [
        Metric(
            item.get("name", ""),
            item.get("value", 0.0),
            item.get("step", 0),
            item.get("timestamp", 0.0),
            item.get("tags", False),
        )
        for item in fields.get("metrics", ())
    ]
    return MetricsRequest(_sender(fields), metrics)


def _logs(fields: dict[str, Any]) -> LogsRequest:
    logs = [
        LogEntry(item.get("step", 0), item.get("timestamp", 0.0), item.get("data", {}))
        for item in fields.get("logs", ())
    ]
    return LogsRequest(_sender(fields), logs)


def _detection(fields: dict[str, Any]) -> DetectionRequest:
    return DetectionRequest(
        sender=_sender(fields),
        type=fields.get("type", ""),
        version=fields.get("version", ""),
        namespace=fields.get("namespace", ""),
        evidence=fields.get("evidence", {}),
        hints=fields.get("hints", {}),
        timestamp=fields.get("timestamp", 0.0),
    )
