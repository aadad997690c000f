"""The application: which routes there are and what they share."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import AsyncIterator, Iterable, Optional

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from primus_lens_local import answers
from primus_lens_local.auth import TokenAuth
from primus_lens_local.database import open_database
from primus_lens_local.description import DescribedApp
from primus_lens_local.generations import BARE, ENVELOPED, PREFIXES, Generations, is_of_api
from primus_lens_local.guards import BrowserGuard, HostNames
from primus_lens_local.known_pods import KnownPods
from primus_lens_local.limits import QUERY_THREADS, AnswerLimit, AnswerRoom, BodyLimit
from primus_lens_local.page import mount_page
from primus_lens_local.response_headers import PROTECTIVE, ProtectiveHeaders
from primus_lens_local.routes import ingest, metrics, workloads
from primus_lens_local.routes.docs import OPENAPI_URL, add_docs
from primus_lens_local.routes.metrics import QueryError, must_know_workload
from primus_lens_local.writer import Writer

logger = logging.getLogger(__name__)


def create_app(
    database: str,
    token: Optional[str] = None,
    read_token: Optional[str] = None,
    allowed_hosts: Iterable[str] = (),
    known_pods: Optional[KnownPods] = None,
) -> FastAPI:
    """Create the local Lens on a database (SQLite path or URL); raise DatabaseError if it cannot be used.

    With a token, everything but `/health` needs it, or, to read, the read-only one. Without, `allowed_hosts` are names
    with a domain by which browsers may call the server. With `known_pods` reports of other pods are refused. The writer
    runs between the application's start-up and shutdown.
    """
    engine = open_database(database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = QUERY_THREADS
        app.state.writer = Writer(engine)
        app.state.writer.start()
        yield
        app.state.writer.close()
        engine.dispose()

    app = DescribedApp(
        title="Primus Lens (local)", openapi_url=OPENAPI_URL, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.engine = engine
    app.state.known_pods = known_pods
    # What is added later stands before what was added earlier.
    app.add_middleware(Generations)
    app.add_middleware(ingest.DirectIngest)
    app.state.answer_room = AnswerRoom()
    app.add_middleware(AnswerLimit, room=app.state.answer_room)
    app.add_middleware(BodyLimit)
    if token:
        app.add_middleware(TokenAuth, token=token, read_token=read_token)
    app.add_middleware(BrowserGuard, names=None if token else HostNames(allowed_hosts))
    app.add_middleware(ProtectiveHeaders)
    app.add_exception_handler(QueryError, _answer_query_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(SQLAlchemyError, _answer_database_error)
    app.add_exception_handler(Exception, _answer_bug)
    for prefix in PREFIXES:
        app.include_router(ingest.router, prefix=prefix)
    app.include_router(metrics.router, prefix=BARE)
    app.include_router(metrics.router, prefix=ENVELOPED, dependencies=[Depends(must_know_workload)])
    for router in (metrics.own_router, workloads.router):
        app.include_router(router, prefix=BARE)
    add_docs(app)
    mount_page(app)

    @app.get("/health", tags=["health"])
    async def health() -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    return app


async def _answer_query_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QueryError)
    return JSONResponse({"error": str(error)}, status_code=error.status)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 or (error.status_code == 405 and is_of_api(request.scope["path"])):
        # In the cluster's own words and form, which tell programs that the address is wrong, and not the report.
        return Response("404 page not found", 404, {"content-type": "text/plain"})
    if request.method == "POST":
        return answers.failure(error.status_code, error.detail)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _answer_database_error(_request: Request, error: Exception) -> JSONResponse:
    logger.error("a query failed: %s", getattr(error, "orig", None) or error)
    return JSONResponse({"error": "failed to query the database"}, status_code=500)


async def _answer_bug(_request: Request, _error: Exception) -> JSONResponse:
    # Starlette sends this from outside of all middleware; it raises the error again, which uvicorn logs.
    return JSONResponse({"error": "internal server error"}, status_code=500, headers=PROTECTIVE)
