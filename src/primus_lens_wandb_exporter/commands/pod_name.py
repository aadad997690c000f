"""Whether the hostname, which stands in for POD_NAME, can be the name of the pod.

Beside what variables say, which live jobs look at too, this looks at what is likely only, and at a file.
"""

import re
from typing import Mapping

from ..identity import why_no_pod_name

_HOSTS_FILE = "/etc/hosts"
# What the kubelet writes into it, in the first line.
_HOST_NETWORK = "(host network)"
# Kubernetes cuts longer ones.
_LONGEST_HOSTNAME = 63
_is_pod_name = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z").match


def doubt_hostname(hostname: str, environ: Mapping[str, str], hosts_file: str = _HOSTS_FILE) -> str:
    """Why the hostname is hardly the name of this pod; empty where nothing speaks against it."""
    reason = why_no_pod_name(hostname, environ)
    if reason:
        return reason
    if _is_on_host_network(hosts_file):
        return "it is the node's: the pod is on the host's network"
    if len(hostname) >= _LONGEST_HOSTNAME:
        return "Kubernetes cuts hostnames at %d characters, which this one has" % _LONGEST_HOSTNAME
    if not _is_pod_name(hostname):
        return "no pod can have this name"
    return ""


def _is_on_host_network(hosts_file: str) -> bool:
    try:
        with open(hosts_file, encoding="utf-8", errors="replace") as file:
            return _HOST_NETWORK in file.readline(200)
    except OSError:
        return False
