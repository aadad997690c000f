"""What the container of this process may use, and uses: control groups, versions 1 and 2. Reads files, nothing else.

A limit may sit on any group between ours and the root of what we see (a pod around a container, a job around a step).
The tightest counts, and use is measured at the group that has it: others in that group share the limit.
"""

import os
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .gauges import read_fields, read_file, read_number

_NANOSECONDS = 1e9
_MICROSECONDS = 1e6


class CpuLimit(NamedTuple):
    """How many cores may be used, and how to read the seconds of CPU that were."""

    cores: float
    read_seconds: Callable[[], float]


class MemoryLimit(NamedTuple):
    """How many bytes may be used, and how to read how many are."""

    limit: int
    read_used: Callable[[], int]


class Cgroups:
    """The groups of this process in each hierarchy, from ``/proc/self/cgroup``."""

    def __init__(self, proc: str, sys: str) -> None:
        self._proc = proc
        self._sys = sys
        self._root = os.path.join(sys, "fs", "cgroup")
        # Path of our group by controller (v1); by "" for the one hierarchy of v2.
        self._paths: Dict[str, Tuple[str, str]] = {}
        try:
            lines = read_file(os.path.join(proc, "self", "cgroup")).splitlines()
        except OSError:
            lines = []
        for line in lines:
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            for controller in controllers.split(","):
                self._paths[controller] = (controllers, path)

    def cpu_limit(self) -> Optional[CpuLimit]:
        """The limit on CPU, by quota or by a set of cores; None if all cores of the host may be used."""
        if "cpu" in self._paths:
            return self._cpu_limit_v1()
        levels = self._levels("")
        quotas = [(_quota_v2(level), level) for level in levels]
        return self._tightest_cpu(quotas, self._core_set(""), levels, _usage_v2)

    def _cpu_limit_v1(self) -> Optional[CpuLimit]:
        # Quota and use are separate hierarchies; they can be compared where our place in both is the same.
        same_place = self._paths["cpu"][1] == self._paths.get("cpuacct", ("", None))[1]
        usage = self._levels("cpuacct") if same_place else []
        levels = self._levels("cpu")
        quotas = [(_quota_v1(level), use) for level, use in zip(levels, usage)] if len(levels) == len(usage) else []
        same_place = self._paths.get("cpuset", ("", None))[1] == self._paths.get("cpuacct", ("", None))[1]
        return self._tightest_cpu(quotas, self._core_set("cpuset") if same_place else None, usage, _usage_v1)

    def _tightest_cpu(
        self,
        quotas: List[Tuple[Optional[float], str]],
        core_set: Optional[int],
        levels: List[str],
        make_read: "Callable[[str], Optional[Callable[[], float]]]",
    ) -> Optional[CpuLimit]:
        limits = [(quota, level) for quota, level in quotas if quota is not None]
        if core_set is not None and levels:
            limits.append((float(core_set), levels[0]))
        if not limits:
            return None
        cores, level = min(limits)
        read = make_read(level)
        return CpuLimit(cores, read) if read is not None and cores < self._host_cores() else None

    def _core_set(self, controller: str) -> Optional[int]:
        for level in self._levels(controller):
            for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
                try:
                    return _count_cores(read_file(os.path.join(level, name))) or None
                except (OSError, ValueError):
                    continue
        return None

    def _host_cores(self) -> int:
        try:
            return _count_cores(read_file(os.path.join(self._sys, "devices", "system", "cpu", "online")))
        except (OSError, ValueError):
            return os.cpu_count() or 1

    def memory_limit(self) -> Optional[MemoryLimit]:
        """The limit on memory; None if all memory of the host may be used."""
        version_1 = "memory" in self._paths
        limit_name, used_name, inactive_name = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if version_1
            else ("memory.max", "memory.current", "inactive_file")
        )
        limits: List[Tuple[int, str]] = []
        for level in self._levels("memory" if version_1 else ""):
            try:
                limits.append((read_number(os.path.join(level, limit_name)), level))
            except (OSError, ValueError):
                # No such file at the root; "max" where there is no limit.
                continue
        if not limits:
            return None
        limit, level = min(limits)
        # Version 1 writes "no limit" as a number near 2**63.
        if not 0 < limit < self._host_memory():
            return None
        used_path = os.path.join(level, used_name)
        stat_path = os.path.join(level, "memory.stat")

        def read_used() -> int:
            # As `docker stats` and the kubelet count it: without the file cache that goes when memory gets short.
            used = read_number(used_path)
            return max(0, used - read_fields(stat_path).get(inactive_name, 0))

        return MemoryLimit(limit, read_used)

    def _host_memory(self) -> float:
        try:
            for line in read_file(os.path.join(self._proc, "meminfo")).splitlines():
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
        except (OSError, ValueError, IndexError):
            pass  # Not to know it only means that no limit is larger than it.
        return float(1 << 60)

    def _levels(self, controller: str) -> List[str]:
        """The folders of our group and of those around it, the innermost first.

        In a container the path may be one of the host's, that is not there; what is mounted is then our group itself.
        """
        if controller not in self._paths:
            return []
        controllers, path = self._paths[controller]
        names = [controllers, controller] if controller else ["", "unified"]
        folder = next((os.path.join(self._root, name) for name in names if self._is_hierarchy(name)), None)
        if folder is None:
            return []
        levels = [folder]
        parts = [part for part in path.split("/") if part]
        for part in parts if ".." not in parts else ():
            folder = os.path.join(folder, part)
            if not os.path.isdir(folder):
                break
            levels.append(folder)
        return levels[::-1]

    def _is_hierarchy(self, name: str) -> bool:
        # Without the check, the folder above all hierarchies of version 1 would pass for version 2.
        marker = "cgroup.controllers" if name in ("", "unified") else ""
        return os.path.exists(os.path.join(self._root, name, marker))


def _quota_v2(level: str) -> Optional[float]:
    try:
        quota, period = read_file(os.path.join(level, "cpu.max")).split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(level: str) -> Optional[float]:
    try:
        quota = read_number(os.path.join(level, "cpu.cfs_quota_us"))
        return quota / read_number(os.path.join(level, "cpu.cfs_period_us")) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _usage_v2(level: str) -> Optional[Callable[[], float]]:
    path = os.path.join(level, "cpu.stat")
    return (lambda: read_fields(path)["usage_usec"] / _MICROSECONDS) if os.path.exists(path) else None


def _usage_v1(level: str) -> Optional[Callable[[], float]]:
    path = os.path.join(level, "cpuacct.usage")
    return (lambda: read_number(path) / _NANOSECONDS) if os.path.exists(path) else None


def _count_cores(text: str) -> int:
    """How many cores ``0-3,8`` names; raises ValueError."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if part:
            count += int(last or first) - int(first) + 1
    return count
