"""Whether the hostname, which stands in for POD_NAME, can be the name of the pod."""

import re
from typing import Mapping

_NODE_NAMES = ("NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME")
_NODE_IPS = ("HOST_IP", "NODE_IP")
_HOSTS_FILE = "/etc/hosts"
# What the kubelet writes into it, in the first line.
_HOST_NETWORK = "(host network)"
# Kubernetes cuts longer ones.
_LONGEST_HOSTNAME = 63
_is_pod_name = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z").match


def doubt_hostname(hostname: str, environ: Mapping[str, str], hosts_file: str = _HOSTS_FILE) -> str:
    """Why the hostname is hardly the name of this pod; empty where nothing speaks against it."""
    node = next((name for name in _NODE_NAMES if environ.get(name, "").strip() == hostname), "")
    if node:
        return "it is the node's (%s): the pod is on the host's network" % node
    pod_ip = environ.get("POD_IP", "").strip()
    if _is_on_host_network(hosts_file) or (pod_ip and pod_ip in (environ.get(name, "") for name in _NODE_IPS)):
        return "it is the node's: the pod is on the host's network"
    if environ.get("JOB_COMPLETION_INDEX", "").strip():
        return "the pods of an indexed Job have longer names than their hosts"
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
