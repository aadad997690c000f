"""The frameworks we know, in one table. Adding one is one entry here and one test.

The order within a layer is the order of preference: Lens gets one wrapper and one base, the first that counts. A
wrapper drives the training (Primus, Lightning); a base does the work below it (Megatron, DeepSpeed, JAX). Names are
the server's where it knows the framework (`primus`, `lightning`, `transformers_trainer`, `megatron`, `deepspeed`,
`jax`, `transformers`).

A path ``package.module:Class.attribute`` names a plain attribute of a module that is loaded (see `loaded`).
"""

import re
from typing import Callable, FrozenSet, List, NamedTuple, Tuple

WRAPPER = "wrapper"
BASE = "base"

# Primus's backends by their names in its registry; a bridge job registers megatron too.
PRIMUS_BACKENDS = "primus.core.backend.backend_registry:BackendRegistry._adapters"
KERAS_BACKENDS = (
    "keras.src.backend.config:_BACKEND",
    "keras.backend.config:_BACKEND",
    "keras_core.src.backend.config:_BACKEND",
)
# wandb's callbacks for Keras, loaded by those who use them.
WANDB_FOR_KERAS = "wandb.integration.keras"


class Loaded(NamedTuple):
    """What a process has loaded of the table."""

    modules: FrozenSet[str]  # names of modules
    initialized: FrozenSet[str]  # names of frameworks that are set up
    backends: FrozenSet[str]  # "primus:megatron", "keras:jax": what a wrapper runs on, by its own word


def always_counts(_loaded: Loaded) -> bool:
    return True


def _accelerate_counts(loaded: Loaded) -> bool:
    # transformers loads accelerate by itself, also where the user's own loop never touches it.
    return "accelerate" in loaded.initialized or "transformers" not in loaded.modules


def _keras_counts(loaded: Loaded) -> bool:
    # TensorFlow loads Keras by itself, and TensorBoard's writer loads TensorFlow where it is installed.
    if WANDB_FOR_KERAS in loaded.modules or not loaded.backends.isdisjoint(("keras:torch", "keras:jax")):
        return True
    return loaded.modules.isdisjoint(("torch", "tensorflow"))


def _transformers_counts(loaded: Loaded) -> bool:
    # torchmetrics, and so Lightning, loads it where it is installed, but none of its models.
    return "transformers" in loaded.initialized or "torch" not in loaded.modules


def _jax_counts(loaded: Loaded) -> bool:
    # Loaded by Keras, optax or a data pipeline; where another framework trains, JAX has no device yet.
    return "jax" in loaded.initialized or loaded.modules.isdisjoint(("torch", "tensorflow"))


class Framework(NamedTuple):
    name: str
    layer: str
    modules: Tuple[str, ...]
    """One of them in `sys.modules` means that the framework is loaded."""
    distributions: Tuple[str, ...] = ()
    """Where to ask for the version when the loaded module does not say."""
    versions: Tuple[str, ...] = ()
    """Paths of attributes that hold the version."""
    initialized: Tuple[str, ...] = ()
    """Paths of modules or attributes; one that is set means that the framework is set up."""
    environment: Tuple[str, ...] = ()
    """Variables that only this framework's users set. "false", "0" and "no" count as not set."""
    config_keys: Tuple[str, ...] = ()
    """Keys of `wandb.config` that only this framework's users have."""
    aliases: Tuple[str, ...] = ()
    """Other names in configs and project names, as lower-case words joined by underscores."""
    is_general: bool = False
    """Counts only where nothing more specific of its layer is there."""
    counts: Callable[[Loaded], bool] = always_counts
    """Whether being loaded means being used."""


