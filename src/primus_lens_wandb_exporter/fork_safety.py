"""Imports on the exporter's threads, without a fork in the middle of one.

The lock of a module that is being imported is not freed in a forked child: the child would wait for it for ever. So a
fork waits, once and for a moment, until such an import is over.
"""

import contextlib
import threading
from typing import Iterator

from . import autoreload

# An import that takes longer has a trouble of its own; then the fork goes on as it would without us.
LONGEST_WAIT_S = 2.0

_lock = threading.Lock()
_forking_thread_has_lock = False


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Surrounds imports that run on a thread of the exporter."""
    with _lock:
        yield
    autoreload.keep_out()


def before_fork() -> None:
    global _forking_thread_has_lock
    _forking_thread_has_lock = _lock.acquire(timeout=LONGEST_WAIT_S)


def after_fork_in_parent() -> None:
    if _forking_thread_has_lock:
        _lock.release()


def after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
