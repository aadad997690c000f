"""The framing of a ``.wandb`` file: a LevelDB log of records. Knows nothing of what the records hold.

The file begins with the 7 bytes ``:W&B``, 0xBEE1, version 0. Then come blocks of 32 KiB, counted from the start of the
file, of chunks that never cross a block: CRC-32 (IEEE, of type and data), length, type (1 a whole record, 2 its
first, 3 a middle, 4 its last part), data. Fewer than 7 bytes at the end of a block are padding.
"""

import re
import struct
import zlib
from typing import BinaryIO, Iterator, List, Optional

from ..sparse_files import leave_hole

_FILE_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK = 32 * 1024
_CHUNK_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Behind the checksum: a length below 32 KiB and a type. Looking for these two first makes 200 MB of garbage a matter of
# seconds.
_TAIL_OFFSET = 4
_find_tail = re.compile(rb"[\x00-\xff][\x00-\x7f][\x01-\x04]").search
# Random bytes have some 250 such places in a block, rows of scalars fewer; more are made to take time.
_MOST_LOOKS = 2000
# What the checksum of a chunk begins with, by its type.
_CHECKSUMS = [zlib.crc32(bytes((kind,))) for kind in range(5)]
# A record of this size is no row of scalars: passing it over keeps a damaged file from filling the memory.
LARGEST_RECORD = 64 * 1024 * 1024


class NotARecordLogError(ValueError):
    """The file does not begin as a ``.wandb`` file does."""


class RecordLog:
    """Reads the records of a file that may be damaged, and may still grow.

    ``damaged`` counts the places where something could not be read: the records around them are found all the same.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        # The parts of a record of which the end is still to come.
        self._parts: Optional[List[bytes]] = None
        self._size = 0
        # Zeros that follow zeros are one damage.
        self._in_zeros = False
        self.damaged = 0

    def read(self, is_complete: bool = True) -> Iterator[bytes]:
        """Yields the records that were not yielded before.

        Unless ``is_complete``, what stands at the end of the file is still being written: a later call goes on there.
        Raises NotARecordLogError; OSError passes.
        """
        if self._position == 0 and not self._read_file_header(is_complete):
            return
        while True:
            start = self._position - self._position % _BLOCK
            self._file.seek(start)
            block = self._file.read(_BLOCK)
            if self._position == start and len(block) == _BLOCK and not block.strip(b"\0"):
                if not self._pass_over_zeros(start, is_complete):
                    break
                continue
            self._in_zeros = False
            is_last = len(block) < _BLOCK
            yield from self._read_block(block, start, is_last and not is_complete)
            if is_last:
                break
            self._position = start + _BLOCK
        if is_complete and self._parts is not None:
            self._give_up_record()

    def _pass_over_zeros(self, start: int, is_complete: bool) -> bool:
        """Leaves a block of zeros, and the hole of a sparse file at once; False where they may be written yet."""
        leave_hole(self._file)
        end = max(self._file.tell(), start + _BLOCK)
        if not is_complete and not self._file.read(1):
            return False
        if not self._in_zeros:
            self._give_up_record()
        self._in_zeros = True
        self._position = end - end % _BLOCK
        return True

    def _read_file_header(self, is_complete: bool) -> bool:
        self._file.seek(0)
        header = self._file.read(len(_FILE_HEADER))
        if header != _FILE_HEADER:
            if not is_complete and _FILE_HEADER.startswith(header):
                return False
            raise NotARecordLogError("it does not begin as a .wandb file does")
        self._position = len(_FILE_HEADER)
        return True

    def _read_block(self, block: bytes, start: int, may_grow: bool) -> Iterator[bytes]:
        offset = self._position - start
        while offset + _CHUNK_HEADER.size <= len(block):
            end = _end_of_chunk(block, offset)
            if end is None:
                if may_grow and _reaches_beyond(block, offset):
                    break
                self.damaged += 1
                self._parts = None
                offset = _find_chunk(block, offset + 1)
                continue
            kind = block[offset + _CHUNK_HEADER.size - 1]
            record = self._join(kind, block[offset + _CHUNK_HEADER.size : end])
            offset = end
            self._position = start + offset
            if record is not None:
                yield record
        if not may_grow:
            offset = len(block)
        self._position = start + offset

    def _join(self, kind: int, data: bytes) -> Optional[bytes]:
        """Takes the data of a chunk; returns the record that it completes."""
        if kind in (_FULL, _FIRST):
            if self._parts is not None:
                self._give_up_record()
            if kind == _FULL:
                return data
            self._parts, self._size = [data], len(data)
            return None
        if self._parts is None:
            # The rest of a record whose beginning is lost, which was counted there.
            return None
        self._parts.append(data)
        self._size += len(data)
        if self._size > LARGEST_RECORD:
            self._give_up_record()
            return None
        if kind == _MIDDLE:
            return None
        record, self._parts = b"".join(self._parts), None
        return record

    def _give_up_record(self) -> None:
        self.damaged += 1
        self._parts = None


def _end_of_chunk(block: bytes, offset: int) -> Optional[int]:
    """Where the chunk at an offset ends; None when there is no valid one."""
    checksum, length, kind = _CHUNK_HEADER.unpack_from(block, offset)
    end: int = offset + _CHUNK_HEADER.size + length
    if not _FULL <= kind <= _LAST or end > len(block):
        return None
    data = memoryview(block)[offset + _CHUNK_HEADER.size : end]
    return end if zlib.crc32(data, _CHECKSUMS[kind]) == checksum else None


def _reaches_beyond(block: bytes, offset: int) -> bool:
    """Whether the chunk at an offset may be a good one whose end is not written yet."""
    _, length, kind = _CHUNK_HEADER.unpack_from(block, offset)
    end: int = offset + _CHUNK_HEADER.size + length
    return kind in (_FULL, _FIRST, _MIDDLE, _LAST) and len(block) < end <= _BLOCK


def _find_chunk(block: bytes, offset: int) -> int:
    """Where the next valid chunk begins; the end of the block when there is none."""
    position = offset + _TAIL_OFFSET
    for _ in range(_MOST_LOOKS):
        tail = _find_tail(block, position)
        if tail is None:
            break
        position = tail.start() + 1
        if _end_of_chunk(block, tail.start() - _TAIL_OFFSET) is not None:
            return tail.start() - _TAIL_OFFSET
    return len(block)
