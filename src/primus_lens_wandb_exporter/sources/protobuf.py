"""The wire format of protobuf, as far as wandb's records use it: a message is a list of numbered fields."""

import struct
from typing import List, Tuple, Union

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOUBLE = struct.Struct("<d")

# A field takes some 100 bytes of memory, and may have 2 in the file.
MOST_FIELDS = 1_000_000

# A varint comes as an unsigned int; all else as the bytes that it has.
Field = Tuple[int, Union[int, bytes]]


class MessageError(ValueError):
    """The bytes are not a protobuf message."""


def read_fields(message: bytes) -> List[Field]:
    """The fields of a message in their order; raises MessageError, also for more than any row has."""
    fields: List[Field] = []
    size = len(message)
    position = 0
    try:
        while position < size:
            if len(fields) == MOST_FIELDS:
                raise MessageError("a message has more than %d fields" % MOST_FIELDS)
            key = message[position]
            position += 1
            if key >= 0x80:
                key, position = _read_varint(message, position - 1)
            kind = key & 7
            if kind == _BYTES:
                length = message[position]
                position += 1
                if length >= 0x80:
                    length, position = _read_varint(message, position - 1)
                end = position + length
                if end > size:
                    raise MessageError("a field ends beyond its message")
                fields.append((key >> 3, message[position:end]))
                position = end
            elif kind == _VARINT:
                value, position = _read_varint(message, position)
                fields.append((key >> 3, value))
            elif kind in (_FIXED64, _FIXED32):
                end = position + (8 if kind == _FIXED64 else 4)
                if end > size:
                    raise MessageError("a field ends beyond its message")
                fields.append((key >> 3, message[position:end]))
                position = end
            else:
                raise MessageError("a field has a type that protobuf 3 has not")
    except IndexError:
        raise MessageError("a field ends beyond its message") from None
    return fields


def _read_varint(message: bytes, position: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise MessageError("a number has more than 64 bits")


def to_text(value: "Union[int, bytes]") -> str:
    """A ``string``; raises MessageError."""
    try:
        return value.decode("utf-8")  # type: ignore[union-attr]
    except (UnicodeDecodeError, AttributeError):
        raise MessageError("a text is none") from None


def to_message(value: "Union[int, bytes]") -> List[Field]:
    """The fields of a message inside a message; raises MessageError."""
    if not isinstance(value, bytes):
        raise MessageError("a message is none")
    return read_fields(value)


def to_int(value: "Union[int, bytes]") -> int:
    """An ``int64`` or ``int32``; raises MessageError."""
    if not isinstance(value, int):
        raise MessageError("a number is none")
    return value - (1 << 64) if value >> 63 else value


def to_zigzag(value: "Union[int, bytes]") -> int:
    """A ``sint64``; raises MessageError."""
    if not isinstance(value, int):
        raise MessageError("a number is none")
    return (value >> 1) ^ -(value & 1)


def to_double(value: "Union[int, bytes]") -> float:
    """A ``double``; raises MessageError."""
    if not isinstance(value, bytes) or len(value) != _DOUBLE.size:
        raise MessageError("a number is none")
    number: float = _DOUBLE.unpack(value)[0]
    return number
