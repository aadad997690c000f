"""The application: which routes there are and what they share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any, AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from primus_lens_local.database import open_database
from primus_lens_local.routes import ingest, metrics, workloads
from primus_lens_local.routes.docs import OPENAPI_URL, add_docs
from primus_lens_local.routes.metrics import TimeFormatError
from primus_lens_local.writer import Writer


def create_app(database: str) -> FastAPI:
    """Create the local Lens on a database (SQLite path or URL); raise DatabaseError if it cannot be used.

    The writer runs between the application's start-up and shutdown.
    """
    engine = open_database(database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.writer = Writer(engine)
        app.state.writer.start()
        yield
        app.state.writer.close()
        engine.dispose()

    app = _LensApp(
        title="Primus Lens (local)", openapi_url=OPENAPI_URL, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.engine = engine
    app.add_exception_handler(TimeFormatError, _answer_time_format)
    for router in (ingest.router, metrics.router, workloads.router):
        app.include_router(router)
    add_docs(app)

    @app.get("/health", tags=["health"])
    def health() -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    return app


class _LensApp(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Describe the API without FastAPI's 422 answers: this API never gives one."""
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        return document


async def _answer_time_format(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=400)
