"""The `evidence` of a detection: what was seen, each part in the types that the contract wants.

Runs on the exporter's thread. A part that cannot be gathered is left empty; the others are sent.
"""

import json
import sys
from typing import Any, Callable, Dict, TypeVar

from .. import diagnostics
from ..redaction import redact_mapping, redact_text
from . import build, hardware, loaded, software
from .environment import MAXIMUM_FRAMEWORK_NAME, environment_evidence
from .facts import Facts, RunFacts
from .frameworks import BASE, BY_NAME, FRAMEWORKS, WRAPPER
from .hints import Finding
from .json_safe import clean_text, to_json_object

_MAXIMUM_CONFIG_TEXT = 1000
# The server takes the values of these keys for names of frameworks where none is loaded.
_NAMING_KEYS = ("framework", "base_framework")

T = TypeVar("T")


def gather_evidence(facts: Facts, finding: Finding, modules: "loaded.Modules" = sys.modules) -> Dict[str, Any]:
    no_packages = {}  # type: Dict[str, str]
    packages = _guarded("reading package versions", _installed_versions, no_packages)
    hardware_part = _guarded(
        "reading the hardware", lambda: hardware.hardware_evidence(facts.environment, modules), no_hardware()
    )
    return {
        "wandb": wandb_evidence(facts.wandb),
        "environment": environment_evidence(facts.environment),
        "pytorch": _pytorch(facts, hardware_part, modules),
        "wrapper_frameworks": _framework(finding, finding.wrapper, WRAPPER, facts, packages, modules),
        "base_frameworks": _framework(finding, finding.base, BASE, facts, packages, modules),
        "system": _system(),
        "hardware": hardware_part,
        "software": {"rocm_version": hardware_part["rocm_version"], "packages": packages},
        "build": build.build_evidence(facts.environment),
    }


def wandb_evidence(run: RunFacts) -> Dict[str, Any]:
    """The run itself, redacted."""
    # Bounded again after redaction, which changes lengths; and shorter than before it, so that no half of a secret
    # which the first bound cut in two is left at the end of a text.
    config = to_json_object(redact_mapping(run.config), maximum_text_length=_MAXIMUM_CONFIG_TEXT)
    config.update((key, _as_name(config[key])) for key in _NAMING_KEYS if key in config)
    return {
        "project": redact_text(run.project),
        "name": redact_text(run.name),
        "id": run.id,
        "config": config,
        "tags": [redact_text(tag) for tag in run.tags],
    }


def _as_name(value: Any) -> Any:
    """What the server takes for the name of a framework, as it prints it, within the length that it stores."""
    if isinstance(value, (dict, list)):
        text = json.dumps(value)
        # Printed by the server it is up to two and a half times as long: `{}` as `map[]`.
        return text[:MAXIMUM_FRAMEWORK_NAME] if len(text) > MAXIMUM_FRAMEWORK_NAME * 2 // 5 else value
    return value[:MAXIMUM_FRAMEWORK_NAME] if isinstance(value, str) else value


def _framework(
    finding: Finding, name: str, layer: str, facts: Facts, packages: Dict[str, str], modules: "loaded.Modules"
) -> Dict[str, Any]:
    """The one framework of a layer, if it is loaded; guesses belong to the hints."""
    if name not in finding.loaded:
        return {}
    framework = BY_NAME.get(name)
    entry = {
        "detected": True,
        "version": software.framework_version(framework, packages, modules) if framework else "",
        "initialized": name in facts.loaded.initialized,
    }  # type: Dict[str, Any]
    if name == "primus" and not entry["version"]:
        entry["version"] = environment_evidence(facts.environment).get("PRIMUS_VERSION", "")
    if layer == WRAPPER and finding.base:
        # The server's own word for a wrapper's base; it counts before its list of priorities.
        entry["base_framework"] = finding.base
    return {name: entry}


def _pytorch(facts: Facts, hardware_part: Dict[str, Any], modules: "loaded.Modules") -> Dict[str, Any]:
    is_built_for_gpus = bool(
        loaded.read_text("torch.version:cuda", modules) or loaded.read_text("torch.version:hip", modules)
    )
    version = loaded.read_text("torch:__version__", modules) or loaded.read_text("torch.version:__version__", modules)
    return {
        "available": "torch" in facts.loaded.modules,
        "version": clean_text(version, 100),
        # What torch.cuda.is_available() would say, which nobody but the job may ask.
        "cuda_available": loaded.read("torch.cuda:_initialized", modules) is True
        or (is_built_for_gpus and bool(hardware_part["gpu_count"])),
        "detected_modules": {
            framework.name: any(module in facts.loaded.modules for module in framework.modules)
            for framework in FRAMEWORKS
            if framework.name not in ("pytorch", "tensorflow")
        },
    }


def _system() -> Dict[str, str]:
    return {
        "python_version": "%d.%d.%d" % sys.version_info[:3],
        "python_executable": clean_text(redact_text(sys.executable or "")),
        "platform": sys.platform,
    }


def _installed_versions() -> Dict[str, str]:
    return software.installed_versions(software.package_folders())


def no_hardware() -> Dict[str, Any]:
    """The part of a machine of which nothing is known."""
    texts = dict.fromkeys(("gpu_arch", "gpu_name", "rocm_version", "cuda_version"), "")
    return {"gpu_count": 0, "gpu_memory_gb": 0.0, **texts}


def _guarded(action: str, gather: "Callable[[], T]", instead: T) -> T:
    try:
        return gather()
    except Exception as error:
        diagnostics.report_failure(action, error)
        return instead
