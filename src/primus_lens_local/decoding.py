"""JSON as Go's `encoding/json` decodes it into typed structs, and the JSON schema of what it accepts.

Rules kept from Go: `null` leaves the zero value; unknown keys are ignored; keys match exactly or else without
regard to case; of a repeated key the last one counts, yet every occurrence must have the right type; numbers
beyond float64 or int64 are refused; a lone surrogate and invalid UTF-8 become U+FFFD; NaN, Infinity and a byte
order mark are not JSON; what follows the first JSON value is not read.

A parsed object is a tuple of (key, value) pairs and a parsed array is a list: that keeps repeated keys apart
and costs no Python code per object.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Mapping, NoReturn, Protocol

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MAX_DEPTH = 200
"""How deep free-form JSON may nest; Go allows 10,000."""

_SPACE = " \t\r\n"
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abcdefABCDEF]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class FormatError(ValueError):
    """The body is not JSON, or a value has a type the contract does not allow."""


class JsonType(Protocol):
    """One type of the contract: decodes a parsed value and describes itself in JSON schema."""

    def decode(self, value: Any) -> Any:
        """Return the Go value for a parsed JSON value; raise FormatError where Go refuses it."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema (OpenAPI 3.1) of the accepted values."""


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_refuse_constant)


def parse(body: bytes) -> Any:
    """Parse a request body; raise FormatError if it does not begin with a JSON value."""
    text = body.decode("utf-8", errors="replace")
    try:
        parsed, _ = _decoder.raw_decode(text.lstrip(_SPACE))
        return _without_surrogates(parsed) if _SURROGATE_ESCAPE.search(text) else parsed
    except (ValueError, RecursionError) as error:
        raise FormatError(str(error)) from error


def _without_surrogates(value: Any) -> Any:
    if type(value) is str:
        return _LONE_SURROGATE.sub("\ufffd", value)
    if type(value) is tuple:
        return tuple((_without_surrogates(key), _without_surrogates(item)) for key, item in value)
    if type(value) is list:
        return [_without_surrogates(item) for item in value]
    return value


class String:
    """Go `string`."""

    def decode(self, value: Any) -> str:
        if type(value) is str:
            return value
        if value is None:
            return ""
        raise FormatError("not a string")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


class Bool:
    """Go `bool`."""

    def decode(self, value: Any) -> bool:
        if type(value) is bool:
            return value
        if value is None:
            return False
        raise FormatError("not a bool")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Int64:
    """Go `int64`: 1.0 and 1e3 are refused."""

    def decode(self, value: Any) -> int:
        if type(value) is int and INT64_MIN <= value <= INT64_MAX:
            return value
        if value is None:
            return 0
        raise FormatError("not an int64")

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "format": "int64"}


class Float64:
    """Go `float64`: integers are accepted, overflow is refused."""

    def decode(self, value: Any) -> float:
        if type(value) is float and not math.isinf(value):
            return value
        if type(value) is int:
            try:
                return float(value)
            except OverflowError as error:
                raise FormatError("beyond float64") from error
        if value is None:
            return 0.0
        raise FormatError("not a float64")

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "format": "double"}


class AnyJson:
    """Go `interface{}`: any value, its numbers within float64."""

    def decode(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        if depth == 0:
            raise FormatError("nested too deep")
        if type(value) is tuple:
            return {key: self.decode(item, depth - 1) for key, item in value}
        if type(value) is list:
            return [self.decode(item, depth - 1) for item in value]
        if type(value) is float or type(value) is int:
            FLOAT64.decode(value)
        return value

    def schema(self) -> dict[str, Any]:
        return {}


class List:
    """Go slice."""

    def __init__(self, item: JsonType) -> None:
        self._item = item

    def decode(self, value: Any) -> list[Any]:
        if type(value) is list:
            decode = self._item.decode
            return [decode(item) for item in value]
        if value is None:
            return []
        raise FormatError("not a list")

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self._item.schema()}


class Map:
    """Go `map[string]T`."""

    def __init__(self, item: JsonType) -> None:
        self._item = item

    def decode(self, value: Any) -> dict[str, Any]:
        if type(value) is tuple:
            decode = self._item.decode
            return {key: decode(item) for key, item in value}
        if value is None:
            return {}
        raise FormatError("not an object")

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self._item.schema()}


class Struct:
    """Go struct: decodes to a dict that holds the known fields which were given and are not null."""

    def __init__(self, fields: Mapping[str, JsonType]) -> None:
        self._fields = dict(fields)
        self._decoders = {name: (name, field.decode) for name, field in fields.items()}
        self._folded = {name.casefold(): decoder for name, decoder in self._decoders.items()}

    def decode(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if type(value) is not tuple:
            raise FormatError("not an object")
        decoded: dict[str, Any] = {}
        for key, item in value:
            known = self._decoders.get(key) or self._folded.get(key.casefold())
            if known is not None and item is not None:
                name, decode = known
                decoded[name] = decode(item)
        return decoded

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {name: field.schema() for name, field in self._fields.items()}}


STRING, BOOL, INT64, FLOAT64, ANY = String(), Bool(), Int64(), Float64(), AnyJson()
