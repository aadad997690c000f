"""AMD GPUs: figures from amdsmi where it works, from the kernel's files where it does not. Neither starts HIP.

Each figure that amdsmi refuses (a container's ROCm is often older than the host's driver) is read from sysfs instead.
"""

import errno
import glob
import os
from functools import partial
from typing import Dict, List, Mapping, Optional, Tuple

from .. import diagnostics
from .amd_topology import AmdGpu, find_amd_gpus
from .amdsmi_library import AmdSmi, open_amdsmi
from .gauges import Device, Devices, Gauge, Read, Values, Verdict, gpu_names, read_fields, read_file, read_number
from .visible_devices import amd_visible

_MIB = 1024.0 * 1024.0
# Not EPERM: the driver answers it while the GPU is being reset or asleep.
_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT, errno.EACCES))


def open_amd(environ: Mapping[str, str], sys: str) -> Optional[Devices]:
    """The AMD GPUs that this process may see; None if the machine has none."""
    gpus = find_amd_gpus(sys)
    smi = open_amdsmi(environ) if gpus or not os.path.isdir(os.path.join(sys, "class", "drm")) else None
    if not gpus and smi is not None:
        # No sysfs in this container: the library's own list, without ids to filter by.
        gpus = [AmdGpu(address, "") for address in sorted(smi.handles)]
    if not gpus:
        if smi is not None:
            smi.close()
        return None
    visible = [gpus[place] for place in amd_visible(environ, [gpu.unique_id for gpu in gpus])]
    diagnostics.debug("%d of %d AMD GPUs are visible; amdsmi: %s", len(visible), len(gpus), smi is not None)
    devices = [_make_device(index, gpu, smi) for index, gpu in enumerate(visible)]
    return Devices(devices, _nothing_to_close if smi is None else smi.close)


def _nothing_to_close() -> None:
    return


def _make_device(index: int, gpu: AmdGpu, smi: Optional[AmdSmi]) -> Device:
    ways = _ways_of_partition(gpu) if gpu.is_partition else _ways_of_sysfs(gpu)
    # amdsmi tells partitions apart in some versions only; their PCI device's figures would be counted several times.
    handle = None if smi is None or gpu.is_partition else smi.handles.get(gpu.pci_address)
    if smi is not None and handle is not None:
        for quantity, way in smi.ways(handle).items():
            ways.setdefault(quantity, []).insert(0, way)
    names = {
        "utilization": gpu_names(index, "util"),
        "memory use": gpu_names(index, "mem_used_mb", "mem_percent"),
        "power": gpu_names(index, "power_w"),
        "temperature": gpu_names(index, "temp_c"),
    }
    gauges = [Gauge(quantity, names[quantity], ways[quantity], _judge) for quantity in names if ways.get(quantity)]
    return Device("GPU {}".format(index), gauges)


def _judge(error: Exception) -> Verdict:
    if isinstance(error, OSError):
        if error.errno == errno.ENODEV:
            return Verdict.LOST
        return Verdict.UNSUPPORTED if error.errno in _UNSUPPORTED else Verdict.FAILED
    return Verdict.UNSUPPORTED if AmdSmi.says_unsupported(error) else Verdict.FAILED


def _ways_of_sysfs(gpu: AmdGpu) -> Dict[str, List[Read]]:
    """The readings for which the kernel has a file: docs.kernel.org/gpu/amdgpu/thermal.html and driver-misc.html."""
    ways: Dict[str, List[Read]] = {}
    busy, used, total = (
        _existing(gpu.folder, name) for name in ("gpu_busy_percent", "mem_info_vram_used", "mem_info_vram_total")
    )
    if busy:
        ways["utilization"] = [partial(_scaled, busy, 1.0)]
    if used:
        ways["memory use"] = [partial(_memory, used, total)]
    power, temperature = _sensors(gpu.folder)
    if power:
        ways["power"] = [partial(_scaled, power, 1e-6)]
    if temperature:
        ways["temperature"] = [partial(_scaled, temperature, 1e-3)]
    return ways


def _ways_of_partition(gpu: AmdGpu) -> Dict[str, List[Read]]:
    """What is a partition's own: its memory (KFD counts it by node), and the temperature, which all partitions share.

    The load and the power of the whole GPU are left out: they would be counted once for each partition.
    """
    ways: Dict[str, List[Read]] = {}
    used = _existing(gpu.node, "mem_banks", "0", "used_memory")
    if used:
        ways["memory use"] = [partial(_node_memory, used, os.path.join(gpu.node, "mem_banks", "0", "properties"))]
    _, temperature = _sensors(gpu.folder)
    if temperature:
        ways["temperature"] = [partial(_scaled, temperature, 1e-3)]
    return ways


def _existing(folder: str, *names: str) -> str:
    path = os.path.join(folder, *names)
    return path if folder and os.path.exists(path) else ""


def _sensors(folder: str) -> Tuple[str, str]:
    """The files for power (µW) and for the temperature (m°C) of the hottest spot, "" where there is none."""
    power = temperature = ""
    for hwmon in sorted(glob.glob(os.path.join(glob.escape(folder), "hwmon", "hwmon*"))) if folder else ():
        power = power or _existing(hwmon, "power1_average") or _existing(hwmon, "power1_input")
        inputs = [_existing(hwmon, "temp{}_input".format(sensor)) for sensor in (1, 2, 3)]
        junction = [path for path in inputs if path and _label(path) == "junction"]
        temperature = temperature or next(iter(junction + [path for path in inputs if path]), "")
    return power, temperature


def _label(input_path: str) -> str:
    try:
        return read_file(input_path.replace("_input", "_label"))
    except OSError:
        return ""


def _scaled(path: str, factor: float) -> Values:
    return (read_number(path) * factor,)


def _memory(used_path: str, total_path: str) -> Values:
    used = read_number(used_path)
    try:
        total = read_number(total_path) if total_path else 0
    except (OSError, ValueError):
        # What is used is worth telling without the share.
        total = 0
    return (used / _MIB, 100.0 * used / total if total else None)


def _node_memory(used_path: str, properties_path: str) -> Values:
    used = read_number(used_path)
    total = read_fields(properties_path).get("size_in_bytes", 0)
    return (used / _MIB, 100.0 * used / total if total else None)
