"""Keeps IPython's ``%autoreload`` away from the exporter's own modules."""

import sys
from typing import Any


def keep_out() -> None:
    """In a notebook, makes the exporter's modules look unchanged, also when a cell upgrades the package.

    The extension empties a module before it loads it anew, under the feet of the threads that deliver, and with it
    goes what was counted. It leaves modules without ``__file__`` alone. The kernel's next start has the new version.
    """
    ipython: Any = sys.modules.get("IPython")
    if getattr(ipython, "get_ipython", _no_ipython)() is None:
        return
    package = __name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + "."):
            vars(module).pop("__file__", None)


def _no_ipython() -> None:
    return None
