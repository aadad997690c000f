"""A telemetry-processor that misbehaves on request, in front of a real local Lens that stores what gets through."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterator

import requests

from .hostile import envelope
from .lens import Lens

Behaviour = Callable[["Handler", bytes], None]


class FaultyLens:
    """Set ``behaviour`` to one of the functions below at any time.

    ``requests`` notes every request with metrics as (monotonic time, body), ``taken`` those that the real Lens has
    acknowledged; ``detections`` are the bodies of the acknowledged detections.
    """

    def __init__(self, lens: Lens) -> None:
        self.lens = lens
        self.behaviour: Behaviour = forward
        self.request_count = 0
        self.requests: list[tuple[float, dict[str, Any]]] = []
        self.taken: list[tuple[float, dict[str, Any]]] = []
        self.detections: list[dict[str, Any]] = []
        # Path and Authorization header of every request.
        self.heard: list[tuple[str, str | None]] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.up()

    def note(self, body: dict[str, Any]) -> None:
        """Notes what the real Lens has acknowledged."""
        if "metrics" in body:
            self.taken.append((time.monotonic(), body))
        else:
            self.detections.append(body)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    def up(self) -> None:
        handler = type("BoundHandler", (Handler,), {"faulty": self})
        server = _Server(("127.0.0.1", self.port), handler)
        self.port = server.server_address[1]
        self.is_down = False
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stops listening: connections are refused."""
        self.is_down = True
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    faulty: FaultyLens
    protocol_version = "HTTP/1.1"
    # A client must not wait for Nagle and delayed acknowledgements between header and body.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.faulty.is_down:
            # A connection from before.
            close(self, body)
            return
        self.faulty.request_count += 1
        self.faulty.heard.append((self.path, self.headers.get("Authorization")))
        found = json.loads(body)
        if "metrics" in found:
            self.faulty.requests.append((time.monotonic(), found))
        self.faulty.behaviour(self, body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def forward(handler: Handler, body: bytes) -> None:
    url = handler.faulty.lens.url + handler.path
    answer = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=60)
    if answer.status_code == 200:
        handler.faulty.note(json.loads(body))
    handler.answer(answer.status_code, answer.content)


def hang(handler: Handler, body: bytes) -> None:
    """Accepts and never answers."""
    time.sleep(60)


def delay(seconds: float) -> Behaviour:
    def behave(handler: Handler, body: bytes) -> None:
        time.sleep(seconds)
        forward(handler, body)

    return behave


def refuse(status: int, message: str, **headers: str) -> Behaviour:
    """Answers with an error in Lens's own form."""

    def behave(handler: Handler, body: bytes) -> None:
        handler.answer(status, envelope(status, message), **headers)

    return behave


def refuse_if(
    condition: Callable[[dict[str, Any]], bool], otherwise: Behaviour, status: int, message: str
) -> Behaviour:
    def behave(handler: Handler, body: bytes) -> None:
        (refuse(status, message) if condition(json.loads(body)) else otherwise)(handler, body)

    return behave


def html(handler: Handler, body: bytes) -> None:
    handler.answer(200, b"<html><body>Please log in</body></html>", Content_Type="text/html")


def redirect(handler: Handler, body: bytes) -> None:
    handler.answer(302, b"", Location="http://127.0.0.1:1/login")


def foreign(status: int, content: bytes) -> Behaviour:
    """Answers in another form than Lens."""

    def behave(handler: Handler, body: bytes) -> None:
        handler.answer(status, content)

    return behave


def only_under(prefix: str) -> Behaviour:
    """Has its routes under one prefix, as a stock Lens has them under /v1, and a 404 in text for everything else."""

    def behave(handler: Handler, body: bytes) -> None:
        if handler.path.startswith(prefix + "/"):
            handler.path = "/api/v1" + handler.path[len(prefix) :]
            forward(handler, body)
        else:
            handler.answer(404, b"404 page not found", Content_Type="text/plain")

    return behave


def store_half(handler: Handler, body: bytes) -> None:
    """The pod belongs to two workloads, and one of them could not be stored."""
    data = {"message": "metrics reported successfully", "count": 1, "workloads_count": 2, "success_count": 1}
    answer = {"meta": {"code": 2000, "message": "OK"}, "data": data, "tracing": None}
    handler.answer(200, json.dumps(answer).encode())


def flood_with_100_continue(handler: Handler, body: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            handler.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def drip_a_header(handler: Handler, body: bytes) -> None:
    """Begins an answer whose header does not end."""
    with contextlib.suppress(OSError):
        handler.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(600):
            handler.connection.sendall(b"x")
            time.sleep(0.1)


def close(handler: Handler, body: bytes) -> None:
    """Closes the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()


def close_after_storing(handler: Handler, body: bytes) -> None:
    """Stores everything, then closes before the answer: the client cannot know."""
    requests.post(handler.faulty.lens.url + handler.path, data=body, timeout=60)
    close(handler, body)


def drip(handler: Handler, body: bytes) -> None:
    """Answers one byte at a time, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)


@contextlib.contextmanager
def faulty_lens(lens: Lens) -> Iterator[FaultyLens]:
    faulty = FaultyLens(lens)
    try:
        yield faulty
    finally:
        faulty.down()
