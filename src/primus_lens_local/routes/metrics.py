"""`GET /api/v1/workloads/{uid}/metrics/*`: the query API of the contract."""

from __future__ import annotations

import re
from typing import Annotated, Any, Iterable, Optional

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from primus_lens_local import queries
from primus_lens_local.decoding import INT64_MAX, INT64_MIN
from primus_lens_local.queries import Filters, Point
from primus_lens_local.routes.dependencies import EngineOfApp

router = APIRouter(prefix="/api/v1/workloads/{workload_uid:path}/metrics", tags=["metrics"])

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")

DataSource = Annotated[Optional[str], Query(description="only this source, for example wandb")]
RunId = Annotated[Optional[str], Query(description="only this run, empty for steps without a run (local Lens only)")]


class TimeFormatError(Exception):
    """A start or end time that is not a whole number of milliseconds; the message is the server's."""


def requested_filters(
    data_source: DataSource = None,
    run_id: RunId = None,
    start: Annotated[Optional[str], Query(description="milliseconds since 1970; counts only with end")] = None,
    end: Annotated[Optional[str], Query(description="milliseconds since 1970; counts only with start")] = None,
) -> Filters:
    """Read the filters that all queries share. An empty parameter counts as absent."""
    if not (start and end):
        return Filters(data_source or None, run_id)
    return Filters(data_source or None, run_id, _milliseconds(start, "start"), _milliseconds(end, "end"))


RequestedFilters = Annotated[Filters, Depends(requested_filters)]


@router.get("/sources")
def list_sources(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> dict[str, Any]:
    """List where the metrics of a workload came from; `count` is in steps."""
    found = queries.sources(engine, workload_uid, filters)
    return {"workload_uid": workload_uid, "data_sources": found, "total_count": len(found)}


@router.get("/available")
def list_metrics(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> dict[str, Any]:
    """List the metrics of a workload; `count` is in steps."""
    found = queries.available(engine, workload_uid, filters)
    return {"workload_uid": workload_uid, "metrics": found, "total_count": len(found)}


@router.get("/data")
def read_points(
    engine: EngineOfApp,
    workload_uid: str,
    filters: RequestedFilters,
    metrics: Annotated[str, Query(description="`loss,lr`, `{loss,lr}` or `all`")] = "all",
) -> JSONResponse:
    """Read points, sorted by iteration, then time. Each also carries `run_id` (local Lens only)."""
    return _points(workload_uid, filters, queries.points(engine, workload_uid, _requested_names(metrics), filters))


@router.get("/iteration-times")
def read_iteration_times(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> JSONResponse:
    """Read when each iteration was reported first; `metric_name` is `iteration`."""
    return _points(workload_uid, filters, queries.iteration_times(engine, workload_uid, filters))


def _points(workload_uid: str, filters: Filters, points: Iterable[Point]) -> JSONResponse:
    data = [vars(point) for point in points]
    return JSONResponse(
        {
            "workload_uid": workload_uid,
            "data_source": filters.data_source or "",
            "data": data,
            "total_count": len(data),
        }
    )


def _requested_names(metrics: str) -> Optional[frozenset[str]]:
    """Read `a,b`, Grafana's `{a,b}` or `all`; None means all."""
    listed = metrics.strip()
    if listed.startswith("{") and listed.endswith("}"):
        listed = listed[1:-1]
    if listed in ("", "all"):
        return None
    return frozenset(name.strip() for name in listed.split(","))


def _milliseconds(text: str, which: str) -> int:
    if _INTEGER.fullmatch(text) and INT64_MIN <= int(text) <= INT64_MAX:
        return int(text)
    raise TimeFormatError(f"invalid {which} time format")
