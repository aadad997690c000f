"""Stand-ins for the module ``pynvml``, with the signatures, types and errors of its two packages.

``old`` is nvidia-ml-py3 7.352.0: names are bytes both ways, no second version of the memory information, no MIG.
``new`` is nvidia-ml-py 13: names are text, handles are opaque all the same.
"""

# ruff: noqa: N802 - the names are NVML's
import types
from typing import Any, Dict, List, Optional

ERRORS = {
    1: "Uninitialized",
    2: "Invalid Argument",
    3: "Not Supported",
    4: "Insufficient Permissions",
    6: "Not Found",
    9: "Driver Not Loaded",
    12: "NVML Shared Library Not Found",
    13: "Function Not Found",
    15: "GPU is lost",
    18: "RM has detected an NVML/RM version mismatch.",
    999: "Unknown Error",
}
UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, GPU_IS_LOST, UNKNOWN = 1, 2, 3, 6, 15, 999
MIB = 1024 * 1024


class NVMLError(Exception):
    """As in both packages: ``value`` is the code, equality compares codes (and takes the hash away)."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return ERRORS[self.value]

    def __eq__(self, other: Any) -> bool:
        return bool(self.value == other.value)


class Gpu:
    """What the fake driver knows of a device. ``errors`` maps names of functions to the code they answer."""

    def __init__(self, uuid: str, util: int = 50, used_mib: int = 1000, total_mib: int = 4000) -> None:
        self.uuid = uuid
        self.util = util
        self.used = used_mib * MIB
        self.total = total_mib * MIB
        self.power_mw = 300_500
        self.celsius = 61
        self.errors: Dict[str, int] = {}
        self.migs: List[Mig] = []


class Mig(Gpu):
    """A MIG device: no utilization, no power, no temperature of its own."""

    def __init__(self, uuid: str, gpu_instance: int, compute_instance: int = 0, used_mib: int = 10) -> None:
        super().__init__(uuid, used_mib=used_mib)
        self.gpu_instance, self.compute_instance = gpu_instance, compute_instance
        for name in ("UtilizationRates", "PowerUsage", "Temperature"):
            self.errors["nvmlDeviceGet" + name] = NOT_SUPPORTED


class Driver:
    """Counts what was called, and how often NVML is open."""

    def __init__(self, gpus: List[Gpu]) -> None:
        self.gpus = gpus
        self.open = 0
        self.calls: List[str] = []
        self.init_error: Optional[int] = None

    def check(self, name: str, gpu: Optional[Gpu] = None) -> None:
        self.calls.append(name)
        if self.open <= 0:
            raise NVMLError(UNINITIALIZED)
        if gpu is not None and name in gpu.errors:
            raise NVMLError(gpu.errors[name])

    def find(self, uuid: str) -> Gpu:
        for gpu in self.gpus:
            for device in [gpu, *gpu.migs]:
                if device.uuid == uuid:
                    return device
        raise NVMLError(NOT_FOUND)


def make_pynvml(driver: Driver, flavour: str) -> Any:
    nvml: Any = types.ModuleType("pynvml")
    nvml.NVMLError = NVMLError
    nvml.NVML_TEMPERATURE_GPU = 0

    def nvmlInit() -> None:
        if driver.init_error is not None:
            raise NVMLError(driver.init_error)
        driver.open += 1

    def nvmlShutdown() -> None:
        driver.check("nvmlShutdown")
        driver.open -= 1

    def nvmlDeviceGetCount() -> int:
        driver.check("nvmlDeviceGetCount")
        return len(driver.gpus)

    def nvmlDeviceGetHandleByIndex(index: int) -> Gpu:
        driver.check("nvmlDeviceGetHandleByIndex", driver.gpus[index])
        return driver.gpus[index]

    def nvmlDeviceGetHandleByUUID(uuid: Any) -> Gpu:
        driver.check("nvmlDeviceGetHandleByUUID")
        if flavour == "old" and not isinstance(uuid, bytes):
            raise TypeError("bytes or integer address expected instead of str instance")
        return driver.find(uuid.decode() if isinstance(uuid, bytes) else uuid)

    def nvmlDeviceGetUUID(handle: Gpu) -> Any:
        driver.check("nvmlDeviceGetUUID", handle)
        return handle.uuid.encode() if flavour == "old" else handle.uuid

    def nvmlDeviceGetUtilizationRates(handle: Gpu) -> Any:
        driver.check("nvmlDeviceGetUtilizationRates", handle)
        return types.SimpleNamespace(gpu=handle.util, memory=1)

    def memory_v1(handle: Gpu) -> Any:
        driver.check("nvmlDeviceGetMemoryInfo", handle)
        # The first version counts what the driver keeps for itself as used.
        return types.SimpleNamespace(total=handle.total, used=handle.used + 500 * MIB, free=0)

    def memory_v2(handle: Gpu, version: Optional[int] = None) -> Any:
        if not version:
            return memory_v1(handle)
        driver.check("nvmlDeviceGetMemoryInfo_v2", handle)
        return types.SimpleNamespace(total=handle.total, used=handle.used, reserved=500 * MIB, free=0, version=version)

    def nvmlDeviceGetPowerUsage(handle: Gpu) -> int:
        driver.check("nvmlDeviceGetPowerUsage", handle)
        return handle.power_mw

    def nvmlDeviceGetTemperature(handle: Gpu, sensor: int) -> int:
        driver.check("nvmlDeviceGetTemperature", handle)
        assert sensor == nvml.NVML_TEMPERATURE_GPU
        return handle.celsius

    functions: List[Any] = [
        nvmlInit,
        nvmlShutdown,
        nvmlDeviceGetCount,
        nvmlDeviceGetHandleByIndex,
        nvmlDeviceGetHandleByUUID,
        nvmlDeviceGetUUID,
        nvmlDeviceGetUtilizationRates,
        nvmlDeviceGetPowerUsage,
        nvmlDeviceGetTemperature,
    ]
    nvml.nvmlDeviceGetMemoryInfo = memory_v1
    if flavour == "new":
        nvml.nvmlMemory_v2 = 0x02000028
        nvml.nvmlDeviceGetMemoryInfo = memory_v2
        functions += _mig_functions(driver)
    for function in functions:
        setattr(nvml, function.__name__, function)
    return nvml


def _mig_functions(driver: Driver) -> List[Any]:
    def nvmlDeviceGetMigMode(device: Gpu) -> List[int]:
        driver.check("nvmlDeviceGetMigMode", device)
        return [int(bool(device.migs)), int(bool(device.migs))]

    def nvmlDeviceGetMaxMigDeviceCount(device: Gpu) -> int:
        driver.check("nvmlDeviceGetMaxMigDeviceCount", device)
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(device: Gpu, index: int) -> Gpu:
        driver.check("nvmlDeviceGetMigDeviceHandleByIndex", device)
        if index >= len(device.migs):
            raise NVMLError(NOT_FOUND)
        return device.migs[index]

    def nvmlDeviceGetGpuInstanceId(device: Mig) -> int:
        driver.check("nvmlDeviceGetGpuInstanceId", device)
        return device.gpu_instance

    def nvmlDeviceGetComputeInstanceId(device: Mig) -> int:
        driver.check("nvmlDeviceGetComputeInstanceId", device)
        return device.compute_instance

    return [
        nvmlDeviceGetMigMode,
        nvmlDeviceGetMaxMigDeviceCount,
        nvmlDeviceGetMigDeviceHandleByIndex,
        nvmlDeviceGetGpuInstanceId,
        nvmlDeviceGetComputeInstanceId,
    ]
