"""One story for each workload: what a process has named stays named.

Lens keeps all reports of a workload, of whatever run and process. Two that name different frameworks make its state
`conflict`, and which one wins is chance. It goes by the wrapper, or by the base where there is no wrapper; and by what
is loaded before any other sign.
"""

from typing import Dict

from ..identity import Identity
from .hints import Finding, find_confidence, is_loaded

_told: Dict[Identity, Finding] = {}


def keep_to_what_was_told(identity: Identity, finding: Finding) -> Finding:
    """The finding as it may be told after what was told before, if it names something at all; it is remembered.

    For the exporter's threads. Everything else that left a sign stays in its ``signs``.
    """
    if not finding.named:
        return finding
    # One call into C: of two threads the first decides.
    first = _told.setdefault(identity, finding)
    if first is not finding:
        finding = _told[identity] = _in_accord(finding, first)
    return finding


def _in_accord(finding: Finding, first: Finding) -> Finding:
    wrapper = first.wrapper
    # A base beside a wrapper that had none contradicts nothing. A wrapper above a base would take its place.
    base = first.base or (finding.base if finding.wrapper == wrapper else "")
    loaded = tuple(name for name in (wrapper, base) if name and is_loaded(name, finding.signs))
    if first.loaded and wrapper not in first.loaded:
        loaded = tuple(name for name in loaded if name != wrapper)
    return finding._replace(
        wrapper=wrapper, base=base, loaded=loaded, confidence=find_confidence(wrapper or base, finding.signs)
    )
