"""The detection of a run that only wandb's own file tells of: nothing of this process and machine belongs to it."""

from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple

from ..identity import Identity
from .build import build_evidence
from .evidence import no_hardware, wandb_evidence
from .facts import Facts, RunFacts, facts_of_config
from .frameworks import FRAMEWORKS, Loaded
from .hints import find_frameworks, make_hints
from .json_safe import clean_text
from .report import make_body

# The modules behind wandb's own numbers for imports (its message `Imports`), as far as the table has them.
_MODULES = {
    1: "torch",
    2: "keras",
    3: "tensorflow",
    9: "pytorch_lightning.trainer",
    11: "transformers",
    12: "jax",
    71: "accelerate",
    106: "lightning.pytorch.trainer",
}
_NOTHING: FrozenSet[str] = frozenset()


class RecordedRun(NamedTuple):
    """What wandb's file says of a run; ``imports`` are wandb's own numbers for what the process had imported."""

    run_id: str
    project: str
    name: str
    tags: List[str]
    config: Dict[str, Any]
    imports: Iterable[int]
    python_version: str


def build_recorded_detection(run: RecordedRun, identity: Identity, timestamp: float) -> Dict[str, Any]:
    """The body of ``POST /wandb/detection``; ``timestamp`` is in seconds since 1970."""
    imported = frozenset(_MODULES[number] for number in run.imports if number in _MODULES)
    facts = _facts(run, imported)
    finding = find_frameworks(facts)
    evidence = {
        "wandb": wandb_evidence(facts.wandb),
        "environment": {},
        "pytorch": {
            "available": "torch" in imported,
            "version": "",
            "cuda_available": False,
            "detected_modules": {
                framework.name: not imported.isdisjoint(framework.modules)
                for framework in FRAMEWORKS
                if framework.name not in ("pytorch", "tensorflow")
            },
        },
        "wrapper_frameworks": {},
        "base_frameworks": {},
        "system": {
            "python_version": clean_text(run.python_version, 100),
            "python_executable": "",
            "platform": "",
        },
        "hardware": no_hardware(),
        "software": {"rocm_version": "", "packages": {}},
        "build": build_evidence({}),
    }
    return make_body(identity, timestamp, evidence, make_hints(finding))


def _facts(run: RecordedRun, imported: FrozenSet[str]) -> Facts:
    found = RunFacts(run.project, run.name, run.run_id, tags=run.tags)
    # Where loading is no use (transformers' own import of accelerate), being imported says nothing.
    as_loaded = Loaded(imported, _NOTHING, _NOTHING)
    used = frozenset(
        framework.name
        for framework in FRAMEWORKS
        if not imported.isdisjoint(framework.modules) and framework.counts(as_loaded)
    )
    return facts_of_config(found, run.config)._replace(imported=used)
