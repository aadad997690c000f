"""Turns a config of any kind into JSON of bounded size, without calling into the objects it finds.

Runs on the training thread, because a config may change afterwards: so it is one pass with a budget, it never
reads a GPU tensor, never calls an unknown object's ``repr``, ``str`` or ``to_dict``, and never raises. What was left
out is marked with ``…truncated``.
"""

import enum
import math
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, SimpleNamespace
from typing import Any, Dict, Iterable, List, Tuple

TRUNCATED = "…truncated"
MAXIMUM_BYTES = 64 * 1024
MAXIMUM_DEPTH = 12
MAXIMUM_ENTRIES = 2000
MAXIMUM_ITEMS = 200
MAXIMUM_TEXT_LENGTH = 1200
MAXIMUM_KEY_LENGTH = 256

# Kept back for the markers of the containers that are open when the budget ends.
_RESERVE = 2048
# A value may become the redaction marker later: nothing counts for less.
_SMALLEST_TEXT = 20
_CONTAINER_BYTES = 32
_PLAIN_NUMBER = 1e15
# Python refuses to write longer ints in decimal, and Go's float64 holds none of them.
_LONGEST_INT_BITS = 1000

_WRITTEN_AS_TEXT = (PurePath, timedelta, complex, range)
# Told by their modules, which need not be imported for it.
_WRITTEN_AS_TEXT_BY_NAME = frozenset(("decimal.Decimal", "fractions.Fraction", "uuid.UUID"))
_FUNCTIONS = (type, FunctionType, BuiltinFunctionType, MethodType)
_SEQUENCES = (list, tuple, set, frozenset, deque)
# Classes of torch whose text is made of a name or a few numbers.
_TORCH_NAMES = frozenset(("dtype", "device", "layout", "memory_format"))
_CONFIG_NAMES = ("Config", "Configuration", "Args", "Arguments", "Params", "Settings", "Options")


def to_json(value: Any, maximum_text_length: int = MAXIMUM_TEXT_LENGTH) -> Any:
    """The value as None, bool, int, float, str, list and dict, whose JSON takes at most `MAXIMUM_BYTES`."""
    return _Converter(maximum_text_length).convert(value, 0)


def to_json_object(value: Any, maximum_text_length: int = MAXIMUM_TEXT_LENGTH) -> Dict[str, Any]:
    """Like `to_json`; what is no object becomes an empty one."""
    converted = to_json(value, maximum_text_length)
    return converted if isinstance(converted, dict) else {}


def clean_text(text: str, maximum_length: int = MAXIMUM_TEXT_LENGTH) -> str:
    """The text as the server can store it: no NUL, no half of a surrogate pair, no more than so many characters."""
    if len(text) > maximum_length:
        text = str.__str__(text)[: maximum_length - len(TRUNCATED)] + TRUNCATED
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return str.replace(text, "\0", "\N{REPLACEMENT CHARACTER}")


