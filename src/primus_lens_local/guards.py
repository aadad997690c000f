"""What stands before every request: no strange hosts, no cross-site requests.

A server on loopback without a token trusts this machine's users, but a browser lets any site send requests to it:
with a foreign `Origin`, or after DNS rebinding under a foreign `Host`.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any, MutableMapping, Optional
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens_local import answers

_LOCAL_SUFFIXES = (".localhost", ".internal", ".local")


class BrowserGuard:
    """Refuses, with 403, what only a browser sends on behalf of another site. For servers without a token."""

    def __init__(self, app: ASGIApp, listens_on_loopback: bool) -> None:
        self._app = app
        self._listens_on_loopback = listens_on_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = header(scope, b"host")
        origin = header(scope, b"origin")
        if self._listens_on_loopback and host and not is_local_host(host):
            await refuse(scope, send, 403, "this host name is not allowed: use localhost, or start with --token")
        elif origin and urlsplit(origin).netloc.lower() != host.lower():
            await refuse(scope, send, 403, "requests from other sites are not allowed")
        else:
            await self._app(scope, receive, send)


def is_local_host(host: str) -> bool:
    """Return whether a Host header cannot be a name that somebody else owns: an address or a name without a domain."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    if "." not in name or name.endswith(_LOCAL_SUFFIXES):
        return True
    return _is_address(name)


def header(scope: Scope, name: bytes) -> str:
    """Return a request's header, "" where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def refuse(
    scope: Scope, send: Send, status: int, message: str, headers: Optional[MutableMapping[str, str]] = None
) -> None:
    """Answer with an error in the form that the endpoint's own errors have; close a websocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message})
        return
    is_query = scope["method"] in ("GET", "HEAD")
    body: dict[str, Any] = {"error": message} if is_query else answers.envelope(status, message)
    await respond(send, status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


async def respond(send: Send, status: int, body: bytes, headers: MutableMapping[str, str]) -> None:
    """Send a whole response."""
    all_headers = {**headers, "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
