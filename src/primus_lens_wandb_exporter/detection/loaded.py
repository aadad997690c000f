"""Looks at modules that are loaded already, without importing and without running any code of theirs.

Only plain attributes are read, through ``__dict__``: `getattr` would make transformers' lazy modules import their
parts, and a module that `importlib.util.LazyLoader` has put into `sys.modules` import itself.
"""

import sys
from typing import Any, Iterable, Mapping, Tuple

Modules = Mapping[str, Any]


def is_loaded(name: str, modules: "Modules" = sys.modules) -> bool:
    module = modules.get(name)
    # None blocks an import; a lazy module (wandb itself makes some) waits for its first use.
    return module is not None and not _is_waiting(module)


def loaded_among(names: "Iterable[str]", modules: "Modules" = sys.modules) -> "Tuple[str, ...]":
    return tuple(name for name in names if name in modules and is_loaded(name, modules))


def read(path: str, modules: "Modules" = sys.modules) -> Any:
    """The plain attribute that a path like ``package.module:Class.attribute`` names; None if there is none."""
    module_name, _, attributes = path.partition(":")
    if not is_loaded(module_name, modules):
        return None
    value = modules[module_name]
    try:
        for attribute in attributes.split("."):
            value = object.__getattribute__(value, "__dict__").get(attribute)
    except AttributeError:  # something without a __dict__ on the way
        return None
    return value


def read_text(path: str, modules: "Modules" = sys.modules) -> str:
    """Like `read`, for versions: a plain text, also from torch's ``TorchVersion``; empty if there is none."""
    value = read(path, modules)
    return str.__str__(value) if isinstance(value, str) else ""


def holds(path: str, modules: "Modules" = sys.modules) -> bool:
    """Whether a path names a loaded module, or an attribute that is set (not None, False or an empty container)."""
    if ":" not in path:
        return is_loaded(path, modules)
    value = read(path, modules)
    if isinstance(value, (bool, dict, list, tuple, set)):
        return bool(value)
    return value is not None


def _is_waiting(module: Any) -> bool:
    kind = type(module)
    return kind.__name__ == "_LazyModule" and kind.__module__ == "importlib.util"
