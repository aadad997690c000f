"""Stand-ins for AMD machines: trees as ``/sys`` has them, and the module ``amdsmi`` with its functions and errors."""

import enum
import types
from pathlib import Path
from typing import Any, Dict, List, Optional

MIB = 1024 * 1024


class Sysfs:
    """Builds ``/sys`` below a folder: PCI devices, DRM cards, KFD nodes, with the kernel's links between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class" / "drm").mkdir(parents=True)

    def write(self, path: Path, text: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def add_gpu(
        self, card: int, address: str, vendor: str = "0x1002", busy: Optional[int] = 0, **files: object
    ) -> Path:
        """An MI300X as one GPU: 192 GiB, junction sensor in temp2, power in power1_input, no power1_average."""
        device = self.root / "devices" / "pci0000:00" / address
        self.write(device / "vendor", vendor)
        if vendor == "0x1002":
            if busy is not None:
                self.write(device / "gpu_busy_percent", busy)
            self.write(device / "mem_info_vram_used", 2048 * MIB)
            self.write(device / "mem_info_vram_total", 196608 * MIB)
            self.write(device / "hwmon" / "hwmon5" / "power1_input", 750_000_000)
            self.write(device / "hwmon" / "hwmon5" / "temp1_input", 40_000)
            self.write(device / "hwmon" / "hwmon5" / "temp1_label", "edge")
            self.write(device / "hwmon" / "hwmon5" / "temp2_input", 55_000)
            self.write(device / "hwmon" / "hwmon5" / "temp2_label", "junction")
        for name, text in files.items():
            self.write(device / name, text)
        self._link(self.root / "bus" / "pci" / "devices" / address, device)
        self.add_card(card, device)
        return device

    def add_card(self, card: int, device: Path) -> None:
        # Card 3 has render node 131, as the kernel numbers them. Connectors are cards by name only.
        for name in (f"card{card}", f"card{card}-DP-1", f"renderD{128 + card}"):
            self._link(self.root / "class" / "drm" / name / "device", device)

    def add_node(self, number: int, card: int, address: str, partition: int = 0, **properties: int) -> Path:
        """A GPU in KFD's topology. The partition's number is in ``location_id[31:28]``, as since Linux 6.6."""
        domain, bus, rest = address.split(":")
        slot, function = rest.split(".")
        location = int(bus, 16) << 8 | int(slot, 16) << 3 | int(function) | partition << 28
        fields = {
            "simd_count": 304,
            "domain": int(domain, 16),
            "location_id": location,
            "drm_render_minor": 128 + card,
            "unique_id": 0,
        }
        fields.update(properties)
        node = self._node(number)
        self.write(node / "gpu_id", 40000 + number)
        self.write(node / "properties", "\n".join("{} {}".format(*field) for field in fields.items()))
        return node

    def add_cpu_node(self, number: int) -> None:
        self.write(self._node(number) / "gpu_id", 0)
        self.write(self._node(number) / "properties", "cpu_cores_count 96\nsimd_count 0")

    def _node(self, number: int) -> Path:
        return self.root / "class" / "kfd" / "kfd" / "topology" / "nodes" / str(number)

    def _link(self, link: Path, target: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


class AmdSmiLibraryException(Exception):  # noqa: N818 - amdsmi's own name
    def __init__(self, err_code: int) -> None:
        super().__init__(err_code)
        self.err_code = err_code


class AmdSmiTemperatureType(enum.IntEnum):
    EDGE = 0
    JUNCTION = 1


class AmdSmiTemperatureMetric(enum.IntEnum):
    CURRENT = 0


class Smi:
    """What the fake library answers, by PCI address; an int in place of an answer is an error code."""

    def __init__(self, answers: Dict[str, Dict[str, Any]]) -> None:
        self.answers = answers
        self.open = 0
        self.calls: List[str] = []

    def answer(self, name: str, handle: str) -> Any:
        self.calls.append(name)
        answer = self.answers[handle][name]
        if isinstance(answer, AmdSmiLibraryException):
            raise answer
        return answer


def gpu_answers(
    util: Any = 80, used: int = 1500, total: int = 196592, power: Any = 640, celsius: int = 70
) -> Dict[str, Any]:
    return {
        "activity": {"gfx_activity": util, "umc_activity": 3, "mm_activity": "N/A"},
        "vram": {"vram_total": total, "vram_used": used},
        # An MI300 of ROCm 6.4: the average is not there.
        "power": {"socket_power": 0, "current_socket_power": power, "average_socket_power": "N/A", "power_limit": 750},
        "temperature": celsius,
    }


def make_amdsmi(smi: Smi) -> Any:
    module: Any = types.ModuleType("amdsmi")
    module.AmdSmiLibraryException = AmdSmiLibraryException
    module.AmdSmiTemperatureType = AmdSmiTemperatureType
    module.AmdSmiTemperatureMetric = AmdSmiTemperatureMetric

    def amdsmi_init(flag: int = 2) -> None:
        smi.open += 1

    def amdsmi_shut_down() -> None:
        smi.open = 0

    def amdsmi_get_processor_handles() -> List[str]:
        return list(smi.answers)

    def amdsmi_get_gpu_device_bdf(processor_handle: str) -> str:
        return processor_handle

    def amdsmi_get_gpu_activity(processor_handle: str) -> Any:
        return smi.answer("activity", processor_handle)

    def amdsmi_get_gpu_vram_usage(processor_handle: str) -> Any:
        return smi.answer("vram", processor_handle)

    def amdsmi_get_power_info(processor_handle: str) -> Any:
        return smi.answer("power", processor_handle)

    def amdsmi_get_temp_metric(processor_handle: str, sensor_type: Any, metric: Any) -> Any:
        assert isinstance(sensor_type, AmdSmiTemperatureType)
        assert isinstance(metric, AmdSmiTemperatureMetric)
        return smi.answer("temperature", processor_handle)

    for function in (
        amdsmi_init,
        amdsmi_shut_down,
        amdsmi_get_processor_handles,
        amdsmi_get_gpu_device_bdf,
        amdsmi_get_gpu_activity,
        amdsmi_get_gpu_vram_usage,
        amdsmi_get_power_info,
        amdsmi_get_temp_metric,
    ):
        setattr(module, function.__name__, function)
    return module
