"""What stands before every request: no strange hosts, no cross-site requests.

A browser lets any site send requests to this server, with its user's cookie if the site is another port of the same
host: they carry a foreign `Origin` or `Sec-Fetch-Site`, or, after DNS rebinding, a foreign `Host`.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import Any, Iterable, MutableMapping, Optional
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens_local import answers
from primus_lens_local.generations import is_enveloped

# The pages that people open, from links of other sites too; an answer here is HTML and holds no data.
PAGES = ("/", "/api/docs")
OTHER_SITE = (
    "requests that another site makes in a browser are not allowed; if this is the server's own page, the proxy in "
    "front of it must pass on the Host header"
)
STRANGE_NAME = (
    "this server does not answer to the host name {name!r}: use its address or localhost, allow the name with "
    "--allow-host, or start the server with --token"
)
_MAX_SHOWN = 100
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_SUFFIXES = (".localhost", ".internal", ".local")


class BrowserGuard:
    """Refuses, with 403, what a browser sends on behalf of another site, and host names that a stranger can own.

    With a token any name will do (`names` is None): a page under a stranger's name has neither token nor cookie.
    """

    def __init__(self, app: ASGIApp, names: Optional[HostNames]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = header(scope, b"host")
        if self._names is not None and host and not self._names.allow(host):
            await refuse(scope, send, 403, STRANGE_NAME.format(name=_shown(host)))
        elif is_from_another_site(scope):
            await refuse(scope, send, 403, OTHER_SITE)
        else:
            await self._app(scope, receive, send)


class HostNames:
    """The names a server without a token answers to: those of this machine, and those it was told."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {name.lower().rstrip(".") for name in (*allowed, socket.gethostname())}

    def allow(self, host: str) -> bool:
        """Return whether a Host header has one of them."""
        return is_local_host(host) or _host_name(host) in self._allowed


def is_from_another_site(scope: Scope) -> bool:
    """Return whether a browser says that another origin asks, be it another port of this host.

    Everybody may open a page: a link to one says nothing to where it stood. Programs say nothing about origins.
    Browsers tell `Sec-Fetch-Site` to https and loopback only; `Origin` comes with all that could write or be read.
    """
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site not in ("", "same-origin", "none"):
        return not (header(scope, b"sec-fetch-dest") == "document" and opens_page(scope))
    # Behind a proxy that does not say so, the server does not know that it is https: the browser does.
    return bool(origin) and not _is_own_origin(scope, origin, any_scheme=site == "same-origin")


def opens_page(scope: Scope) -> bool:
    """Return whether a page itself is asked for, which holds no data."""
    return scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in PAGES


def is_local_host(host: str) -> bool:
    """Return whether a Host header cannot be a name that somebody else owns: an address or a name without a domain."""
    name = _host_name(host)
    if name is None:
        return False
    return "." not in name or name.endswith(_LOCAL_SUFFIXES) or _is_address(name)


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
    is_query = scope["method"] in ("GET", "HEAD") and not is_enveloped(scope["path"])
    body: dict[str, Any] = {"error": message} if is_query else answers.envelope(status, message)
    await respond(send, status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


async def respond(send: Send, status: int, body: bytes, headers: MutableMapping[str, str]) -> None:
    """Send a whole response."""
    all_headers = {**headers, "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _is_own_origin(scope: Scope, origin: str, any_scheme: bool) -> bool:
    scheme = origin.partition(":")[0] if any_scheme else scope["scheme"].replace("ws", "http")
    try:
        given, own = urlsplit(origin), urlsplit(f"{scheme}://{header(scope, b'host')}")
        places = [(url.scheme, url.hostname, url.port or _DEFAULT_PORTS.get(url.scheme)) for url in (given, own)]
    except ValueError:
        return False
    return places[0] == places[1]


def _host_name(host: str) -> Optional[str]:
    """Return the name in a Host header in lower case, without port and final dot; None where it is no name."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _shown(host: str) -> str:
    return (_host_name(host) or host)[:_MAX_SHOWN]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
