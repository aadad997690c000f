"""Versions of the packages that matter for a training, from the metadata that installers leave; nothing is imported.

`importlib.metadata` came with Python 3.8, and asking it for fifty packages searches `sys.path` fifty times. The names
of the metadata folders (``torch-2.9.0+rocm6.4.dist-info``) say all we need: one listing per folder, no file opened.
"""

import os
import re
import sys
from typing import Dict, Iterable, List, Mapping

from . import loaded
from .frameworks import FRAMEWORKS, Framework
from .json_safe import clean_text

# Beside the frameworks themselves: what their speed and their numbers depend on.
_LIBRARIES = """
wandb numpy torchvision torchaudio torchao torchdata triton pytorch-triton-rocm flash-attn transformer-engine apex
xformers bitsandbytes peft trl datasets tokenizers safetensors huggingface-hub sentencepiece ray vllm sglang jaxlib
flax optax orbax-checkpoint jax-rocm60-plugin jax-rocm7-plugin jax-cuda12-plugin primus-turbo aiter amd-aiter
grouped-gemm megablocks mamba-ssm causal-conv1d liger-kernel hydra-core omegaconf mlflow tensorboard
nvidia-nccl-cu12 nvidia-cudnn-cu12 nvidia-cublas-cu12 primus-lens-wandb-exporter
"""
# Another project than AMD's holds this name on the index.
_FOREIGN = frozenset(("primus",))
_METADATA_FOLDER = r"([A-Za-z0-9][A-Za-z0-9._]*)-([^-]+)(?:-py[0-9.]+(?:-[^-]+)?)?\.(?:dist|egg)-info"
_MAXIMUM_VERSION_LENGTH = 100


def _canonical(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


_NAMES = frozenset(map(_canonical, _LIBRARIES.split())) | frozenset(
    _canonical(name) for framework in FRAMEWORKS for name in framework.distributions if name not in _FOREIGN
)


def installed_versions(paths: "Iterable[str]") -> Dict[str, str]:
    """Versions of the packages that matter, by their names; the first on the path counts, as for imports."""
    versions = {}  # type: Dict[str, str]
    for path in paths:
        for entry in _list_folder(path):
            match = re.fullmatch(_METADATA_FOLDER, entry) if entry.endswith("-info") else None
            name = _canonical(match.group(1)) if match else ""
            if match and name in _NAMES:
                versions.setdefault(name, clean_text(match.group(2), _MAXIMUM_VERSION_LENGTH))
    return versions


def package_folders(path: "Iterable[str]" = sys.path) -> "List[str]":
    """Where installers put packages. Other folders on `sys.path` are the user's own and may be huge."""
    return [folder for folder in path if os.path.basename(folder.rstrip(os.sep)) in ("site-packages", "dist-packages")]


def _list_folder(path: str) -> "List[str]":
    try:
        return sorted(os.listdir(path))
    except OSError:  # gone, or not ours to read
        return []


def framework_version(
    framework: Framework, packages: "Mapping[str, str]", modules: "loaded.Modules" = sys.modules
) -> str:
    """The version of a loaded framework by its own word, else by its metadata; empty if neither says."""
    for path in framework.versions:
        version = loaded.read_text(path, modules)
        if version:
            return clean_text(version, _MAXIMUM_VERSION_LENGTH)
    return next((packages[_canonical(name)] for name in framework.distributions if _canonical(name) in packages), "")
