"""NVIDIA GPUs through NVML, by whatever module ``pynvml`` is there.

``nvidia-ml-py3`` (last release 2017) returns bytes, takes names as bytes only and has no MIG; ``nvidia-ml-py`` returns
and takes text. Nothing here starts CUDA: NVML is the library of nvidia-smi.
"""

import importlib
import os
from functools import partial
from typing import Any, List, Mapping, Optional

from .. import diagnostics
from .gauges import Device, Devices, Gauge, Read, Values, Verdict, gpu_names
from .visible_devices import find_by_prefix, parse_cuda_list

_MIB = 1024.0 * 1024.0
# nvml.h, nvmlReturn_t. By number: the older module lacks some of the names.
_INVALID_ARGUMENT, _NOT_SUPPORTED, _NO_PERMISSION, _FUNCTION_NOT_FOUND, _VERSION_MISMATCH = 2, 3, 4, 13, 25
_UNSUPPORTED = frozenset((_INVALID_ARGUMENT, _NOT_SUPPORTED, _NO_PERMISSION, _FUNCTION_NOT_FOUND, _VERSION_MISMATCH))
_GPU_IS_LOST, _RESET_REQUIRED = 15, 16
_DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND = 9, 12
_TEMPERATURE_OF_GPU = 0
_MIG_IS_ENABLED = 1


def open_nvidia(environ: Mapping[str, str], proc: str) -> Optional[Devices]:
    """The NVIDIA GPUs that this process may see; None if the machine has none or NVML cannot be used."""
    try:
        nvml: Any = importlib.import_module("pynvml")
        init, shutdown = nvml.nvmlInit, nvml.nvmlShutdown
    except Exception as error:  # not installed, or half removed: both packages own this one file
        if os.path.exists(os.path.join(proc, "driver", "nvidia", "version")):
            diagnostics.warn_once(
                ("system metrics", "pynvml"),
                "this machine has NVIDIA GPUs, but the module pynvml cannot be used (%s: %s): no GPU metrics; "
                "`pip install --force-reinstall nvidia-ml-py` brings it",
                type(error).__name__,
                error,
            )
        return None
    try:
        init()
    except Exception as error:
        if getattr(error, "value", None) in (_LIBRARY_NOT_FOUND, _DRIVER_NOT_LOADED):
            diagnostics.debug("no NVIDIA driver here: %s", error)
        else:
            diagnostics.warn_once(("system metrics", "NVML"), "NVML cannot be started: %s; no NVIDIA metrics", error)
        return None
    try:
        if not nvml.nvmlDeviceGetCount():
            shutdown()
            return None
        handles = _Enumeration(nvml).visible(environ.get("CUDA_VISIBLE_DEVICES"))
    except Exception:
        shutdown()
        raise
    diagnostics.debug("%d NVIDIA GPUs are visible", len(handles))
    return Devices([_make_device(nvml, index, handle) for index, handle in enumerate(handles)], shutdown)


