"""The live page at `/`: static files and the few queries that only the page makes, below `/page`.

uPlot draws the charts (MIT, 50 kB, the library below Grafana's time series); the package `youplot` carries its files.
Reasons, against NiceGUI with ECharts: a hundred live charts of several runs redraw in milliseconds; nothing of a
user's session lives in the server, so a page survives its restart and `create_app` can be called many times in one
process; the extra `local` gets one small dependency, NiceGUI would bring thirty. The page needs no build step.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Union

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from primus_lens_local.page.routes import router

PathLike = Union[str, "os.PathLike[str]"]

STATIC = Path(__file__).with_name("static")


def _chart_library() -> Path:
    """The folder with uPlot's files, without importing the package that carries it: its Python is of no use here."""
    spec = importlib.util.find_spec("youplot")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("youplot carries the page's charts: install the extra `local`", name="youplot")
    return Path(spec.submodule_search_locations[0]) / "vendor"


# The browser itself refuses what is not ours: another origin's assets, and scripts or styles in a run's name.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # After an upgrade the browser asks again instead of mixing old and new files.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_HEADERS)
        return response


def mount_page(app: FastAPI) -> None:
    """Serve the page at `/`; the application's state must hold its `engine`."""
    app.include_router(router)
    app.mount("/page/charts", _Files(directory=_chart_library()), name="page-charts")
    app.mount("/page/static", _Files(directory=STATIC), name="page-static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_HEADERS)
