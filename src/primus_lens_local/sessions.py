"""What a browser holds instead of a token: a session of this process, which ends with it.

A session has two secrets. Its id is a cookie, which the browser shows to every server of the host, whatever the port;
the page key stays with the page's own origin. Pages, which hold no data, open with the cookie; data need both.
"""

from __future__ import annotations

import enum
import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Optional

SESSION_SECONDS = 30 * 24 * 3600
_MAX_SESSIONS = 500


class Right(enum.Enum):
    """What a token, and a session that was opened with it, may do."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Session:
    """What the server knows of a browser that gave a token; `ends` is by the monotonic clock."""

    right: Right
    page_key: str
    ends: float


class Sessions:
    """All sessions, found by id; of each right the newest 500, so that readers cannot log writers out."""

    def __init__(self) -> None:
        self._by_right: dict[Right, OrderedDict[bytes, Session]] = {right: OrderedDict() for right in Right}

    def open(self, right: Right) -> tuple[str, Session]:
        """Open a session; return its id too."""
        session_id = secrets.token_urlsafe(32)
        session = Session(right, secrets.token_urlsafe(32), time.monotonic() + SESSION_SECONDS)
        sessions = self._by_right[right]
        sessions[_digest(session_id)] = session
        if len(sessions) > _MAX_SESSIONS:
            sessions.popitem(last=False)
        return session_id, session

    def find(self, session_id: str) -> Optional[Session]:
        """Return the session of an id, None if there is none or it has ended."""
        for sessions in self._by_right.values():
            session = sessions.get(_digest(session_id))
            if session is not None:
                return session if time.monotonic() < session.ends else None
        return None

    def end(self, session_id: str) -> None:
        """End a session, if there is one."""
        for sessions in self._by_right.values():
            sessions.pop(_digest(session_id), None)


def _digest(session_id: str) -> bytes:
    # Looked up by its digest, an id cannot be found character by character from the time that a look takes.
    return hashlib.sha256(session_id.encode("latin-1", "replace")).digest()
