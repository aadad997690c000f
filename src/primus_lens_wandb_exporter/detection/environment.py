"""The environment variables that may leave the job: an allow-list, so that a secret has no way in by its name.

Their values are redacted by key and by shape all the same.
"""

import os
from typing import Dict, Mapping, Tuple

from ..redaction import redact_value
from . import frameworks
from .json_safe import clean_text

# Frameworks by any launcher's own word; the server reads the first too.
FRAMEWORK_VARIABLES = ("FRAMEWORK", "TRAINING_FRAMEWORK")
BACKEND_VARIABLE = "PRIMUS_BACKEND"
GPU_ARCH_VARIABLES = ("GPU_ARCH", "AMD_GPU_ARCH", "NVIDIA_GPU_ARCH")

_RANKS = """
RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE NODE_RANK GROUP_RANK GROUP_WORLD_SIZE NNODES MASTER_ADDR MASTER_PORT
TORCHELASTIC_RUN_ID TORCHELASTIC_RESTART_COUNT PET_NODE_RANK PET_NNODES PET_NPROC_PER_NODE
OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE
"""
_PODS = """
WORKLOAD_UID WORKLOAD_ID WORKLOAD_KIND WORKSPACE DISPLAY_NAME DISPATCH_COUNT GPUS_PER_NODE
POD_NAME POD_UID POD_NAMESPACE POD_IP NODE_NAME HOSTNAME JOB_COMPLETION_INDEX
"""
_MODEL = """
MODEL_NAME MODEL_ID PRIMUS_MODEL HF_MODEL_NAME PRETRAINED_MODEL TRAINING_MODE MODE TRAIN_MODE
PRECISION DTYPE COMPUTE_DTYPE TORCH_DTYPE
"""
_SCHEDULERS = """
SLURM_JOB_ID SLURM_JOB_NAME SLURM_CLUSTER_NAME SLURM_JOB_PARTITION SLURM_NODEID SLURM_PROCID SLURM_LOCALID
SLURM_NTASKS SLURM_NNODES SLURM_JOB_NUM_NODES SLURM_RESTART_COUNT VC_TASK_INDEX VK_TASK_INDEX RAY_JOB_ID RAY_ADDRESS
KUBEFLOW_JOB_NAME SKYPILOT_TASK_ID SKYPILOT_NODE_RANK LSB_JOBID PBS_JOBID
"""
_DEVICES = "CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES"
_VERSIONS = "ROCM_VERSION CUDA_VERSION PYTORCH_VERSION"
_IMAGE = """
DOCKER_IMAGE CONTAINER_IMAGE IMAGE_NAME IMAGE_TAG DOCKER_TAG DOCKERFILE_URL DOCKER_FILE_URL
BUILD_DATE BUILD_TIME BUILD_TIMESTAMP
"""
_CI = """
GITHUB_ACTIONS GITHUB_SERVER_URL GITHUB_REPOSITORY GITHUB_RUN_ID GITHUB_RUN_URL GITHUB_SHA GITHUB_REF_NAME
GITHUB_HEAD_REF GITLAB_CI CI_JOB_URL CI_PIPELINE_URL CI_PIPELINE_ID CI_PIPELINE_CREATED_AT CI_COMMIT_SHA
CI_COMMIT_REF_NAME CI_COMMIT_BRANCH CI_PROJECT_URL CI_REGISTRY_IMAGE JENKINS_URL JENKINS_BUILD_URL CI_BUILD_URL
BUILD_URL BUILD_ID BUILD_NUMBER BUILD_TAG GIT_COMMIT GIT_SHA GIT_BRANCH GIT_URL GIT_REPO GIT_REPOSITORY
"""


def _names(*texts: str) -> "Tuple[str, ...]":
    return tuple(name for text in texts for name in text.split())


EVIDENCE = (
    _names(_RANKS, _PODS, _MODEL, _SCHEDULERS, _DEVICES, _VERSIONS)
    + GPU_ARCH_VARIABLES
    + FRAMEWORK_VARIABLES
    + frameworks.ENVIRONMENT
)
_BUILD = _names(_IMAGE, _CI)
ALLOWED = tuple(dict.fromkeys(EVIDENCE + _BUILD))
_MAXIMUM_LENGTH = 1000
# Lens answers 500 for a longer name of a framework, for ever. It takes these variables at their word.
MAXIMUM_FRAMEWORK_NAME = 100
_FRAMEWORK_NAMES = frozenset((*FRAMEWORK_VARIABLES, BACKEND_VARIABLE))


def copy_environment(environ: "Mapping[str, str]" = os.environ) -> Dict[str, str]:
    """The allowed variables that are set, as they are."""
    return {name: environ[name] for name in ALLOWED if name in environ}


def environment_evidence(environment: "Mapping[str, str]") -> Dict[str, str]:
    """What of `copy_environment` goes into the payload, redacted."""
    return {name: presentable(name, environment[name]) for name in EVIDENCE if name in environment}


def presentable(name: str, value: str) -> str:
    """A variable's value as it may leave the job."""
    return clean_text(
        str(redact_value(name, value)), MAXIMUM_FRAMEWORK_NAME if name in _FRAMEWORK_NAMES else _MAXIMUM_LENGTH
    )


def is_set(value: str) -> bool:
    """Whether a variable says something: ``ACCELERATE_USE_DEEPSPEED=false`` does not."""
    return value.strip().lower() not in ("", "0", "false", "no", "off", "none", "null")
