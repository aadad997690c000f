"""A Lens as a stock installation has it: no /health, one prefix, and any answer to queries that a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator
from urllib.parse import urlsplit

REFUSAL = {
    "meta": {"code": 400, "message": "either workload_uid or pod_name is required"},
    "data": None,
    "tracing": None,
}


def enveloped(data: Any, code: int = 2000, message: str = "OK") -> dict[str, Any]:
    return {"meta": {"code": code, "message": message}, "data": data, "tracing": None}


def sources(*names: str) -> dict[str, Any]:
    return {"workload_uid": "w-1", "data_sources": [{"name": name, "count": 3} for name in names], "total_count": 1}


class StandInLens:
    """``query`` is the answer to GET, a text 404 without one; ``token`` is asked for where there is one."""

    def __init__(self, prefix: str = "/v1", query: Any = None, token: str = "") -> None:
        self.prefix = prefix
        self.query = query
        self.token = token
        self.url = ""
        # Method, path with the query string, and token of each request.
        self.requests: list[tuple[str, str, str]] = []
        self.headers_of_last: dict[str, str] = {}

    @property
    def base_url(self) -> str:
        return self.url + self.prefix


@contextlib.contextmanager
def running_stand_in(lens: StandInLens) -> Iterator[StandInLens]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            is_report = urlsplit(self.path).path == lens.prefix + "/wandb/metrics"
            self._answer(400 if is_report else 404, REFUSAL if is_report else None)

        def do_GET(self) -> None:
            is_query = urlsplit(self.path).path.startswith(lens.prefix + "/workloads/") and lens.query is not None
            self._answer(200 if is_query else 404, lens.query if is_query else None)

        def _answer(self, status: int, document: Any) -> None:
            token = self.headers.get("Authorization", "")
            lens.requests.append((self.command, self.path, token))
            lens.headers_of_last = dict(self.headers)
            if status != 404 and lens.token and token != "Bearer " + lens.token:
                status, document = 401, {"code": 401, "message": "authentication required"}
            is_text = document is None
            body = b"404 page not found" if is_text else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        lens.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield lens
        finally:
            server.shutdown()
            thread.join()