FRAMEWORKS = (
    Framework(
        "primus",
        WRAPPER,
        modules=("primus",),
        # Never from a distribution: the index's `primus` is another project.
        versions=("primus:__version__",),
        initialized=("primus.core.runtime.train_runtime",),
        environment=("PRIMUS_CONFIG", "PRIMUS_BACKEND", "PRIMUS_PATH", "PRIMUS_VERSION"),
        config_keys=("primus_config",),
    ),
    Framework(
        "nemo",
        WRAPPER,
        modules=("nemo", "nemo_rl", "nemo_automodel"),
        distributions=("nemo-toolkit", "nemo-rl", "nemo-automodel"),
        versions=("nemo.package_info:__version__", "nemo:__version__"),
        aliases=("nemo_toolkit",),
    ),
    Framework(
        "verl",
        WRAPPER,
        modules=("verl",),
        distributions=("verl",),
        versions=("verl:__version__",),
        environment=("VERL_LOGGING_LEVEL", "VERL_USE_MODELSCOPE"),
        config_keys=("actor_rollout_ref",),
    ),
    Framework(
        "axolotl",
        WRAPPER,
        modules=("axolotl",),
        distributions=("axolotl",),
        versions=("axolotl:__version__",),
        environment=("AXOLOTL_DATASET_PROCESSES",),
    ),
    Framework(
        "llamafactory",
        WRAPPER,
        modules=("llamafactory", "llmtuner"),
        distributions=("llamafactory", "llmtuner"),
        versions=("llamafactory.extras.env:VERSION",),
        environment=("LLAMAFACTORY_VERBOSITY", "LLAMABOARD_ENABLED"),
        aliases=("llama_factory",),
    ),
    Framework(
        "ms_swift",
        WRAPPER,
        modules=("swift",),
        distributions=("ms-swift",),
        versions=("swift.version:__version__",),
    ),
    Framework(
        "maxtext",
        WRAPPER,
        modules=("MaxText", "maxtext"),
        distributions=("maxtext",),
        initialized=("MaxText.train", "maxtext.trainers.pre_train.train"),
        environment=("MAXTEXT_REPO_ROOT", "MAXTEXT_ASSETS_ROOT"),
        aliases=("max_text",),
    ),
    Framework("levanter", WRAPPER, modules=("levanter",), distributions=("levanter",)),
    Framework(
        "lightning",
        WRAPPER,
        modules=("lightning.pytorch.trainer", "pytorch_lightning.trainer"),
        distributions=("lightning", "pytorch-lightning"),
        versions=(
            "lightning.pytorch.__version__:version",
            "lightning:__version__",
            "pytorch_lightning.__version__:version",
            "pytorch_lightning:__version__",
        ),
        environment=("PL_GLOBAL_SEED", "LT_ACCELERATOR", "LT_STRATEGY"),
        aliases=("pytorch_lightning", "py_torch_lightning"),
    ),
    Framework(
        "transformers_trainer",
        WRAPPER,
        modules=("transformers.trainer",),
        distributions=("transformers",),
        versions=("transformers:__version__",),
        aliases=("hf_trainer", "huggingface_trainer"),
    ),
    Framework(
        "accelerate",
        WRAPPER,
        modules=("accelerate",),
        distributions=("accelerate",),
        versions=("accelerate:__version__",),
        initialized=("accelerate.state:AcceleratorState._shared_state", "accelerate.state:PartialState._shared_state"),
        environment=("ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_FSDP", "ACCELERATE_DYNAMO_BACKEND"),
        counts=_accelerate_counts,
    ),
    Framework(
        "keras",
        WRAPPER,
        modules=("keras", "tf_keras"),
        distributions=("keras", "tf-keras"),
        versions=("keras:__version__", "keras.src.version:__version__", "tf_keras:__version__"),
        environment=("KERAS_BACKEND",),
        counts=_keras_counts,
    ),
    Framework(
        "megatron_bridge",
        BASE,
        modules=("megatron.bridge",),
        distributions=("megatron-bridge",),
        versions=("megatron.bridge:__version__", "megatron.bridge.package_info:__version__"),
        initialized=("megatron.bridge.training.pretrain",),
    ),
    Framework(
        "megatron",
        BASE,
        modules=("megatron.training", "megatron.core"),
        # There is no megatron.__version__.
        distributions=("megatron-core",),
        versions=("megatron.core:__version__", "megatron.core.package_info:__version__"),
        initialized=("megatron.training.global_vars:_GLOBAL_ARGS",),
        environment=("MEGATRON_CONFIG", "MEGATRON_LM_PATH"),
        config_keys=("megatron_config",),
        aliases=("megatron_lm", "megatron_core", "mcore"),
    ),
    Framework(
        "deepspeed",
        BASE,
        modules=("deepspeed",),
        distributions=("deepspeed",),
        versions=("deepspeed:__version__",),
        initialized=("deepspeed.comm.comm:cdb",),
        environment=("ACCELERATE_USE_DEEPSPEED", "DEEPSPEED_CONFIG", "DS_CONFIG", "DEEPSPEED_VERSION"),
        config_keys=("deepspeed_config",),
        aliases=("deep_speed",),
    ),
    Framework(
        "torchtitan",
        BASE,
        modules=("torchtitan",),
        distributions=("torchtitan",),
        versions=("torchtitan:__version__",),
        aliases=("titan", "torch_titan"),
    ),
    Framework(
        "torchtune",
        BASE,
        modules=("torchtune",),
        distributions=("torchtune",),
        versions=("torchtune:__version__",),
    ),
    Framework(
        "jax",
        BASE,
        modules=("jax",),
        distributions=("jax",),
        versions=("jax:__version__", "jax.version:__version__"),
        # A dict of the backends that are started; read, never filled, by us.
        initialized=("jax._src.xla_bridge:_backends",),
        # Not JAX_PLATFORMS: images and operators set it for whatever may run.
        environment=("JAX_COORDINATOR_ADDRESS",),
        counts=_jax_counts,
    ),
    Framework(
        "transformers",
        BASE,
        modules=("transformers",),
        distributions=("transformers",),
        versions=("transformers:__version__",),
        initialized=("transformers.modeling_utils", "transformers.trainer"),
        aliases=("huggingface", "hf", "hf_transformers"),
        is_general=True,
        counts=_transformers_counts,
    ),
    Framework(
        "pytorch",
        BASE,
        modules=("torch",),
        distributions=("torch",),
        versions=("torch:__version__", "torch.version:__version__"),
        aliases=("torch", "py_torch"),
        is_general=True,
    ),
    Framework(
        "tensorflow",
        BASE,
        modules=("tensorflow",),
        distributions=("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly"),
        versions=("tensorflow:__version__",),
        aliases=("tf", "tensor_flow"),
        is_general=True,
    ),
)

