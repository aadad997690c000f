"""HTTP on one connection, bounded before anybody asks for a token: heads, framing, pipelining, and how long we wait.

uvicorn's protocol and its parser take heads of any length, for as long as a client likes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, ClassVar, Iterable, Optional, Protocol

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from primus_lens_local import answers, limits
from primus_lens_local.guards import refuse
from primus_lens_local.memory import return_memory
from primus_lens_local.response_headers import PROTECTIVE, ProtectiveHeaders

# What is parsed at once: so much of the next request can go uncounted.
_SLICE_BYTES = 8 * 1024
# Who sends no more is not refused because others do.
_COMMON_HEAD_BYTES = 8 * 1024
# How long a refused client may take to read why.
_FAREWELL_SECONDS = 2.0
_MAX_FAREWELLS = 256
_CHECK_SECONDS = 1.0
_CHECKS_PER_RETURN = 5
# A body in small chunks is framed by about so much of its length.
_FRAMING_SHARE = 8

_HEAD_TOO_LARGE = (
    f"request line and headers are larger than {limits.MAX_HEAD_BYTES // limits.KIB} KB: send a shorter request"
)
_TOO_MANY_HEADERS = f"more than {limits.MAX_HEADERS} headers: send fewer"
_TOO_MANY_HEADS = (
    f"requests whose headers are not complete take {limits.MAX_HEADS_BYTES // limits.MIB} MB, the most that all may: "
    "try again"
)
_TOO_MANY_PIPELINED = f"more than {limits.MAX_PIPELINED} requests at once on a connection: wait for answers"
_NOT_HTTP = (
    "this is not an HTTP/1.1 request that can be understood: speak plain HTTP here, no TLS, and one Content-Length"
)
_NO_UPGRADE = "this server speaks HTTP/1.1 only: send the request without Upgrade"
_TOO_SLOW = "the request did not arrive within {seconds:g} seconds: send it again"


class _Room(Protocol):
    @property
    def is_crowded(self) -> bool: ...


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, within the limits of `limits`."""

    max_connections: ClassVar[int] = limits.MAX_CONNECTIONS
    _heads_bytes: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        self._is_refused = False
        self._is_in_head = True
        self._framing_bytes = 0
        self._counted_bytes = 0
        self._body_bytes = 0
        self._awaited_since: Optional[float] = self.loop.time()
        self._unsent_bytes = 0
        self._unsent_since = 0.0
        if len(self.connections) > self.max_connections + _MAX_FAREWELLS:
            transport.abort()
        elif len(self.connections) > self.max_connections:
            message = f"this server takes {self.max_connections:,} connections at once: close some, or try again"
            self._refuse(503, message)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Forget the connection."""
        self._is_refused = True
        self._count(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, in slices, and count what it leaves in memory."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self._is_refused or self.transport.is_closing():
                return
            part = data if len(data) <= _SLICE_BYTES else data[start : start + _SLICE_BYTES]
            self._framing_bytes += len(part)
            self._feed(part)
            if self._framing_bytes and not self._is_refused:
                self._check_framing()

    def on_message_begin(self) -> None:
        """Start the clock."""
        super().on_message_begin()
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer after a body in chunks."""
        if len(self.headers) < limits.MAX_HEADERS:
            super().on_header(name, value)
        elif not self._is_refused:
            self._refuse(431, _TOO_MANY_HEADERS)

    def on_headers_complete(self) -> None:
        """Start a request, or refuse it where too many wait for their answers."""
        if self._is_refused:
            return
        self._is_in_head = False
        self._awaited_since = self.loop.time()
        if self.parser.should_upgrade() and self._announces_body():
            # The parser takes what follows for another protocol.
            self._answer_last(400, _NO_UPGRADE)
        elif len(self.pipeline) >= limits.MAX_PIPELINED:
            self._answer_last(503, _TOO_MANY_PIPELINED)
        elif self._framing_bytes > limits.MAX_HEAD_BYTES - _SLICE_BYTES and self._head_bytes() > limits.MAX_HEAD_BYTES:
            self._answer_last(431, _HEAD_TOO_LARGE)
        else:
            super().on_headers_complete()
            if self.parser.should_upgrade():
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._framing_bytes -= len(body)
        self._body_bytes += len(body)
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_in_head = True
        self._awaited_since = None
        self._framing_bytes = 0
        if not self._is_refused:
            super().on_message_complete()

    def check(self, now: float, is_crowded: bool, is_room_crowded: bool) -> None:
        """End what takes too long; called every second."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent, now
        elif now - self._unsent_since > (limits.CROWDED_SECONDS if is_room_crowded else limits.STALLED_SECONDS):
            self.transport.abort()
            return
        if self._awaited_since is None or self._is_refused or self.flow.read_paused:
            return
        seconds = limits.HEAD_SECONDS if self._is_in_head else limits.BODY_SECONDS
        seconds = min(seconds, limits.CROWDED_SECONDS) if is_crowded else seconds
        if now - self._awaited_since > seconds:
            self._refuse(408, _TOO_SLOW.format(seconds=seconds))

    def _feed(self, part: bytes) -> None:
        """Parse. Not by uvicorn, which logs a line for each that is no HTTP: anybody can send that, without end."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserError:
            if not self._is_refused:
                self._refuse(400, _NOT_HTTP)
        except httptools.HttpParserUpgrade:
            pass  # answered as any other request

    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
            for name, value in self.headers
        )

    def _check_framing(self) -> None:
        """Bound what is parsed, but is neither a body nor a complete request: it stays in memory."""
        if self._is_in_head and self._awaited_since is None:
            # The first bytes after a complete request; uvicorn no longer waits for the end of the idle time.
            self._awaited_since = self.loop.time()
        self._count(self._framing_bytes)
        if self._framing_bytes > limits.MAX_HEAD_BYTES + self._body_bytes // _FRAMING_SHARE:
            self._refuse(431, _HEAD_TOO_LARGE)
        elif self._framing_bytes > _COMMON_HEAD_BYTES and BoundedProtocol._heads_bytes > limits.MAX_HEADS_BYTES:
            self._refuse(503, _TOO_MANY_HEADS)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _answer_last(self, status: int, message: str) -> None:
        """Refuse a request after those before it; what still comes is thrown away."""
        app, self.app = self.app, _refusing(status, message)
        super().on_headers_complete()
        self.app = app
        self._is_refused = True

    def _count(self, size: int) -> None:
        BoundedProtocol._heads_bytes += size - self._counted_bytes
        self._counted_bytes = size

    def _refuse(self, status: int, message: str) -> None:
        """Say why, if no other answer is on its way, and end the connection; what still comes is thrown away."""
        self._is_refused = True
        self._count(0)
        cycle = self.cycle
        has_answer = False
        if cycle is not None:
            has_answer = not cycle.response_complete if self._is_in_head else cycle.response_started
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        was_idle = self._is_in_head and not self._framing_bytes and status == 408
        if has_answer or was_idle or self.pipeline or self.transport.is_closing():
            self.transport.close()
            return
        body = json.dumps({**answers.envelope(status, message), "error": message}).encode()
        head = [STATUS_LINE[status], b"content-type: application/json\r\nconnection: close\r\n"]
        headers = {**PROTECTIVE, **(limits.RETRY_AFTER if status == 503 else {})}
        head += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([*head, b"content-length: %d\r\n\r\n" % len(body), body]))
        # A connection that is closed with bytes unread takes the answer away from who still sends.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_FAREWELL_SECONDS, self.transport.close)


def _refusing(status: int, message: str) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        again = limits.RETRY_AFTER if status == 503 else {}
        await refuse(scope, send, status, message, {**again, "connection": "close"})

    return ProtectiveHeaders(app)


async def watch(connections: Iterable[Any], room: _Room) -> None:
    """Check all connections every second, for ever, and now and then give memory back that nobody uses."""
    loop = asyncio.get_running_loop()
    for checks in itertools.count(1):
        await asyncio.sleep(_CHECK_SECONDS)
        open_now = [connection for connection in connections if isinstance(connection, BoundedProtocol)]
        is_crowded = len(open_now) > BoundedProtocol.max_connections // 2
        for connection in open_now:
            connection.check(loop.time(), is_crowded, room.is_crowded)
        if checks % _CHECKS_PER_RETURN == 0:
            await asyncio.to_thread(return_memory)
