"""The live page at `/`: static files and the few queries that only the page makes, below `/page`.

uPlot draws the charts (MIT, 50 kB, the library below Grafana's time series); charts.py has its files.
Reasons, against NiceGUI with ECharts: a hundred live charts of several runs redraw in milliseconds; nothing of a
user's view lives in the server, so a page survives its restart and `create_app` can be called many times in one
process; the extra `local` gets one small dependency, NiceGUI would bring thirty. The page needs no build step.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from primus_lens_local.page.charts import load_chart_library
from primus_lens_local.page.routes import router
from primus_lens_local.response_headers import page_policy

PathLike = Union[str, "os.PathLike[str]"]

STATIC = Path(__file__).with_name("static")
# After an upgrade the browser asks again instead of mixing old and new files.
_FRESH = {"cache-control": "no-cache"}
# The browser itself refuses what is not ours: another origin's assets, and scripts or styles in a run's name.
_POLICY = page_policy("default-src 'self'", "img-src 'self' data:", "object-src 'none'", "form-action 'self'")
# Who goes back after logging out gets the form, not the page as it was.
_PAGE_HEADERS = {"cache-control": "no-store", **_POLICY}
_CHART_TYPES = {".js": "text/javascript", ".css": "text/css"}


class _Files(StaticFiles):
    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_FRESH)
        return response


def mount_page(app: FastAPI) -> None:
    """Serve the page at `/`; the application's state must hold its `engine`."""
    library = app.state.chart_library = load_chart_library()
    app.include_router(router)
    app.mount("/page/static", _Files(directory=STATIC), name="page-static")

    @app.get("/page/charts/{name}", include_in_schema=False)
    def chart_file(name: str) -> Response:
        if library.problem is not None:
            raise HTTPException(503, f"the charts are off: {library.problem}")
        if name not in library.files:
            raise HTTPException(404, "Not Found")
        return Response(library.files[name], media_type=_CHART_TYPES[Path(name).suffix], headers=_FRESH)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_PAGE_HEADERS)
