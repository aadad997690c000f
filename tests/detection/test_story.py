"""What is told of a workload again and again never contradicts itself, by the order in which the server reads it."""

from typing import Any, Callable, Dict, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primus_lens_wandb_exporter.detection import build_detection, collect_facts, story
from primus_lens_wandb_exporter.detection.frameworks import FRAMEWORKS
from primus_lens_wandb_exporter.detection.hints import find_frameworks

from . import stand_ins
from .stand_ins import IDENTITY, Modules, Run, find

SetVariables = Callable[..., None]
Load = Callable[[Modules], Any]


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "_told", {})


def tell(modules: Modules, **config: Any) -> Dict[str, Any]:
    facts = collect_facts(Run(config), modules)
    finding = story.keep_to_what_was_told(IDENTITY, find_frameworks(facts))
    return build_detection(facts, IDENTITY, 1.5, modules, finding)


def named(body: Dict[str, Any]) -> Tuple[List[str], List[str]]:
    return body["hints"]["wrapper_frameworks"], body["hints"]["base_frameworks"]


def stored(body: Dict[str, Any]) -> Tuple[str, str, str]:
    """Framework, wrapper and base that the server takes from what is loaded; empty where it goes on to other signs."""
    evidence = body["evidence"]
    wrapper = next(iter(evidence["wrapper_frameworks"]), "")
    base = evidence["wrapper_frameworks"].get("primus", {}).get("base_framework", "")
    base = base or next(iter(evidence["base_frameworks"]), "")
    return wrapper or base, wrapper, base


SETTLED: Dict[str, Tuple[Load, bool]] = {
    "nothing": (lambda modules: None, False),
    "PyTorch": (stand_ins.torch, False),
    "Lightning on PyTorch": (stand_ins.lightning, False),
    "the Trainer on transformers": (stand_ins.hugging_face_trainer, False),
    "a wrapper whose base is not known": (lambda modules: modules.load("levanter"), False),
    "JAX, which anything may have loaded": (lambda modules: modules.load("jax"), False),
    "JAX that has started a backend": (
        lambda modules: modules.load("jax").load("jax._src.xla_bridge", _backends={"cpu": 1}),
        True,
    ),
    "DeepSpeed": (stand_ins.deepspeed, True),
    "Megatron": (stand_ins.megatron, True),
    "Primus on Megatron": (lambda modules: (stand_ins.primus(modules, "megatron"), stand_ins.megatron(modules)), True),
    "Primus on a backend that is younger than this": (lambda modules: stand_ins.primus(modules, "brand_new"), True),
}


@pytest.mark.parametrize("case", SETTLED)
def test_a_detection_waits_while_something_better_may_come(case: str, modules: Modules) -> None:
    load, is_settled = SETTLED[case]
    load(modules)
    assert find(modules).is_settled is is_settled


def test_a_wrapper_that_is_a_guess_is_waited_for(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(PRIMUS_CONFIG="/c.yaml", PRIMUS_BACKEND="megatron")
    stand_ins.megatron(modules)
    assert not find(modules).is_settled
    stand_ins.primus(modules)
    assert find(modules).is_settled


def test_a_base_that_comes_after_a_general_one_is_only_possible(modules: Modules) -> None:
    stand_ins.torch(modules)
    assert named(tell(modules)) == ([], ["pytorch"])
    stand_ins.deepspeed(modules)
    body = tell(modules, layers=2)
    assert named(body) == ([], ["pytorch"])
    assert list(body["evidence"]["base_frameworks"]) == ["pytorch"]
    assert "deepspeed" in body["hints"]["possible_frameworks"]
    assert body["evidence"]["pytorch"]["detected_modules"]["deepspeed"] is True
    assert body["evidence"]["wandb"]["config"] == {"layers": 2}


def test_a_wrapper_that_comes_after_a_base_does_not_take_its_place(modules: Modules) -> None:
    stand_ins.deepspeed(modules)
    tell(modules)
    stand_ins.lightning(modules)
    body = tell(modules)
    assert named(body) == ([], ["deepspeed"])
    assert body["evidence"]["wrapper_frameworks"] == {}


def test_a_base_is_added_to_a_wrapper_that_had_none(modules: Modules) -> None:
    modules.load("levanter")
    assert named(tell(modules)) == (["levanter"], [])
    modules.load("jax")
    body = tell(modules)
    assert named(body) == (["levanter"], ["jax"])
    assert body["evidence"]["wrapper_frameworks"]["levanter"]["base_framework"] == "jax"
    stand_ins.megatron(modules)
    assert named(tell(modules)) == (["levanter"], ["jax"])


def test_a_guess_that_comes_true_becomes_evidence(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(PRIMUS_CONFIG="/c.yaml", PRIMUS_BACKEND="megatron")
    assert stored(tell(modules)) == ("", "", "")
    stand_ins.primus(modules, "megatron")
    stand_ins.megatron(modules)
    assert stored(tell(modules)) == ("primus", "primus", "megatron")


def test_a_wrapper_that_was_a_guess_above_a_loaded_base_stays_one(
    modules: Modules, set_variables: SetVariables
) -> None:
    set_variables(PRIMUS_CONFIG="/c.yaml", PRIMUS_BACKEND="megatron")
    stand_ins.megatron(modules)
    assert stored(tell(modules)) == ("megatron", "", "megatron")
    stand_ins.primus(modules, "megatron")
    assert stored(tell(modules)) == ("megatron", "", "megatron")


def test_other_workloads_have_stories_of_their_own(modules: Modules) -> None:
    stand_ins.torch(modules)
    tell(modules)
    stand_ins.deepspeed(modules)
    other = story.keep_to_what_was_told(IDENTITY._replace(workload_uid="other"), find(modules))
    assert other.base == "deepspeed"


def test_what_names_nothing_binds_to_nothing(modules: Modules) -> None:
    assert named(tell(modules)) == ([], [])
    stand_ins.deepspeed(modules)
    assert named(tell(modules)) == ([], ["deepspeed"])


loads = st.lists(
    st.sampled_from([module for framework in FRAMEWORKS for module in framework.modules]), min_size=1, max_size=8
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(loads, st.booleans())
def test_in_whatever_order_frameworks_are_loaded_no_conflict_arises(names: List[str], with_registry: bool) -> None:
    story._told.clear()
    modules = Modules()
    if with_registry:
        stand_ins.primus(modules, "megatron")
    told = []
    for name in names:
        modules.load(name)
        told.append(stored(tell(modules)))
    assert len({framework for framework, _, _ in told if framework}) <= 1
    assert len({base for _, _, base in told if base}) <= 1
