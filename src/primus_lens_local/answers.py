"""The envelope of the API: `{"meta": {"code", "message"}, "data", "tracing"}`, and what reports are answered in it."""

from __future__ import annotations

import json
from typing import Any, Optional, Union

from fastapi.responses import JSONResponse

INVALID_FORMAT = "invalid request format"
UNIDENTIFIED = "either workload_uid or pod_name is required"
NO_WORKLOAD = "no valid workload found"
_CODE_OK = 2000

_STRING, _INTEGER, _BOOL, _NULL = ({"type": name} for name in ("string", "integer", "boolean", "null"))


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_WORKLOADS = {"workloads_count": _INTEGER, "success_count": _INTEGER}
DETECTION_SCHEMA = _object({"message": _STRING, **_WORKLOADS})
ACCEPTED_SCHEMA = _object({"message": _STRING, "count": _INTEGER, **_WORKLOADS})
_PART_SCHEMA = _object({"success": _BOOL}, count=_INTEGER, **_WORKLOADS, error=_STRING)
BATCH_SCHEMA = _object(
    {"success": _BOOL, "results": _object({}, **dict.fromkeys(("detection", "metrics", "logs"), _PART_SCHEMA))}
)
_FAILURES = {
    400: f"`{INVALID_FORMAT}`, `{UNIDENTIFIED}`, `{NO_WORKLOAD}`, or a limit of the workload",
    401: "the bearer token is missing or wrong (where the server asks for one)",
    403: "the token is the read-only one, or a browser asks for another site or under a strange host name",
    408: "the request came too slowly",
    413: "the body is too large, or holds too much",
    429: "too many wrong tokens come at once",
    431: "the headers are too large",
    500: "`failed to process …`: the database refuses a text with U+0000 or too long an id or name, or is full",
    503: "too much is asked of the server at once: try again after `Retry-After` seconds",
}


def responses(data: dict[str, Any]) -> dict[Union[int, str], dict[str, Any]]:
    """Describe the answers of an endpoint, for OpenAPI; `data` is the schema of what 200 carries."""
    described: dict[Union[int, str], dict[str, Any]] = {200: _described("stored", data)}
    for status, why in _FAILURES.items():
        described[status] = _described(why, {"type": "object"} if status == 500 else _NULL)
    return described


def _described(why: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": enveloped(data)}}}


def enveloped(data: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an envelope around `data`."""
    return _object({"meta": _object({"code": _INTEGER, "message": _STRING}), "data": data, "tracing": _NULL})


def ok(data: dict[str, Any]) -> JSONResponse:
    """Answer 200 with `data`."""
    return JSONResponse(envelope(_CODE_OK, "OK", data))


def failure(status: int, message: str) -> JSONResponse:
    """Answer `status` with a message and without data, which the server leaves as an empty object in a 500."""
    return JSONResponse(envelope(status, message, {} if status == 500 else None), status_code=status)


def envelope(code: int, message: str, data: Optional[dict[str, Any]] = None) -> dict[str, Any]:
    """Return the body of an answer."""
    return {"meta": {"code": code, "message": message}, "data": data, "tracing": None}


def around_data() -> tuple[str, str]:
    """Return what stands before and behind the data of an answer of 200, as JSON."""
    meta = json.dumps({"code": _CODE_OK, "message": "OK"}, separators=(",", ":"))
    return f'{{"meta":{meta},"data":', ',"tracing":null}'
