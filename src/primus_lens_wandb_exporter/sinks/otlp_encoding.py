"""Records as messages of OTLP. Imports protobuf: on the sink's thread, at the first record."""

from typing import Any, Dict, List, Mapping, Tuple, Union

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from ..records import MetricsRecord, Number

SCOPE = "primus-lens-wandb-exporter"
STEP = "wandb.step"
METRIC = "wandb.metric"
KIND = "wandb.kind"
RUN_INFO = "wandb.run.info"
RUN_CONFIG = "wandb.run.config"
CONFIG_KEY, CONFIG_VALUE = "wandb.config.key", "wandb.config.value"

_SMALLEST_INT, _LARGEST_INT = -(2**63), 2**63 - 1


class _Gauge:
    """One series of a request. Each point is a copy of one that has the attributes already: that is the fastest way."""

    __slots__ = ("_point", "_points", "_step")

    def __init__(self, metrics: Any, name: str, attributes: Mapping[str, Union[str, int]], has_step: bool) -> None:
        self._points = metrics.add(name=name).gauge.data_points
        self._point = NumberDataPoint()
        _add_attributes(self._point.attributes, attributes)
        self._step = self._point.attributes.add(key=STEP).value if has_step else None

    def add(self, time_ns: int, value: Number, step: int = 0) -> None:
        point = self._point
        point.time_unix_nano = time_ns
        if isinstance(value, int) and _SMALLEST_INT <= value <= _LARGEST_INT:
            point.as_int = int(value)
        else:
            point.as_double = value
        if self._step is not None:
            self._step.int_value = step
        self._points.append(point)


def encode_records(resource: Mapping[str, Union[str, int]], records: List[MetricsRecord], has_step: bool) -> bytes:
    """A gauge for each name in ``metrics`` of the records, which have steps and the same run, and one for the steps."""
    request, metrics = _begin(resource)
    gauges: Dict[Tuple[str, str], _Gauge] = {}
    steps = _Gauge(metrics, STEP, {}, False)
    for record in records:
        time_ns, step, kind = to_nanoseconds(record.timestamp), record.step or 0, record.kind
        steps.add(time_ns, step)
        for name, value in record.metrics.items():
            gauge = gauges.get((name, kind))
            if gauge is None:
                text = _storable(name)
                attributes = {METRIC: text, KIND: kind} if kind else {METRIC: text}
                gauge = gauges[name, kind] = _Gauge(metrics, text, attributes, has_step)
            gauge.add(time_ns, value, step)
    return _end(request)


def encode_info(
    resource: Mapping[str, Union[str, int]],
    timestamp: float,
    attributes: Mapping[str, Union[str, int]],
    config: List[Tuple[str, str]],
) -> bytes:
    """What is known of a run, and of its config an entry each: points with the value 1."""
    request, metrics = _begin(resource)
    time_ns = to_nanoseconds(timestamp)
    _Gauge(metrics, RUN_INFO, attributes, False).add(time_ns, 1)
    if config:
        points = metrics.add(name=RUN_CONFIG).gauge.data_points
        for key, value in config:
            point = points.add(time_unix_nano=time_ns, as_int=1)
            _add_attributes(point.attributes, {CONFIG_KEY: key, CONFIG_VALUE: value})
    return _end(request)


def to_nanoseconds(timestamp: float) -> int:
    """Of seconds since 1970. A float has no more than microseconds: what else it would show is noise."""
    return round(timestamp * 1e6) * 1000


def _begin(resource: Mapping[str, Union[str, int]]) -> Tuple[Any, Any]:
    request: Any = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    _add_attributes(resource_metrics.resource.attributes, resource)
    scope_metrics = resource_metrics.scope_metrics.add()
    scope_metrics.scope.name = SCOPE
    return request, scope_metrics.metrics


def _end(request: Any) -> bytes:
    body: bytes = request.SerializeToString()
    return body


def _add_attributes(into: Any, attributes: Mapping[str, Union[str, int]]) -> None:
    for name, value in attributes.items():
        added = into.add(key=_storable(name)).value
        if isinstance(value, int) and _SMALLEST_INT <= value <= _LARGEST_INT:
            added.int_value = value
        else:
            added.string_value = _storable(str(value))


def _storable(text: str) -> str:
    """Half of a surrogate pair, which UTF-8 has not, as an escape."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text
