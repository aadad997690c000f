"""The GPUs of the machine as this process may use them, without starting a GPU runtime.

AMD's come from sysfs, which says all there is (amdsmi would only repeat it, and its import can fail in many ways);
NVIDIA's from the driver's /proc files and NVML. Both are the drivers' own accounts: no HIP or CUDA context comes to
life, so a job may still fork and choose its devices. Runs on the exporter's thread.
"""

import glob
import itertools
import os
import re
import sys
from typing import Any, Dict, Mapping, NamedTuple, Optional

from ..system_metrics.amd_topology import AmdGpu, find_amd_gpus
from ..system_metrics.visible_devices import amd_visible, parse_cuda_list
from . import loaded, nvml
from .environment import GPU_ARCH_VARIABLES, presentable
from .json_safe import clean_text

_GIBIBYTE = float(2**30)
_MAXIMUM_FILE = 65536

# PCI device ids; those in the second half of a line are of virtual functions (VMs).
_AMD_DEVICES = {
    0x738C: "mi100",
    0x738E: "mi100",
    0x7408: "mi250x",
    0x740C: "mi250x",
    0x740F: "mi210",
    0x7410: "mi210",
    0x74A0: "mi300a",
    0x74A1: "mi300x",
    0x74B5: "mi300x",
    0x74A2: "mi308x",
    0x74B6: "mi308x",
    0x74A5: "mi325x",
    0x74B9: "mi325x",
    0x75A0: "mi350x",
    0x75B0: "mi350x",
    0x75A3: "mi355x",
    0x75B3: "mi355x",
}
# What an instruction set most often is, for device ids that are younger than this file.
_AMD_TARGETS = {"gfx908": "mi100", "gfx90a": "mi250x", "gfx942": "mi300x", "gfx950": "mi355x"}
_NVIDIA_MODEL = r"(?i)\b(?:rtx\s*)?(gb?\d{3}|gh\d{3}|[ahlbvtp]\d{1,3}s?|\d{4}(?:\s*ti)?)\b"


class Gpu(NamedTuple):
    """One GPU; an empty text or 0 for what is not known."""

    arch: str = ""
    name: str = ""
    memory_bytes: int = 0


class Gpus(NamedTuple):
    """The GPUs that the process may use, one of them as their description, and the driver's CUDA version."""

    visible: int = 0
    described: Optional[Gpu] = None
    cuda_driver: str = ""


def hardware_evidence(
    environment: "Mapping[str, str]", modules: "loaded.Modules" = sys.modules, root: str = "/"
) -> Dict[str, Any]:
    """The `hardware` part of the evidence."""
    gpus = _amd_gpus(environment, root)
    if gpus.described is None:
        gpus = _nvidia_gpus(environment, root, modules)
    gpu = gpus.described or Gpu()
    return {
        "gpu_arch": clean_text(gpu.arch or _arch_by_name(environment), 100),
        "gpu_count": gpus.visible,
        "gpu_memory_gb": round(gpu.memory_bytes / _GIBIBYTE, 1),
        "gpu_name": clean_text(gpu.name, 200),
        "rocm_version": rocm_version(environment, modules, root),
        "cuda_version": clean_text(loaded.read_text("torch.version:cuda", modules) or gpus.cuda_driver, 100),
    }


def _arch_by_name(environment: "Mapping[str, str]") -> str:
    """What the job itself calls its GPUs, where the machine shows none."""
    return next((presentable(name, environment[name]) for name in GPU_ARCH_VARIABLES if environment.get(name)), "")


def rocm_version(environment: "Mapping[str, str]", modules: "loaded.Modules" = sys.modules, root: str = "/") -> str:
    """The installed ROCm's version, else the one that a loaded torch was built for; empty without either."""
    installed = _read(os.path.join(root, "opt/rocm/.info/version")) or environment.get("ROCM_VERSION", "")
    version = installed or loaded.read_text("torch.version:hip", modules)
    # 6.4.0-47 and 6.4.43482-0f2d60242: what follows the dash is a build.
    return clean_text(version.strip().split("-", 1)[0], 100)


