"""Files with holes: one of terabytes takes no room, and would be read for hours."""

import errno
import os
from typing import BinaryIO

# Without it nothing is left out.
_SEEK_DATA = getattr(os, "SEEK_DATA", os.SEEK_SET)


def leave_hole(file: BinaryIO) -> None:
    """Moves to where a sparse file goes on, or to its end; stays where it is no hole."""
    position = file.tell()
    try:
        file.seek(os.lseek(file.fileno(), position, _SEEK_DATA))
    except OSError as error:
        # No file, or a file system that does not tell.
        file.seek(0, os.SEEK_END) if error.errno == errno.ENXIO else file.seek(position)
