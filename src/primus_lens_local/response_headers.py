"""Headers that every answer carries, so that a browser never takes data for a page, and lends it to no other site."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROTECTIVE = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_RAW = [(name.encode(), value.encode()) for name, value in PROTECTIVE.items()]


def page_policy(*rules: str) -> dict[str, str]:
    """Return the header by which a page allows itself what it needs."""
    return {"content-security-policy": "; ".join([*rules, "base-uri 'none'", "frame-ancestors 'none'"])}


class ProtectiveHeaders:
    """Adds to every answer what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def protected_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                missing = [header for header in _RAW if header[0] not in given]
                message = {**message, "headers": [*message["headers"], *missing]}
            await send(message)

        await self._app(scope, receive, protected_send if scope["type"] == "http" else send)
