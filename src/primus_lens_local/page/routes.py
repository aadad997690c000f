"""What the page asks the server, beside the public API. Not an interface: it changes with the page.

All texts travel in the query string, where a workload or metric may be called anything.
"""

from __future__ import annotations

import gzip
import json
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from sqlalchemy import select

from primus_lens_local import queries
from primus_lens_local.detections import framework_detection
from primus_lens_local.page.identities import shown_text
from primus_lens_local.page.live import LiveWorkloads, columns
from primus_lens_local.queries import Filters
from primus_lens_local.routes.dependencies import EngineOfApp
from primus_lens_local.series import block_width, count_steps, last_values, read_blocks
from primus_lens_local.summaries import RunKey
from primus_lens_local.summary_values import read_values
from primus_lens_local.tables import RunSummary


def _refuse_nul(request: Request) -> None:
    if any(queries.holds_nul(value) for _, value in request.query_params.multi_items()):
        raise HTTPException(400, "U+0000 is in no name")


router = APIRouter(prefix="/page", include_in_schema=False, dependencies=[Depends(_refuse_nul)])

_WORTH_COMPRESSING = 4096
_NEWEST_STEPS = 2000
_MAX_SUMMARY_VALUES = 50_000

Names = Annotated[list[str], Query(default_factory=list)]
Step = Annotated[int, Query(ge=-(2**31), lt=2**31)]


@router.get("/about")
def read_about(request: Request) -> Response:
    """Read what the page must say about itself: the right of its session, and why it has no charts."""
    library = request.app.state.chart_library
    charts = None if library.problem is None else {"problem": library.problem, "repair": library.repair}
    return _answer(request, {"session": getattr(request.state, "session", None), "charts_off": charts})


@router.get("/workloads")
def list_workloads(request: Request, engine: EngineOfApp) -> Response:
    """List the workloads, the one with the latest metric first."""
    return _answer(request, {"workloads": queries.workloads(engine)})


@router.get("/live")
def read_live(
    request: Request,
    engine: EngineOfApp,
    workload: str,
    run: Names,
    metric: Names,
    source: str = "",
    since: int = 0,
    overview: int = 0,
) -> Response:
    """Read what is new of a workload since two versions; see LiveWorkload.read."""
    live = _live_workloads(request).get(workload)
    return _answer(request, live.read(engine, source, frozenset(run), metric, since, overview))


@router.get("/range")
def read_range(
    request: Request, engine: EngineOfApp, workload: str, run: str, source: str, metric: str, first: Step, last: Step
) -> Response:
    """Read some steps of one metric of one run as finely as a chart can show them."""
    key = RunKey(workload, run, source)
    with engine.connect() as connection:
        width = block_width(count_steps(connection, key, first, last), first, last)
        found = [block for _, _, block in read_blocks(connection, key, first, last, width, metrics=[metric])]
    return _answer(request, columns(found))


@router.get("/last-values")
def read_last_values(
    request: Request, engine: EngineOfApp, workload: str, source: str, run: Names, metric: Names
) -> Response:
    """Read the newest values of some metrics, by run; those that the newest steps do not have are left out."""
    with engine.connect() as connection:
        values = {
            name: last_values(connection, RunKey(workload, name, source), metric, _NEWEST_STEPS) for name in set(run)
        }
    return _answer(request, {"values": values})


@router.get("/summaries")
def read_summaries(request: Request, engine: EngineOfApp, workload: str, source: str, run: Names) -> Response:
    """Read the summaries of some runs, `[name, value, step, time]` for each value; of very many, those of some runs."""
    found: dict[str, Any] = {}
    room = _MAX_SUMMARY_VALUES
    with engine.connect() as connection:
        for name in dict.fromkeys(run):
            if room <= 0:
                break
            id = connection.scalar(select(RunSummary.id).where(*Filters(source, name).of_runs(workload)))
            values = {} if id is None else read_values(connection, id)
            found[name] = [[shown_text(metric), *value] for metric, value in values.items()]
            room -= len(values)
    return _answer(request, {"summaries": found})


@router.get("/framework")
def read_framework(request: Request, engine: EngineOfApp, workload: str) -> Response:
    """Read the merged detection reports of a workload."""
    return _answer(request, framework_detection(engine, workload))


def _live_workloads(request: Request) -> LiveWorkloads:
    state = request.app.state
    if not hasattr(state, "live_workloads"):
        state.live_workloads = LiveWorkloads()
    return cast(LiveWorkloads, state.live_workloads)


def _answer(request: Request, content: dict[str, Any]) -> Response:
    """Answer compactly: a page may be far away, at the end of an SSH tunnel."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    headers = {"Cache-Control": "no-store"}
    if len(body) > _WORTH_COMPRESSING and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(body, media_type="application/json", headers=headers)
