"""The real module ``pynvml`` (whichever package is installed) on a shared library that stands in for the driver's."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, json, time
from primus_lens_wandb_exporter.system_metrics.sampler import SystemSampler
import pynvml
sampler = SystemSampler(0.005, environ={"CUDA_VISIBLE_DEVICES": "GPU-2,GPU-1"})
library = ctypes.CDLL("libnvidia-ml.so.1")
samples = []
for _ in range(2):
    sampler.start()
    deadline = time.monotonic() + 20
    while "_primus_gpu_1_temp_c" not in sampler.latest() and time.monotonic() < deadline:
        time.sleep(0.01)
    sample = {name: value for name, value in sampler.latest().items() if "gpu" in name}
    samples.append([library.test_opened(), sample])
    sampler.stop()
    while library.test_opened() and time.monotonic() < deadline:
        time.sleep(0.01)
print(json.dumps([hasattr(pynvml, "nvmlMemory_v2"), library.test_opened(), samples]))
"""


# Looked up before the fixture that hides it from the other tests.
@pytest.mark.skipif(
    "pynvml" not in sys.modules and importlib.util.find_spec("pynvml") is None,
    reason="neither nvidia-ml-py nor nvidia-ml-py3 is installed",
)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to build the stand-in for NVIDIA's library")
def test_figures_come_through_the_real_module(tmp_path: Path) -> None:
    source = Path(__file__).with_name("fake_nvml.c")
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(library), str(source)], check=True)
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), LD_LIBRARY_PATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=60,
    ).stdout
    has_second_version, opened_at_the_end, samples = json.loads(output)
    used = 9216.0 if has_second_version else 10240.0
    assert opened_at_the_end == 0
    for opened, sample in samples:
        assert opened == 1
        assert sample == {
            # The second GPU's power answers NVML_ERROR_UNKNOWN.
            "_primus_gpu_0_util": 41.0,
            "_primus_gpu_0_mem_used_mb": used,
            "_primus_gpu_0_mem_percent": round(used / 819.2, 3),
            "_primus_gpu_0_temp_c": 66.0,
            "_primus_gpu_1_util": 40.0,
            "_primus_gpu_1_mem_used_mb": used,
            "_primus_gpu_1_mem_percent": round(used / 819.2, 3),
            "_primus_gpu_1_power_w": 123.4,
            "_primus_gpu_1_temp_c": 66.0,
        }
