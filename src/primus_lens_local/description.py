"""The OpenAPI description: what the query API answers, and none of FastAPI's 422, which this API never gives."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from primus_lens_local.answers import enveloped
from primus_lens_local.generations import is_enveloped

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_OPTIONAL_INTEGER = {"type": ["integer", "null"]}
_FREE_OBJECT = {"type": "object"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": _object(**properties)}


_POINTS = _object(
    workload_uid=_TEXT,
    data_source=_TEXT,
    data=_list(
        metric_name=_TEXT,
        value={"type": "number"},
        timestamp={**_INTEGER, "description": "milliseconds since 1970"},
        iteration=_INTEGER,
        data_source=_TEXT,
        run_id={**_TEXT, "description": "local Lens only"},
    ),
    total_count=_INTEGER,
)
_ANSWERS = {
    "/metrics/sources": _object(
        workload_uid=_TEXT, data_sources=_list(name=_TEXT, count=_INTEGER), total_count=_INTEGER
    ),
    "/metrics/available": _object(
        workload_uid=_TEXT,
        metrics=_list(name=_TEXT, data_source={"type": "array", "items": _TEXT}, count=_INTEGER),
        total_count=_INTEGER,
    ),
    "/metrics/data": _POINTS,
    "/metrics/iteration-times": _POINTS,
    "/metrics/summary": _POINTS,
    "/api/v1/workloads": _object(
        workloads=_list(
            workload_uid=_TEXT,
            run_count=_INTEGER,
            step_count=_INTEGER,
            detection_count=_INTEGER,
            log_count=_INTEGER,
            first_time=_OPTIONAL_INTEGER,
            last_time=_OPTIONAL_INTEGER,
        ),
        total_count=_INTEGER,
    ),
    "/runs": _object(
        workload_uid=_TEXT,
        runs=_list(
            run_id=_TEXT,
            data_sources={"type": "array", "items": _TEXT},
            step_count=_INTEGER,
            summary_count={**_INTEGER, "description": "names that `metrics/summary` has of it"},
            first_iteration=_INTEGER,
            last_iteration=_INTEGER,
            first_time=_INTEGER,
            last_time=_INTEGER,
        ),
        total_count=_INTEGER,
    ),
    "/framework-detection": _object(
        workload_uid=_TEXT,
        count=_INTEGER,
        first_time=_OPTIONAL_INTEGER,
        last_time=_OPTIONAL_INTEGER,
        wrapper_framework={"type": ["string", "null"]},
        base_framework={"type": ["string", "null"]},
        evidence=_FREE_OBJECT,
        hints=_FREE_OBJECT,
    ),
    "/health": _object(status=_TEXT),
}
_ERRORS = {
    "400": "`invalid start time format`, or `invalid end time format`",
    "401": "the bearer token is missing or wrong (where the server asks for one)",
    "403": "a browser asks for another site or under a strange host name",
    "408": "the request came too slowly",
    "429": "too many wrong tokens come at once",
    "431": "the headers are too large",
    "500": "the database cannot be read",
    "503": "too much is asked of the server at once: try again after `Retry-After` seconds",
}


_CODES_INSTEAD = ("400", "500")
_ENVELOPED_ERRORS = (
    "what was found, or, with another `meta.code` than 2000 and no data: 4001 for a time that is none, 4004 for a "
    "workload that is not known, 5000 for an unknown data source or a database that cannot be read"
)


class DescribedApp(FastAPI):
    """An application whose OpenAPI document says what every query can answer."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                operation["responses"].pop("422", None)
                if method == "get":
                    _describe(path, operation["responses"])
        for name in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        return document


def _describe(path: str, responses: dict[str, Any]) -> None:
    in_envelope = is_enveloped(path)
    for end, schema in _ANSWERS.items():
        if path.endswith(end):
            content = enveloped({"anyOf": [schema, {"type": "null"}]}) if in_envelope else schema
            responses["200"]["content"] = {"application/json": {"schema": content}}
    if path == "/health":
        return
    if in_envelope:
        responses["200"]["description"] = _ENVELOPED_ERRORS
    error = enveloped({"type": "null"}) if in_envelope else _object(error=_TEXT)
    for status, why in _ERRORS.items():
        if not (in_envelope and status in _CODES_INSTEAD):
            responses[status] = {"description": why, "content": {"application/json": {"schema": error}}}
    not_found = "there is no such path, which an empty workload makes"
    responses["404"] = {"description": not_found, "content": {"text/plain": {"schema": _TEXT}}}
