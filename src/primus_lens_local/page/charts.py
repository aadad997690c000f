"""uPlot's two files, which draw the charts: served only if they are the official ones to the bit.

uPlot (MIT) has no package of its own for Python. `youplot` carries its files, but nobody vouches for that package: the
version is pinned, its Python is never imported, and what its files must be stands here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

logger = logging.getLogger(__name__)

# SHA-256 of dist/uPlot.iife.min.js and dist/uPlot.min.css in the npm package uplot 1.6.31.
_OFFICIAL = {
    "uplot.iife.min.js": "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2",
    "uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
_REPAIR = "pip install --force-reinstall --no-deps youplot==1.0.0"


@dataclass(frozen=True)
class ChartLibrary:
    """The files by name, as they were checked; or why there are none, and the command that helps."""

    files: dict[str, bytes] = field(default_factory=dict)
    problem: Optional[str] = None
    repair: str = _REPAIR


def load_chart_library() -> ChartLibrary:
    """Read and check the files once; what is wrong with them is logged."""
    problem: Optional[str] = None
    files: dict[str, bytes] = {}
    try:
        folder = _folder()
        files = {name: (folder / name).read_bytes() for name in _OFFICIAL}
        for name, content in files.items():
            if hashlib.sha256(content).hexdigest() != _OFFICIAL[name]:
                problem = f"{folder / name} is not the file of uPlot 1.6.31: somebody changed it"
    except OSError as error:
        problem = f"{error.filename or 'youplot'} cannot be read: {error.strerror or error}"
    if problem is None:
        return ChartLibrary(files)
    logger.warning("primus-lens-local: the page's charts are off: %s. This may help: %s", problem, _REPAIR)
    return ChartLibrary(problem=problem)


def _folder() -> Path:
    spec = importlib.util.find_spec("youplot")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package is not installed")
    return Path(spec.submodule_search_locations[0]) / "vendor"
