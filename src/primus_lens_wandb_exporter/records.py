"""What travels from the training thread to the sinks, and how a ``wandb.log`` dict becomes it.

Values are converted on the training thread, at once: tensors and dicts may change after the call. Nothing here
does I/O or imports a framework; values are recognised by what they offer (``item``, ``shape``), not by their class.
"""

from collections.abc import Mapping
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple, Union

from .identity import Identity, Place

Number = Union[int, float]

# Metadata on the Lens server, which such a metric would overwrite, and the bookkeeping that wandb adds by itself.
RESERVED_NAMES = frozenset(
    ("step", "run_id", "source", "history", "created_at", "updated_at", "iteration", "_step", "_runtime", "_timestamp")
)

# Go's float64, the server's type for values.
_LARGEST_FLOAT = 1.7976931348623157e308
# The year 10000: Lens cannot write a later time.
END_OF_TIME_S = 253402300800
MAXIMUM_TEXT_LENGTH = 1000
_MAXIMUM_DEPTH = 32
_LONGEST_INT = 1024
# How wandb, and the mirror, write what JSON has not.
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_WANDBS_OWN = frozenset(("_step", "_runtime", "_timestamp"))


# What a record holds beside a row of history.
SUMMARY = "summary"
UNCOUNTED = "uncounted"


class Run(NamedTuple):
    """One wandb run in one process, as the sinks need it. ``writer`` tells apart the processes that log to a run.

    What is read from wandb's own file has the name of the file's folder as its writer. ``wandb_file`` is the path of
    that file, empty where it is not known. ``project`` and ``name`` are wandb's when the run begins, of bounded length
    and not redacted yet.
    """

    run_id: str
    identity: Identity
    place: Place
    writer: str
    wandb_file: str = ""
    project: str = ""
    name: str = ""


class MetricsRecord(NamedTuple):
    """One ``log`` call, one change of the summary, or one row of wandb's own file.

    ``metrics`` are the finite scalars that Lens takes, by their dotted names. ``data`` is everything that was
    logged, by the same names, as values that JSON can express (but for NaN and infinities); it is the same dict as
    ``metrics`` when the call held nothing else. ``step`` is None for a call that wandb itself dropped, because its
    step was older than the run's: its ``metrics`` are empty. ``timestamp`` is in seconds since 1970; ``sequence``
    numbers the calls of a process from 0, and what a file holds in the order of the file. ``kind`` is empty for
    history, `SUMMARY` for values of the run's summary, and `UNCOUNTED` for a call whose step only wandb's service
    knows: ``step`` is None and ``metrics`` is empty then too, and the values come from wandb's own file.
    """

    run: Run
    sequence: int
    step: Optional[int]
    timestamp: float
    metrics: Dict[str, Number]
    data: Dict[str, Any]
    kind: str = ""


def _at_once() -> float:
    return 0.0


class DetectionRecord(NamedTuple):
    """What a run uses, as far as the training thread can tell; ``make_body`` gathers the rest on the sink's thread.

    It returns the body of ``POST /wandb/detection``. ``due_in`` tells in how many seconds the record is to be given to
    the sink: what it has to tell may become better until then.
    """

    run: Run
    make_body: Callable[[], Dict[str, Any]]
    due_in: Callable[[], float] = _at_once


Record = Union[MetricsRecord, DetectionRecord]


def numbers_of(record: MetricsRecord) -> Dict[str, Number]:
    """Every number of a record that has a step: of ``metrics``, and NaN, infinities, bool as bool, reserved names."""
    if record.data is record.metrics or record.step is None:
        return record.metrics
    return numbers_in(record.data)


def numbers_in(data: Dict[str, Any]) -> Dict[str, Number]:
    """As `numbers_of`, of what was logged with a step."""
    numbers: Dict[str, Number] = {}
    for name, value in data.items():
        number: Any = _NOT_FINITE.get(value) if isinstance(value, str) else value
        is_number = isinstance(number, float) or (
            isinstance(number, int) and -_LARGEST_FLOAT <= number <= _LARGEST_FLOAT
        )
        if is_number and name not in _WANDBS_OWN:
            numbers[name] = number
    return numbers


