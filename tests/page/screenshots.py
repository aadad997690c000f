"""Takes pictures of the page with real runs: `python -m tests.page.screenshots [folder]`.

Starts a local Lens, trains examples/train_digits.py with three learning rates, and takes each view at 1280 and 400
pixels, light and dark. `docs/images/local-lens.png` is the one of the metrics at 1280 pixels, light.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, sync_playwright

from tests.page.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.support.lens import Lens, running_lens
from tests.support.training import clean_environment

ROOT = Path(__file__).resolve().parents[2]
WORKLOAD = "digits-learning-rate"
LEARNING_RATES = ("0.03", "0.1", "0.3")
SIZES = {1280: 800, 400: 860}
NARROW = 400


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, running_lens(Path(work)) as lens:
        for rate in LEARNING_RATES:
            train(lens, Path(work), rate)
        add_what_this_machine_lacks(lens)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
            for theme in ("light", "dark"):
                for width in SIZES:
                    take(browser, lens, folder, theme, width)
            browser.close()
    for path in sorted(folder.glob("*.png")):
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")
    return 0


def train(lens: Lens, directory: Path, learning_rate: str) -> None:
    environment = clean_environment(
        WORKLOAD_UID=WORKLOAD,
        PRIMUS_LENS_API_BASE_URL=lens.base_url,
        PRIMUS_LENS_WANDB_ENHANCE_METRICS="true",
        WANDB_MODE="offline",
        WANDB_SILENT="true",
        WANDB_DIR=str(directory),
        WANDB_NAME=f"lr-{learning_rate}",
    )
    script = ROOT / "examples" / "train_digits.py"
    command = [sys.executable, str(script), "--epochs", "12", "--batch-size", "24", "--learning-rate", learning_rate]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def add_what_this_machine_lacks(lens: Lens) -> None:
    """A workload with GPUs and a detection, for the tabs that show them."""
    now = time.time()
    for rank in range(2):
        body: dict[str, Any] = {"source": "wandb", "workload_uid": "llama-pretrain", "run_id": f"run{rank}"}
        body["metrics"] = [
            {"name": name, "value": value, "step": step, "timestamp": now - 600 + step}
            for step in range(600)
            for name, value in _figures(rank, step).items()
        ]
        requests.post(f"{lens.base_url}/wandb/metrics", json=body, timeout=60).raise_for_status()
        detection = {**body, "evidence": _evidence(rank), "hints": _HINTS, "timestamp": now}
        del detection["metrics"]
        requests.post(f"{lens.base_url}/wandb/detection", json=detection, timeout=60).raise_for_status()


def _figures(rank: int, step: int) -> dict[str, float]:
    sample = step // 5  # the exporter samples every 5 seconds
    wave = 6 * math.sin(sample / 6 + rank) + (sample * 7 + rank) % 5
    figures = {
        "train/loss": 9 / (1 + step / 40) + (step * 7 % 13) / 60,
        "_primus_sys_cpu_percent": 30 + wave + 9 * rank,
    }
    figures["_primus_sys_memory_percent"] = 41 + step / 100 + rank
    for gpu in range(4):
        figures[f"_primus_gpu_{gpu}_util"] = 94 - 3 * gpu - 6 * rank + wave / 4
        figures[f"_primus_gpu_{gpu}_mem_used_mb"] = 150_000 + 800 * gpu + 400 * rank + 40 * wave
        figures[f"_primus_gpu_{gpu}_power_w"] = 660 + 12 * gpu + 20 * rank + wave
    return figures


_HINTS = {"confidence": "high", "primary_indicators": ["import.primus", "import.megatron", "env.PRIMUS_BACKEND"]}


def _evidence(rank: int) -> dict[str, Any]:
    return {
        "wandb": {"project": "llama", "name": f"llama-8b-{rank}", "id": f"run{rank}", "config": {"seq_length": 8192}},
        "environment": {"RANK": str(rank), "NODE_RANK": "0", "PRIMUS_BACKEND": "megatron", "SLURM_JOB_ID": "81233"},
        "wrapper_frameworks": {"primus": {"detected": True, "version": "0.3.0", "initialized": True}},
        "base_frameworks": {"megatron": {"detected": True, "version": "0.13.1", "initialized": True}},
        "pytorch": {"available": True, "version": "2.9.0+rocm6.4", "detected_modules": {"deepspeed": False}},
        "system": {"python_version": "3.12.3", "platform": "linux"},
        "hardware": {"gpu_arch": "mi300x", "gpu_count": 4, "gpu_memory_gb": 192.0, "rocm_version": "6.4.1"},
        "software": {
            "rocm_version": "6.4.1",
            "packages": {"torch": "2.9.0", "transformers": "4.57.1", "wandb": "0.22"},
        },
        "build": {"image_tag": "rocm/primus:v25.9", "git_commit": "4f1c9d2"},
    }


def take(browser: Browser, lens: Lens, folder: Path, theme: str, width: int) -> None:
    size = {"width": width, "height": SIZES[width]}
    page = browser.new_page(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
    addresses = {
        "workloads": "/",
        "metrics": f"/?workload={WORKLOAD}&smoothing=0.6",
        "runs": f"/?workload={WORKLOAD}&tab=runs",
        "framework": "/?workload=llama-pretrain&tab=framework",
        "system": "/?workload=llama-pretrain&tab=system",
        "empty": "/?workload=nothing-yet&tab=system",
    }
    for name, address in addresses.items():
        page.goto(lens.url + address)
        page.locator("tbody tr, .card canvas, .facts, .empty").first.wait_for()
        page.wait_for_timeout(700)
        if name == "metrics" and width > NARROW:
            page.locator(".card .u-over").nth(2).hover(position={"x": 120, "y": 60})
        page.screenshot(path=folder / f"{name}-{width}-{theme}.png")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
