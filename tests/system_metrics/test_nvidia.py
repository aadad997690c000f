from typing import Any, Callable, Dict, List

import pytest

from primus_lens_wandb_exporter.system_metrics.nvidia import open_nvidia
from primus_lens_wandb_exporter.system_metrics.sampler import SystemSampler

from . import fake_nvml
from .conftest import until
from .fake_nvml import Driver, Gpu, Mig, make_pynvml

Install = Callable[[str, Any], None]


def three_gpus() -> Driver:
    return Driver(
        [
            Gpu("GPU-aaaa1111-0000-0000-0000-000000000000", util=10, used_mib=100),
            Gpu("GPU-bbbb2222-0000-0000-0000-000000000000", util=20, used_mib=200),
            Gpu("GPU-bbcc3333-0000-0000-0000-000000000000", util=30, used_mib=300),
        ]
    )


@pytest.fixture(params=["old", "new"])
def flavour(request: Any) -> str:
    return str(request.param)


def sample(environ: Dict[str, str], times: int = 1) -> Dict[str, float]:
    gpus = open_nvidia(environ, "/nowhere")
    assert gpus is not None
    for _ in range(times):
        values: Dict[str, float] = {}
        gpus.read_into(values)
    gpus.close()
    return values


def utils(environ: Dict[str, str]) -> List[float]:
    values = sample(environ)
    return [values[f"_primus_gpu_{index}_util"] for index in range(len(values) // 5)]


def test_every_figure_has_its_name_and_unit(install_module: Install, flavour: str) -> None:
    install_module("pynvml", make_pynvml(Driver([Gpu("GPU-1", util=73, used_mib=1000, total_mib=4000)]), flavour))
    # The older module only knows the count that includes what the driver keeps for itself.
    used = 1000.0 if flavour == "new" else 1500.0
    assert sample({}) == {
        "_primus_gpu_0_util": 73.0,
        "_primus_gpu_0_mem_used_mb": used,
        "_primus_gpu_0_mem_percent": used / 40,
        "_primus_gpu_0_power_w": 300.5,
        "_primus_gpu_0_temp_c": 61.0,
    }


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,0", [30, 10]),
        ("GPU-bbbb,GPU-aaaa1111-0000-0000-0000-000000000000", [20, 10]),
        ("0,7,1", [10]),
        ("GPU-aaaa,GPU-bb,GPU-bbcc", [10]),
        ("", []),
        ("-1", []),
    ],
)
def test_only_visible_gpus_count_in_the_jobs_order(
    install_module: Install, flavour: str, visible: str, expected: List[float]
) -> None:
    install_module("pynvml", make_pynvml(three_gpus(), flavour))
    assert utils({"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_all_gpus_count_where_nothing_is_set(install_module: Install, flavour: str) -> None:
    install_module("pynvml", make_pynvml(three_gpus(), flavour))
    assert utils({}) == [10, 20, 30]


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        ("MIG-22222222-0000-0000-0000-000000000000", [22]),
        ("MIG-2222,MIG-1111", [22, 11]),
        ("MIG-GPU-aaaa/2/0", [22]),
        ("MIG-GPU-aaaa/9/0", []),
        ("MIG-3333", []),
        # CUDA shows the first of a partitioned GPU's devices.
        ("0", [11]),
        ("0,1", [11, 1000]),
        ("GPU-aaaa", [11]),
        (None, [11, 1000]),
    ],
)
def test_mig_devices_tell_their_memory_and_nothing_that_they_do_not_have(
    install_module: Install, warnings: List[str], visible: "str | None", used: List[float]
) -> None:
    driver = Driver([Gpu("GPU-aaaa1111-0000-0000-0000-000000000000"), Gpu("GPU-bbbb")])
    driver.gpus[0].migs = [
        Mig("MIG-11111111-0000-0000-0000-000000000000", 1, used_mib=11),
        Mig("MIG-22222222-0000-0000-0000-000000000000", 2, used_mib=22),
    ]
    install_module("pynvml", make_pynvml(driver, "new"))
    values = sample({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}, times=2)
    assert [values[f"_primus_gpu_{index}_mem_used_mb"] for index in range(len(used))] == used
    if used and used[0] in (11, 22):
        assert [name for name in values if "gpu_0" in name] == [
            "_primus_gpu_0_mem_used_mb",
            "_primus_gpu_0_mem_percent",
        ]
    assert warnings == []


def test_the_older_module_finds_mig_devices_by_their_whole_name(install_module: Install) -> None:
    driver = Driver([Gpu("GPU-aaaa")])
    driver.gpus[0].migs = [Mig("MIG-11111111-0000-0000-0000-000000000000", 1, used_mib=11)]
    install_module("pynvml", make_pynvml(driver, "old"))
    values = sample({"CUDA_VISIBLE_DEVICES": "MIG-11111111-0000-0000-0000-000000000000"})
    assert values["_primus_gpu_0_mem_used_mb"] == 511.0