class _Enumeration:
    """From the entries of CUDA_VISIBLE_DEVICES to NVML's handles.

    NVML numbers by PCI bus id, as CUDA does with CUDA_DEVICE_ORDER=PCI_BUS_ID. CUDA's default, FASTEST_FIRST, is the
    same order wherever all GPUs are of one model; for others only CUDA itself could tell.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus = [self._handle(index) for index in range(nvml.nvmlDeviceGetCount())]

    def _handle(self, index: int) -> Any:
        try:
            return self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError as error:
            # A GPU that fell off the bus keeps its number; the others are still there.
            diagnostics.warn_once(("system metrics", "NVML", index), "NVIDIA GPU %d cannot be opened: %s", index, error)
            return None

    def visible(self, text: Optional[str]) -> List[Any]:
        """The handles in the order in which the job numbers them; None for a GPU that cannot be opened."""
        entries = parse_cuda_list(text)
        if entries is None:
            return [self._as_cuda_shows(gpu) for gpu in self._gpus]
        handles: List[Any] = []
        seen = set()
        for entry in entries:
            if isinstance(entry, int):
                if entry >= len(self._gpus):
                    break
                handles.append(self._as_cuda_shows(self._gpus[entry]))
                continue
            if entry.startswith("MIG-"):
                handle = self._find_mig(entry)
            else:
                place = find_by_prefix(entry, [self._uuid(gpu) for gpu in self._gpus])
                if place in seen:
                    return []
                seen.add(place)
                handle = None if place is None else self._as_cuda_shows(self._gpus[place])
            if handle is None:
                break
            handles.append(handle)
        return handles

    def _uuid(self, handle: Any) -> str:
        if handle is None:
            return ""
        uuid = self._nvml.nvmlDeviceGetUUID(handle)
        return uuid.decode("ascii", "replace") if isinstance(uuid, bytes) else str(uuid)

    def _as_cuda_shows(self, gpu: Any) -> Any:
        """The GPU itself, or its first MIG device where it is partitioned: CUDA shows one for each process."""
        return next(iter(self._mig_devices(gpu)), gpu)

    def _mig_devices(self, gpu: Any) -> List[Any]:
        nvml = self._nvml
        devices: List[Any] = []
        try:
            if nvml.nvmlDeviceGetMigMode(gpu)[0] != _MIG_IS_ENABLED:
                return devices
            count = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
        except (AttributeError, TypeError, nvml.NVMLError):
            # An older module or driver, a GPU without MIG, or one that could not be opened.
            return devices
        for place in range(count):
            try:
                devices.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place))
            except nvml.NVMLError:
                # Places without a device are no error.
                continue
        return devices

    def _find_mig(self, name: str) -> Any:
        """By ``MIG-<uuid>`` or by the older ``MIG-GPU-<uuid of the GPU>/<GPU instance>/<compute instance>``."""
        nvml = self._nvml
        migs = [mig for gpu in self._gpus for mig in self._mig_devices(gpu)]
        if name.startswith("MIG-GPU-"):
            parent, _, place = name[len("MIG-") :].partition("/")
            gpu = find_by_prefix(parent, [self._uuid(gpu) for gpu in self._gpus])
            for mig in self._mig_devices(self._gpus[gpu]) if gpu is not None else ():
                instances = (nvml.nvmlDeviceGetGpuInstanceId(mig), nvml.nvmlDeviceGetComputeInstanceId(mig))
                if "{}/{}".format(*instances) == place:
                    return mig
        else:
            found = find_by_prefix(name, [self._uuid(mig) for mig in migs])
            if found is not None:
                return migs[found]
        try:
            # The older module does not list MIG devices, but the driver knows them by their whole name.
            return nvml.nvmlDeviceGetHandleByUUID(name.encode("ascii", "replace"))
        except nvml.NVMLError:
            return None


def _make_device(nvml: Any, index: int, handle: Any) -> Device:
    if handle is None:
        return Device("GPU {}".format(index), [])
    memory: List[Read] = []
    if hasattr(nvml, "nvmlMemory_v2"):
        # As nvidia-smi counts: the first version adds what the driver keeps for itself.
        memory.append(partial(_memory, partial(nvml.nvmlDeviceGetMemoryInfo, handle, version=nvml.nvmlMemory_v2)))
    memory.append(partial(_memory, partial(nvml.nvmlDeviceGetMemoryInfo, handle)))
    temperature: List[Read] = [
        partial(_one, getattr(nvml, name), handle, _TEMPERATURE_OF_GPU)
        for name in ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
        if hasattr(nvml, name)
    ]
    return Device(
        "GPU {}".format(index),
        [
            Gauge("utilization", gpu_names(index, "util"), [partial(_utilization, nvml, handle)], _judge),
            Gauge("memory use", gpu_names(index, "mem_used_mb", "mem_percent"), memory, _judge),
            Gauge("power", gpu_names(index, "power_w"), [partial(_power, nvml, handle)], _judge),
            Gauge("temperature", gpu_names(index, "temp_c"), temperature, _judge),
        ],
    )


def _judge(error: Exception) -> Verdict:
    code = getattr(error, "value", None)
    if code in (_GPU_IS_LOST, _RESET_REQUIRED):
        return Verdict.LOST
    # MIG devices, vGPUs and older boards lack some readings: that is no trouble.
    return Verdict.UNSUPPORTED if code in _UNSUPPORTED else Verdict.FAILED


def _utilization(nvml: Any, handle: Any) -> Values:
    return (float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),)


def _memory(get_info: Any) -> Values:
    info = get_info()
    return (info.used / _MIB, 100.0 * info.used / info.total if info.total else None)


def _power(nvml: Any, handle: Any) -> Values:
    return (nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0,)


def _one(get_value: Any, *arguments: Any) -> Values:
    return (float(get_value(*arguments)),)
