"""Stand-ins for what these tests cannot install: frameworks, with their own module names and objects; wandb runs."""

from argparse import Namespace
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, Optional

from primus_lens_wandb_exporter.detection import build_detection, collect_facts
from primus_lens_wandb_exporter.detection.hints import Finding, find_frameworks
from primus_lens_wandb_exporter.identity import Identity

IDENTITY = Identity("workload", "uid", "pod", "namespace")


class Modules(Dict[str, Any]):
    """What `sys.modules` would hold."""

    def load(self, name: str, **attributes: Any) -> "Modules":
        """Adds a module, and its parents as importing it would."""
        parent = name.rpartition(".")[0]
        if parent and parent not in self:
            self.load(parent)
        module = self.setdefault(name, ModuleType(name))
        for attribute, value in attributes.items():
            setattr(module, attribute, value)
        return self


def torch(modules: Modules) -> None:
    class TorchVersion(str):
        """torch's own: a text that compares as a version."""

    modules.load("torch", __version__=TorchVersion("2.9.0+rocm6.4"))
    modules.load("torch.version", hip="6.4.43482-0f2d60242", cuda=None)
    modules.load("torch.cuda", _initialized=False)


def megatron(modules: Modules, is_initialized: bool = True) -> None:
    torch(modules)
    modules.load("megatron.core", __version__="0.15.0")
    modules.load("megatron.training.global_vars", _GLOBAL_ARGS=Namespace(lr=1e-4) if is_initialized else None)


def primus(modules: Modules, *backends: str) -> None:
    class MegatronAdapter:
        pass

    class BackendRegistry:
        _path_names = {"megatron": "Megatron-LM", "torchtitan": "torchtitan"}
        _adapters: Dict[str, type] = dict.fromkeys(backends, MegatronAdapter)

    modules.load("primus", __version__="0.8.0")
    modules.load("primus.core.runtime.train_runtime")
    modules.load("primus.core.backend.backend_registry", BackendRegistry=BackendRegistry)


def lightning(modules: Modules) -> None:
    torch(modules)
    modules.load("lightning", __version__="2.6.0").load("lightning.pytorch.trainer")


def hugging_face_trainer(modules: Modules) -> None:
    torch(modules)
    modules.load("transformers", __version__="4.57.0").load("transformers.trainer")
    accelerate(modules, is_used=True)


def accelerate(modules: Modules, is_used: bool) -> None:
    class AcceleratorState:
        _shared_state: Dict[str, Any] = {"device": "cuda"} if is_used else {}

    modules.load("accelerate", __version__="1.11.0").load("accelerate.state", AcceleratorState=AcceleratorState)


def deepspeed(modules: Modules, is_initialized: bool = True) -> None:
    torch(modules)
    modules.load("deepspeed", __version__="0.18.1")
    modules.load("deepspeed.comm.comm", cdb=SimpleNamespace() if is_initialized else None)


def keras(modules: Modules, backend: str) -> None:
    modules.load("keras", __version__="3.12.0").load("keras.src.backend.config", _BACKEND=backend)
    modules.load("torch" if backend == "torch" else backend)


class Config:
    """wandb's Config: everything is an item; unknown attributes are looked up there and missing ones raise."""

    def __init__(self, items: Dict[str, Any]) -> None:
        object.__setattr__(self, "_items", items)

    def __getattr__(self, key: str) -> Any:
        return self._items[key]


class Run:
    """A wandb 0.31 run: its facts are in the settings, and every property would ask wandb's service."""

    def __init__(self, config: Optional[Dict[str, Any]] = None, project: str = "project") -> None:
        self._config = Config(dict(config or {}, _wandb={"cli_version": "0.31.0"}))
        self._settings = SimpleNamespace(project=project, run_name="name", run_id="id", run_tags=("a", "b"))

    def _ask_the_service(self) -> Any:
        raise AssertionError("a property of the run was read: in a child it would attach to wandb's service")

    config = project = name = id = tags = step = property(_ask_the_service)


class OldRun(Run):
    """A wandb 0.12 to 0.18 run: its facts are its own attributes, or in the server's answer."""

    def __init__(self, config: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(config)
        self._settings = SimpleNamespace(project=None, run_name=None, run_id=None, run_tags=None)
        self._project, self._name, self._run_id, self._tags = "project", None, "id", ("a", "b")
        self._run_obj = SimpleNamespace(project="project", display_name="name", run_id="id")


def find(modules: Modules, config: Optional[Dict[str, Any]] = None, project: str = "") -> Finding:
    return find_frameworks(collect_facts(Run(config, project), modules))


def payload(modules: Modules, config: Optional[Dict[str, Any]] = None, project: str = "") -> Dict[str, Any]:
    return build_detection(collect_facts(Run(config, project), modules), IDENTITY, 1.5, modules)
