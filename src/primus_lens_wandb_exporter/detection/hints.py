"""Which frameworks the facts point to, why, and how sure that is. Pure: the same facts give the same answer.

The rules stand as a table in `docs/detection.md`. Lens chooses at random among several wrappers, and by a priority
of its own among several bases: so one wrapper and one base are named, and everything else that left a sign is only
in `possible_frameworks`.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from .environment import BACKEND_VARIABLE, FRAMEWORK_VARIABLES, is_set
from .facts import Facts
from .frameworks import BASE, BY_NAME, FRAMEWORKS, WRAPPER, always_counts, canonical_name, mentioned

# How much a sign tells, best first.
LOADED, STRONG, CONFIG, WEAK = 0, 1, 2, 3
HIGH, MEDIUM, LOW = "high", "medium", "low"

_MAXIMUM_INDICATORS = 20
_ORDER = {framework.name: index for index, framework in enumerate(FRAMEWORKS)}


class Sign(NamedTuple):
    """One reason to think of a framework; ``indicator`` is how it is written in `primary_indicators`."""

    framework: str
    strength: int
    indicator: str


class Finding(NamedTuple):
    """What a run uses, as far as the facts tell; an empty name where nothing is known."""

    wrapper: str
    base: str
    loaded: "Tuple[str, ...]"
    """Which of the two are loaded; the other is a guess."""
    confidence: str
    signs: "Tuple[Sign, ...]"
    is_settled: bool = False
    """Whether nothing better is to be expected: more specific frameworks than these are not loaded later."""

    @property
    def named(self) -> "List[str]":
        return [name for name in (self.wrapper, self.base) if name]


def find_frameworks(facts: Facts) -> Finding:
    signs = _find_signs(facts)
    wrapper = _choose_wrapper(facts, signs)
    base = _choose_base(facts, signs, wrapper)
    named = [name for name in (wrapper, base) if name]
    loaded = tuple(name for name in named if is_loaded(name, signs))
    # Sure of the framework that is named first: of the wrapper, where there is one.
    confidence = find_confidence(named[0], signs) if named else LOW
    is_settled = _is_specific(base, facts) and all(name in loaded for name in named)
    return Finding(wrapper, base, loaded, confidence, tuple(signs), is_settled)


def make_hints(finding: Finding) -> Dict[str, Any]:
    """The `hints` of the payload."""
    named = finding.named
    possible = {sign.framework for sign in finding.signs if sign.framework not in named}
    reasons = [sign for sign in finding.signs if sign.framework in named or not named]
    reasons.sort(key=lambda sign: sign.strength)
    layers = {}  # type: Dict[str, Any]
    if finding.wrapper:
        layers[finding.wrapper] = {"layer": WRAPPER, "base_frameworks": [finding.base] if finding.base else []}
    if finding.base:
        layers[finding.base] = {"layer": BASE, "base_frameworks": []}
    return {
        "wrapper_frameworks": [finding.wrapper] if finding.wrapper else [],
        "base_frameworks": [finding.base] if finding.base else [],
        "possible_frameworks": named + sorted(possible, key=_by_preference),
        "confidence": finding.confidence,
        "primary_indicators": list(dict.fromkeys(sign.indicator for sign in reasons))[:_MAXIMUM_INDICATORS],
        "framework_layers": layers,
    }


def _find_signs(facts: Facts) -> "List[Sign]":
    signs = []
    for framework in FRAMEWORKS:
        name = framework.name
        if any(module in facts.loaded.modules for module in framework.modules):
            signs.append(Sign(name, LOADED, "import." + name))
        if name in facts.imported:
            signs.append(Sign(name, STRONG, "wandb.imports." + name))
        for variable in framework.environment:
            if is_set(facts.environment.get(variable, "")):
                signs.append(Sign(name, STRONG, "env." + variable))
        for key in framework.config_keys:
            if key in facts.config_keys:
                signs.append(Sign(name, CONFIG, "config." + key))
    return signs + _signs_by_name(facts)


def _signs_by_name(facts: Facts) -> "List[Sign]":
    """Where somebody wrote a framework's name."""
    signs = [Sign(name, LOADED, "registry.primus") for name in _backends_of("primus", facts)]
    for variable in (BACKEND_VARIABLE, *FRAMEWORK_VARIABLES):
        name = canonical_name(facts.environment.get(variable, ""))
        if name and (variable == BACKEND_VARIABLE or name in BY_NAME):
            signs.append(Sign(name, STRONG, "env." + variable))
    for key, text in facts.declared.items():
        names = mentioned(text) if key == "trainer" else [canonical_name(text)]
        signs += [Sign(name, CONFIG, "config." + key) for name in names if name in BY_NAME]
    signs += [Sign(name, WEAK, "project.name") for name in mentioned(facts.wandb.project)]
    return signs


