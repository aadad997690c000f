"""GPUs from the kernel's and the driver's own files. The trees are as MI300X and H100 machines have them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Tuple

import pytest

from primus_lens_wandb_exporter.detection import nvml
from primus_lens_wandb_exporter.detection.hardware import hardware_evidence

from . import stand_ins
from .stand_ins import Modules

NOTHING = {
    "gpu_arch": "",
    "gpu_count": 0,
    "gpu_memory_gb": 0.0,
    "gpu_name": "",
    "rocm_version": "",
    "cuda_version": "",
}


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("%s\n" % text)


def add_amd(root: Path, count: int, device_id: int = 0x74A1, target: int = 90402, **files: object) -> None:
    """A machine with one CPU node and GPUs, as /sys/class/kfd and /sys/class/drm show them."""
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    write(nodes / "0/gpu_id", 0)
    write(nodes / "0/properties", "cpu_cores_count 96\nsimd_count 0")
    for index in range(count):
        device = root / "sys/devices/pci0000:00" / ("0000:%02x:00.0" % (5 + index))
        files_of_card = {"vendor": "0x1002", "device": hex(device_id), "mem_info_vram_total": 192 * 2**30, **files}
        for name, text in files_of_card.items():
            write(device / name, text)
        link = root / ("sys/class/drm/renderD%d/device" % (128 + index))
        link.parent.mkdir(parents=True)
        link.symlink_to(device)
        properties = "simd_count 1216\ngfx_target_version %d\nvendor_id 4098\ndevice_id %d\ndrm_render_minor %d"
        write(nodes / str(index + 1) / "gpu_id", 40000 + index)
        write(nodes / str(index + 1) / "properties", properties % (target, device_id, 128 + index))


def add_nvidia(root: Path, count: int, model: str = "NVIDIA H100 80GB HBM3") -> None:
    write(root / "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15")
    for index in range(count):
        text = "Model: \t\t %s\nIRQ:   \t\t 66\nGPU UUID: \t GPU-%d" % (model, index)
        write(root / ("proc/driver/nvidia/gpus/0000:%02x:00.0/information" % index), text)


def evidence(root: Path, modules: Modules, **environment: str) -> Dict[str, Any]:
    return hardware_evidence(environment, modules, str(root))


def test_a_machine_without_gpus_has_none(tmp_path: Path, modules: Modules) -> None:
    assert evidence(tmp_path, modules) == NOTHING


def test_eight_mi300x(tmp_path: Path, modules: Modules) -> None:
    add_amd(tmp_path, 8)
    write(tmp_path / "opt/rocm/.info/version", "6.4.1-83")
    assert evidence(tmp_path, modules) == {
        "gpu_arch": "mi300x",
        "gpu_count": 8,
        "gpu_memory_gb": 192.0,
        "gpu_name": "AMD Instinct MI300X",
        "rocm_version": "6.4.1",
        "cuda_version": "",
    }


@pytest.mark.parametrize(
    ("device_id", "target", "arch"),
    [
        (0x74A1, 90402, "mi300x"),
        (0x74A5, 90402, "mi325x"),
        (0x75A3, 90500, "mi355x"),
        (0x740F, 90010, "mi210"),
        # Device ids that this exporter does not know yet.
        (0xFFFF, 90402, "mi300x"),
        (0xFFFF, 90010, "mi250x"),
        (0xFFFF, 120000, "gfx1200"),
        (0xFFFF, 110003, "gfx1103"),
    ],
)
def test_amd_gpus_are_named_by_device_and_instruction_set(
    tmp_path: Path, modules: Modules, device_id: int, target: int, arch: str
) -> None:
    add_amd(tmp_path, 1, device_id, target)
    assert evidence(tmp_path, modules)["gpu_arch"] == arch


def test_the_kernels_own_name_of_a_gpu_is_preferred(tmp_path: Path, modules: Modules) -> None:
    add_amd(tmp_path, 1, product_name="AMD Instinct MI300X OAM")
    assert evidence(tmp_path, modules)["gpu_name"] == "AMD Instinct MI300X OAM"


def test_memory_is_read_from_the_node_where_the_card_does_not_say(tmp_path: Path, modules: Modules) -> None:
    add_amd(tmp_path, 1, mem_info_vram_total="garbage")
    bank = tmp_path / "sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties"
    write(bank, "heap_type 1\nsize_in_bytes %d\nflags 0" % (64 * 2**30))
    assert evidence(tmp_path, modules)["gpu_memory_gb"] == 64.0


def test_cards_without_a_topology_count_too(tmp_path: Path, modules: Modules) -> None:
    for card, vendor in enumerate(("0x1002", "0x1a03")):
        device = tmp_path / ("sys/class/drm/card%d/device" % card)
        for name, text in {"vendor": vendor, "device": "0x740f", "mem_info_vram_total": 64 * 2**30}.items():
            write(device / name, text)
    found = evidence(tmp_path, modules)
    assert (found["gpu_arch"], found["gpu_count"], found["gpu_memory_gb"]) == ("mi210", 1, 64.0)


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({"HIP_VISIBLE_DEVICES": "0,1"}, 2),
        ({"ROCR_VISIBLE_DEVICES": "2,3,4"}, 3),
        ({"ROCR_VISIBLE_DEVICES": "2,3,4", "HIP_VISIBLE_DEVICES": "0"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "5"}, 1),
        ({"HIP_VISIBLE_DEVICES": "-1"}, 0),
    ],
)
def test_amd_gpus_are_narrowed_as_hip_narrows_them(
    tmp_path: Path, modules: Modules, variables: Dict[str, str], count: int
) -> None:
    add_amd(tmp_path, 8)
    found = evidence(tmp_path, modules, **variables)
    # A process that hides the GPUs still runs on such a machine.
    assert (found["gpu_count"], found["gpu_arch"]) == (count, "mi300x")


def test_rocms_version_comes_from_a_loaded_torch_or_a_variable_where_rocm_is_not_installed(
    tmp_path: Path, modules: Modules
) -> None:
    stand_ins.torch(modules)
    assert evidence(tmp_path, modules)["rocm_version"] == "6.4.43482"
    assert evidence(tmp_path, modules, ROCM_VERSION="6.3.0")["rocm_version"] == "6.3.0"


class FakeNvml(SimpleNamespace):
    """pynvml as `nvidia-ml-py` makes it, with as many H100 as asked."""

    def __init__(self, count: int, broken: Tuple[str, ...] = (), name: Any = "NVIDIA H100 80GB HBM3") -> None:
        answers = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": count,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": name,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=85520809984),
            "nvmlSystemGetCudaDriverVersion": 12040,
            "nvmlShutdown": None,
        }
        self.calls = []  # type: list[str]
        super().__init__(**{call: self._answering(call, answer, call in broken) for call, answer in answers.items()})

    def _answering(self, call: str, answer: Any, is_broken: bool) -> Any:
        def answering(*_: Any) -> Any:
            self.calls.append(call)
            if is_broken:
                raise RuntimeError(call)
            return answer

        return answering


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3", b"NVIDIA H100 80GB HBM3"])
def test_eight_h100_through_a_pynvml_that_is_loaded(tmp_path: Path, modules: Modules, name: Any) -> None:
    add_nvidia(tmp_path, 8)
    modules["pynvml"] = library = FakeNvml(8, name=name)
    assert evidence(tmp_path, modules) == {
        "gpu_arch": "h100",
        "gpu_count": 8,
        "gpu_memory_gb": 79.6,
        "gpu_name": "NVIDIA H100 80GB HBM3",
        "rocm_version": "",
        "cuda_version": "12.4",
    }
    assert library.calls.count("nvmlInit") == library.calls.count("nvmlShutdown") == 1


@pytest.mark.parametrize("broken", ["nvmlDeviceGetMemoryInfo", "nvmlSystemGetCudaDriverVersion", "nvmlShutdown"])
def test_what_nvml_does_not_answer_is_left_out(tmp_path: Path, modules: Modules, broken: str) -> None:
    add_nvidia(tmp_path, 2)
    modules["pynvml"] = FakeNvml(2, (broken,))
    found = evidence(tmp_path, modules)
    assert (found["gpu_count"], found["gpu_arch"]) == (2, "h100")


def test_without_nvml_the_drivers_files_say_what_they_can(
    tmp_path: Path, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "_LIBRARY", "no-such-library.so")
    add_nvidia(tmp_path, 4, "NVIDIA A100-SXM4-80GB")
    found = evidence(tmp_path, modules)
    assert found == {**NOTHING, "gpu_arch": "a100", "gpu_count": 4, "gpu_name": "NVIDIA A100-SXM4-80GB"}


def test_nvml_is_not_asked_on_a_machine_without_nvidias_driver(tmp_path: Path, modules: Modules) -> None:
    modules["pynvml"] = library = FakeNvml(8)
    assert evidence(tmp_path, modules) == NOTHING
    assert library.calls == []


@pytest.mark.parametrize(
    ("text", "count"), [("0,1", 2), ("", 0), ("-1", 0), ("0,9,1", 1), ("GPU-1a,GPU-2b", 2), ("MIG-1a", 1)]
)
def test_nvidia_gpus_are_narrowed_as_cuda_narrows_them(tmp_path: Path, modules: Modules, text: str, count: int) -> None:
    add_nvidia(tmp_path, 8)
    modules["pynvml"] = FakeNvml(8)
    assert evidence(tmp_path, modules, CUDA_VISIBLE_DEVICES=text)["gpu_count"] == count


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA GB200", "gb200"),
        ("Tesla V100-SXM2-32GB", "v100"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Tesla T4", "t4"),
        ("Something", "something"),
    ],
)
def test_nvidia_gpus_are_named_by_their_model(tmp_path: Path, modules: Modules, name: str, arch: str) -> None:
    add_nvidia(tmp_path, 1, name)
    modules["pynvml"] = FakeNvml(1, name=name)
    assert evidence(tmp_path, modules)["gpu_arch"] == arch


@pytest.mark.parametrize("name", ["GPU_ARCH", "AMD_GPU_ARCH", "NVIDIA_GPU_ARCH"])
def test_a_variable_names_the_gpus_where_the_machine_shows_none(tmp_path: Path, modules: Modules, name: str) -> None:
    assert evidence(tmp_path, modules, **{name: "gfx942"})["gpu_arch"] == "gfx942"
