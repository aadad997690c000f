"""Tells Lens which framework, hardware and software a run uses, without touching any of them.

`collect_facts` copies on the training thread what only that thread can say; `build_detection` gathers the rest on the
exporter's thread and makes the payload. No framework is imported, no GPU runtime started, no process spawned.
"""

from .facts import Facts, collect_facts, current_fingerprint, fingerprint, read_names, with_loaded_now
from .report import build_detection

__all__ = [
    "Facts",
    "build_detection",
    "collect_facts",
    "current_fingerprint",
    "fingerprint",
    "read_names",
    "with_loaded_now",
]