def test_a_reading_that_the_hardware_lacks_is_left_out_without_a_word(
    install_module: Install, flavour: str, warnings: List[str]
) -> None:
    driver = three_gpus()
    driver.gpus[1].errors["nvmlDeviceGetUtilizationRates"] = fake_nvml.NOT_SUPPORTED
    install_module("pynvml", make_pynvml(driver, flavour))
    values = sample({}, times=10)
    assert "_primus_gpu_1_util" not in values
    assert values["_primus_gpu_1_mem_used_mb"] > 0
    assert values["_primus_gpu_2_util"] == 30
    assert driver.calls.count("nvmlDeviceGetUtilizationRates") == 2 * 10 + 1
    assert warnings == []


def test_a_reading_that_fails_again_and_again_is_said_once_and_left_alone(
    install_module: Install, flavour: str, warnings: List[str]
) -> None:
    driver = Driver([Gpu("GPU-1")])
    driver.gpus[0].errors["nvmlDeviceGetPowerUsage"] = fake_nvml.UNKNOWN
    install_module("pynvml", make_pynvml(driver, flavour))
    values = sample({}, times=50)
    assert "_primus_gpu_0_power_w" not in values
    assert values["_primus_gpu_0_util"] == 50
    assert driver.calls.count("nvmlDeviceGetPowerUsage") == 3
    assert warnings == ["Primus Lens: power of GPU 0 cannot be read (Unknown Error): it is left out"]


def test_a_reading_comes_back_when_the_trouble_is_over(install_module: Install, warnings: List[str]) -> None:
    driver = Driver([Gpu("GPU-1")])
    install_module("pynvml", make_pynvml(driver, "new"))
    gpus = open_nvidia({}, "/nowhere")
    assert gpus is not None
    driver.gpus[0].errors["nvmlDeviceGetPowerUsage"] = fake_nvml.UNKNOWN
    for _ in range(30):
        gpus.read_into({})
    driver.gpus[0].errors.clear()
    values: Dict[str, float] = {}
    for _ in range(60):
        gpus.read_into(values)
    gpus.close()
    assert values["_primus_gpu_0_power_w"] == 300.5
    assert len(warnings) == 1


def test_a_lost_gpu_is_said_once_and_left_alone_and_the_others_keep_their_numbers(
    install_module: Install, flavour: str, warnings: List[str]
) -> None:
    driver = three_gpus()
    for name in ("UtilizationRates", "MemoryInfo", "MemoryInfo_v2", "PowerUsage", "Temperature"):
        driver.gpus[1].errors["nvmlDeviceGet" + name] = fake_nvml.GPU_IS_LOST
    install_module("pynvml", make_pynvml(driver, flavour))
    values = sample({}, times=10)
    assert [name for name in values if "gpu_1" in name] == []
    assert values["_primus_gpu_2_util"] == 30
    assert driver.calls.count("nvmlDeviceGetUtilizationRates") == 2 * 10 + 1
    assert warnings == ["Primus Lens: GPU 1 is lost: GPU is lost; it is left alone from now on"]


def test_a_gpu_that_is_lost_before_the_run_keeps_its_number(install_module: Install, warnings: List[str]) -> None:
    driver = three_gpus()
    driver.gpus[0].errors["nvmlDeviceGetHandleByIndex"] = fake_nvml.GPU_IS_LOST
    install_module("pynvml", make_pynvml(driver, "new"))
    values = sample({})
    assert "_primus_gpu_0_util" not in values
    assert values["_primus_gpu_1_util"] == 20
    assert len(warnings) == 1


@pytest.mark.parametrize("code", [12, 9])
def test_a_machine_without_the_driver_is_no_trouble(
    install_module: Install, flavour: str, warnings: List[str], code: int
) -> None:
    driver = three_gpus()
    driver.init_error = code
    install_module("pynvml", make_pynvml(driver, flavour))
    assert open_nvidia({}, "/nowhere") is None
    assert warnings == []


def test_a_driver_that_does_not_fit_its_library_is_said(install_module: Install, warnings: List[str]) -> None:
    driver = three_gpus()
    driver.init_error = 18
    install_module("pynvml", make_pynvml(driver, "new"))
    assert open_nvidia({}, "/nowhere") is None
    assert len(warnings) == 1
    assert "version mismatch" in warnings[0]


def test_a_missing_pynvml_is_said_where_there_are_nvidia_gpus(tmp_path: Any, warnings: List[str]) -> None:
    assert open_nvidia({}, str(tmp_path)) is None
    assert warnings == []
    (tmp_path / "driver" / "nvidia").mkdir(parents=True)
    (tmp_path / "driver" / "nvidia" / "version").write_text("NVRM version: 570\n")
    assert open_nvidia({}, str(tmp_path)) is None
    assert len(warnings) == 1
    assert "pip install --force-reinstall nvidia-ml-py" in warnings[0]


def test_nvml_is_closed_with_the_last_run_and_opened_again_with_the_next(
    install_module: Install, sampler_of: Callable[..., SystemSampler], flavour: str
) -> None:
    driver = three_gpus()
    install_module("pynvml", make_pynvml(driver, flavour))
    sampler = sampler_of()
    for _ in range(2):
        sampler.start()
        sampler.start()
        until(lambda: sampler.latest().get("_primus_gpu_2_util") == 30)
        assert driver.open == 1
        sampler.stop()
        assert driver.open == 1
        sampler.stop()
        until(lambda: driver.open == 0)
