"""What only the training thread can say, copied in well under a millisecond: the run, its config, what is loaded.

Nothing here asks wandb's service. The public properties of a run attach to it in a forked child (wandb 0.13 and
later), which is a round trip; so the attributes behind them are read: the run's settings (wandb 0.19 and later) or
its own (before), and the config's items.
"""

import os
import sys
from typing import Any, Dict, FrozenSet, Hashable, List, Mapping, NamedTuple, Tuple

from . import frameworks, loaded
from .environment import copy_environment
from .json_safe import clean_text, to_json, to_json_object

_MAXIMUM_NAME_LENGTH = 256
_MAXIMUM_TAGS = 100
# Config keys that name a framework: the wrapper or base itself, a base, a trainer class.
DECLARING_KEYS = ("framework", "base_framework", "trainer")


class RunFacts(NamedTuple):
    """The run, not redacted yet. ``config`` is JSON of bounded size."""

    project: str = ""
    name: str = ""
    id: str = ""
    config: Dict[str, Any] = {}
    tags: List[str] = []


class Facts(NamedTuple):
    """What was copied on the training thread; everything else a detection needs can be read later."""

    wandb: RunFacts
    loaded: frameworks.Loaded
    environment: Dict[str, str]
    declared: Dict[str, str]
    config_keys: FrozenSet[str]
    # Frameworks that wandb's own record names as imported, where the process itself cannot be looked at.
    imported: FrozenSet[str] = frozenset()


def collect_facts(wandb_run: Any, modules: "Mapping[str, Any]" = sys.modules) -> Facts:
    """Copies the facts of a wandb run and of the process. For the training thread; does no I/O and no RPC."""
    items = _config_items(wandb_run)
    settings = wandb_run.__dict__.get("_settings")
    project, name = read_names(wandb_run)
    run = RunFacts(
        project=project,
        name=name,
        id=_name(wandb_run, settings, "_run_id", "run_id"),
        config=to_json_object(items),
        tags=_tags(wandb_run, settings),
    )
    return Facts(run, _loaded(modules), copy_environment(os.environ), _declared(items), _keys(items))


def read_names(wandb_run: Any) -> Tuple[str, str]:
    """The project and the name of a wandb run, not redacted yet; empty where there is none."""
    settings = wandb_run.__dict__.get("_settings")
    project = _name(wandb_run, settings, "_project", "project")
    return project, _name(wandb_run, settings, "_name", "run_name", "display_name")


def with_loaded_now(facts: Facts, modules: "Mapping[str, Any]" = sys.modules) -> Facts:
    """The facts with what is loaded at this moment; any thread may ask."""
    return facts._replace(loaded=_loaded(modules))


def facts_of_config(run: RunFacts, config: Dict[str, Any]) -> Facts:
    """The facts of a run of which nothing but its record is left."""
    items = {key: value for key, value in config.items() if not key.startswith("_")}
    nothing = frameworks.Loaded(frozenset(), frozenset(), frozenset())
    return Facts(run._replace(config=to_json_object(items)), nothing, {}, _declared(items), _keys(items))


def fingerprint(facts: Facts) -> Hashable:
    """Equal for two facts when a second detection would say nothing new.

    Frameworks loaded or set up, config keys added and frameworks named in the config are news; changed values are
    not: some jobs write their best metric into the config again and again.
    """
    return facts.loaded, facts.config_keys, frozenset(facts.declared.items())


def current_fingerprint(wandb_run: Any, modules: "Mapping[str, Any]" = sys.modules) -> Hashable:
    """`fingerprint` of the facts as they are now, without copying them: a few dozen microseconds."""
    items = _config_items(wandb_run)
    return _loaded(modules), _keys(items), frozenset(_declared(items).items())


def _loaded(modules: "Mapping[str, Any]") -> frameworks.Loaded:
    names = loaded.loaded_among(frameworks.MODULES, modules)
    initialized = [
        framework.name
        for framework in frameworks.FRAMEWORKS
        if any(name in framework.modules for name in names)
        and any(loaded.holds(path, modules) for path in framework.initialized)
    ]
    backends = ["primus:%s" % name for name in _registered_backends(modules)]
    for path in frameworks.KERAS_BACKENDS if "keras" in names else ():
        backend = loaded.read_text(path, modules)
        if backend:
            backends.append("keras:%s" % backend)
    return frameworks.Loaded(frozenset(names), frozenset(initialized), frozenset(backends))


def _registered_backends(modules: "Mapping[str, Any]") -> "List[str]":
    adapters = loaded.read(frameworks.PRIMUS_BACKENDS, modules)
    if not isinstance(adapters, dict):
        return []
    return [name for name in (frameworks.canonical_name(key) for key in list(adapters) if isinstance(key, str)) if name]


def _config_items(wandb_run: Any) -> Dict[str, Any]:
    """The config's own dict, without wandb's private entries."""
    config = wandb_run.__dict__.get("_config")
    items = getattr(config, "__dict__", {}).get("_items", config)
    if not isinstance(items, dict):
        return {}
    return {key: value for key, value in items.copy().items() if isinstance(key, str) and not key.startswith("_")}


def _keys(items: Dict[str, Any]) -> "FrozenSet[str]":
    return frozenset(items)


def _declared(items: Dict[str, Any]) -> Dict[str, str]:
    # verl's `trainer` is a section of its config and names nothing.
    declared = {key: to_json(items[key]) for key in DECLARING_KEYS if key in items}
    return {key: value for key, value in declared.items() if isinstance(value, str)}


def _name(wandb_run: Any, settings: Any, attribute: str, setting: str, recorded: str = "") -> str:
    attributes = wandb_run.__dict__
    value = attributes.get(attribute) or getattr(settings, setting, None)
    if not value:
        # Older versions keep a name that the server gave in what it answered.
        answer = attributes.get("_run_obj") or attributes.get("_run_obj_offline")
        value = getattr(answer, recorded or setting, None)
    return clean_text(value, _MAXIMUM_NAME_LENGTH) if isinstance(value, str) else ""


def _tags(wandb_run: Any, settings: Any) -> "List[str]":
    tags = wandb_run.__dict__.get("_tags") or getattr(settings, "run_tags", None) or ()
    if not isinstance(tags, (tuple, list)):
        return []
    return [clean_text(tag, _MAXIMUM_NAME_LENGTH) for tag in tags[:_MAXIMUM_TAGS] if isinstance(tag, str)]
