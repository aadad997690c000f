"""`GET …/workloads/{uid}/metrics/*`: the cluster's query API, and the summaries, which only the local Lens has."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Annotated, Any, AsyncIterator, Iterator, Optional

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from primus_lens_local import points, queries
from primus_lens_local.decoding import INT64_MAX, INT64_MIN
from primus_lens_local.generations import is_enveloped
from primus_lens_local.limits import READING_THREADS
from primus_lens_local.points import Point, encode
from primus_lens_local.queries import Filters
from primus_lens_local.routes.dependencies import EngineOfApp, get_known_pods

_METRICS_PATH = "/workloads/{workload_uid:anytext}/metrics"
router = APIRouter(prefix=_METRICS_PATH, tags=["metrics"])
own_router = APIRouter(prefix=_METRICS_PATH, tags=["metrics"])

_GRAFANA_ALL = "$__all"
# What the newer generation takes for a data source.
_CLUSTER_SOURCES = ("log", "tensorflow", "wandb")
# Characters of an answer that are read and sent together.
_AT_ONCE = 192 * 1024
# However many read whole workloads, threads are left for the other queries.
_reading = CapacityLimiter(READING_THREADS)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")

DataSource = Annotated[Optional[str], Query(description="only this source, for example wandb")]
RunId = Annotated[Optional[str], Query(description="only this run (local Lens only)")]


class QueryError(Exception):
    """A query that is answered with an error; the message is the server's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def must_know_workload(request: Request, engine: EngineOfApp, workload_uid: str) -> None:
    """Refuse a workload that nobody has heard of, as the newer generation does."""
    known_pods = get_known_pods(request)
    is_known = known_pods.has_workload(workload_uid) if known_pods else queries.has_workload(engine, workload_uid)
    if not is_known:
        raise QueryError(404, f"workload {workload_uid} not found in any cluster")


def filters_of_all_sources(
    run_id: RunId = None,
    start: Annotated[Optional[str], Query(description="milliseconds since 1970; counts only with end")] = None,
    end: Annotated[Optional[str], Query(description="milliseconds since 1970; counts only with start")] = None,
) -> Filters:
    """Read the filters that all queries share. An empty parameter counts as absent, and Grafana's `$__all` as a run."""
    run = None if run_id in ("", _GRAFANA_ALL) else run_id
    if not (start and end):
        return Filters(run_id=run)
    return Filters(run_id=run, start_ms=_milliseconds(start, "start"), end_ms=_milliseconds(end, "end"))


AllSources = Annotated[Filters, Depends(filters_of_all_sources)]


def requested_filters(request: Request, filters: AllSources, data_source: DataSource = None) -> Filters:
    """Read all filters. The newer generation knows its own data sources only."""
    if data_source and is_enveloped(request.scope["path"]) and data_source not in _CLUSTER_SOURCES:
        raise QueryError(500, f"unknown data_source {data_source}: it is one of {', '.join(_CLUSTER_SOURCES)}")
    return replace(filters, data_source=data_source or None)


RequestedFilters = Annotated[Filters, Depends(requested_filters)]


@router.get("/sources")
def list_sources(engine: EngineOfApp, workload_uid: str, filters: AllSources) -> dict[str, Any]:
    """List where the metrics of a workload came from, whatever `data_source` says; `count` is in steps."""
    found = queries.sources(engine, workload_uid, filters)
    return {"workload_uid": workload_uid, "data_sources": found, "total_count": len(found)}


@router.get("/available")
def list_metrics(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> dict[str, Any]:
    """List the metrics of a workload; `count` is in steps."""
    found = queries.available(engine, workload_uid, filters)
    return {"workload_uid": workload_uid, "metrics": found, "total_count": len(found)}


@router.get("/data")
async def read_points(
    engine: EngineOfApp,
    workload_uid: str,
    filters: RequestedFilters,
    metrics: Annotated[str, Query(description="`loss,lr`, `{loss,lr}` or `all`")] = "all",
) -> Response:
    """Read points, sorted by iteration, then time. Each also carries `run_id` (local Lens only)."""
    return await _points(workload_uid, filters, points.points(engine, workload_uid, _requested_names(metrics), filters))


@router.get("/iteration-times")
async def read_iteration_times(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> Response:
    """Read when each iteration was reported first; `metric_name` is `iteration`."""
    return await _points(workload_uid, filters, points.iteration_times(engine, workload_uid, filters))


@own_router.get("/summary")
async def read_summaries(engine: EngineOfApp, workload_uid: str, filters: RequestedFilters) -> Response:
    """Read the summaries of the runs, sorted by run and name; `iteration` and `timestamp` are those of the value."""
    return await _points(workload_uid, filters, points.summaries(engine, workload_uid, filters))


async def _points(workload_uid: str, filters: Filters, pages: Iterator[list[Point]]) -> Response:
    """Answer in one piece what is short; what is longer is read while it is sent. What fails at once is an error."""
    asked = f'"workload_uid":{json.dumps(workload_uid)},"data_source":{json.dumps(filters.data_source or "")}'
    parts = encode(asked, pages)

    async def read() -> str:
        return await to_thread.run_sync(_some, parts, limiter=_reading)

    async def read_on(*texts: str) -> AsyncIterator[str]:
        for text in texts:
            yield text
        text = await read()
        while text:
            yield text
            text = await read()

    beginning = await read()
    following = await read() if len(beginning) >= _AT_ONCE else ""
    if not following:
        return Response(beginning, media_type="application/json")
    return StreamingResponse(read_on(beginning, following), media_type="application/json")


def _some(parts: Iterator[str]) -> str:
    """Join the next parts of an answer: each change of threads takes as long as many points."""
    found: list[str] = []
    size = 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size >= _AT_ONCE:
            break
    return "".join(found)


def _requested_names(metrics: str) -> Optional[frozenset[str]]:
    """Read `a,b`, Grafana's `{a,b}` or `all`; None means all. Grafana's `$__all` is a name, as in the cluster."""
    listed = metrics.strip()
    if listed in ("", "all", "{}"):
        return None
    if listed.startswith("{") and listed.endswith("}"):
        listed = listed[1:-1]
    return frozenset(name.strip() for name in listed.split(","))


def _milliseconds(text: str, which: str) -> int:
    if _INTEGER.fullmatch(text) and INT64_MIN <= int(text) <= INT64_MAX:
        return int(text)
    raise QueryError(400, f"invalid {which} time format")
