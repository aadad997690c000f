"""CPU and memory: the container's where it has a limit, the host's (through psutil) where it has none."""

import time
from typing import Callable, List, Optional, Tuple

from .cgroups import Cgroups, CpuLimit, MemoryLimit
from .gauges import Device, Gauge, Values

CPU_PERCENT = "_primus_sys_cpu_percent"
MEMORY_PERCENT = "_primus_sys_memory_percent"

# The kernel counts in ticks of 10 ms: over less than two of them a share says nothing.
SHORTEST_WINDOW_S = 0.02

# Seconds of CPU used so far, and seconds that could have been used.
_Counters = Tuple[float, float]


def open_host(proc: str, sys: str) -> Device:
    """Finds out what this process may use. CPU is measured from now on: the first sample covers the time until then."""
    groups = Cgroups(proc, sys)
    cpu_limit = groups.cpu_limit()
    memory_limit = groups.memory_limit()
    read_cpu = _CpuShare(_host_counters if cpu_limit is None else _group_counters(cpu_limit))
    read_memory = _host_memory if memory_limit is None else _group_memory(memory_limit)
    return Device(
        "the host" if cpu_limit is None and memory_limit is None else "the container",
        [Gauge("CPU use", [CPU_PERCENT], [read_cpu]), Gauge("memory use", [MEMORY_PERCENT], [read_memory])],
    )


class _CpuShare:
    """Percent of the CPU used since the last call; the share of then when that was a moment ago."""

    def __init__(self, read_counters: Callable[[], _Counters]) -> None:
        self._read_counters = read_counters
        self._last: Optional[_Counters] = None
        self._last_time = 0.0
        self._share: Optional[float] = None
        try:
            self()
        except Exception:  # the sample that needs it meets the same error, and the gauge judges it
            pass

    def __call__(self) -> Values:
        now = time.monotonic()
        last = self._last
        if last is not None and now - self._last_time < SHORTEST_WINDOW_S:
            return (self._share,)
        counters = self._read_counters()
        if last is not None and counters[1] <= last[1]:
            # The kernel has not counted yet.
            return (self._share,)
        self._last, self._last_time = counters, now
        if last is not None:
            # Idle time can be counted late, and differences of large sums are a little off: "used" may shrink by that.
            share = 100.0 * (counters[0] - last[0]) / (counters[1] - last[1])
            self._share = min(100.0, max(0.0, share))
        return (self._share,)


def _group_counters(limit: CpuLimit) -> Callable[[], _Counters]:
    cores, read_seconds = limit
    return lambda: (read_seconds(), time.monotonic() * cores)


def _host_counters() -> _Counters:
    # Not psutil.cpu_percent: it remembers its last call for the whole process, training scripts call it too.
    import psutil

    times = psutil.cpu_times()
    # Linux counts the time of guests twice, in `user` and by itself.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def _group_memory(limit: MemoryLimit) -> Callable[[], Values]:
    size, read_used = limit
    return lambda: (min(100.0, 100.0 * read_used() / size),)


def _host_memory() -> List[Optional[float]]:
    import psutil

    return [float(psutil.virtual_memory().percent)]
