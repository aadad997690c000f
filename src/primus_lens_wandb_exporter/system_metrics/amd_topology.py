"""Which AMD GPUs there are, in the order in which ROCm numbers them, and the kernel's folders that tell of them.

ROCm numbers GPUs as the KFD's topology does (ROCR-Runtime takes the nodes in turn, HIP takes ROCR's agents in turn).
The topology hides the GPUs that this container was not given, while ``/sys/class/drm`` shows all cards of the host, and
it has a node for each partition of an MI300. Where there is no KFD, cards count in the order of their PCI addresses.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from .gauges import read_fields, read_file, read_number

_AMD = "0x1002"
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")
_CARD = re.compile(r"card([0-9]+)\Z")


class AmdGpu(NamedTuple):
    """One GPU, or one partition of a GPU, as HIP numbers it before any filter."""

    # "" where the kernel does not say.
    pci_address: str
    # The folder of the PCI device; "" where it is not to be found.
    folder: str
    # The folder of the KFD's node, "" without KFD.
    node: str = ""
    # 0 where the GPU has none; partitions may share it.
    unique_id: int = 0
    # Whether the PCI device is one of several GPUs to HIP, so that its figures are nobody's own.
    is_partition: bool = False


def find_amd_gpus(sys: str) -> List[AmdGpu]:
    nodes = _nodes(sys)
    return _cards(sys) if nodes is None else nodes


def _nodes(sys: str) -> Optional[List[AmdGpu]]:
    """The GPUs in KFD's topology; None if there is no topology or it knows of no GPU, forbidden ones included."""
    topology = os.path.join(sys, "class", "kfd", "kfd", "topology", "nodes")
    try:
        numbers = sorted(int(name) for name in os.listdir(topology) if name.isdecimal())
    except OSError:
        return None
    gpus: List[AmdGpu] = []
    has_gpus = False
    for number in numbers:
        node = os.path.join(topology, str(number))
        try:
            # 0 is a CPU. Nodes of GPUs that the container may not use answer EPERM (kfd_topology.c, node_show).
            if read_number(os.path.join(node, "gpu_id")) == 0:
                continue
            has_gpus = True
            properties = read_fields(os.path.join(node, "properties"))
        except PermissionError:
            has_gpus = True
            continue
        except (OSError, ValueError):
            continue
        address, folder = _pci_device(sys, properties)
        gpus.append(AmdGpu(address, folder, node, properties.get("unique_id", 0)))
    if not has_gpus:
        return None
    folders = [gpu.folder for gpu in gpus]
    return [gpu._replace(is_partition=bool(gpu.folder) and folders.count(gpu.folder) > 1) for gpu in gpus]


def _pci_device(sys: str, properties: Dict[str, int]) -> Tuple[str, str]:
    """PCI address and folder of the GPU that a KFD node is, or is a partition of.

    A partition's own render node belongs to a platform device ``amdgpu_xcp`` without any figures; its ``location_id``
    has the partition's number in bits 28 to 31, in older kernels in the function's bits 0 to 2 (kfd_topology.c).
    """
    render = os.path.join(sys, "class", "drm", "renderD{}".format(properties.get("drm_render_minor", -1)), "device")
    if os.path.exists(os.path.join(render, "vendor")):
        folder = os.path.realpath(render)
        if _PCI_ADDRESS.match(os.path.basename(folder)):
            return os.path.basename(folder), folder
    location = properties.get("location_id", 0) & 0xFFFF
    without_function = "{:04x}:{:02x}:{:02x}.".format(properties.get("domain", 0), location >> 8, location >> 3 & 0x1F)
    addresses = [without_function + str(location & 7), without_function + "0"]
    for address in addresses:
        folder = os.path.join(sys, "bus", "pci", "devices", address)
        if os.path.exists(folder):
            return address, os.path.realpath(folder)
    if os.path.exists(os.path.join(render, "vendor")):
        return addresses[0], os.path.realpath(render)
    return addresses[0], ""


def _cards(sys: str) -> List[AmdGpu]:
    """The AMD cards of ``/sys/class/drm``; other vendors' and display-only ones are not counted."""
    drm = os.path.join(sys, "class", "drm")
    try:
        cards = sorted(int(match.group(1)) for match in map(_CARD.match, os.listdir(drm)) if match)
    except OSError:
        return []
    found: List[AmdGpu] = []
    for card in cards:
        folder = os.path.join(drm, "card{}".format(card), "device")
        try:
            vendor = read_file(os.path.join(folder, "vendor"))
        except OSError:
            continue
        figures = ("gpu_busy_percent", "mem_info_vram_used", "mem_info_vram_total")
        if vendor.lower() != _AMD or not any(os.path.exists(os.path.join(folder, name)) for name in figures):
            continue
        folder = os.path.realpath(folder)
        found.append(AmdGpu(_pci_address(folder), folder, unique_id=_unique_id(folder)))
    # Sorting is stable: cards without an address, or with the same one, stay in the order of their numbers.
    return sorted(found, key=lambda gpu: gpu.pci_address)


def _pci_address(folder: str) -> str:
    if _PCI_ADDRESS.match(os.path.basename(folder)):
        return os.path.basename(folder)
    try:
        for line in read_file(os.path.join(folder, "uevent")).splitlines():
            if line.startswith("PCI_SLOT_NAME="):
                return line.partition("=")[2]
    except OSError:
        pass  # Only the order depends on it.
    return ""


def _unique_id(folder: str) -> int:
    try:
        return int(read_file(os.path.join(folder, "unique_id")), 16)
    except (OSError, ValueError):
        return 0
