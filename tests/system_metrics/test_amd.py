import contextlib
import io
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from primus_lens_wandb_exporter.system_metrics import amd_topology, amdsmi_library, gauges
from primus_lens_wandb_exporter.system_metrics.amd import open_amd

from .fake_amd import MIB, AmdSmiLibraryException, Smi, Sysfs, gpu_answers, make_amdsmi

Install = Callable[[str, Any], None]


@pytest.fixture
def tree(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


def sample(tree: Sysfs, environ: "Dict[str, str] | None" = None, times: int = 1) -> Dict[str, float]:
    gpus = open_amd(environ or {}, str(tree.root))
    assert gpus is not None
    for _ in range(times):
        values: Dict[str, float] = {}
        gpus.read_into(values)
    gpus.close()
    return values


def utils(values: Dict[str, float]) -> List[float]:
    return [values[name] for name in sorted(values) if name.endswith("_util")]


def test_every_figure_has_its_name_and_unit(tree: Sysfs) -> None:
    tree.add_gpu(0, "0000:05:00.0", busy=87)
    assert sample(tree) == {
        "_primus_gpu_0_util": 87.0,
        "_primus_gpu_0_mem_used_mb": 2048.0,
        "_primus_gpu_0_mem_percent": 1.042,
        "_primus_gpu_0_power_w": 750.0,
        "_primus_gpu_0_temp_c": 55.0,
    }


def test_the_average_power_and_the_only_temperature_serve_older_gpus(tree: Sysfs) -> None:
    device = tree.add_gpu(0, "0000:05:00.0")
    tree.write(device / "hwmon" / "hwmon5" / "power1_average", 120_500_000)
    (device / "hwmon" / "hwmon5" / "temp2_input").unlink()
    values = sample(tree)
    assert values["_primus_gpu_0_power_w"] == 120.5
    assert values["_primus_gpu_0_temp_c"] == 40.0


def test_without_kfd_cards_count_by_pci_address_and_other_vendors_not_at_all(tree: Sysfs) -> None:
    # Card 0 is the server's own display, card 10 comes before card 9 on the bus.
    tree.add_gpu(0, "0000:02:00.0", vendor="0x1a03")
    tree.add_gpu(1, "0000:c5:00.0", busy=3)
    tree.add_gpu(9, "0000:75:00.0", busy=2)
    tree.add_gpu(10, "0000:05:00.0", busy=1)
    tree.add_gpu(11, "0001:01:00.0", busy=4)
    (tree.root / "class" / "drm" / "version").write_text("drm 1.1.0 20060810\n")
    assert utils(sample(tree)) == [1, 2, 3, 4]


def test_a_display_card_without_figures_is_no_gpu(tree: Sysfs) -> None:
    device = tree.add_gpu(0, "0000:05:00.0")
    for name in ("gpu_busy_percent", "mem_info_vram_used", "mem_info_vram_total"):
        (device / name).unlink()
    assert open_amd({}, str(tree.root)) is None


def test_a_machine_without_amd_gpus_has_none(tree: Sysfs, tmp_path: Path) -> None:
    assert open_amd({}, str(tree.root)) is None
    assert open_amd({}, str(tmp_path / "nothing")) is None


def test_a_file_that_answers_an_error_gives_no_value_and_is_said_once(tree: Sysfs, warnings: List[str]) -> None:
    tree.add_gpu(0, "0000:05:00.0", busy=1)
    broken = tree.add_gpu(1, "0000:06:00.0", busy=2)
    # Reading the first page of a process's memory answers EIO, also to root.
    (broken / "gpu_busy_percent").unlink()
    (broken / "gpu_busy_percent").symlink_to("/proc/self/mem")
    (broken / "mem_info_vram_total").unlink()
    (broken / "mem_info_vram_total").mkdir()
    values = sample(tree, times=100)
    assert utils(values) == [1]
    assert values["_primus_gpu_1_mem_used_mb"] == 2048.0
    assert "_primus_gpu_1_mem_percent" not in values
    assert len(warnings) == 1
    assert "utilization of GPU 1 cannot be read ([Errno 5]" in warnings[0]


def test_a_file_that_holds_no_number_gives_no_value(tree: Sysfs) -> None:
    tree.add_gpu(0, "0000:05:00.0", busy=1, gpu_busy_percent="")
    assert utils(sample(tree)) == []


def test_gpus_are_filtered_by_id_and_by_index_and_numbered_as_hip_does(tree: Sysfs) -> None:
    for card, (address, unique_id) in enumerate([("05", "a1b2"), ("15", "c3d4"), ("65", "e5f6")]):
        tree.add_gpu(card, f"0000:{address}:00.0", busy=card, unique_id=unique_id)
    environ = {"ROCR_VISIBLE_DEVICES": "GPU-000000000000e5f6,0", "HIP_VISIBLE_DEVICES": "1,0"}
    values = sample(tree, environ)
    assert values["_primus_gpu_0_util"] == 0
    assert values["_primus_gpu_1_util"] == 2
    assert "_primus_gpu_2_util" not in values
    hidden = open_amd({"HIP_VISIBLE_DEVICES": "-1"}, str(tree.root))
    assert hidden is not None
    assert len(hidden) == 0


def test_with_kfd_gpus_count_in_the_order_of_its_nodes(tree: Sysfs) -> None:
    for node in range(2):
        tree.add_cpu_node(node)
    tree.add_gpu(1, "0000:05:00.0", busy=5)
    tree.add_gpu(2, "0000:15:00.0", busy=15)
    tree.add_node(2, 2, "0000:15:00.0", unique_id=0xAB)
    tree.add_node(10, 1, "0000:05:00.0", unique_id=0xCD)
    assert utils(sample(tree)) == [15, 5]
    assert utils(sample(tree, {"ROCR_VISIBLE_DEVICES": "GPU-00000000000000cd"})) == [5]


def test_gpus_that_the_container_was_not_given_do_not_count(tree: Sysfs, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.add_cpu_node(0)
    for number, address in enumerate(("0000:05:00.0", "0000:15:00.0"), 1):
        tree.add_gpu(number, address, busy=number)
        tree.add_node(number, number, address)
    forbidden = {"1"}

    def as_the_device_cgroup_allows(path: str) -> int:
        if Path(path).parent.name in forbidden:
            raise PermissionError(1, "Operation not permitted", path)
        return gauges.read_number(path)

    monkeypatch.setattr(amd_topology, "read_number", as_the_device_cgroup_allows)
    values = sample(tree)
    assert values["_primus_gpu_0_util"] == 2
    assert "_primus_gpu_1_util" not in values
    forbidden.add("2")
    assert open_amd({}, str(tree.root)) is None


@pytest.mark.parametrize("older_kernel", [False, True])
def test_partitions_of_an_mi300_are_gpus_of_their_own(tree: Sysfs, warnings: List[str], older_kernel: bool) -> None:
    # Two MI300X; the first in DPX mode: its second partition is a platform device without any files of its own.
    tree.add_cpu_node(0)
    tree.add_gpu(1, "0000:05:00.0", busy=40)
    platform = tree.root / "devices" / "platform" / "amdgpu_xcp.0"
    platform.mkdir(parents=True)
    tree.add_card(2, platform)
    tree.add_gpu(3, "0000:15:00.0", busy=90)
    first = tree.add_node(1, 1, "0000:05:00.0", unique_id=7)
    if older_kernel:
        second = tree.add_node(2, 2, "0000:05:00.1", unique_id=7)
    else:
        second = tree.add_node(2, 2, "0000:05:00.0", partition=1, unique_id=7)
    tree.add_node(3, 3, "0000:15:00.0", unique_id=8)
    for node, used in ((first, 100), (second, 200)):
        tree.write(node / "mem_banks" / "0" / "used_memory", used * MIB)
        tree.write(node / "mem_banks" / "0" / "properties", f"heap_type 1\nsize_in_bytes {1000 * MIB}")

    values = sample(tree, times=2)

    # What belongs to the whole GPU is not told as each partition's.
    assert {name: value for name, value in values.items() if "gpu_2" not in name} == {
        "_primus_gpu_0_mem_used_mb": 100.0,
        "_primus_gpu_0_mem_percent": 10.0,
        "_primus_gpu_0_temp_c": 55.0,
        "_primus_gpu_1_mem_used_mb": 200.0,
        "_primus_gpu_1_mem_percent": 20.0,
        "_primus_gpu_1_temp_c": 55.0,
    }
    assert values["_primus_gpu_2_util"] == 90
    assert values["_primus_gpu_2_power_w"] == 750.0
    assert sample(tree, {"HIP_VISIBLE_DEVICES": "1"})["_primus_gpu_0_mem_used_mb"] == 200.0
    assert warnings == []


def test_partitions_that_are_cards_without_load_tell_their_memory(tree: Sysfs, warnings: List[str]) -> None:
    for card in range(4):
        tree.add_gpu(card, f"0000:05:00.{card}", busy=None)
    values = sample(tree, times=5)
    assert [name for name in values if name.endswith("_util")] == []
    assert len([name for name in values if name.endswith("_mem_used_mb")]) == 4
    assert warnings == []


def test_amdsmi_is_asked_where_it_works(tree: Sysfs, install_module: Install) -> None:
    tree.add_gpu(0, "0000:05:00.0", busy=1)
    tree.add_gpu(1, "0000:c5:00.0", busy=2)
    # The library's own order does not matter.
    smi = Smi({"0000:c5:00.0": gpu_answers(util=66), "0000:05:00.0": gpu_answers(util=55)})
    install_module("amdsmi", make_amdsmi(smi))
    values = sample(tree, {"HIP_VISIBLE_DEVICES": "1"})
    assert values == {
        "_primus_gpu_0_util": 66.0,
        "_primus_gpu_0_mem_used_mb": 1500.0,
        "_primus_gpu_0_mem_percent": 0.763,
        "_primus_gpu_0_power_w": 640.0,
        "_primus_gpu_0_temp_c": 70.0,
    }


def test_what_amdsmi_refuses_is_read_from_sysfs(tree: Sysfs, install_module: Install, warnings: List[str]) -> None:
    tree.add_gpu(0, "0000:05:00.0", busy=33)
    answers = gpu_answers(util="N/A", power=0xFFFF)
    # AMDSMI_STATUS_NOT_SUPPORTED, and AMDSMI_STATUS_UNEXPECTED_DATA of a library older than the driver.
    answers["temperature"] = AmdSmiLibraryException(2)
    answers["vram"] = AmdSmiLibraryException(43)
    smi = Smi({"0000:05:00.0": answers})
    install_module("amdsmi", make_amdsmi(smi))
    values = sample(tree, times=20)
    assert values["_primus_gpu_0_util"] == 33
    assert values["_primus_gpu_0_power_w"] == 750.0
    assert values["_primus_gpu_0_temp_c"] == 55.0
    assert values["_primus_gpu_0_mem_used_mb"] == 2048.0
    assert [smi.calls.count(name) for name in ("activity", "temperature", "vram")] == [1, 1, 3]
    assert warnings == []


def test_amdsmi_serves_alone_where_there_is_no_sysfs(tmp_path: Path, install_module: Install) -> None:
    install_module("amdsmi", make_amdsmi(Smi({"0000:15:00.0": gpu_answers(2), "0000:05:00.0": gpu_answers(1)})))
    gpus = open_amd({"CUDA_VISIBLE_DEVICES": "1"}, str(tmp_path / "nothing"))
    assert gpus is not None
    values: Dict[str, float] = {}
    gpus.read_into(values)
    gpus.close()
    assert values["_primus_gpu_0_util"] == 2
    assert len(gpus) == 0


@pytest.mark.parametrize("error", [OSError("no library"), KeyError("libamd_smi.so"), AmdSmiLibraryException(34)])
def test_an_amdsmi_that_cannot_be_started_leaves_sysfs(
    tree: Sysfs, install_module: Install, warnings: List[str], error: Exception
) -> None:
    def amdsmi_init() -> None:
        raise error

    module = make_amdsmi(Smi({}))
    module.amdsmi_init = amdsmi_init
    install_module("amdsmi", module)
    tree.add_gpu(0, "0000:05:00.0", busy=33)
    assert utils(sample(tree)) == [33]
    assert warnings == []


def test_an_amdsmi_without_its_library_is_not_imported_because_it_would_print(
    tree: Sysfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "amdsmi"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import amdsmi_wrapper\n")
    (package / "amdsmi_wrapper.py").write_text("print('Unable to find it')\nraise KeyError('libamd_smi.so')\n")
    monkeypatch.delitem(sys.modules, "amdsmi")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    tree.add_gpu(0, "0000:05:00.0", busy=33)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert utils(sample(tree)) == [33]
    assert output.getvalue() == ""
    assert "amdsmi" not in sys.modules


@pytest.mark.parametrize(
    ("imported_by_us", "with_torch", "open_after"), [(True, False, 0), (True, True, 1), (False, False, 1)]
)
def test_amdsmi_is_shut_down_only_where_nobody_else_uses_it(
    tree: Sysfs,
    install_module: Install,
    monkeypatch: pytest.MonkeyPatch,
    imported_by_us: bool,
    with_torch: bool,
    open_after: int,
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(amdsmi_library, "_imported_by_us", imported_by_us)
    if with_torch:
        install_module("torch", object())
    tree.add_gpu(0, "0000:05:00.0")
    smi = Smi({"0000:05:00.0": gpu_answers()})
    install_module("amdsmi", make_amdsmi(smi))
    sample(tree)
    assert smi.open == open_after
