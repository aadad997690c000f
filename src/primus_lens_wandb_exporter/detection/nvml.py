"""NVIDIA's management library: names and memory of the GPUs. It is no GPU runtime and creates no CUDA context.

A `pynvml` that the job has loaded is used as it is. Otherwise the driver's library is called directly: importing a
`pynvml` would run whichever of three packages of that name is installed, and most jobs have none.
"""

import ctypes
import sys
from typing import Any, Callable, List, NamedTuple, Tuple

from .. import diagnostics
from .loaded import Modules, is_loaded

_LIBRARY = "libnvidia-ml.so.1"
_NAME_LENGTH = 96
_MAXIMUM_DEVICES = 128


class Device(NamedTuple):
    name: str
    memory_bytes: int


class NvmlError(Exception):
    """A call that NVML answered with an error code."""


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Library:
    """The few functions that are needed, by the names that `pynvml` gives them."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)

    def nvmlInit(self) -> None:  # noqa: N802
        self._call("nvmlInit_v2")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._call("nvmlShutdown")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        return count.value

    def nvmlDeviceGetHandleByIndex(self, index: int) -> ctypes.c_void_p:  # noqa: N802
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        return handle

    def nvmlDeviceGetName(self, handle: ctypes.c_void_p) -> bytes:  # noqa: N802
        name = ctypes.create_string_buffer(_NAME_LENGTH)
        self._call("nvmlDeviceGetName", handle, name, ctypes.c_uint(_NAME_LENGTH))
        return name.value

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p) -> _Memory:  # noqa: N802
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return memory

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        version = ctypes.c_int()
        self._call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(version))
        return version.value

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            raise NvmlError("%s answered %d" % (name, code))


def read_devices(modules: "Modules" = sys.modules) -> "Tuple[List[Device], str]":
    """All GPUs that NVML shows, and the CUDA version of the driver; nothing of what cannot be asked."""
    try:
        library = modules["pynvml"] if is_loaded("pynvml", modules) else _Library()
        library.nvmlInit()
    except Exception as error:  # no library, no driver, or a pynvml that is broken
        diagnostics.debug("NVML cannot be asked: %s", error)
        return [], ""
    try:
        count = min(_ask(library.nvmlDeviceGetCount, 0), _MAXIMUM_DEVICES)
        devices = [_read_device(library, index) for index in range(count)]
        return devices, _version_text(_ask(library.nvmlSystemGetCudaDriverVersion, 0))
    finally:
        # NVML counts its users: this ends our use, not that of others.
        _ask(library.nvmlShutdown, None)


def _read_device(library: Any, index: int) -> Device:
    handle = _ask(lambda: library.nvmlDeviceGetHandleByIndex(index), None)
    name = _ask(lambda: library.nvmlDeviceGetName(handle), "")
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return Device(str(name), int(_ask(lambda: library.nvmlDeviceGetMemoryInfo(handle).total, 0)))


def _version_text(version: Any) -> str:
    """12.4 for 12040."""
    return "%d.%d" % (version // 1000, version % 1000 // 10) if isinstance(version, int) and version else ""


def _ask(function: "Callable[[], Any]", default: Any) -> Any:
    try:
        return function()
    except Exception:  # one value that a virtual or partitioned GPU does not have; the others count
        return default