def _amd_gpus(environment: "Mapping[str, str]", root: str) -> Gpus:
    gpus = find_amd_gpus(os.path.join(root, "sys"))
    visible = amd_visible(environment, [gpu.unique_id for gpu in gpus])
    # Where a variable hides all of them, the machine still is what it is.
    described = [_describe_amd(gpus[place]) for place in visible[:1] or range(len(gpus))[:1]]
    return Gpus(len(visible), described[0] if described else None)


def _describe_amd(gpu: AmdGpu) -> Gpu:
    properties = _fields(os.path.join(gpu.node, "properties")) if gpu.node else {}
    target = _gfx_name(properties.get("gfx_target_version", 0))
    device_id = properties.get("device_id", 0) or _integer(_read_below(gpu.folder, "device"))
    arch = _AMD_DEVICES.get(device_id) or _AMD_TARGETS.get(target) or target
    memory = 0 if gpu.is_partition else _integer(_read_below(gpu.folder, "mem_info_vram_total"))
    banks = glob.glob(os.path.join(gpu.node, "mem_banks", "*", "properties")) if gpu.node else []
    memory = memory or sum(_fields(path).get("size_in_bytes", 0) for path in banks)
    name = _read_below(gpu.folder, "product_name")
    return Gpu(arch, name or ("AMD Instinct %s" % arch.upper() if arch.startswith("mi") else ""), memory)


def _gfx_name(version: int) -> str:
    """gfx942 for 90402, gfx90a for 90010: minor and stepping are written in hexadecimal."""
    return "gfx%d%x%x" % (version // 10000, version // 100 % 100, version % 100) if version else ""


def _nvidia_gpus(environment: "Mapping[str, str]", root: str, modules: "loaded.Modules") -> Gpus:
    if not os.path.exists(os.path.join(root, "proc/driver/nvidia")):
        return Gpus()
    devices, cuda_driver = nvml.read_devices(modules)
    if not devices:
        files = sorted(glob.glob(os.path.join(root, "proc/driver/nvidia/gpus/*/information")))
        models = [re.search(r"(?m)^Model:\s*(.{1,200})$", _read(path)) for path in files]
        devices = [nvml.Device(match.group(1).strip() if match else "", 0) for match in models]
    visible = list(range(len(devices)))
    entries = parse_cuda_list(environment.get("CUDA_VISIBLE_DEVICES"))
    if entries is not None:
        # Names (GPU-..., MIG-...) are taken at their word: each is one device.
        known = itertools.takewhile(lambda entry: isinstance(entry, str) or entry < len(devices), entries)
        visible = [entry if isinstance(entry, int) else 0 for entry in known] if devices else []
    described = [devices[place] for place in visible[:1] or range(len(devices))[:1]]
    gpu = Gpu(_nvidia_arch(described[0].name), *described[0]) if described else None
    return Gpus(len(visible), gpu, cuda_driver)


def _nvidia_arch(name: str) -> str:
    """h100 for "NVIDIA H100 80GB HBM3"; the name itself in lower case where no model stands out."""
    match = re.search(_NVIDIA_MODEL, name)
    return re.sub(r"\s+", "", match.group(0)).lower() if match else name.lower()


def _read(path: str) -> str:
    """A small file's text; empty when it is not there or answers with an error, as some of sysfs do."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAXIMUM_FILE).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _read_below(folder: str, name: str) -> str:
    """Like `_read`, for a folder that may not be known."""
    return _read(os.path.join(folder, name)) if folder else ""


def _integer(text: str) -> int:
    try:
        return int(text.strip()[:20], 0)
    except ValueError:
        return 0


def _fields(path: str) -> Dict[str, int]:
    """The numbers of a file of KFD: a name and a value in each line."""
    pairs = [line.split() for line in _read(path).splitlines()]
    return {pair[0]: _integer(pair[1]) for pair in pairs if len(pair) == 2}
