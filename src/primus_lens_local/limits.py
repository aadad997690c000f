"""Every bound of the server in one place, and what keeps requests and answers within theirs.

Memory is bounded by sums over all clients, not by each client's share: a thousand of them cost what one may.
"""

from __future__ import annotations

import asyncio
from typing import Optional

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from primus_lens_local.guards import header, refuse

KIB, MIB = 2**10, 2**20

# Connections
MAX_CONNECTIONS = 2048
"""Fewer where the system allows fewer open files."""
MAX_HEAD_BYTES = 64 * KIB
"""Request line and headers of one request; also what frames a body in chunks, and its trailers."""
MAX_HEADERS = 100
MAX_HEADS_BYTES = 16 * MIB
"""All heads together that are not complete yet."""
MAX_PIPELINED = 16
HEAD_SECONDS = 30.0
BODY_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 60
"""Longer than most jobs take between two reports: they need not connect again."""
STALLED_SECONDS = 60.0
"""How long a client that takes nothing of its answer is waited for."""
CROWDED_SECONDS = 5.0
"""How long anybody is waited for when half of the connections, or of the room for answers, are in use."""

# Requests
MAX_BODY_BYTES = 4 * MIB
"""The exporter's largest request, 500 metrics, takes 0.1 MB with common names."""
MAX_ELEMENTS = 100_000
"""Commas, lists and objects in a body: they, not its length, cost time and memory. 500 metrics have 4,000."""
MAX_ENTRIES = 10_000
"""Metrics or log entries in one request: what one transaction takes."""
MAX_REQUESTS_BYTES = 64 * MIB
"""What all requests that are not answered yet may take."""
LARGE_BODY_BYTES = 256 * KIB
"""Larger bodies leave half of that room to the others, and are decoded beside them."""

# What is stored, for one workload
MAX_NAMES = 20_000
MAX_NAME_CHARACTERS = 2_000_000
"""All its names together."""
MAX_RUNS = 10_000
MAX_DETECTIONS = 20_000
MAX_SUMMARY_VALUES = 5_000
"""Of one run; what is beyond is stored as any metric."""

# Answers
MAX_ANSWERS_BYTES = 64 * MIB
"""What all answers may take that are being sent; small ones do not count."""
STREAM_BYTES = 2 * MIB
"""What a streamed answer counts for."""
MAX_WORKLOADS_LISTED = 10_000
QUERY_THREADS = 8
READING_THREADS = 4
"""For the points of metrics, beside the other queries."""

RETRY_AFTER = {"retry-after": "2"}

_ELEMENT_BYTES = 64
_WIDEST_CHARACTER = 4
_SLICE_BYTES = 64 * KIB
_GONE: Message = {"type": "http.disconnect"}

BODY_TOO_LARGE = f"request body is larger than {MAX_BODY_BYTES // MIB} MB: send fewer metrics in one request"
TOO_MANY_ELEMENTS = (
    f"request body holds more than {MAX_ELEMENTS:,} lists, objects and commas: send fewer metrics in one request"
)
TOO_MANY_ENTRIES = f"request holds more than {MAX_ENTRIES:,} metrics or log entries: send them in several requests"
REQUESTS_TOO_LARGE = (
    f"requests that are not answered yet take {MAX_REQUESTS_BYTES // MIB} MB, the most that all may: try again"
)
ANSWERS_TOO_LARGE = (
    f"answers that clients have not taken yet take {MAX_ANSWERS_BYTES // MIB} MB, the most that all may: "
    "try again, or ask for less"
)


class _Body:
    """One request while it is received and answered, and what it takes."""

    __slots__ = ("bytes", "cost", "elements", "refusal", "scope", "send")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.send = send
        self.bytes = 0
        self.elements = 0
        self.cost = 0
        self.refusal: Optional[asyncio.Task[None]] = None


