"""`POST …/wandb/*`: decode as the server does, store, and answer once it is committed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Optional, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens_local import answers, contract
from primus_lens_local.contract import Sender
from primus_lens_local.decoding import FormatError, Struct
from primus_lens_local.generations import PREFIXES
from primus_lens_local.limits import LARGE_BODY_BYTES
from primus_lens_local.routes.dependencies import get_known_pods, get_writer
from primus_lens_local.store import LimitError, StoredRequest, UnstorableError, check_storable
from primus_lens_local.writer import WriteError

router = APIRouter(prefix="/wandb", tags=["ingest"])

_MESSAGES = {
    "metrics": "metrics reported successfully",
    "logs": "training data reported successfully",
    "detection": "detection reported successfully",
}

# Decoding a larger body would keep the event loop, and everybody else's requests, waiting for milliseconds.
_DECODED_AT_ONCE = 16 * 1024
_decoding = CapacityLimiter(1)
_decoding_large = CapacityLimiter(1)

Decoded = TypeVar("Decoded")


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _described(body: Struct, data: dict[str, Any] = answers.ACCEPTED_SCHEMA) -> dict[str, Any]:
    body_described = {"required": True, "content": {"application/json": {"schema": body.schema()}}}
    return {"openapi_extra": {"requestBody": body_described}, "responses": answers.responses(data)}


@router.post("/metrics", **_described(contract.METRICS_BODY))
async def report_metrics(request: Request) -> Response:
    """Store metrics: one row per step of a run. The tag `kind: summary` makes one a value of its run's summary, too."""
    return await _report(request, "metrics", contract.decode_metrics)


@router.post("/logs", **_described(contract.LOGS_BODY))
async def report_logs(request: Request) -> Response:
    """Store what wandb.log calls held, whole."""
    return await _report(request, "logs", contract.decode_logs)


@router.post("/detection", **_described(contract.DETECTION_BODY, answers.DETECTION_SCHEMA))
async def report_detection(request: Request) -> Response:
    """Store which frameworks, hardware and software a process was seen to use."""
    return await _report(request, "detection", contract.decode_detection)


@router.post("/batch", **_described(contract.BATCH_BODY, answers.BATCH_SCHEMA))
async def report_batch(request: Request) -> Response:
    """Store up to one of each. Answers 200 even if a part failed: see `data.results`."""
    try:
        batch = await _decode(request, contract.decode_batch)
    except _RefusedError as refused:
        return answers.failure(refused.status, refused.message)
    parts: dict[str, Optional[StoredRequest]] = {
        "detection": batch.detection,
        "metrics": batch.metrics,
        "logs": batch.logs,
    }
    results: dict[str, Any] = {}
    for kind, part in parts.items():
        if part is None:
            continue
        try:
            results[kind] = {"success": True, **await _store(request, kind, part)}
        except _RefusedError as refused:
            results[kind] = {"success": False, "error": refused.message}
    return answers.ok({"success": True, "results": results})


class DirectIngest:
    """Answers the endpoints above ahead of FastAPI's routing, which costs as much as a small request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        self._endpoints = {f"{prefix}{route.path}": route.endpoint for prefix in PREFIXES for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        endpoint = self._endpoints.get(scope["path"]) if scope.get("method") == "POST" else None
        if endpoint is None:
            await self._app(scope, receive, send)
        else:
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)


async def _report(request: Request, kind: str, decode: Callable[[bytes], StoredRequest]) -> Response:
    try:
        decoded = await _decode(request, decode)
        if not decoded.sender.is_identified:
            raise _RefusedError(400, answers.UNIDENTIFIED)
        return answers.ok({"message": _MESSAGES[kind], **await _store(request, kind, decoded)})
    except _RefusedError as refused:
        return answers.failure(refused.status, refused.message)


async def _decode(request: Request, decode: Callable[[bytes], Decoded]) -> Decoded:
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise _RefusedError(400, answers.INVALID_FORMAT) from error
    if len(body) <= _DECODED_AT_ONCE:
        decoded = _decoded_or_none(decode, body)
    else:
        lane = _decoding if len(body) <= LARGE_BODY_BYTES else _decoding_large
        decoded = await to_thread.run_sync(_decoded_or_none, decode, body, limiter=lane)
    if decoded is None:
        raise _RefusedError(400, answers.INVALID_FORMAT)
    return decoded


def _decoded_or_none(decode: Callable[[bytes], Decoded], body: bytes) -> Optional[Decoded]:
    """Leave the error here: on its way it would keep the body in memory until the garbage is collected."""
    try:
        return decode(body)
    except FormatError:
        return None


async def _store(asked: Request, kind: str, request: StoredRequest) -> dict[str, int]:
    """Store a request for each workload that its sender belongs to; return the counts of the answer."""
    workloads = _workloads(asked, request.sender)
    stored = 0
    refused = _RefusedError(400, answers.NO_WORKLOAD)
    for workload_uid in workloads:
        owned = replace(request, sender=replace(request.sender, workload_uid=workload_uid))
        try:
            check_storable(owned)
            await get_writer(asked).write(owned)
            stored += 1
        except LimitError as error:
            refused = _RefusedError(400, str(error))
        except (UnstorableError, WriteError):
            refused = _RefusedError(500, f"failed to process {kind}")
    if not stored:
        raise refused
    return {**_count(request), "workloads_count": len(workloads), "success_count": stored}


def _workloads(asked: Request, sender: Sender) -> list[str]:
    known_pods = get_known_pods(asked)
    if sender.workload_uid or known_pods is None:
        return [sender.workload] if sender.is_identified else []
    return known_pods.workloads_of(sender.pod_name)


def _count(request: StoredRequest) -> dict[str, int]:
    if isinstance(request, contract.MetricsRequest):
        return {"count": len(request.metrics)}
    if isinstance(request, contract.LogsRequest):
        return {"count": len(request.logs)}
    return {}
