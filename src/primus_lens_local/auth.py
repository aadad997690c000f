"""The token: programs send it as a bearer token; a browser gives it once and keeps a cookie made from it.

The cookie is not the token: cookies go to every server of a host, whatever its port. `/health` needs neither.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Optional
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens_local.guards import header, refuse, respond

COOKIE = "primus_lens_token"
LOGIN_PATH = "/login"
_OPEN_PATHS = ("/health",)
_COOKIE_SECONDS = 30 * 24 * 3600
_MAX_FORM_BYTES = 8192
_MISSING = "a valid bearer token is required"
_HTML = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Primus Lens</title>{head}
<style>:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}
main{{max-width:22rem;margin:20vh auto;padding:0 1rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0}}</style></head>
<body><main><h1>Primus Lens</h1>{body}</main></body></html>"""
_FORM = """<p>{message}</p><form method="post" action="/login"><label>Token
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Open</button></form>"""


def cookie_value(token: str) -> str:
    """Return what the cookie of a token holds."""
    return hmac.new(token.encode(), b"primus-lens cookie", hashlib.sha256).hexdigest()


class TokenAuth:
    """Lets only those pass, to pages, API and websockets, who have the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = cookie_value(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in _OPEN_PATHS or self._is_admitted(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and _is_for_people(scope):
            await self._log_in(scope, receive, send)
        else:
            await refuse(scope, send, 401, _MISSING, {"www-authenticate": "Bearer"})

    def _is_admitted(self, scope: Scope) -> bool:
        scheme, _, given = header(scope, b"authorization").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip(), "latin-1"):
            return True
        return hmac.compare_digest(_cookie(scope).encode(), self._cookie.encode())

    def _is_token(self, given: str, encoding: str = "utf-8") -> bool:
        return hmac.compare_digest(given.encode(encoding, "replace"), self._token)

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given: Optional[str] = dict(query).get("token")
        target = scope["path"]
        if scope["method"] == "POST":
            given, target = await _posted_token(Request(scope, receive)), "/"
        if given is not None and self._is_token(given):
            await self._welcome(scope, send, _local_url(target, [item for item in query if item[0] != "token"]))
            return
        message = "This server asks for a token." if given is None else "This is not the token."
        page = _PAGE.format(head="", body=_FORM.format(message=message))
        await respond(send, 401, page.encode(), {**_HTML, "www-authenticate": "Bearer"})

    async def _welcome(self, scope: Scope, send: Send, target: str) -> None:
        # A page, not a redirect: after a link from another site, a browser would not send the cookie with that.
        head = f'<meta http-equiv="refresh" content="0;url={target}">'
        page = _PAGE.format(head=head, body=f'<p><a href="{target}">Open</a></p>')
        cookie = f"{COOKIE}={self._cookie}; Path=/; Max-Age={_COOKIE_SECONDS}; HttpOnly; SameSite=Strict"
        if scope.get("scheme") == "https":
            cookie += "; Secure"
        await respond(send, 200, page.encode(), {**_HTML, "set-cookie": cookie})


def _is_for_people(scope: Scope) -> bool:
    """A browser opens a page, or sends the form."""
    if scope["method"] == "POST":
        return bool(scope["path"] == LOGIN_PATH)
    wants_page = "text/html" in header(scope, b"accept") or b"token=" in scope["query_string"]
    return scope["method"] == "GET" and wants_page and not scope["path"].startswith("/api/v1/")


def _cookie(scope: Scope) -> str:
    try:
        morsel = SimpleCookie(header(scope, b"cookie")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


async def _posted_token(request: Request) -> Optional[str]:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                return ""
    except ClientDisconnect:
        return None
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]


def _local_url(path: str, query: list[tuple[str, str]]) -> str:
    """Return a URL of this server, fit for an HTML attribute: never `//host`, which is another server."""
    return "/" + quote(path.lstrip("/\\")) + ("?" + urlencode(query).replace("&", "&amp;") if query else "")
