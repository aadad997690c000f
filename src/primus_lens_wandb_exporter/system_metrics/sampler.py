"""The thread that samples while runs are going, and the last sample for whoever logs.

All that may take long (NVML, amdsmi, slow drivers) happens on the thread. The training thread opens cheap files once,
at the start of the first run, and afterwards reads one attribute.
"""

import os
import sys
import threading
import time
from typing import Dict, List, Mapping, Optional, Tuple, Union

from .. import diagnostics, fork_safety
from .amd import open_amd
from .gauges import Device, Devices
from .host import SHORTEST_WINDOW_S, open_host
from .nvidia import open_nvidia

DEFAULT_INTERVAL_S = 5.0

# The first sample of CPU use covers this long. A run's start waits for it, and as long for the GPUs' first figures.
_FIRST_WINDOW_S = SHORTEST_WINDOW_S + 0.005
# The thread is asleep or in a reading of milliseconds when it is stopped; a driver that hangs is not waited for.
_STOP_TIMEOUT_S = 0.5


class _Board:
    """Where samples are put up. One for each session: what a stopped session still writes, nobody reads."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: Dict[str, float] = {}


class SystemSampler:
    """Samples the machine while at least one run is going. `latest` has the figures by their metrics' names."""

    def __init__(
        self,
        interval_s: float = DEFAULT_INTERVAL_S,
        proc: str = "/proc",
        sys: str = "/sys",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._interval_s = min(interval_s, threading.TIMEOUT_MAX)
        self._sources = (proc, sys, environ)
        # Re-entrant and held for a few instructions only: a finaliser may end a run at any moment.
        self._lock = threading.RLock()
        self._runs = 0
        self._session: Optional[_Session] = None
        self._board = _Board()

    def start(self) -> None:
        """A run started. The first takes the first sample, within 50 ms; GPUs that need longer follow by themselves."""
        with self._lock:
            self._runs += 1
            if self._session is not None:
                return
            session = self._session = _Session(self._board, self._interval_s, self._sources)
        try:
            session.start()
        except Exception as error:
            diagnostics.report_failure("sampling system metrics", error)

    def stop(self) -> None:
        """A run ended. With the last one the thread ends, NVML is closed and there is no sample any more."""
        with self._lock:
            self._runs -= 1
            if self._runs > 0:
                return
            session = self._forget_session()
        if session is not None:
            session.stop()

    def shut_down(self) -> None:
        """Stops whatever runs are still going: the process ends."""
        with self._lock:
            session = self._forget_session()
        if session is not None:
            session.stop()

    def _forget_session(self) -> "Optional[_Session]":
        session, self._session = self._session, None
        self._runs = 0
        self._board = _Board()
        return session

    def latest(self) -> Dict[str, float]:
        """The last sample, not to be changed; empty before the first one. Never waits."""
        return self._board.values

    def reset_after_fork(self) -> None:
        """In the child: no thread, no sample, nothing open; `start` begins anew. What the parent had is left to it."""
        self._lock = threading.RLock()
        self._forget_session()


class _Session:
    """The sampling from the first run's start to the last run's end."""

    def __init__(self, board: _Board, interval_s: float, sources: Tuple[str, str, Mapping[str, str]]) -> None:
        self._board = board
        self._interval_s = interval_s
        self._proc, self._sys, self._environ = sources
        self._host: Optional[Device] = None
        self._thread: Optional[threading.Thread] = None
        self._publishing = threading.RLock()
        self._parts: List[Dict[str, float]] = [{}, {}]
        # Locks as bells: acquired to wait, released to ring.
        self._stop_bell = _silent_bell()
        self._gpus_bell = _silent_bell()

    def start(self) -> None:
        host = open_host(self._proc, self._sys)
        window_ends = time.monotonic() + _FIRST_WINDOW_S
        try:
            # While the interpreter shuts down, the main thread counts as ended: no thread is to begin then.
            if threading.main_thread().is_alive():
                thread = threading.Thread(target=self._run, name="primus-lens-system-metrics", daemon=True)
                thread.start()
                self._thread = thread
                self._gpus_bell.acquire(timeout=_FIRST_WINDOW_S)
        except RuntimeError as error:
            diagnostics.debug("no thread for system metrics: %s", error)
        time.sleep(max(0.0, window_ends - time.monotonic()))
        self._publish(0, self._read(host))
        # From here on the host is the thread's.
        self._host = host

    def stop(self) -> None:
        try:
            self._stop_bell.release()
        except RuntimeError:
            return  # Rung already.
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        gpus = None
        try:
            gpus = self._open_gpus()
            if gpus is not None:
                self._publish(1, self._read(gpus))
            self._gpus_bell.release()
            while not self._stop_bell.acquire(timeout=self._interval_s):
                if self._host is not None:
                    self._publish(0, self._read(self._host))
                if gpus is not None:
                    self._publish(1, self._read(gpus))
        except Exception as error:
            diagnostics.report_failure("sampling system metrics", error)
        finally:
            self._close(gpus)

    def _open_gpus(self) -> Optional[Devices]:
        """The GPUs of the vendor that this job computes on: AMD's count only where there are none of NVIDIA's."""
        gpus: Optional[Devices] = None
        try:
            with fork_safety.importing():
                gpus = open_nvidia(self._environ, self._proc)
        except Exception as error:
            diagnostics.report_failure("opening NVIDIA GPUs", error)
        if gpus is not None:
            return gpus
        try:
            with fork_safety.importing():
                return open_amd(self._environ, self._sys)
        except Exception as error:
            diagnostics.report_failure("opening AMD GPUs", error)
            return None

    def _close(self, gpus: Optional[Devices]) -> None:
        try:
            if gpus is not None:
                gpus.close()
        except Exception as error:
            diagnostics.debug("closing the GPUs failed: %r", error)

    @staticmethod
    def _read(source: Union[Device, Devices]) -> Dict[str, float]:
        sample: Dict[str, float] = {}
        source.read_into(sample)
        return sample

    def _publish(self, part: int, values: Dict[str, float]) -> None:
        with self._publishing:
            self._parts[part] = values
            self._board.values = dict(self._parts[0], **self._parts[1])


def _silent_bell() -> threading.Lock:
    bell = threading.Lock()
    bell.acquire()
    return bell
