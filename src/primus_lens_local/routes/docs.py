"""`/api/docs`: Swagger UI, from files on this machine where `fastapi-offline` is installed, else from a CDN."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

DOCS_URL = "/api/docs"
OPENAPI_URL = "/api/openapi.json"
_ASSETS_URL = f"{DOCS_URL}/assets"


def add_docs(app: FastAPI) -> None:
    """Serve the page; the application's own docs must be off."""
    assets = _offline_assets()
    urls: dict[str, Any] = {}
    if assets is not None:
        app.mount(_ASSETS_URL, StaticFiles(directory=assets), name="docs-assets")
        urls = {
            "swagger_js_url": f"{_ASSETS_URL}/swagger-ui-bundle.js",
            "swagger_css_url": f"{_ASSETS_URL}/swagger-ui.css",
            "swagger_favicon_url": f"{_ASSETS_URL}/favicon.png",
        }

    @app.get(DOCS_URL, include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url=OPENAPI_URL, title=app.title, **urls)


def _offline_assets() -> Optional[Path]:
    found = find_spec("fastapi_offline")
    folders = found.submodule_search_locations if found else None
    assets = Path(folders[0], "static") if folders else None
    return assets if assets is not None and (assets / "swagger-ui-bundle.js").is_file() else None
