"""Wrong tokens are answered late: who guesses waits, who has the right one never does.

The waiting costs the server a sleeping task each, so only so many wait at once; the others are told to come later.
A right token is never looked at through this: nobody can lock its owner out by guessing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter

logger = logging.getLogger(__name__)

DELAY_SECONDS = 1.0
MAX_WAITING = 64
MAX_WAITING_OF_ONE_CLIENT = 8
_LOG_SECONDS = 60


class Guesses:
    """The wrong tokens whose answers wait."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._unlogged = 0
        self._logged_at = -math.inf

    async def wait(self, client: str) -> bool:
        """Wait before a wrong token is answered; return False at once if too many wait already."""
        self._log(client)
        if self._waiting.total() >= MAX_WAITING or self._waiting[client] >= MAX_WAITING_OF_ONE_CLIENT:
            return False
        self._waiting[client] += 1
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        return True

    def _log(self, client: str) -> None:
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            tokens = "a wrong token" if self._unlogged == 1 else f"{self._unlogged} wrong tokens"
            logger.warning("primus-lens-local: %s came, the last from %s", tokens, client)
            self._unlogged, self._logged_at = 0, now