def convert(data: "Mapping[str, Any]") -> Tuple[Dict[str, Number], Dict[str, Any]]:
    """Splits what was logged into ``(metrics, data)``, the two dicts of a `MetricsRecord`."""
    metrics: Dict[str, Number] = {}
    for name, value in data.items():
        # The whole of a typical call: plain finite floats and ints with ordinary names.
        if (type(value) is float or type(value) is int) and -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:
            metrics[name] = value
        else:
            break
    else:
        if RESERVED_NAMES.isdisjoint(metrics):
            return metrics, metrics
    metrics = {}
    everything: Dict[str, Any] = {}
    _convert_into(metrics, everything, data, "", 0)
    if len(metrics) == len(everything) and True not in map(_is_bool, everything.values()):
        return metrics, metrics
    return metrics, everything


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _convert_into(
    metrics: Dict[str, Number], everything: Dict[str, Any], data: "Mapping[Any, Any]", prefix: str, depth: int
) -> None:
    for key, value in data.items():
        name = prefix + str(key)
        # A dict with a type is what wandb made, in place, of media inside a dict.
        if isinstance(value, Mapping) and depth < _MAXIMUM_DEPTH and "_type" not in value:
            _convert_into(metrics, everything, value, name + ".", depth + 1)
            continue
        plain = to_plain(value)
        everything[name] = plain
        if name in RESERVED_NAMES:
            continue
        # NaN fails both comparisons, infinities one of them.
        if isinstance(plain, (int, float)) and -_LARGEST_FLOAT <= plain <= _LARGEST_FLOAT:
            metrics[name] = float(plain) if type(plain) is bool else plain
            continue
        # wandb keeps the last value of a name in a step; within one call that is the later of two equal dotted names.
        metrics.pop(name, None)


def to_plain(value: Any) -> Any:
    """Turns one logged value into int, float, bool, None, a short text or a description dict.

    One-element arrays and tensors of any library count as their element. Everything without a single number
    becomes ``{"_type": ..., "shape": [...]}``.
    """
    if value is None or type(value) is float or type(value) is bool:
        return value
    if isinstance(value, str):
        text = str(value)
        return text if len(text) <= MAXIMUM_TEXT_LENGTH else text[:MAXIMUM_TEXT_LENGTH] + "…"
    if not isinstance(value, (int, float)):
        value = _single_element(value) if _has_one_element(value) else value
    if type(value) is bool:
        return value
    if isinstance(value, int):
        # Python itself refuses to write longer ones in decimal, and no float holds them.
        return int(value) if value.bit_length() <= _LONGEST_INT else {"_type": "int", "bits": value.bit_length()}
    if isinstance(value, float):
        return float(value)
    return describe(value)


def _has_one_element(value: Any) -> bool:
    """Whether this is an array scalar, a 0-d array or an array with one element, of whatever library."""
    shape = _shape(value)
    return shape is not None and all(length == 1 for length in shape)


def _single_element(value: Any) -> Any:
    """The element inside a one-element array; the array itself when it cannot be read."""
    try:
        item = _method(value, "item")
        if item is None:
            # TensorFlow's eager tensors.
            numpy = _method(value, "numpy")
            item = _method(numpy(), "item") if numpy is not None else None
        return item() if item is not None else value
    except Exception:  # a tensor without a value (meta device, traced function): wandb had its own way with it
        return value


def _method(value: Any, name: str) -> Optional[Callable[[], Any]]:
    found = getattr(value, name, None)
    return found if callable(found) else None


def _shape(value: Any) -> Optional[Tuple[int, ...]]:
    try:
        return tuple(int(length) for length in value.shape)
    except Exception:  # no shape, or one that is not known yet
        return None


def describe(value: Any) -> Dict[str, Any]:
    """A short stand-in for a value that has no place in a line of scalars: media, tables, arrays, objects."""
    kind = type(value)
    log_type = value.get("_type") if isinstance(value, Mapping) else getattr(kind, "_log_type", None)
    if isinstance(log_type, str):
        description: Dict[str, Any] = {"_type": log_type}
    elif kind.__module__ in ("builtins", "__main__"):
        description = {"_type": kind.__name__}
    else:
        description = {"_type": "{}.{}".format(kind.__module__, kind.__name__)}
    shape = _shape(value)
    if shape is not None:
        description["shape"] = list(shape)
    elif isinstance(value, (list, tuple, set, frozenset, dict)):
        description["shape"] = [len(value)]
    return description
