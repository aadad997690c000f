"""Logging to a run that another process began: such children end by ``os._exit`` or a signal, without a word.

What outlives them is therefore written before their call returns, on their own thread. That may cost them what the
file costs; a process with a run of its own never pays it.
"""

import os
from typing import Callable, Tuple, Union

from .records import Record
from .worker import Worker

_pid = os.getpid()
_parent_pid = os.getppid()


class AtOnce:
    """A worker as a child uses it, as long as its parent lives.

    A process that nobody waits for any more (a daemon that forked after its run began) ends when it likes to: it
    queues as any other.
    """

    __slots__ = ("_parent_pid", "_put", "_put_at_once", "sink")

    def __init__(self, worker: Worker) -> None:
        self.sink = worker.sink
        self._parent_pid = _parent_pid
        self._put: Callable[[Record, int], None] = worker.put
        self._put_at_once: Callable[[Record, int], None] = worker.put_at_once

    def put(self, record: Record, size: int) -> None:
        (self._put_at_once if os.getppid() == self._parent_pid else self._put)(record, size)


Route = Tuple[Union[Worker, AtOnce], ...]


def route_of_child(route: Route) -> Route:
    """The same route, with what outlives the process written at once."""
    return tuple(AtOnce(way) if isinstance(way, Worker) and way.sink.is_prompt else way for way in route)


def reset_after_fork() -> None:
    global _pid, _parent_pid
    # Not asked of the system: the parent may have ended already.
    _pid, _parent_pid = os.getpid(), _pid
