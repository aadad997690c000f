"""What OpenTelemetry is told of a run beside its values. Everything comes from the run, so that what is delivered later
joins what was delivered live. The names stand in ``docs/opentelemetry.md``."""

import json
from typing import Any, Dict, List, Mapping, Tuple, Union

from ..records import Run
from ..redaction import redact_mapping, redact_text, redact_value
from .otlp_settings import OtlpSettings

Attributes = Dict[str, Union[str, int]]

# Stores bound the labels of a series (Mimir: 30 by default) and their lengths (Mimir: 2048).
_LONGEST_VALUE = 1000
_MOST_CONFIG_ENTRIES = 200


def resource_attributes(run: Run, settings: OtlpSettings) -> Attributes:
    """Who sends. Ranks and attempts differ in ``service.instance.id``, so that none overwrites another's values."""
    place, identity = run.place, run.identity
    instance = "%s/%d.%d" % (run.run_id, place.node_rank, place.local_rank)
    if place.attempt:
        instance += ".%d" % place.attempt
    own: Attributes = {
        "service.name": settings.service_name,
        "service.instance.id": instance,
        "wandb.run.id": run.run_id,
        "wandb.run.name": redact_text(run.name),
        "wandb.project": redact_text(run.project),
        "primus.workload.uid": identity.workload_uid,
        "k8s.pod.name": identity.pod_name,
        "k8s.pod.uid": identity.pod_uid,
        "k8s.namespace.name": identity.namespace,
        "wandb.node_rank": place.node_rank,
        "wandb.rank": place.rank,
        "wandb.local_rank": place.local_rank,
        "wandb.attempt": place.attempt,
    }
    attributes: Attributes = {name: redact_value(name, value) for name, value in settings.resource_attributes}
    attributes.update({name: value for name, value in own.items() if value != ""})
    return attributes


def info_attributes(detection: Mapping[str, Any]) -> Attributes:
    """Of the body of a detection what tells runs apart; it is redacted already."""
    evidence, hints = detection["evidence"], detection["hints"]
    wrapper, base = _first(hints["wrapper_frameworks"]), _first(hints["base_frameworks"])
    hardware, build = evidence["hardware"], evidence["build"]
    attributes = {
        "wandb.framework": wrapper or base,
        "wandb.framework.version": _version(evidence["wrapper_frameworks" if wrapper else "base_frameworks"]),
        "wandb.framework.base": base if wrapper else "",
        "wandb.framework.confidence": hints["confidence"] if wrapper or base else "",
        "wandb.tags": ",".join(evidence["wandb"].get("tags", ())),
        "wandb.pytorch.version": evidence["pytorch"].get("version", ""),
        "wandb.python.version": evidence["system"].get("python_version", ""),
        "wandb.gpu.name": hardware.get("gpu_name", ""),
        "wandb.gpu.count": hardware.get("gpu_count", 0),
        "wandb.image": build.get("image_tag", ""),
        "wandb.git.commit": build.get("git_commit", ""),
    }
    return {name: _cut(value) for name, value in attributes.items() if value not in ("", 0)}


def config_entries(detection: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """The run's config, flat, by dotted names: some hundred entries, as texts."""
    found: List[Tuple[str, str]] = []
    _flatten_into(found, "", redact_mapping(detection["evidence"]["wandb"].get("config", {})))
    return found[:_MOST_CONFIG_ENTRIES]


def _flatten_into(found: List[Tuple[str, str]], prefix: str, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            _flatten_into(found, "%s%s." % (prefix, name), value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.append((_cut(prefix + name), _cut(text)))


def _first(names: List[str]) -> str:
    return names[0] if names else ""


def _version(frameworks: Mapping[str, Any]) -> str:
    return next((str(entry.get("version", "")) for entry in frameworks.values()), "")


def _cut(value: Any) -> Any:
    return value[: _LONGEST_VALUE - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST_VALUE else value
