"""`/api/docs`: Swagger UI, from the files on this machine that `fastapi-offline` brings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from primus_lens_local.response_headers import page_policy

DOCS_URL = "/api/docs"
OPENAPI_URL = "/api/openapi.json"
_ASSETS_URL = f"{DOCS_URL}/assets"
# Not from elsewhere: a script of another server could do here what the user can.
_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Primus Lens</title><link rel="icon" href="{_ASSETS_URL}/favicon.png">
<link rel="stylesheet" href="{_ASSETS_URL}/swagger-ui.css">
<script src="{_ASSETS_URL}/swagger-ui-bundle.js" defer></script>
<script src="/page/static/docs.js" type="module"></script></head>
<body><div id="swagger-ui" data-url="{OPENAPI_URL}"></div></body></html>"""
_MISSING = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>API · Primus Lens</title></head><body><p>Swagger UI is not installed:
<code>pip install fastapi-offline</code>. The description itself is <a href="{OPENAPI_URL}">{OPENAPI_URL}</a>.</p>
</body></html>"""
# Swagger UI sets styles on its elements, and has its pictures inside its style sheet.
_HEADERS = page_policy("default-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:")


def add_docs(app: FastAPI) -> None:
    """Serve the page; the application's own docs must be off."""
    assets = _offline_assets()
    if assets is not None:
        app.mount(_ASSETS_URL, StaticFiles(directory=assets), name="docs-assets")

    @app.get(DOCS_URL, include_in_schema=False)
    def docs() -> HTMLResponse:
        if assets is None:
            return HTMLResponse(_MISSING, status_code=503)
        return HTMLResponse(_PAGE, headers=_HEADERS)


def _offline_assets() -> Optional[Path]:
    found = find_spec("fastapi_offline")
    folders = found.submodule_search_locations if found else None
    assets = Path(folders[0], "static") if folders else None
    return assets if assets is not None and (assets / "swagger-ui-bundle.js").is_file() else None
