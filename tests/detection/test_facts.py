"""What is copied on the training thread, from which wandb, how fast, and what counts as news."""

import time
from typing import Any

import pytest

from primus_lens_wandb_exporter.detection import collect_facts, current_fingerprint, fingerprint

from . import stand_ins
from .stand_ins import Modules, OldRun, Run


@pytest.mark.parametrize("run_class", [Run, OldRun])
def test_a_runs_facts_are_read_without_its_properties(run_class: Any, modules: Modules) -> None:
    facts = collect_facts(run_class({"lr": 0.1}), modules)
    assert facts.wandb == ("project", "name", "id", {"lr": 0.1}, ["a", "b"])


def test_a_run_without_anything_gives_empty_facts(modules: Modules) -> None:
    class Empty:
        pass

    assert collect_facts(Empty(), modules).wandb == ("", "", "", {}, [])


def test_the_config_is_a_copy(modules: Modules) -> None:
    config = {"model": {"layers": 2}}
    facts = collect_facts(Run(config), modules)
    config["model"]["layers"] = 3
    assert facts.wandb.config == {"model": {"layers": 2}}


def test_a_framework_loaded_later_is_news(modules: Modules) -> None:
    run = Run()
    before = fingerprint(collect_facts(run, modules))
    assert current_fingerprint(run, modules) == before
    stand_ins.lightning(modules)
    assert current_fingerprint(run, modules) != before
    assert current_fingerprint(run, modules) == fingerprint(collect_facts(run, modules))


def test_a_framework_set_up_later_is_news(modules: Modules) -> None:
    stand_ins.megatron(modules, is_initialized=False)
    before = current_fingerprint(Run(), modules)
    stand_ins.megatron(modules, is_initialized=True)
    assert current_fingerprint(Run(), modules) != before


def test_other_modules_are_no_news(modules: Modules) -> None:
    before = current_fingerprint(Run(), modules)
    modules.load("numpy").load("json")
    assert current_fingerprint(Run(), modules) == before


def test_config_added_later_is_news_and_changed_values_are_not(modules: Modules) -> None:
    before = current_fingerprint(Run({"lr": 0.1}), modules)
    assert current_fingerprint(Run({"lr": 0.2}), modules) == before
    assert current_fingerprint(Run({"lr": 0.1, "layers": 2}), modules) != before


def test_a_framework_named_in_the_config_is_news(modules: Modules) -> None:
    before = current_fingerprint(Run({"framework": "a"}), modules)
    assert current_fingerprint(Run({"framework": "b"}), modules) != before


def test_a_fingerprint_can_be_kept_in_a_set(modules: Modules) -> None:
    stand_ins.primus(modules, "megatron")
    assert len({current_fingerprint(Run({"framework": {"a": []}}), modules)}) == 1


def test_facts_of_a_large_job_are_copied_quickly(modules: Modules) -> None:
    # Megatron's arguments are about 700; far above what is measured, far below what a user would notice.
    stand_ins.primus(modules, "megatron")
    run = Run({"argument_%d" % index: index * 0.5 for index in range(700)})
    huge = Run({"text_%d" % index: "x" * 5000 for index in range(2000)})
    for subject in (run, huge):
        assert min(seconds_for(lambda: collect_facts(subject, modules)) for _ in range(20)) < 0.01  # noqa: B023
    assert min(seconds_for(lambda: current_fingerprint(run, modules)) for _ in range(20)) < 0.002


def seconds_for(action: Any) -> float:
    began = time.thread_time()
    action()
    return time.thread_time() - began
