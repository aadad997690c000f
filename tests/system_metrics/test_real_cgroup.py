"""In a real control group, made for the test: needs root and a machine that lets it make groups."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

ROOT = Path("/sys/fs/cgroup")
LIMIT = 256 << 20

PROGRAM = """
import json, os, sys, time
from primus_lens_wandb_exporter.system_metrics.host import open_host
for procs in sys.argv[1:]:
    with open(procs, "w") as file:
        file.write(str(os.getpid()))
ballast = bytearray(os.urandom(1 << 20)) * 64
device = open_host("/proc", "/sys")
deadline = time.monotonic() + 1.0
while time.monotonic() < deadline:
    pass
sample = {}
device.read_into(sample)
print(json.dumps([device.name, sample]))
"""


def write(group: Path, files: Dict[str, object]) -> None:
    for name, text in files.items():
        (group / name).write_text(str(text))


@pytest.fixture
def groups() -> Iterator[List[Path]]:
    """New groups with half a core and 256 MiB: one for version 2, one for each hierarchy of version 1."""
    name = "primus-lens-test-" + uuid.uuid4().hex[:8]
    made: List[Path] = []

    def make(parent: Path, files: Dict[str, object]) -> None:
        group = parent / name
        group.mkdir()
        made.append(group)
        write(group, files)

    own = dict(
        line.split(":")[1:3] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.count(":") == 2
    )
    try:
        if (ROOT / "cgroup.controllers").exists():
            available = (ROOT / own[""].strip("/") / "cgroup.subtree_control").read_text().split()
            if not {"cpu", "memory"} <= set(available):
                pytest.skip("the groups of this session do not delegate cpu and memory to groups below them")
            make(ROOT / own[""].strip("/"), {"cpu.max": "50000 100000", "memory.max": LIMIT})
        elif (ROOT / "memory").is_dir() and (ROOT / "cpu").is_dir() and (ROOT / "cpuacct").is_dir():
            make(ROOT / "memory" / own["memory"].strip("/"), {"memory.limit_in_bytes": LIMIT})
            make(ROOT / "cpu", {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": 50000})
            if not (ROOT / "cpuacct" / name).exists():
                make(ROOT / "cpuacct", {})
        else:
            pytest.skip("no control groups for cpu and memory are mounted at /sys/fs/cgroup")
    except OSError as error:
        for group in made:
            group.rmdir()
        pytest.skip(f"control groups cannot be made here (needs root on a machine of one's own): {error}")
    yield made
    for group in reversed(made):
        group.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_a_process_in_a_group_tells_the_groups_share(groups: List[Path]) -> None:
    procs = [str(group / "cgroup.procs") for group in groups]
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, *procs],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=60,
    ).stdout
    name, sample = json.loads(output)
    assert name == "the container"
    # A busy loop uses all that it may (less on a busy machine); 64 of 256 MiB, and Python's own.
    assert sample["_primus_sys_cpu_percent"] > 30
    assert 25 <= sample["_primus_sys_memory_percent"] < 60
