"""What somebody who waits for a flush puts into the queue of a sink."""

import contextlib
import threading


class _Flag:
    """As threading.Event, but whoever waits holds no lock while a signal handler interrupts it and waits, too."""

    def __init__(self) -> None:
        self._is_set = False
        self._bell = threading.Lock()
        self._bell.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        with contextlib.suppress(RuntimeError):
            self._bell.release()

    def wait(self, seconds: float) -> bool:
        if not self._is_set and self._bell.acquire(timeout=seconds):
            # For others that wait.
            self.set()
        return self._is_set


class FlushMark:
    """Queued behind the records that a flush waits for."""

    def __init__(self) -> None:
        self.done = _Flag()
        self.abandoned = False
        # What `work_done` must reach: others may go on logging behind the mark.
        self.settled_at = 0
