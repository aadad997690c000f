"""The import hook. The start-up module asks it for wandb when a process imports wandb; notebooks install it by hand.

A mere probe for wandb (``importlib.util.find_spec``) comes here too, so this module costs nothing: it imports only
``sys`` and the built-in ``_thread``. Everything else of the exporter is imported after ``wandb`` itself.
"""

import sys
from _thread import get_ident

# What the annotations of this module mean is imported by type checkers only.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Optional

_WATCHED = "wandb"


_searching_threads: "set[int]" = set()


class _WandbFinder:
    """What ``install_wandb_hook`` registers where no start-up file has registered the finder that waits for us."""

    # Recognised by name instead of by class: the start-up module, a reload of this one and other versions have theirs.
    is_primus_lens_finder = True

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> "Optional[ModuleSpec]":
        return find_wandb(path, target) if fullname == _WATCHED else None


def find_wandb(path: object, target: object) -> "Optional[ModuleSpec]":
    """Finds ``wandb`` exactly as the other finders do, and has the found module patched once it has been executed."""
    thread = get_ident()
    # Another hook may ask the whole import system for wandb while we ask it: it gets its answer without us.
    if thread in _searching_threads:
        return None
    _searching_threads.add(thread)
    try:
        spec = _ask_other_finders(path, target)
    finally:
        _searching_threads.discard(thread)
    if spec is not None:
        _patch_after_execution(spec.loader)
    return spec


def _ask_other_finders(path: object, target: object) -> "Optional[ModuleSpec]":
    finders: "list[Any]" = list(sys.meta_path)
    for finder in finders:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None or getattr(finder, "is_primus_lens_finder", False):
            continue
        spec: Optional[ModuleSpec] = find_spec(_WATCHED, path, target)
        if spec is not None:
            return spec
    return None


def _patch_after_execution(loader: "Any") -> None:
    """Shadows ``exec_module`` on this one loader instance, so that the module's loader and spec stay the real ones.

    A namespace package (wandb's own run folder in the working directory is one) has no loader that executes
    anything, or one that says so by its name: it is left alone.
    """
    exec_module = getattr(loader, "exec_module", None)
    if exec_module is None or "Namespace" in type(loader).__name__:
        return

    def exec_module_and_patch(module: "ModuleType") -> None:
        # A zip importer serves many modules: only wandb ends the shadowing.
        if getattr(module, "__name__", None) != _WATCHED:
            exec_module(module)
            return
        loader.__dict__.pop("exec_module", None)
        exec_module(module)
        _patch(module)

    try:
        loader.exec_module = exec_module_and_patch
    except (AttributeError, TypeError):
        # A loader written in C takes no attributes. `primus-lens-wandb check` reports that wandb is not patched.
        return


def _in_wandbs_own_process() -> bool:
    """wandb 0.12 runs its backend in a spawned process, which imports wandb again and logs nothing through it."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and multiprocessing.current_process().name == "wandb_internal"


def _patch(module: "ModuleType") -> None:
    if _in_wandbs_own_process():
        return
    try:
        from primus_lens_wandb_exporter import settings

        if not settings.hook_is_enabled():
            return
        from primus_lens_wandb_exporter import interceptor

        interceptor.patch_wandb(module)
    except Exception as error:  # an import of wandb must succeed whatever is wrong with us
        import logging

        logging.getLogger(__package__).warning("Primus Lens: wandb is left untouched: %r", error)


def install_wandb_hook() -> None:
    """Has ``wandb`` intercepted from its next import on, or at once where it is already imported.

    Notebooks call this by hand, and the start-up files of version 1.0.0 in every process, twice in some virtual
    environments: calling it again changes nothing.
    """
    if not any(getattr(finder, "is_primus_lens_finder", False) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WandbFinder())
    module = sys.modules.get(_WATCHED)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        _patch(module)