BY_NAME = {framework.name: framework for framework in FRAMEWORKS}
MODULES = tuple(sorted({module for framework in FRAMEWORKS for module in framework.modules} | {WANDB_FOR_KERAS}))
ENVIRONMENT = tuple(name for framework in FRAMEWORKS for name in framework.environment)

_NAMES = {alias: framework.name for framework in FRAMEWORKS for alias in (framework.name, *framework.aliases)}
_WORD = r"[A-Z]{1,64}(?![a-z])|[A-Z]?[a-z]{1,64}|[A-Z]|[0-9]{1,64}"


def canonical_name(text: str) -> str:
    """The table's name for what a config or a variable calls a framework; empty for what is no name at all.

    Names that the table has not pass in lower case: Primus gets new backends faster than we releases.
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.strip().lower()[:64]).strip("_")
    return _NAMES.get(name, name)


def mentioned(text: str) -> "List[str]":
    """The frameworks that a free text ("my-DeepSpeed-run", "MegatronTrainer") names, by whole words."""
    words = [word.lower() for word in re.findall(_WORD, text[:512])]
    spellings = "_%s_%s_" % ("_".join(words), re.sub(r"[^a-z0-9]+", "_", text[:512].lower()))
    return list(dict.fromkeys(name for alias, name in _NAMES.items() if "_%s_" % alias in spellings))
