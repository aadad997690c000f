"""On request (``PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM``) a SIGTERM delivers what is pending, then does what it would have.

The job's own handler is called after the flush; without one the process dies of the signal. A handler that the job
installs later replaces this one. Python runs handlers on the main thread, between two of its own instructions: while
that thread is in foreign code that does not return, a SIGTERM waits.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any, Callable, List, Optional

from . import diagnostics

_installed: "Optional[_FlushOnSigterm]" = None


def install(flush: Callable[[], None], hurry: Callable[[], None], held_locks: Callable[[], List[Any]]) -> None:
    """Has a SIGTERM to this process call ``flush`` first; calling it again changes nothing.

    ``hurry`` ends a flush that goes on. ``held_locks`` are those that a flush needs and the calling thread holds.
    """
    global _installed
    if _installed is not None:
        return
    if threading.current_thread() is not threading.main_thread():
        diagnostics.warn_once(
            "sigterm thread",
            "PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM has no effect on a run that starts outside of the main thread: "
            "Python installs signal handlers there only",
        )
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None or previous is signal.SIG_IGN:
        diagnostics.debug("SIGTERM is left alone: it is %s", "ignored" if previous else "handled outside of Python")
        return
    _installed = _FlushOnSigterm(previous, flush, hurry, held_locks)
    signal.signal(signal.SIGTERM, _installed)


def reset_after_fork() -> None:
    """In the child: SIGTERM does what it did before the parent's run began."""
    global _installed
    if _installed is not None:
        _installed.uninstall()
        _installed = None


class _FlushOnSigterm:
    def __init__(
        self,
        previous: Any,
        flush: Callable[[], None],
        hurry: Callable[[], None],
        held_locks: Callable[[], List[Any]],
    ) -> None:
        self._previous = previous
        self._flush = flush
        self._hurry = hurry
        self._held_locks = held_locks
        self._pid = os.getpid()
        self._is_flushing = False

    def __call__(self, signum: int, frame: Optional[FrameType]) -> None:
        # In a child that was forked a moment ago there is nothing to flush.
        flushes = os.getpid() == self._pid
        if flushes and self._is_flushing:
            self._hurry()
            flushes = False
        if flushes and self._comes_again():
            return
        # A later handler that calls the one it found, this one, would not have called a default.
        dies = not callable(self._previous) and self._is_in_force()
        if dies:
            # Now, so that a second one ends the flush and the process.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if flushes:
            self._flush_guarded()
        if callable(self._previous):
            self._previous(signum, frame)
        elif dies:
            os.kill(os.getpid(), signal.SIGTERM)
            # Process 1 of a container does not die of it.
            signal.signal(signal.SIGTERM, self)

    def uninstall(self) -> None:
        if self._is_in_force():
            signal.signal(signal.SIGTERM, self._previous)

    def _is_in_force(self) -> bool:
        found: object = signal.getsignal(signal.SIGTERM)
        return found is self

    def _flush_guarded(self) -> None:
        self._is_flushing = True
        try:
            self._flush()
        except Exception as error:
            diagnostics.report_failure("flushing on SIGTERM", error)
        finally:
            self._is_flushing = False

    def _comes_again(self) -> bool:
        """Whether the signal interrupted this thread where it holds a lock; then it is sent again once that is free."""
        locks = self._held_locks()
        if not locks:
            return False

        def send_again() -> None:
            for lock in locks:
                with lock:
                    pass
            os.kill(os.getpid(), signal.SIGTERM)

        try:
            threading.Thread(target=send_again, name="primus-lens-sigterm", daemon=True).start()
        except RuntimeError:
            # The interpreter is shutting down: its end flushes.
            return False
        return True
