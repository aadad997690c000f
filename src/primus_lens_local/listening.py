"""The socket and the process: bind, announce, serve until a signal."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sys
import threading
from types import FrameType
from typing import NoReturn, Optional, Sequence

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import uvicorn
from fastapi import FastAPI

from primus_lens_local.limits import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, AnswerRoom
from primus_lens_local.protocol import BoundedProtocol, watch

_GRACE_SECONDS = 5
_BACKLOG = 2048
# Database, libraries, and connections that are told why they are refused.
_FILES_OF_OUR_OWN = 384
# A query passes between threads a few times: each time it waits so long for the threads that decode and write.
_SWITCH_SECONDS = 0.001


class AddressError(Exception):
    """The address cannot be listened on; the message names it, says why and what to do next."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 takes a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(_unusable(host, port, error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise AddressError(_unusable(host, port, error)) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine reaches a bound socket."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def own_names(wait_seconds: float = 3.0) -> list[str]:
    """Return this machine's full name, or nothing where the resolver takes long to tell it."""
    names: list[str] = []
    # The resolver cannot be interrupted: a thread that outlives the waiting does no harm.
    asking = threading.Thread(target=lambda: names.append(socket.getfqdn()), daemon=True)
    asking.start()
    asking.join(wait_seconds)
    return list(names)


def serve(app: FastAPI, listener: socket.socket, announcement: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM, then leave with SystemExit(0) once open requests are answered.

    The announcement is printed as soon as connections are taken.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again when it has shut down: it ends here, as a success.
        signal.signal(number, _exit_cleanly)
    BoundedProtocol.max_connections = max(1, min(MAX_CONNECTIONS, _allowed_files() - _FILES_OF_OUR_OWN))
    sys.setswitchinterval(_SWITCH_SECONDS)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        backlog=_BACKLOG,
        http=BoundedProtocol,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    _AnnouncingServer(config, app.state.answer_room, announcement).run(sockets=[listener])


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, room: AnswerRoom, announcement: Sequence[str]) -> None:
        super().__init__(config)
        self._room = room
        self._announcement = announcement

    async def startup(self, sockets: Optional[list[socket.socket]] = None) -> None:
        await super().startup(sockets=sockets)
        self._watch = asyncio.create_task(watch(self.server_state.connections, self._room))
        if self.started and sockets:
            print(*self._announcement, sep="\n", flush=True)


def _allowed_files() -> int:
    """Use all the descriptors the system allows, for idle connections need one each; return how many there are."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if hard != resource.RLIM_INFINITY:
            return hard
    return sys.maxsize


def _exit_cleanly(_number: int, _frame: Optional[FrameType]) -> NoReturn:
    sys.exit(0)


def _unusable(host: str, port: int, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"cannot listen on {host}:{port}: {reason}. Choose another port with --port (0 takes a free one), or --host"
