"""Who may pass: programs send a token as a bearer, a browser gives it once and has a session. `/health` needs neither.

A token is worth nothing as a cookie, a session nothing as a bearer. What a browser sends for another site is refused
before this, in guards.py.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Optional
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from primus_lens_local import login
from primus_lens_local.guards import header, opens_page, refuse, respond
from primus_lens_local.guesses import DELAY_SECONDS, Guesses
from primus_lens_local.sessions import SESSION_SECONDS, Right, Session, Sessions

LOGOUT_PATH = "/logout"
PAGE_KEY_HEADER = b"x-primus-lens-page-key"
_OPEN_PATHS = ("/health",)
# What the pages are made of; whoever has only the cookie learns nothing from it.
_ASSETS = ("/page/static/", "/page/charts/", "/api/docs/assets/")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_ADDRESS = 64
_MISSING = "a valid bearer token is required"
_WITHOUT_KEY = "a browser's session opens pages only: log in again at /login, or send a bearer token"
_WITHOUT_ORIGIN = "a browser's session writes from its own page only: send a bearer token"
_READ_ONLY = "this is the read-only token: it reads and posts nothing; whoever started the server has the other one"
_TOO_MANY = f"{_MISSING}, and too many wrong ones come at once: wait before the next"
_WRONG = "This is not the token."


class TokenAuth:
    """Lets only those pass, to pages, API and websockets, who have a token, and as far as it goes."""

    def __init__(self, app: ASGIApp, token: str, read_token: Optional[str] = None) -> None:
        self._app = app
        tokens = {Right.WRITE: token, Right.READ: read_token}
        self._digests = {right: _digest(text.encode()) for right, text in tokens.items() if text}
        self._sessions = Sessions()
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        scheme, _, given = header(scope, b"authorization").partition(" ")
        if scheme.lower() == "bearer" and given.strip():
            await self._pass_with_token(given.strip().encode("latin-1"), scope, receive, send)
        elif _gives_token(scope):
            await self._log_in(scope, receive, send)
        else:
            await self._pass_with_session(scope, receive, send)

    async def _pass_with_token(self, given: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        right = self._right_of(given)
        if right is not None:
            await self._pass(right, scope, receive, send)
        elif await self._guesses.wait(_client(scope)):
            await refuse(scope, send, 401, _MISSING, {"www-authenticate": "Bearer"})
        else:
            await refuse(scope, send, 429, _TOO_MANY, _RETRY)

    async def _pass_with_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        session_id, session = self._session_of(scope)
        if session is None or _is_login(scope, "GET"):
            await self._refuse_without_session(scope, send)
        elif _needs_no_key(scope):
            await self._app(scope, receive, send)
        elif not hmac.compare_digest(header(scope, PAGE_KEY_HEADER).encode("latin-1"), session.page_key.encode()):
            await refuse(scope, send, 401, _WITHOUT_KEY, {"www-authenticate": "Bearer"})
        elif _writes(scope) and not (header(scope, b"origin") or header(scope, b"sec-fetch-site")):
            await refuse(scope, send, 403, _WITHOUT_ORIGIN)
        elif scope["path"] == LOGOUT_PATH and _writes(scope):
            self._sessions.end(session_id)
            await respond(send, 204, b"", {"set-cookie": _cookie(scope, "", 0)})
        else:
            scope.setdefault("state", {})["session"] = session.right.value
            await self._pass(session.right, scope, receive, send)

    async def _pass(self, right: Right, scope: Scope, receive: Receive, send: Send) -> None:
        if right is Right.READ and _writes(scope):
            await refuse(scope, send, 403, _READ_ONLY)
        else:
            await self._app(scope, receive, send)

    async def _refuse_without_session(self, scope: Scope, send: Send) -> None:
        if not (opens_page(scope) or _is_login(scope, "GET")):
            await refuse(scope, send, 401, _MISSING, {"www-authenticate": "Bearer"})
        elif header(scope, b"sec-fetch-site") == "cross-site":
            # The cookie stayed at home because a link of another site was followed: ask again from here.
            await respond(send, 200, login.forward(login.address(scope["path"], _query(scope))), login.HTML_HEADERS)
        else:
            await respond(send, 401, login.form(_query(scope)), {**login.HTML_HEADERS, "www-authenticate": "Bearer"})

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = _query(scope)
        if scope["method"] == "POST":
            given = await login.posted_token(Request(scope, receive))
            target = login.address("/", query)
        else:
            given = dict(query)["token"]
            query = [item for item in query if item[0] != "token"]
            target = login.address(scope["path"], query)
        right = self._right_of(given.encode("utf-8", "replace")) if given else None
        if right is not None:
            session_id, session = self._sessions.open(right)
            headers = {**login.HTML_HEADERS, "set-cookie": _cookie(scope, session_id, SESSION_SECONDS)}
            await respond(send, 200, login.forward(target, session.page_key), headers)
        elif await self._guesses.wait(_client(scope)):
            headers = {**login.HTML_HEADERS, "www-authenticate": "Bearer"}
            await respond(send, 401, login.form(query, _WRONG), headers)
        else:
            problem = f"{_WRONG} Too many wrong ones come at once: wait before the next."
            await respond(send, 429, login.form(query, problem), {**login.HTML_HEADERS, **_RETRY})

    def _right_of(self, given: bytes) -> Optional[Right]:
        digest = _digest(given)
        matches = [right for right, own in self._digests.items() if hmac.compare_digest(digest, own)]
        return matches[0] if matches else None

    def _session_of(self, scope: Scope) -> tuple[str, Optional[Session]]:
        # A server on another port can set a cookie of the same name, which may come first.
        for part in header(scope, b"cookie").split(";"):
            name, _, value = part.strip().partition("=")
            if name == cookie_name(scope):
                session = self._sessions.find(value)
                if session is not None:
                    return value, session
        return "", None


# A new connection for each further try slows a guesser too.
_RETRY = {"retry-after": str(round(DELAY_SECONDS) + 1), "connection": "close"}


def cookie_name(scope: Scope) -> str:
    """Return the cookie's name: of the port that the browser sees, as all ports of a host share its cookies."""
    try:
        port = urlsplit(f"//{header(scope, b'host')}").port
    except ValueError:
        port = None
    return f"primus_lens_{port}" if port else "primus_lens"


def _cookie(scope: Scope, value: str, seconds: int) -> str:
    cookie = f"{cookie_name(scope)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    # Behind a proxy uvicorn knows the scheme from X-Forwarded-Proto.
    return f"{cookie}; Secure" if scope["scheme"] == "https" else cookie


def _gives_token(scope: Scope) -> bool:
    """Return whether a browser sends the form, or opens a page with a token in its address."""
    return _is_login(scope, "POST") or (opens_page(scope) and any(name == "token" for name, _ in _query(scope)))


def _is_login(scope: Scope, method: str) -> bool:
    return scope["type"] == "http" and (scope["method"], scope["path"]) == (method, login.LOGIN_PATH)


def _needs_no_key(scope: Scope) -> bool:
    is_asset = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_ASSETS)
    return is_asset or opens_page(scope)


def _writes(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in _SAFE_METHODS


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _client(scope: Scope) -> str:
    address = str(scope["client"][0]) if scope.get("client") else ""
    # Behind a proxy it is what X-Forwarded-For says, and it is logged.
    is_clean = address.isascii() and address.isprintable() and 0 < len(address) <= _MAX_ADDRESS
    return address if is_clean else "an unknown address"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
