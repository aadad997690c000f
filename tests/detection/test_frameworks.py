"""Which frameworks are recognised, and which of several is named."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict

import pytest

from primus_lens_wandb_exporter.detection.frameworks import BASE, FRAMEWORKS, WRAPPER, Framework

from . import stand_ins
from .stand_ins import Modules, find, payload

SetVariables = Callable[..., None]


def chosen(modules: Modules, **config: Any) -> Dict[str, str]:
    finding = find(modules, config)
    return {WRAPPER: finding.wrapper, BASE: finding.base}


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.name)
def test_the_table_in_the_docs_has_every_framework(framework: Framework) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "detection.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `%s` |" % framework.name)]
    assert len(rows) == 1
    for name in (*framework.modules, *framework.environment):
        assert "`%s`" % name in rows[0]


def test_nothing_loaded_is_nothing_detected(modules: Modules) -> None:
    body = payload(modules)
    assert body["evidence"]["wrapper_frameworks"] == body["evidence"]["base_frameworks"] == {}
    assert body["evidence"]["pytorch"]["available"] is False
    assert body["hints"]["possible_frameworks"] == []
    assert body["hints"]["confidence"] == "low"


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.name)
def test_every_framework_of_the_table_is_recognised_alone(framework: Framework, modules: Modules) -> None:
    for module in framework.modules:
        assert chosen(Modules().load(module))[framework.layer] == framework.name
    modules.load(framework.modules[0])
    evidence = payload(modules)["evidence"]
    assert evidence[framework.layer + "_frameworks"][framework.name]["detected"] is True


def test_primus_on_megatron_is_a_wrapper_on_a_base(modules: Modules) -> None:
    stand_ins.primus(modules, "megatron")
    stand_ins.megatron(modules)
    body = payload(modules)
    assert body["evidence"]["wrapper_frameworks"] == {
        "primus": {"detected": True, "version": "0.8.0", "initialized": True, "base_framework": "megatron"}
    }
    assert body["evidence"]["base_frameworks"] == {
        "megatron": {"detected": True, "version": "0.15.0", "initialized": True}
    }
    assert body["hints"] == {
        "wrapper_frameworks": ["primus"],
        "base_frameworks": ["megatron"],
        "possible_frameworks": ["primus", "megatron", "pytorch"],
        "confidence": "high",
        "primary_indicators": ["import.primus", "import.megatron", "registry.primus"],
        "framework_layers": {
            "primus": {"layer": "wrapper", "base_frameworks": ["megatron"]},
            "megatron": {"layer": "base", "base_frameworks": []},
        },
    }


@pytest.mark.parametrize(
    ("backends", "expected"),
    [
        (["megatron"], "megatron"),
        (["torchtitan"], "torchtitan"),
        (["megatron", "megatron_bridge"], "megatron_bridge"),
        (["maxtext"], "maxtext"),
        # A backend that is younger than this exporter.
        (["hummingbirdxt"], "hummingbirdxt"),
    ],
)
def test_primus_names_its_backend_by_its_registry(modules: Modules, backends: Any, expected: str) -> None:
    # What else is loaded does not matter.
    stand_ins.megatron(modules)
    modules.load("torchtitan")
    stand_ins.primus(modules, *backends)
    assert chosen(modules) == {WRAPPER: "primus", BASE: expected}
    assert list(payload(modules)["evidence"]["base_frameworks"]) == [expected]


def test_primus_names_its_backend_by_its_variable(modules: Modules, set_variables: SetVariables) -> None:
    stand_ins.primus(modules)
    modules.load("torchtitan").load("megatron.core")
    set_variables(PRIMUS_BACKEND="TorchTitan")
    assert chosen(modules) == {WRAPPER: "primus", BASE: "torchtitan"}


def test_primus_names_its_backend_by_its_config(modules: Modules) -> None:
    stand_ins.primus(modules)
    modules.load("torchtitan").load("megatron.core")
    assert chosen(modules, base_framework="torchtitan")[BASE] == "torchtitan"


def test_the_indexs_other_primus_gives_no_version(modules: Modules, set_variables: SetVariables) -> None:
    modules.load("primus")
    set_variables(PRIMUS_VERSION="0.9")
    assert payload(modules)["evidence"]["wrapper_frameworks"]["primus"]["version"] == "0.9"


def test_a_primus_whose_registry_is_something_else_is_still_primus(modules: Modules) -> None:
    modules.load("primus").load("primus.core.backend.backend_registry", BackendRegistry=None)
    assert chosen(modules) == {WRAPPER: "primus", BASE: ""}


def test_megatron_is_initialized_when_its_arguments_are_set(modules: Modules) -> None:
    stand_ins.megatron(modules, is_initialized=False)
    assert payload(modules)["evidence"]["base_frameworks"]["megatron"]["initialized"] is False
    stand_ins.megatron(modules, is_initialized=True)
    assert payload(modules)["evidence"]["base_frameworks"]["megatron"]["initialized"] is True


def test_the_bridge_is_preferred_to_the_megatron_below_it(modules: Modules) -> None:
    stand_ins.megatron(modules)
    modules.load("megatron.bridge", __version__="0.2.0")
    assert chosen(modules) == {WRAPPER: "", BASE: "megatron_bridge"}


def test_lightning_under_either_name_on_deepspeed(modules: Modules) -> None:
    stand_ins.deepspeed(modules)
    modules.load("pytorch_lightning", __version__="1.9.5").load("pytorch_lightning.trainer")
    evidence = payload(modules)["evidence"]
    assert evidence["wrapper_frameworks"]["lightning"]["version"] == "1.9.5"
    assert evidence["base_frameworks"] == {"deepspeed": {"detected": True, "version": "0.18.1", "initialized": True}}


def test_lightning_without_its_trainer_is_not_lightning(modules: Modules) -> None:
    modules.load("lightning.fabric")
    assert chosen(modules)[WRAPPER] == ""


def test_hugging_faces_trainer_is_preferred_to_the_accelerate_below_it(modules: Modules) -> None:
    stand_ins.hugging_face_trainer(modules)
    assert chosen(modules) == {WRAPPER: "transformers_trainer", BASE: "transformers"}


@pytest.mark.parametrize(
    ("package", "name"),
    [("verl", "verl"), ("axolotl", "axolotl"), ("llamafactory", "llamafactory"), ("swift.llm", "ms_swift")],
)
def test_what_is_built_on_hugging_faces_trainer_is_preferred_to_it(modules: Modules, package: str, name: str) -> None:
    stand_ins.hugging_face_trainer(modules)
    modules.load(package)
    assert chosen(modules)[WRAPPER] == name


def test_nemo_on_megatron_is_not_taken_for_the_lightning_below_it(modules: Modules) -> None:
    stand_ins.lightning(modules)
    stand_ins.megatron(modules)
    modules.load("nemo.collections.llm").load("nemo.package_info", __version__="2.5.0")
    body = payload(modules)
    assert list(body["evidence"]["wrapper_frameworks"]) == ["nemo"]
    assert list(body["evidence"]["base_frameworks"]) == ["megatron"]
    assert body["hints"]["possible_frameworks"] == ["nemo", "megatron", "lightning", "pytorch"]


def test_maxtext_runs_on_jax(modules: Modules) -> None:
    modules.load("MaxText").load("jax", __version__="0.7.2").load("jax._src.xla_bridge", _backends={"rocm": object()})
    evidence = payload(modules)["evidence"]
    assert list(evidence["wrapper_frameworks"]) == ["maxtext"]
    assert evidence["base_frameworks"] == {"jax": {"detected": True, "version": "0.7.2", "initialized": True}}


def test_accelerate_counts_in_a_job_that_uses_it(modules: Modules) -> None:
    modules.load("transformers")
    stand_ins.accelerate(modules, is_used=True)
    assert chosen(modules) == {WRAPPER: "accelerate", BASE: "transformers"}


def test_accelerate_that_transformers_loaded_by_itself_does_not_count(modules: Modules) -> None:
    modules.load("transformers")
    stand_ins.accelerate(modules, is_used=False)
    assert chosen(modules) == {WRAPPER: "", BASE: "transformers"}


@pytest.mark.parametrize(("backend", "base"), [("torch", "pytorch"), ("jax", "jax"), ("tensorflow", "tensorflow")])
def test_keras_runs_on_the_backend_that_it_names(modules: Modules, backend: str, base: str) -> None:
    stand_ins.keras(modules, backend)
    # TensorFlow is loaded beside another backend by anything that writes TensorBoard's files.
    modules.load("tensorflow").load("wandb.integration.keras")
    assert chosen(modules) == {WRAPPER: "keras", BASE: base}


def test_keras_that_tensorflow_has_loaded_does_not_count(modules: Modules) -> None:
    stand_ins.keras(modules, "tensorflow")
    modules.load("tensorflow")
    assert chosen(modules) == {WRAPPER: "", BASE: "tensorflow"}


def test_keras_that_tensorboard_drew_into_a_pytorch_job_does_not_count(modules: Modules) -> None:
    stand_ins.torch(modules)
    stand_ins.keras(modules, "tensorflow")
    assert chosen(modules) == {WRAPPER: "", BASE: "pytorch"}
    # Unless the job uses wandb's callbacks for Keras.
    modules.load("wandb.integration.keras")
    assert chosen(modules) == {WRAPPER: "keras", BASE: "tensorflow"}


def test_jax_that_a_pytorch_job_has_loaded_does_not_count_before_it_has_a_device(modules: Modules) -> None:
    stand_ins.torch(modules)
    modules.load("jax").load("jax._src.xla_bridge", _backends={})
    assert chosen(modules)[BASE] == "pytorch"
    modules.load("jax._src.xla_bridge", _backends={"cpu": object()})
    assert chosen(modules)[BASE] == "jax"


@pytest.mark.parametrize("specific", ["megatron.core", "deepspeed", "torchtitan", "torchtune"])
def test_transformers_and_pytorch_count_only_without_something_more_specific(modules: Modules, specific: str) -> None:
    stand_ins.torch(modules)
    assert chosen(modules)[BASE] == "pytorch"
    # As torchmetrics loads it.
    modules.load("transformers")
    assert chosen(modules)[BASE] == "pytorch"
    modules.load("transformers.modeling_utils")
    assert chosen(modules)[BASE] == "transformers"
    modules.load(specific)
    assert chosen(modules)[BASE] == specific.split(".")[0]


def test_all_loaded_frameworks_stand_among_the_modules_of_pytorch(modules: Modules) -> None:
    stand_ins.lightning(modules)
    stand_ins.deepspeed(modules)
    detected = payload(modules)["evidence"]["pytorch"]["detected_modules"]
    assert [name for name, is_loaded in detected.items() if is_loaded] == ["lightning", "deepspeed"]


def test_pytorchs_version_and_gpu_support_are_read_from_plain_attributes(modules: Modules) -> None:
    stand_ins.torch(modules)
    pytorch = payload(modules)["evidence"]["pytorch"]
    assert (pytorch["available"], pytorch["version"]) == (True, "2.9.0+rocm6.4")
    assert type(pytorch["version"]) is str
    modules.load("torch.cuda", _initialized=True)
    assert payload(modules)["evidence"]["pytorch"]["cuda_available"] is True


def test_a_module_that_waits_for_its_first_use_is_neither_loaded_nor_touched(modules: Modules) -> None:
    class Loader:
        def create_module(self, spec: Any) -> None:
            return None

        def exec_module(self, module: ModuleType) -> None:
            raise AssertionError("detection made a lazy module load")

    lazy = importlib.util.LazyLoader(Loader())  # type: ignore[arg-type]
    spec = importlib.util.spec_from_loader("deepspeed", lazy)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    lazy.exec_module(module)
    modules["deepspeed"] = module
    assert payload(modules)["evidence"]["base_frameworks"] == {}


def test_a_lazy_package_is_not_made_to_import_its_parts(modules: Modules) -> None:
    class LazyPackage(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("detection read %s, which would be imported" % name)

    for name in ("transformers", "lightning", "megatron.core", "primus", "torch", "jax", "keras", "deepspeed"):
        modules[name] = LazyPackage(name)
    assert payload(modules)["hints"]["wrapper_frameworks"] == ["primus"]


def test_strange_things_among_the_modules_do_no_harm(modules: Modules) -> None:
    modules.update({"torch": None, "jax": 5, "deepspeed": object(), "primus.core.backend.backend_registry": "text"})
    assert chosen(modules)[BASE] in ("deepspeed", "jax")
