"""The types of a detection, as the telemetry-processor decodes them. Python's own bools are no numbers here."""

from typing import Any, Dict, List

TEXTS = {"*": str}
FRAMEWORKS = {"*": {"detected": bool, "version": str, "initialized": bool, "base_framework?": str}}
BUILD = {
    "build_url": str,
    "dockerfile_url": str,
    "image_tag": str,
    "build_date": str,
    "git_commit": str,
    "git_branch": str,
    "git_repo": str,
    "ci_pipeline_id": str,
}
DETECTION = {
    "source": str,
    "type": str,
    "version": str,
    "workload_uid": str,
    "pod_uid": str,
    "pod_name": str,
    "namespace": str,
    "evidence": {
        "wandb": {"project": str, "name": str, "id": str, "config": dict, "tags": [str]},
        "environment": TEXTS,
        "pytorch": {"available": bool, "version": str, "cuda_available": bool, "detected_modules": {"*": bool}},
        "wrapper_frameworks": FRAMEWORKS,
        "base_frameworks": FRAMEWORKS,
        "system": {"python_version": str, "python_executable": str, "platform": str},
        "hardware": {
            "gpu_arch": str,
            "gpu_count": int,
            "gpu_memory_gb": float,
            "gpu_name": str,
            "rocm_version": str,
            "cuda_version": str,
        },
        "software": {"rocm_version": str, "packages": TEXTS},
        "build": BUILD,
    },
    "hints": {
        "wrapper_frameworks": [str],
        "base_frameworks": [str],
        "possible_frameworks": [str],
        "confidence": str,
        "primary_indicators": [str],
        "framework_layers": {"*": {"layer": str, "base_frameworks": [str]}},
    },
    "timestamp": float,
}


def violations(value: Any, wanted: Any = DETECTION, path: str = "") -> List[str]:
    """Where the value is not what the contract wants; empty if it is."""
    if isinstance(wanted, type):
        return [] if type(value) is wanted else ["%s is a %s" % (path, type(value).__name__)]
    if isinstance(wanted, list):
        if type(value) is not list:
            return ["%s is no list" % path]
        return [text for item in value for text in violations(item, wanted[0], path + "[]")]
    if type(value) is not dict:
        return ["%s is no object" % path]
    return _violations_of_object(value, wanted, path)


def _violations_of_object(value: Dict[Any, Any], wanted: Dict[str, Any], path: str) -> List[str]:
    found = ["%s.%r is no text" % (path, key) for key in value if type(key) is not str]
    if "*" in wanted:
        return found + [text for key, item in value.items() for text in violations(item, wanted["*"], path + ".*")]
    known = {name.rstrip("?"): kind for name, kind in wanted.items()}
    found += ["%s.%s is not in the contract" % (path, key) for key in value if key not in known]
    found += ["%s.%s is missing" % (path, name) for name in wanted if not name.endswith("?") and name not in value]
    for key, kind in known.items():
        if key in value:
            found += violations(value[key], kind, "%s.%s" % (path, key))
    return found
