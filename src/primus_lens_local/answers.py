"""The envelope of the ingest API: `{"meta": {"code", "message"}, "data", "tracing"}`."""

from __future__ import annotations

from typing import Any, Optional

from fastapi.responses import JSONResponse

INVALID_FORMAT = "invalid request format"
UNIDENTIFIED = "either workload_uid or pod_name is required"
_CODE_OK = 2000


def ok(data: dict[str, Any]) -> JSONResponse:
    """Answer 200 with `data`."""
    return JSONResponse(_envelope(_CODE_OK, "OK", data))


def failure(status: int, message: str) -> JSONResponse:
    """Answer `status` with a message and no data."""
    return JSONResponse(_envelope(status, message, None), status_code=status)


def accepted(kind: str, count: int) -> dict[str, Any]:
    """Return the `data` of one stored request."""
    return {"message": f"{kind} reported successfully", "count": count, "workloads_count": 1, "success_count": 1}


def _envelope(code: int, message: str, data: Optional[dict[str, Any]]) -> dict[str, Any]:
    return {"meta": {"code": code, "message": message}, "data": data, "tracing": None}
