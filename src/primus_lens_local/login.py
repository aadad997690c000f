"""The pages by which a browser gives a token once and gets a session for it."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Iterable, Optional
from urllib.parse import parse_qs, urlencode

from starlette.requests import ClientDisconnect, Request

from primus_lens_local.response_headers import page_policy

LOGIN_PATH = "/login"
_MAX_FORM_BYTES = 8192
_STYLE = """
:root{color-scheme:light dark;--ground:#f6f7f8;--surface:#fff;--line:#dfe2e6;--text:#1b2026;--muted:#66707c;
--accent:#2563a8;--problem:#b3261e}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--surface:#1b1f24;--line:#2d333b;--text:#dde2e8;
--muted:#8f99a5;--accent:#72aef0;--problem:#ff8a80}}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:22rem;margin:16vh auto 0;padding:24px;background:var(--surface);border:1px solid var(--line);
border-radius:8px;box-sizing:border-box;width:calc(100% - 32px)}
h1{font-size:18px;margin:0 0 4px}h1 span{color:var(--muted);font-weight:400}
p{margin:0 0 16px;color:var(--muted)}p.problem{color:var(--problem)}a{color:var(--accent)}
label{display:block;font-weight:600;font-size:13px}small{display:block;margin-top:14px;color:var(--muted)}
input,button{font:inherit;width:100%;box-sizing:border-box;padding:7px 10px;border-radius:5px;
border:1px solid var(--line);margin-top:4px;color:var(--text);background:var(--ground)}
button{margin-top:12px;background:var(--accent);border-color:var(--accent);color:var(--surface);cursor:pointer}
"""
# The key goes where pages of other ports of this host, which get the cookie, cannot read it. `replace` leaves no
# address with a token behind in the window's history.
_FORWARD = """
const { key, target } = document.currentScript.dataset;
try { if (key) localStorage.setItem("primus-lens-page-key", key); } catch { /* no storage: the page will say so */ }
location.replace(target);
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Primus Lens</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><main><h1>Primus Lens <span>local</span></h1>{body}</main></body></html>"""
_FORM = """<p{problem}>{message}</p><form method="post" action="{action}"><label>Token
<input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Open</button></form><small>The server printed it at its start, or whoever started it has it.</small>"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HTML_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    # With none at all, the form would come from the origin "null", which is what a hostile page's would say.
    "referrer-policy": "same-origin",
    **page_policy(
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_FORWARD)}",
        "img-src data:",
        "form-action 'self'",
    ),
}


def form(query: Iterable[tuple[str, str]], problem: Optional[str] = None) -> bytes:
    """Return the page that asks for a token; it leads back to the page with this query."""
    message = escape(problem or "This server asks for a token.")
    kind = ' class="problem"' if problem else ""
    action = escape(address(LOGIN_PATH, query))
    return _page(_FORM.format(problem=kind, message=message, action=action))


def forward(target: str, page_key: str = "") -> bytes:
    """Return a page that leaves the session's key, if there is one, with the browser, and goes to the target.

    A page, not a redirect: after a link from another site, a browser would not send the cookie with that.
    """
    target = escape(target)
    script = f'<script data-target="{target}" data-key="{escape(page_key)}">{_FORWARD}</script>'
    return _page(f'<p><a href="{target}">Open</a></p>{script}')


def address(path: str, query: Iterable[tuple[str, str]]) -> str:
    """Return the address of a page of this server."""
    rest = urlencode(list(query))
    return f"{path}?{rest}" if rest else path


async def posted_token(request: Request) -> Optional[str]:
    """Return the token in a form, "" if it has none or is too long; None if the client went away."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                return ""
    except ClientDisconnect:
        return None
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]


def _page(body: str) -> bytes:
    return _PAGE.format(style=_STYLE, body=body).encode()
