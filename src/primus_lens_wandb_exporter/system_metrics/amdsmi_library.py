"""The Python module ``amdsmi``, which comes with ROCm and fails in many ways: opened with care, asked by address."""

import importlib
import importlib.util
import os
import sys
from functools import partial
from typing import Any, Dict, List, Mapping, Optional

from .. import diagnostics
from .gauges import Read, Values

_LIBRARY = "libamd_smi.so"
# amdsmi_status_t: NOT_SUPPORTED, NOT_YET_IMPLEMENTED, NO_PERM. By number: older modules lack some of the names.
_UNSUPPORTED = frozenset((2, 3, 10))
# What the library answers for "no value" in its unsigned fields of 16, 32 and 64 bits.
_NO_VALUE = frozenset((0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))
_HIGHEST_CELSIUS = 1000

_imported_by_us = False


def open_amdsmi(environ: Mapping[str, str]) -> "Optional[AmdSmi]":
    """The library with the GPUs that it knows; None where it does not work, which is no trouble: there is sysfs."""
    global _imported_by_us
    try:
        is_new = "amdsmi" not in sys.modules
        if is_new and not _can_be_imported(environ):
            return None
        smi: Any = importlib.import_module("amdsmi")
        _imported_by_us = _imported_by_us or is_new
        smi.amdsmi_init()
    except Exception as error:  # OSError, KeyError, AttributeError, its own exceptions: by version and machine
        diagnostics.debug("amdsmi does not work here, sysfs is read instead: %r", error)
        return None
    try:
        return AmdSmi(smi)
    except Exception as error:
        diagnostics.debug("amdsmi lists no GPUs, sysfs is read instead: %r", error)
        _shut_down(smi)
        return None


def _can_be_imported(environ: Mapping[str, str]) -> bool:
    """Whether the module and its library are there. Importing it without the library prints to the job's stdout."""
    spec = importlib.util.find_spec("amdsmi")
    if spec is None:
        return False
    folders = list(spec.submodule_search_locations or ())
    if not any(os.path.exists(os.path.join(folder, "amdsmi_wrapper.py")) for folder in folders):
        return True
    # The places in which amdsmi_wrapper.py looks.
    rocm = [environ[name] for name in ("ROCM_HOME", "ROCM_PATH") if environ.get(name)] + ["/opt/rocm"]
    paths = [os.path.join(folder, "lib", _LIBRARY) for folder in rocm]
    paths += [_LIBRARY] + [os.path.join(folder, _LIBRARY) for folder in folders]
    return any(_can_be_loaded(path) for path in paths)


def _can_be_loaded(path: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True


def _shut_down(smi: Any) -> None:
    # The library counts no users: shutting it down takes its handles from everybody. PyTorch for ROCm is one.
    if not _imported_by_us or "torch" in sys.modules:
        return
    try:
        smi.amdsmi_shut_down()
    except Exception as error:
        diagnostics.debug("amdsmi cannot be shut down: %r", error)


class AmdSmi:
    """The started library. ``handles`` by PCI address, without addresses that several handles share."""

    def __init__(self, smi: Any) -> None:
        self._smi = smi
        self.handles: Dict[str, Any] = {}
        shared = set()
        for handle in smi.amdsmi_get_processor_handles():
            address = str(smi.amdsmi_get_gpu_device_bdf(handle)).lower()
            if address in self.handles:
                shared.add(address)
            self.handles[address] = handle
        for address in shared:
            del self.handles[address]
        if not self.handles:
            raise LookupError("no GPU with an address of its own")

    def close(self) -> None:
        self.handles = {}
        _shut_down(self._smi)

    @staticmethod
    def says_unsupported(error: Exception) -> bool:
        return getattr(error, "err_code", None) in _UNSUPPORTED

    def ways(self, handle: Any) -> Dict[str, Read]:
        """How to read what this version of the library offers, by quantity."""
        smi = self._smi
        ways: Dict[str, Any] = {
            "utilization": ("amdsmi_get_gpu_activity", _utilization),
            "memory use": ("amdsmi_get_gpu_vram_usage", _memory),
            "power": ("amdsmi_get_power_info", _power),
        }
        found: Dict[str, Read] = {
            quantity: partial(read, getattr(smi, function), handle)
            for quantity, (function, read) in ways.items()
            if hasattr(smi, function)
        }
        try:
            sensor, metric = smi.AmdSmiTemperatureType.JUNCTION, smi.AmdSmiTemperatureMetric.CURRENT
            found["temperature"] = partial(_temperature, smi.amdsmi_get_temp_metric, handle, sensor, metric)
        except AttributeError as error:
            diagnostics.debug("this amdsmi tells no temperature: %s", error)
        return found


class _NoValueError(Exception):
    """The library answered that it has no value."""

    err_code = min(_UNSUPPORTED)


def _first_number(values: List[Any]) -> float:
    """The first that is a number; the library writes "N/A" or all bits set for those it does not have."""
    for value in values:
        if isinstance(value, (int, float)) and value not in _NO_VALUE:
            return float(value)
    raise _NoValueError(repr(values))


def _utilization(get_activity: Any, handle: Any) -> Values:
    return (_first_number([get_activity(handle).get("gfx_activity")]),)


def _memory(get_usage: Any, handle: Any) -> Values:
    """``vram_used`` and ``vram_total`` are MiB, though the library's documentation says MB."""
    usage = get_usage(handle)
    used = _first_number([usage.get("vram_used")])
    total = usage.get("vram_total")
    return (used, 100.0 * used / total if isinstance(total, int) and total > 0 else None)


def _power(get_power: Any, handle: Any) -> Values:
    """Watts. MI300 has the current power only, earlier GPUs the average; 0 stands for a sensor that is not there."""
    power = get_power(handle)
    names = ("current_socket_power", "average_socket_power", "socket_power")
    return (_first_number([power.get(name) for name in names if power.get(name) != 0]),)


def _temperature(get_temperature: Any, handle: Any, sensor: Any, metric: Any) -> Values:
    celsius = _first_number([get_temperature(handle, sensor, metric)])
    # Early versions told thousandths.
    return (celsius / 1000.0 if celsius > _HIGHEST_CELSIUS else celsius,)
