import os
import time
from pathlib import Path
from typing import Any, Dict

import psutil
import pytest

from primus_lens_wandb_exporter.system_metrics import host
from primus_lens_wandb_exporter.system_metrics.host import CPU_PERCENT, MEMORY_PERCENT, open_host

GIB = 1 << 30


class Machine:
    """``/proc`` and ``/sys`` of a machine with 64 cores and 256 GiB."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        self.write(self.proc / "meminfo", "MemTotal:       268435456 kB\nMemFree: 1 kB")
        self.write(self.sys / "devices" / "system" / "cpu" / "online", "0-63")
        (self.sys / "fs" / "cgroup").mkdir(parents=True)

    def write(self, path: Path, text: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def is_in(self, *lines: str) -> None:
        self.write(self.proc / "self" / "cgroup", "\n".join(lines))

    def group(self, path: str, **files: object) -> None:
        """Writes files of a control group; ``cpu__max`` stands for ``cpu.max``."""
        for name, text in files.items():
            self.write(self.sys / "fs" / "cgroup" / path / name.replace("__", "."), text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the clock by one that the test sets."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(host, "time", made)
    return made


def read(device: Any) -> Dict[str, float]:
    values: Dict[str, float] = {}
    device.read_into(values)
    return values


def stat_v2(usage_s: float, inactive: int = 0) -> Dict[str, object]:
    return {
        "cpu__stat": f"usage_usec {int(usage_s * 1e6)}\nuser_usec 1\nsystem_usec 1",
        "memory__stat": f"anon 1\nfile 2\ninactive_file {inactive}\nactive_file 3",
    }


@pytest.mark.parametrize("path", ["/", "/kubepods/pod1/container1", "/../../elsewhere"])
def test_a_container_of_version_2_tells_its_own_share(machine: Machine, clock: Any, path: str) -> None:
    # Namespaced or not: what is mounted at the root is the container's group.
    machine.is_in("0::" + path)
    machine.group("", cgroup__controllers="cpu memory", cpu__max="400000 100000", memory__max=8 * GIB)
    machine.group("", memory__current=3 * GIB, **stat_v2(50, inactive=1 * GIB))
    device = open_host(str(machine.proc), str(machine.sys))
    clock.now += 10
    machine.group("", **stat_v2(60, inactive=1 * GIB))
    # 10 of 40 seconds; 2 of 8 GiB, since the file cache goes when memory gets short.
    assert read(device) == {CPU_PERCENT: 25.0, MEMORY_PERCENT: 25.0}
    clock.now += 10
    machine.group("", **stat_v2(100, inactive=0))
    assert read(device) == {CPU_PERCENT: 100.0, MEMORY_PERCENT: 37.5}


def test_the_tightest_limit_counts_and_is_measured_where_it_is_set(machine: Machine, clock: Any) -> None:
    machine.is_in("0::/pod/container/worker")
    machine.group("", cgroup__controllers="cpu memory")
    machine.group("pod", cpu__max="200000 100000", memory__max=8 * GIB, memory__current=6 * GIB, **stat_v2(0))
    machine.group("pod/container", cpu__max="max 100000", memory__max=4 * GIB, memory__current=1 * GIB, **stat_v2(0))
    machine.group("pod/container/worker", cpu__max="800000 100000", memory__max="max", memory__current=1, **stat_v2(0))
    device = open_host(str(machine.proc), str(machine.sys))
    clock.now += 10
    machine.group("pod", **stat_v2(15))
    machine.group("pod/container/worker", **stat_v2(1))
    assert read(device) == {CPU_PERCENT: 75.0, MEMORY_PERCENT: 25.0}


def test_a_set_of_cores_is_a_limit(machine: Machine, clock: Any) -> None:
    machine.is_in("0::/job")
    machine.group("", cgroup__controllers="cpu cpuset memory")
    machine.group("job", cpuset__cpus__effective="0-3,8,10-11", **stat_v2(0))
    device = open_host(str(machine.proc), str(machine.sys))
    clock.now += 10
    machine.group("job", **stat_v2(35))
    assert read(device)[CPU_PERCENT] == 50.0


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("path", ["/", "/docker/0123abc"])
def test_a_container_of_version_1_tells_its_own_share(machine: Machine, clock: Any, folder: str, path: str) -> None:
    machine.is_in("5:memory:" + path, "4:cpu,cpuacct:" + path, "1:name=systemd:" + path, "0::/")
    machine.group(folder, cpu__cfs_quota_us=250000, cpu__cfs_period_us=100000, cpuacct__usage=0)
    if folder == "cpu":
        machine.group("cpuacct", cpuacct__usage=0)
    machine.group("memory", memory__limit_in_bytes=2 * GIB, memory__usage_in_bytes=1536 << 20)
    machine.group("memory", memory__stat=f"inactive_file 1\ntotal_inactive_file {512 << 20}")
    device = open_host(str(machine.proc), str(machine.sys))
    clock.now += 4
    machine.group(folder, cpuacct__usage=int(5e9))
    machine.group("cpuacct", cpuacct__usage=int(5e9))
    assert read(device) == {CPU_PERCENT: 50.0, MEMORY_PERCENT: 50.0}


def test_without_limits_the_hosts_figures_count(machine: Machine) -> None:
    machine.is_in("5:memory:/", "4:cpu,cpuacct:/", "0::/")
    machine.group("cpu,cpuacct", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000, cpuacct__usage=0)
    machine.group("memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=1)
    assert open_host(str(machine.proc), str(machine.sys)).name == "the host"
    # More than the host has is no limit either.
    machine.group("cpu,cpuacct", cpu__cfs_quota_us=6400000)
    machine.group("memory", memory__limit_in_bytes=512 * GIB)
    assert open_host(str(machine.proc), str(machine.sys)).name == "the host"


def test_each_of_cpu_and_memory_has_its_own_limit(machine: Machine) -> None:
    machine.is_in("0::/")
    machine.group("", cgroup__controllers="", memory__max=GIB, memory__current=GIB // 4, memory__stat="inactive_file 0")
    device = open_host(str(machine.proc), str(machine.sys))
    time.sleep(0.05)
    values = read(device)
    assert values[MEMORY_PERCENT] == 25.0
    assert 0 <= values[CPU_PERCENT] <= 100


def test_groups_of_different_places_are_not_compared(machine: Machine) -> None:
    # A Slurm step with a set of cores, but without accounting of its own: the host's use is not the step's.
    machine.is_in("3:cpuset:/slurm/job1", "2:cpuacct:/", "1:cpu:/")
    machine.group("cpuset", cpuset__cpus="0-63")
    machine.group("cpuset/slurm/job1", cpuset__cpus="0-7")
    machine.group("cpuacct", cpuacct__usage=10**15)
    machine.group("cpu", cpu__cfs_quota_us=-1)
    assert open_host(str(machine.proc), str(machine.sys)).name == "the host"


def test_a_machine_that_tells_nothing_still_has_the_hosts_figures(tmp_path: Path) -> None:
    device = open_host(str(tmp_path / "proc"), str(tmp_path / "sys"))
    time.sleep(0.05)
    assert set(read(device)) == {CPU_PERCENT, MEMORY_PERCENT}


def test_the_hosts_figures_are_psutils() -> None:
    device = open_host("/nowhere", "/nowhere")
    times = psutil.cpu_times()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass
    share = read(device)[CPU_PERCENT]
    later = psutil.cpu_times()
    busy = (sum(later) - later.idle - later.iowait) - (sum(times) - times.idle - times.iowait)
    expected = 100 * busy / (sum(later) - sum(times))
    assert share == pytest.approx(expected, abs=15)
    # This very loop kept a core busy.
    assert share > 50 / (os.cpu_count() or 1)
    assert read(device)[MEMORY_PERCENT] == pytest.approx(psutil.virtual_memory().percent, abs=3)


def test_an_idle_machine_is_told_as_idle_although_its_counters_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(1000.0, 5000.0), (1000.0 - 1e-11, 5004.0), (1000.0, 5004.0), (1001.0, 5008.0)])
    monkeypatch.setattr(host, "_host_counters", lambda: next(readings))
    monkeypatch.setattr(host, "SHORTEST_WINDOW_S", 0.0)
    device = open_host("/nowhere", "/nowhere")
    # The third time nothing was counted since the second.
    assert [read(device)[CPU_PERCENT] for _ in range(3)] == [0.0, 0.0, 25.0]


def test_cpu_use_needs_a_time_to_be_measured_over(clock: Any) -> None:
    device = open_host("/nowhere", "/nowhere")
    assert CPU_PERCENT not in read(device)