class BodyLimit:
    """Refuses bodies that are too large, and bounds what all of them take until they are answered.

    413 comes at once to a body that announces its length, else where it passes the limit. Where all together take too
    much, the one that has been on its way for longest gives way, with 503: an honest sender's arrives at once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._taken = 0
        # In the order in which they began.
        self._unfinished: dict[_Body, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = header(scope, b"content-length")
        if announced.isdigit() and (len(announced) > 18 or int(announced) > MAX_BODY_BYTES):
            await refuse(scope, send, 413, BODY_TOO_LARGE)
            return
        body = _Body(scope, send)
        self._unfinished[body] = None

        async def limited_receive() -> Message:
            message = await receive() if body.refusal is None else _GONE
            chunk = message.get("body", b"")
            if chunk and body.refusal is None:
                self._take(body, chunk)
            if not message.get("more_body"):
                self._unfinished.pop(body, None)
            return message if body.refusal is None else _GONE

        async def guarded_send(message: Message) -> None:
            if body.refusal is None:
                await send(message)

        try:
            await self._app(scope, limited_receive, guarded_send)
        finally:
            self._release(body)
            if body.refusal is not None:
                await body.refusal

    def _take(self, body: _Body, chunk: bytes) -> None:
        elements = chunk.count(b",") + chunk.count(b"[") + chunk.count(b"{")
        width = 1 if chunk.isascii() and b"\\u" not in chunk else _WIDEST_CHARACTER
        cost = len(chunk) * width + elements * _ELEMENT_BYTES
        body.bytes += len(chunk)
        body.elements += elements
        body.cost += cost
        self._taken += cost
        if body.bytes > MAX_BODY_BYTES:
            self._refuse(body, 413, BODY_TOO_LARGE)
        elif body.elements > MAX_ELEMENTS:
            self._refuse(body, 413, TOO_MANY_ELEMENTS)
        room = MAX_REQUESTS_BYTES if body.bytes <= LARGE_BODY_BYTES else MAX_REQUESTS_BYTES // 2
        while self._taken > room and body.refusal is None:
            self._refuse(next(iter(self._unfinished)), 503, REQUESTS_TOO_LARGE)

    def _refuse(self, body: _Body, status: int, message: str) -> None:
        """Answer in a task of its own: one client's answer must not wait until another's connection can be written."""
        self._release(body)
        answer = refuse(body.scope, body.send, status, message, RETRY_AFTER if status == 503 else None)
        body.refusal = asyncio.get_running_loop().create_task(answer)

    def _release(self, body: _Body) -> None:
        self._unfinished.pop(body, None)
        self._taken -= body.cost
        body.cost = 0


class AnswerRoom:
    """What answers take that are being sent."""

    def __init__(self) -> None:
        self._taken = 0

    @property
    def is_crowded(self) -> bool:
        """Half of the room is taken: who does not read must go."""
        return self._taken > MAX_ANSWERS_BYTES // 2

    def take(self, cost: int) -> bool:
        """Take room for an answer; return whether there was any."""
        if self._taken + cost > MAX_ANSWERS_BYTES:
            return False
        self._taken += cost
        return True

    def give_back(self, cost: int) -> None:
        """Make room again."""
        self._taken -= cost


class AnswerLimit:
    """Bounds what answers take: large ones go in slices, as fast as the client reads, and only so many at once."""

    def __init__(self, app: ASGIApp, room: AnswerRoom) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Optional[Message] = None
        taken = 0
        is_refused = False

        async def limited_send(message: Message) -> None:
            nonlocal start, taken, is_refused
            if is_refused:
                return
            if message["type"] == "http.response.start":
                start = message
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            if start is not None:
                cost = STREAM_BYTES if more else len(body)
                if cost > _SLICE_BYTES and not self._room.take(cost):
                    is_refused = True
                    await refuse(scope, send, 503, ANSWERS_TOO_LARGE, RETRY_AFTER)
                    return
                taken = cost if cost > _SLICE_BYTES else 0
                await send(start)
                start = None
            while len(body) > _SLICE_BYTES:
                await send({"type": "http.response.body", "body": body[:_SLICE_BYTES], "more_body": True})
                body = body[_SLICE_BYTES:]
            await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            await self._app(scope, receive, limited_send)
        finally:
            self._room.give_back(taken)
