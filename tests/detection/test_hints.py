"""Reasons and confidence: one test for each row of the table in docs/detection.md."""

from typing import Any, Callable, Dict

import pytest

from primus_lens_wandb_exporter.detection.frameworks import FRAMEWORKS

from . import stand_ins
from .stand_ins import Modules, payload

SetVariables = Callable[..., None]


def hints(modules: Modules, project: str = "", **config: Any) -> Dict[str, Any]:
    found = payload(modules, config, project)["hints"]
    assert isinstance(found, dict)
    return found


def test_a_loaded_module_is_high_confidence(modules: Modules) -> None:
    stand_ins.lightning(modules)
    found = hints(modules)
    assert found["confidence"] == "high"
    assert found["primary_indicators"] == ["import.lightning", "import.pytorch"]


def test_two_strong_signs_are_high_confidence(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(PRIMUS_CONFIG="/c.yaml", PRIMUS_PATH="/primus")
    found = hints(modules)
    assert (found["wrapper_frameworks"], found["confidence"]) == (["primus"], "high")
    assert found["primary_indicators"] == ["env.PRIMUS_CONFIG", "env.PRIMUS_PATH"]


def test_one_strong_sign_is_medium_confidence(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(DEEPSPEED_CONFIG="/ds.json")
    found = hints(modules)
    assert (found["base_frameworks"], found["confidence"]) == (["deepspeed"], "medium")


def test_two_signs_from_the_config_are_medium_confidence(modules: Modules) -> None:
    found = hints(modules, framework="megatron-lm", trainer="MegatronTrainer")
    assert (found["base_frameworks"], found["confidence"]) == (["megatron"], "medium")
    assert found["primary_indicators"] == ["config.framework", "config.trainer"]


def test_one_sign_from_the_config_is_low_confidence_and_names_nothing(modules: Modules) -> None:
    found = hints(modules, framework="primus")
    assert (found["wrapper_frameworks"], found["possible_frameworks"]) == ([], ["primus"])
    assert (found["confidence"], found["primary_indicators"]) == ("low", ["config.framework"])


@pytest.mark.parametrize("project", ["my-DeepSpeed-run", "deepspeed", "DeepSpeedChat", "exp/deepspeed_zero3"])
def test_the_projects_name_is_low_confidence(modules: Modules, project: str) -> None:
    found = hints(modules, project=project)
    assert (found["possible_frameworks"], found["confidence"]) == (["deepspeed"], "low")
    assert found["primary_indicators"] == ["project.name"]


@pytest.mark.parametrize("project", ["ajax-shop", "titanic", "nemon", ""])
def test_a_framework_inside_of_a_word_of_the_project_is_no_sign(modules: Modules, project: str) -> None:
    assert hints(modules, project=project)["possible_frameworks"] == []


@pytest.mark.parametrize("value", ["false", "0", "no", "", "None"])
def test_a_variable_that_says_no_is_no_sign(modules: Modules, set_variables: SetVariables, value: str) -> None:
    set_variables(ACCELERATE_USE_DEEPSPEED=value)
    assert hints(modules)["possible_frameworks"] == []


def test_what_is_loaded_is_preferred_to_what_a_variable_says(modules: Modules, set_variables: SetVariables) -> None:
    # An image may set Primus's variables for all its jobs.
    set_variables(PRIMUS_PATH="/primus", PRIMUS_VERSION="0.8")
    stand_ins.lightning(modules)
    found = hints(modules)
    assert found["wrapper_frameworks"] == ["lightning"]
    assert found["possible_frameworks"] == ["lightning", "pytorch", "primus"]
    assert found["primary_indicators"] == ["import.lightning", "import.pytorch"]


def test_a_guess_is_never_detected(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(PRIMUS_CONFIG="/c.yaml", PRIMUS_BACKEND="megatron")
    stand_ins.torch(modules)
    body = payload(modules)
    assert body["evidence"]["wrapper_frameworks"] == body["evidence"]["base_frameworks"] == {}
    assert body["hints"]["framework_layers"]["primus"] == {"layer": "wrapper", "base_frameworks": ["megatron"]}
    assert body["hints"]["confidence"] == "high"


def test_the_variable_framework_is_a_strong_sign(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(FRAMEWORK="PyTorch-Lightning")
    found = hints(modules)
    assert (found["wrapper_frameworks"], found["confidence"]) == (["lightning"], "medium")
    assert found["primary_indicators"] == ["env.FRAMEWORK"]


def test_the_variable_training_framework_is_one_too(modules: Modules, set_variables: SetVariables) -> None:
    set_variables(TRAINING_FRAMEWORK="deepspeed")
    found = hints(modules)
    assert (found["base_frameworks"], found["primary_indicators"]) == (["deepspeed"], ["env.TRAINING_FRAMEWORK"])


def test_a_trainer_section_in_the_config_names_nothing(modules: Modules) -> None:
    # verl's config has one.
    found = hints(modules, trainer={"project_name": "deepspeed"}, actor_rollout_ref={})
    assert found["possible_frameworks"] == ["verl"]


def test_reasons_are_few(modules: Modules, set_variables: SetVariables) -> None:
    for framework in FRAMEWORKS:
        modules.load(framework.modules[0])
    assert len(hints(modules)["primary_indicators"]) <= 20
