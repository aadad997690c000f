"""Who this process is to Lens and among its peers: workload, pod, node and rank.

Lens needs `workload_uid` or `pod_name`. On Kubernetes a pod's hostname is its name as a rule, so it stands in for
POD_NAME unless it is known to be the node's. WORKLOAD_ID, which a platform may set, is a name and no uid.
"""

import os
import socket
from typing import Mapping, NamedTuple

from . import diagnostics

# The server answers 500 for longer ids, for ever.
MAXIMUM_ID_LENGTH = 256

_NODE_NAMES = ("NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME")
_NODE_IPS = ("HOST_IP", "NODE_IP")
# The first variable that holds a number counts. torchrun workers have GROUP_RANK (the node) and no NODE_RANK.
_NODE_RANK = ("NODE_RANK", "PET_NODE_RANK", "GROUP_RANK", "SLURM_NODEID")
_RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
_LOCAL_RANK = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")
# How often the platform, torchrun or Slurm has started the job anew.
_ATTEMPT = ("DISPATCH_COUNT", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
_WORLD_SIZE = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


class Identity(NamedTuple):
    """The ids that go into every request; an empty string where an id is not known."""

    workload_uid: str = ""
    pod_uid: str = ""
    pod_name: str = ""
    namespace: str = ""

    @property
    def is_known(self) -> bool:
        """Whether Lens can tell to which workload a metric belongs."""
        return bool(self.workload_uid or self.pod_name)


class Place(NamedTuple):
    """Where the process stands in a distributed job, and in which attempt at it; all numbers start at 0."""

    node_rank: int = 0
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    attempt: int = 0


def read_identity(environ: Mapping[str, str] = os.environ) -> Identity:
    pod_name = _read_id(environ, "POD_NAME")
    if not pod_name and environ.get("KUBERNETES_SERVICE_HOST"):
        hostname = socket.gethostname()
        pod_name = "" if why_no_pod_name(hostname, environ) else hostname
    return Identity(
        workload_uid=_read_id(environ, "WORKLOAD_UID"),
        pod_uid=_read_id(environ, "POD_UID"),
        pod_name=pod_name,
        namespace=_read_id(environ, "POD_NAMESPACE"),
    )


def why_no_pod_name(hostname: str, environ: Mapping[str, str]) -> str:
    """Why the hostname is certainly not the name of this pod; empty where no variable speaks against it."""
    node = next((name for name in _NODE_NAMES if environ.get(name, "").strip() == hostname), "")
    if node:
        return "it is the node's (%s): the pod is on the host's network" % node
    pod_ip = environ.get("POD_IP", "").strip()
    if pod_ip and pod_ip in (environ.get(name, "").strip() for name in _NODE_IPS):
        return "it is the node's: the pod is on the host's network"
    index = environ.get("JOB_COMPLETION_INDEX", "").strip()
    if index and hostname.endswith("-" + index):
        return "the pods of an indexed Job have longer names than their hosts"
    return ""


def read_place(environ: Mapping[str, str] = os.environ) -> Place:
    return Place(
        node_rank=_first_number(environ, _NODE_RANK, 0),
        rank=_first_number(environ, _RANK, 0),
        local_rank=_first_number(environ, _LOCAL_RANK, 0),
        world_size=_first_number(environ, _WORLD_SIZE, 1),
        attempt=_first_number(environ, _ATTEMPT, 0),
    )


def _read_id(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if len(value) > MAXIMUM_ID_LENGTH:
        diagnostics.warn_once(
            ("id", name),
            "%s has %d characters, Lens takes at most %d; it is not used",
            name,
            len(value),
            MAXIMUM_ID_LENGTH,
        )
        return ""
    return value


def _first_number(environ: Mapping[str, str], names: "tuple[str, ...]", default: int) -> int:
    number = None
    malformed = []
    for name in names:
        text = environ.get(name, "").strip()
        if text.isdecimal():
            number = int(text)
            break
        if text:
            malformed.append((name, text))
    if number is None:
        number = default
    for name, text in malformed:
        diagnostics.warn_once(
            ("rank", name, text), "%s=%r is not a whole number of at least 0; using %d", name, text, number
        )
    return number
