"""The two generations of the API: under `/api/v1` queries answer bare objects, under `/v1` in an envelope.

Reports are the same under both. What differs is put around the answers here; no endpoint knows of it.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from primus_lens_local import answers

BARE, ENVELOPED = "/api/v1", "/v1"
PREFIXES = (BARE, ENVELOPED)

# What the newer generation says, with status 200, where the older one answers with a status.
_CODES = {400: 4001, 404: 4004, 500: 5000}
_HEAD, _TAIL = (part.encode() for part in answers.around_data())


def is_of_api(path: str) -> bool:
    """Return whether a path is below one of the prefixes."""
    return path.startswith(tuple(f"{prefix}/" for prefix in PREFIXES)) or path in PREFIXES


def is_enveloped(path: str) -> bool:
    """Return whether queries of this path are answered in an envelope."""
    return path.startswith(f"{ENVELOPED}/")


class Generations:
    """Puts the answers of queries into the form of their prefix."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not is_of_api(scope["path"]):
            await self._app(scope, receive, send)
            return
        # Of a repeated parameter the first counts; Starlette takes the last.
        scope = {**scope, "query_string": b"&".join(reversed(scope["query_string"].split(b"&")))}
        is_wrapped = is_enveloped(scope["path"]) and scope["method"] == "GET"
        await self._app(scope, receive, _Envelope(send) if is_wrapped else send)


class _Envelope:
    """Wraps one answer while it is sent, however long it is."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._error: Message | None = None
        self._is_json = False
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._error is not None:
            await self._translate(self._error, message)
        elif self._is_json:
            body, more = message.get("body", b""), message.get("more_body", False)
            head, tail = b"" if self._has_begun else _HEAD, b"" if more else _TAIL
            self._has_begun = True
            await self._send({**message, "body": head + body + tail})
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        headers = {name.lower(): value for name, value in message["headers"]}
        self._is_json = headers.get(b"content-type", b"").startswith(b"application/json")
        if self._is_json and message["status"] in _CODES:
            self._error = message
        elif self._is_json and message["status"] == 200 and b"content-length" in headers:
            length = int(headers[b"content-length"]) + len(_HEAD) + len(_TAIL)
            await self._send(_with_length(message, length))
        else:
            await self._send(message)

    async def _translate(self, start: Message, message: Message) -> None:
        """Send an error, which comes in one piece."""
        error = json.loads(message["body"])["error"]
        body = json.dumps(answers.envelope(_CODES[start["status"]], error)).encode()
        await self._send(_with_length({**start, "status": 200}, len(body)))
        await self._send({"type": "http.response.body", "body": body})


def _with_length(start: Message, length: int) -> dict[str, Any]:
    others = [header for header in start["headers"] if header[0].lower() != b"content-length"]
    return {**start, "headers": [*others, (b"content-length", b"%d" % length)]}
