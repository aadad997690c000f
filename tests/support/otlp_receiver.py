"""An OTLP server that misbehaves on request, and keeps what it has taken, decoded with `opentelemetry-proto`."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from http.server import ThreadingHTTPServer
from typing import Any, Iterator, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from .faults import Behaviour, Handler, _Server, close

# What a point has beside the values of the run.
STEP, INFO, CONFIG = "wandb.step", "wandb.run.info", "wandb.run.config"


class Point(NamedTuple):
    name: str
    time_ns: int
    value: float
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.resource["wandb.run.id"])

    @property
    def kind(self) -> str:
        return str(self.attributes.get("wandb.kind", ""))


class OtlpReceiver:
    """Set ``behaviour`` at any time; ``requests`` notes each as (monotonic time, headers, message), ``taken`` those
    that were answered as a success."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = accept
        self.requests: list[tuple[float, dict[str, str], ExportMetricsServiceRequest]] = []
        self.taken: list[ExportMetricsServiceRequest] = []
        self.is_down = True
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.up()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/metrics"

    def up(self) -> None:
        handler = type("BoundOtlpHandler", (_OtlpHandler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        self.is_down = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stops listening: connections are refused."""
        self.is_down = True
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def all_points(self) -> list[Point]:
        return [point for request in list(self.taken) for point in points_of(request)]

    def points(self, run_id: str | None = None) -> list[Point]:
        """The values of runs, without what is told beside them."""
        found = [point for point in self.all_points() if "wandb.metric" in point.attributes]
        return [point for point in found if run_id is None or point.run_id == run_id]

    def history(self, run_id: str | None = None) -> dict[tuple[int, str], list[float]]:
        """Values by step and name; the step is the attribute, or that of the point of `wandb.step` with the same time
        and resource."""
        steps = {(str(p.resource), p.time_ns): int(p.value) for p in self.all_points() if _is_step(p)}
        found: dict[tuple[int, str], list[float]] = {}
        for point in self.points(run_id):
            if not point.kind:
                step = point.attributes.get(STEP)
                step = steps[str(point.resource), point.time_ns] if step is None else step
                found.setdefault((step, point.attributes["wandb.metric"]), []).append(point.value)
        return found


def _is_step(point: Point) -> bool:
    return point.name == STEP and "wandb.metric" not in point.attributes


def points_of(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    for resource_metrics in request.resource_metrics:
        resource = to_dict(resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                assert metric.WhichOneof("data") == "gauge"
                for point in metric.gauge.data_points:
                    value = getattr(point, point.WhichOneof("value"))
                    yield Point(metric.name, point.time_unix_nano, value, to_dict(point.attributes), resource)


def to_dict(attributes: Any) -> dict[str, Any]:
    found = {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
    assert len(found) == len(attributes), "an attribute is there twice"
    return found


class _OtlpHandler(Handler):
    receiver: OtlpReceiver

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.receiver.is_down:
            # A connection from before.
            close(self, body)
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportMetricsServiceRequest.FromString(body)
        self.receiver.requests.append((time.monotonic(), dict(self.headers), request))
        self.receiver.behaviour(self, body)


def accept(handler: Handler, body: bytes) -> None:
    assert isinstance(handler, _OtlpHandler)
    handler.receiver.taken.append(ExportMetricsServiceRequest.FromString(body))
    answer = ExportMetricsServiceResponse().SerializeToString()
    handler.answer(200, answer, Content_Type="application/x-protobuf")


def accept_but_for(rejected: int, message: str) -> Behaviour:
    """Takes a part of each request, as the standard calls partial success."""

    def behave(handler: Handler, body: bytes) -> None:
        answer = ExportMetricsServiceResponse()
        answer.partial_success.rejected_data_points = rejected
        answer.partial_success.error_message = message
        handler.answer(200, answer.SerializeToString(), Content_Type="application/x-protobuf")

    return behave


def refuse(status: int, message: str, **headers: str) -> Behaviour:
    """Answers with a google.rpc.Status, as OTLP servers do."""
    text = message.encode()
    body = bytes([0x08, 13, 0x12, len(text)]) + text

    def behave(handler: Handler, _body: bytes) -> None:
        handler.answer(status, body, Content_Type="application/x-protobuf", **headers)

    return behave


@contextlib.contextmanager
def running_receiver() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    try:
        yield receiver
    finally:
        receiver.down()
