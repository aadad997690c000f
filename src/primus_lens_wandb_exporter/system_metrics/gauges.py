"""What is measured, and what happens when it cannot be.

A gauge is one reading with one or more values, a device is a set of gauges. A value that cannot be read is left out,
never 0. A reading that its hardware does not have is dropped without a word; one that fails again and again is said
once and left alone for a long while, a device that is lost for good.
"""

import os
from enum import Enum
from typing import Callable, Dict, List, Optional, Sequence

from .. import diagnostics

# The values of one reading, None where there is none now.
Values = Sequence[Optional[float]]
Read = Callable[[], Values]

# A GPU that is being reset answers errors for a moment; three samples in a row are no moment.
_FAILURES_BEFORE_REST = 3
# In samples: five minutes by default. A job runs for weeks, a reset does not.
_REST = 60
_LONGEST_FILE = 65536


class Verdict(Enum):
    """What an error says of further readings."""

    FAILED = "may work next time"
    UNSUPPORTED = "never works on this hardware"
    LOST = "nothing of this device works any more"


def _any_failure(_error: Exception) -> Verdict:
    return Verdict.FAILED


class _Way:
    """One way to read a gauge, and how it fared."""

    __slots__ = ("failures", "read", "rest")

    def __init__(self, read: Read) -> None:
        self.read = read
        self.failures = 0
        # How many samples it is still left alone.
        self.rest = 0


class Gauge:
    """One reading and the names of its values. Of several ways to read it, the first that works is used."""

    __slots__ = ("_judge", "_ways", "names", "quantity")

    def __init__(
        self,
        quantity: str,
        names: Sequence[str],
        ways: Sequence[Read],
        judge: Callable[[Exception], Verdict] = _any_failure,
    ) -> None:
        self.quantity = quantity
        self.names = tuple(names)
        self._ways = [_Way(read) for read in ways]
        self._judge = judge

    def read_into(self, sample: Dict[str, float], device: str) -> bool:
        """Adds the values to the sample. False if the device is lost."""
        for way in self._ways:
            if way.rest:
                way.rest -= 1
                continue
            try:
                values = way.read()
            except Exception as error:
                verdict = self._judge(error)
                if verdict is Verdict.LOST:
                    message = "%s is lost: %s; it is left alone from now on"
                    diagnostics.warn_once(("system metrics", device, "lost"), message, device, _text(error))
                    return False
                way.failures += 1
                if verdict is Verdict.UNSUPPORTED:
                    self._ways = [other for other in self._ways if other is not way]
                    diagnostics.debug("%s has no %s this way: %r", device, self.quantity, error)
                elif way.failures >= _FAILURES_BEFORE_REST:
                    way.rest = _REST
                    self._say_failing(device, error)
                continue
            way.failures = 0
            for name, value in zip(self.names, values):
                if value is not None:
                    sample[name] = round(float(value), 3)
            break
        return True

    def _say_failing(self, device: str, error: Exception) -> None:
        if all(way.rest for way in self._ways):
            # One line for each device; the debug log has the rest.
            message = "%s of %s cannot be read (%s): it is left out"
            diagnostics.warn_once(("system metrics", device), message, self.quantity, device, _text(error))
        diagnostics.debug("%s of %s is left alone for %d samples: %r", self.quantity, device, _REST, error)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


class Device:
    """One thing with gauges: the host or a GPU."""

    __slots__ = ("gauges", "name")

    def __init__(self, name: str, gauges: Sequence[Gauge]) -> None:
        self.name = name
        self.gauges = list(gauges)

    def read_into(self, sample: Dict[str, float]) -> None:
        """Adds all that can be read to the sample."""
        for gauge in self.gauges:
            if not gauge.read_into(sample, self.name):
                self.gauges = []
                return


class Devices:
    """What a vendor's library or the kernel opened for us: the devices in the job's order, and how to let go."""

    def __init__(self, devices: List[Device], close: Callable[[], None]) -> None:
        self._devices = devices
        self._close = close

    def __len__(self) -> int:
        return len(self._devices)

    def read_into(self, sample: Dict[str, float]) -> None:
        for device in self._devices:
            device.read_into(sample)

    def close(self) -> None:
        self._devices = []
        self._close()


def gpu_names(index: int, *values: str) -> List[str]:
    """The metrics' names: ``_primus_gpu_3_util`` for ``gpu_names(3, "util")``."""
    return ["_primus_gpu_{}_{}".format(index, value) for value in values]


def read_file(path: str) -> str:
    """The text of a small file of the kernel's; raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, _LONGEST_FILE).decode("ascii", "replace").strip()
    finally:
        os.close(handle)


def read_number(path: str) -> int:
    """The whole number in a small file of the kernel's; raises OSError or ValueError."""
    return int(read_file(path))


def read_fields(path: str) -> Dict[str, int]:
    """The ``name number`` lines of a small file of the kernel's; raises OSError."""
    fields: Dict[str, int] = {}
    for line in read_file(path).splitlines():
        name, _, text = line.partition(" ")
        if text.strip().isdecimal():
            fields[name] = int(text)
    return fields
