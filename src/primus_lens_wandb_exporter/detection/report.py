"""Makes the whole body of `POST /wandb/detection`. Runs on the exporter's thread."""

import sys
from typing import Any, Dict, Optional

from ..identity import Identity
from . import loaded
from .evidence import gather_evidence
from .facts import Facts
from .hints import Finding, find_frameworks, make_hints


def build_detection(
    facts: Facts,
    identity: Identity,
    timestamp: float,
    modules: "loaded.Modules" = sys.modules,
    finding: Optional[Finding] = None,
) -> Dict[str, Any]:
    """The detection of a run; ``timestamp`` is in seconds since 1970. Reads files below /sys, /proc and /opt/rocm.

    Without a ``finding`` the frameworks are those that the facts point to.
    """
    finding = find_frameworks(facts) if finding is None else finding
    return make_body(identity, timestamp, gather_evidence(facts, finding, modules), make_hints(finding))


def make_body(identity: Identity, timestamp: float, evidence: Dict[str, Any], hints: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "source": "wandb",
        "type": "framework_detection_raw",
        "version": "1.0",
        "workload_uid": identity.workload_uid,
        "pod_uid": identity.pod_uid,
        "pod_name": identity.pod_name,
        "namespace": identity.namespace,
        "evidence": evidence,
        "hints": hints,
        "timestamp": float(timestamp),
    }
