"""Group commit: one thread writes, taking all requests that wait into one transaction.

SQLite allows one writer at a time, and so do we with PostgreSQL. While a transaction commits, the next requests
gather; so the cost of a commit is shared by as many senders as there are.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Optional, Sequence, Union

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from primus_lens_local.admission import Admission
from primus_lens_local.contract import LogsRequest, MetricsRequest
from primus_lens_local.store import LimitError, StoredRequest, write

logger = logging.getLogger(__name__)

# What one transaction takes: large enough to share the cost of a commit, small enough to answer soon.
_MAX_REQUESTS = 512
_MAX_METRICS = 10_000


@dataclass(frozen=True)
class _Waiting:
    request: StoredRequest
    loop: asyncio.AbstractEventLoop
    committed: asyncio.Future[None]


class _Stop:
    """The last thing on the queue."""


class WriteError(Exception):
    """A request could not be committed; the message is the database's."""


class Writer:
    """The only writer of a store. `start` before the first `write`; `close` commits what still waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._admission = Admission()
        self._queue: SimpleQueue[Union[_Waiting, _Stop]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="primus-lens-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._queue.put(_Stop())
        self._thread.join()

    async def write(self, request: StoredRequest) -> None:
        """Return once the request is committed.

        Raise WriteError if it could not be, LimitError if it is beyond a limit, or some of it.
        """
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Waiting(request, loop, committed))
        await committed

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group: list[_Waiting] = []
            metrics = 0
            item = self._next(block=True)
            while item is not None:
                if isinstance(item, _Stop):
                    stopping = True
                    break
                group.append(item)
                if isinstance(item.request, MetricsRequest):
                    metrics += len(item.request.metrics)
                elif isinstance(item.request, LogsRequest):
                    metrics += len(item.request.logs)
                is_full = len(group) >= _MAX_REQUESTS or metrics >= _MAX_METRICS
                item = None if is_full else self._next(block=False)
            if group:
                self._commit(group)

    def _next(self, block: bool) -> Optional[Union[_Waiting, _Stop]]:
        try:
            return self._queue.get(block=block)
        except Empty:
            return None

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            refusals = write(self._engine, [waiting.request for waiting in group], self._admission)
        except Exception as error:
            if len(group) > 1 and not isinstance(error, OperationalError):
                # One of them is at fault; an operational error (disk full, database locked) would meet all again.
                for waiting in group:
                    self._commit([waiting])
                return
            reason = str(getattr(error, "orig", None) or error)
            logger.error("%d requests could not be stored: %s", len(group), reason)
            _answer(group, [WriteError(reason)] * len(group))
        else:
            _answer(group, refusals)


def _answer(group: list[_Waiting], errors: Sequence[Union[WriteError, LimitError, None]]) -> None:
    loop = group[0].loop
    loop.call_soon_threadsafe(_settle, [waiting.committed for waiting in group], errors)


def _settle(futures: list[asyncio.Future[None]], errors: Sequence[Union[WriteError, LimitError, None]]) -> None:
    for future, error in zip(futures, errors):
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
