"""The envelope of the ingest API: `{"meta": {"code", "message"}, "data", "tracing"}`."""

from __future__ import annotations

from typing import Any, Optional, Union

from fastapi.responses import JSONResponse

INVALID_FORMAT = "invalid request format"
UNIDENTIFIED = "either workload_uid or pod_name is required"
_CODE_OK = 2000


ACCEPTED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "count": {"type": "integer"},
        "workloads_count": {"type": "integer"},
        "success_count": {"type": "integer"},
    },
    "required": ["message", "count", "workloads_count", "success_count"],
}
_PART_SCHEMA = {
    "type": "object",
    "properties": {"success": {"type": "boolean"}, "data": ACCEPTED_SCHEMA, "error": {"type": "string"}},
    "required": ["success"],
}
BATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "results": {
            "type": "object",
            "properties": dict.fromkeys(("detection", "metrics", "logs"), _PART_SCHEMA),
            "additionalProperties": False,
        },
    },
    "required": ["message", "results"],
}
_FAILURES = {
    400: f"`{INVALID_FORMAT}`, `{UNIDENTIFIED}`, or a limit of the workload",
    401: "the bearer token is missing or wrong (where the server asks for one)",
    403: "the token is the read-only one, or a browser asks for another site or under a strange host name",
    408: "the request came too slowly",
    413: "the body is too large, or holds too much",
    429: "too many wrong tokens come at once",
    431: "the headers are too large",
    500: "`failed to process …`: the database refuses a text with U+0000 or an id over 256 characters, or is full",
    503: "too much is asked of the server at once: try again after `Retry-After` seconds",
}


def responses(data: dict[str, Any]) -> dict[Union[int, str], dict[str, Any]]:
    """Describe the answers of an endpoint, for OpenAPI; `data` is the schema of what 200 carries."""
    described: dict[Union[int, str], dict[str, Any]] = {200: _described("stored", data)}
    for status, why in _FAILURES.items():
        described[status] = _described(why, {"type": "null"})
    return described


def _described(why: str, data: dict[str, Any]) -> dict[str, Any]:
    meta = {"code": {"type": "integer"}, "message": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": {
            "meta": {"type": "object", "properties": meta, "required": list(meta)},
            "data": data,
            "tracing": {"type": "null"},
        },
        "required": ["meta", "data", "tracing"],
        "additionalProperties": False,
    }
    return {"description": why, "content": {"application/json": {"schema": schema}}}


def ok(data: dict[str, Any]) -> JSONResponse:
    """Answer 200 with `data`."""
    return JSONResponse(envelope(_CODE_OK, "OK", data))


def failure(status: int, message: str) -> JSONResponse:
    """Answer `status` with a message and no data."""
    return JSONResponse(envelope(status, message), status_code=status)


def accepted(kind: str, count: int) -> dict[str, Any]:
    """Return the `data` of one stored request."""
    return {"message": f"{kind} reported successfully", "count": count, "workloads_count": 1, "success_count": 1}


def envelope(code: int, message: str, data: Optional[dict[str, Any]] = None) -> dict[str, Any]:
    """Return the body of an answer."""
    return {"meta": {"code": code, "message": message}, "data": data, "tracing": None}