class _Converter:
    """One conversion: what may still be written, and the containers around the current value."""

    def __init__(self, maximum_text_length: int) -> None:
        self._left = MAXIMUM_BYTES - _RESERVE
        self._maximum_text_length = maximum_text_length
        self._open = set()  # type: set[int]

    def convert(self, value: Any, depth: int) -> Any:
        try:
            return self._convert(value, depth)
        except Exception:  # an object that breaks when it is looked at: its class is all there is to say
            return self._text(_name_of_class(type(value)))

    def _convert(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is int or kind is float:
            return self._number(value)
        if value is None or kind is bool:
            self._left -= 6
            return value
        entries = _as_entries(value)
        if entries is None and not isinstance(value, _SEQUENCES):
            plain = _as_plain(value)
            return self._text(plain) if isinstance(plain, str) else self._convert(plain, depth)
        self._left -= _CONTAINER_BYTES
        if depth >= MAXIMUM_DEPTH:
            return TRUNCATED
        if id(value) in self._open:
            return "…cycle"
        self._open.add(id(value))
        try:
            return self._list(value, depth) if entries is None else self._dict(entries, depth)
        finally:
            self._open.discard(id(value))

    def _dict(self, entries: "Iterable[Tuple[Any, Any]]", depth: int) -> Dict[str, Any]:
        converted = {}  # type: Dict[str, Any]
        fair_share = self._enter()
        for key, value in entries:
            if self._left <= 0 or len(converted) >= MAXIMUM_ENTRIES:
                converted[TRUNCATED] = True
                break
            kind = type(value)
            if (kind is float or kind is int) and -_PLAIN_NUMBER < value < _PLAIN_NUMBER:
                # Most of a config: no call needed.
                self._left -= 24
                converted[self._key(key)] = value
            else:
                converted[self._key(key)] = self.convert(value, depth + 1)
        self._leave(fair_share)
        return converted

    def _list(self, items: "Iterable[Any]", depth: int) -> List[Any]:
        converted = []  # type: List[Any]
        fair_share = self._enter()
        if isinstance(items, (set, frozenset)):
            items = sorted(items, key=_order) if len(items) <= MAXIMUM_ITEMS else items
        for item in items:
            if self._left <= 0 or len(converted) >= MAXIMUM_ITEMS:
                converted.append(TRUNCATED)
                break
            converted.append(self.convert(item, depth + 1))
        self._leave(fair_share)
        return converted

    def _enter(self) -> int:
        """A container may use half of what is left, so that a huge one leaves room for what comes after it."""
        kept_back = max(self._left, 0) // 2 if len(self._open) > 1 else 0
        self._left -= kept_back
        return kept_back

    def _leave(self, kept_back: int) -> None:
        self._left += kept_back

    def _key(self, key: Any) -> str:
        if type(key) is not str:
            plain = _as_plain(key) if not isinstance(key, (str, int, float, type(None))) else key
            key = plain if isinstance(plain, str) else str(plain)
        return self._text(key, MAXIMUM_KEY_LENGTH)

    def _text(self, text: str, maximum_length: int = 0) -> str:
        maximum_length = maximum_length or self._maximum_text_length
        if len(text) <= maximum_length and text.isascii() and text.isprintable():
            length = len(text) + text.count('"') + text.count("\\") + 4
        else:
            text = clean_text(text, maximum_length)
            length = len(encode_basestring_ascii(text)) + 2
        if length > max(self._left, 0) + _SMALLEST_TEXT:
            text, length = TRUNCATED, _SMALLEST_TEXT
        self._left -= max(length, _SMALLEST_TEXT)
        return text

    def _number(self, number: Any) -> Any:
        self._left -= 24
        if type(number) is float:
            if math.isfinite(number):
                return number
            # wandb's own spelling in its files.
            return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
        if -1000000 < number < 1000000:
            return number
        bits = number.bit_length()
        self._left -= bits // 3
        return number if bits <= _LONGEST_INT_BITS else "int of %d bits" % bits


def _as_entries(value: Any) -> "Any":
    """The (key, value) pairs of everything that is a mapping or a record, None for the rest."""
    kind = type(value)
    if kind is dict:
        return _entries_of_dict(value)
    if isinstance(value, (int, float, str, bytes, *_FUNCTIONS)):
        return None
    if isinstance(value, Mapping):
        return _entries_of_mapping(value)
    if isinstance(value, tuple):
        names = getattr(kind, "_fields", None)
        return zip(names, value) if isinstance(names, tuple) else None
    fields = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__attrs_attrs__", None)
    if fields:
        names = list(fields) if isinstance(fields, dict) else [attribute.name for attribute in fields]
        return [(name, getattr(value, name, None)) for name in names]
    if isinstance(value, SimpleNamespace) or _is_config_like(kind):
        return [item for item in list(vars(value).items()) if not str(item[0]).startswith("_")]
    return None


def _entries_of_dict(value: Dict[Any, Any]) -> Any:
    if len(value) <= MAXIMUM_ENTRIES:
        # A copy made in one step: another thread may be adding to the dict.
        return value.copy().items()
    try:
        return list(islice(value.items(), MAXIMUM_ENTRIES + 1))
    except RuntimeError:  # changed meanwhile, as the garbage collector can let other threads in even here
        return value.copy().items()


def _entries_of_mapping(value: Any) -> Any:
    # OmegaConf: without resolving interpolations, which may read the environment or run user code.
    unresolved = getattr(type(value), "items_ex", None)
    return unresolved(value, resolve=False) if unresolved is not None else value.items()


def _is_config_like(kind: type) -> bool:
    """argparse, pydantic and the config classes of frameworks: objects that are their attributes."""
    if hasattr(kind, "__pydantic_fields__") or any(_full_name(base) == "argparse.Namespace" for base in kind.__mro__):
        return True
    return kind.__name__.endswith(_CONFIG_NAMES) and kind.__dictoffset__ != 0


def _as_plain(value: Any) -> Any:
    """A text, or something simpler than the value, for what is neither a container nor a plain scalar."""
    kind = type(value)
    if isinstance(value, enum.Enum):
        # A text that is an enum ("steps") is meant as the text; others are known by their names.
        return str.__str__(value) if isinstance(value, str) else "%s.%s" % (kind.__name__, value.name)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "<%d bytes>" % len(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, _WRITTEN_AS_TEXT) or _full_name(kind) in _WRITTEN_AS_TEXT_BY_NAME:
        return str(value)
    if isinstance(value, _FUNCTIONS):
        return "%s.%s" % (getattr(value, "__module__", "?"), getattr(value, "__qualname__", "?"))
    return _as_plain_array(value, kind)


def _as_plain_array(value: Any, kind: type) -> Any:
    library = kind.__module__.split(".", 1)[0]
    if library == "numpy":
        return _as_plain_numpy(value)
    if library == "torch" and kind.__name__ in _TORCH_NAMES:
        return str(value)
    # Tensors too: reading one would wait for the GPU.
    return _name_of_class(kind)


def _as_plain_numpy(value: Any) -> Any:
    name = type(value).__name__
    if name.startswith("dtype") or name.endswith("DType"):
        return str(value)
    size = getattr(value, "size", None)
    if isinstance(size, int) and size <= MAXIMUM_ITEMS:
        plain = value.tolist()
        # long double and datetime64[ns] answer with something else than a plain value.
        return plain if type(plain) is not type(value) else str(value)
    return "<%s of shape %s>" % (_full_name(type(value)), getattr(value, "shape", "?"))


def _full_name(kind: type) -> str:
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _name_of_class(kind: type) -> str:
    return "<%s>" % _full_name(kind)


def _order(item: Any) -> "Tuple[str, str]":
    plain = item if isinstance(item, (str, int, float)) else ""
    return type(item).__name__, str.__str__(plain) if isinstance(plain, str) else "%030.6f" % plain