def _choose_wrapper(facts: Facts, signs: "List[Sign]") -> str:
    for framework in FRAMEWORKS:
        if framework.layer == WRAPPER and is_loaded(framework.name, signs) and framework.counts(facts.loaded):
            return framework.name
    return _best_guess(WRAPPER, signs)


def _choose_base(facts: Facts, signs: "List[Sign]", wrapper: str) -> str:
    declared = _declared_base(facts, signs, wrapper)
    if declared:
        return declared
    general = []
    for framework in FRAMEWORKS:
        if framework.layer == BASE and is_loaded(framework.name, signs) and framework.counts(facts.loaded):
            if not framework.is_general:
                return framework.name
            general.append(framework.name)
    guess = _best_guess(BASE, signs)
    wrapper_is_a_guess = bool(wrapper) and not is_loaded(wrapper, signs)
    if general and not wrapper_is_a_guess and (not guess or BY_NAME[guess].is_general):
        return general[0]
    return guess


def _is_specific(base: str, facts: Facts) -> bool:
    """Whether no other base takes the place of this one once it is loaded."""
    framework = BY_NAME.get(base)
    if framework is None:
        return bool(base)
    # Where being loaded does not mean being used, only what is set up is sure to stay.
    return not framework.is_general and (framework.counts is always_counts or base in facts.loaded.initialized)


def _declared_base(facts: Facts, signs: "List[Sign]", wrapper: str) -> str:
    """The base by the job's own word: the wrapper's registry first, then what names a base that is loaded."""
    backends = [name for name in _backends_of(wrapper, facts) if name != wrapper]
    named = [canonical_name(facts.environment.get(BACKEND_VARIABLE, "")) if wrapper == "primus" else ""]
    named.append(canonical_name(facts.declared.get("base_framework", "")))
    if backends:
        return next((name for name in named if name in backends), backends[0])
    for name in named:
        if name and name != wrapper and is_loaded(name, signs):
            return name
    # Primus's backends are its bases, whatever they are elsewhere (MaxText), also those that this table has not.
    return named[0]


def _backends_of(wrapper: str, facts: Facts) -> "List[str]":
    names = [canonical_name(pair.split(":", 1)[1]) for pair in facts.loaded.backends if pair.startswith(wrapper + ":")]
    names = sorted(names, key=_by_preference)
    # A bridge job registers plain Megatron as well; preferring the bridge is the order of the table.
    return [name for name in names if name in BY_NAME or wrapper == "primus"]


def _best_guess(layer: str, signs: "List[Sign]") -> str:
    """The framework of a layer that is most probably used, without being loaded; empty below medium confidence."""
    names = {sign.framework for sign in signs if _layer_of(sign.framework) == layer}
    candidates = [name for name in names if not is_loaded(name, signs) and find_confidence(name, signs) != LOW]
    return min(candidates, key=lambda name: (find_confidence(name, signs) != HIGH, _by_preference(name)), default="")


def find_confidence(name: str, signs: "Sequence[Sign]") -> str:
    strengths = [sign.strength for sign in signs if sign.framework == name]
    if LOADED in strengths or strengths.count(STRONG) >= 2:
        return HIGH
    if STRONG in strengths or strengths.count(CONFIG) >= 2:
        return MEDIUM
    return LOW


def is_loaded(name: str, signs: "Sequence[Sign]") -> bool:
    return any(sign.framework == name and sign.strength == LOADED for sign in signs)


def _layer_of(name: str) -> str:
    return BY_NAME[name].layer if name in BY_NAME else ""


def _by_preference(name: str) -> "Tuple[int, str]":
    return _ORDER.get(name, len(_ORDER)), name
