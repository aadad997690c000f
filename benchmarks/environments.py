"""Virtual environments that differ in one thing only: no exporter, this one, and its published peer 0.2.0."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / ".bench"
VARIANTS = ("bare", "ours", "peer")
# And, for start-up, our line with an empty module in the place of ours: what any module that starts with Python costs.
STARTUP_VARIANTS = ("bare", "empty", "ours", "peer")
PEER = "primus-lens-wandb-exporter==0.2.0"
# The peer's wheel lacks the start-up file that its guide promises; with this line it works as described there.
PEER_START_UP = "import primus_lens_wandb_exporter.wandb_hook\n"


def python_of(variant: str) -> str:
    return str(DIRECTORY / variant / "bin" / "python")


def site_packages_of(variant: str) -> Path:
    (folder,) = (DIRECTORY / variant).glob("lib/python3*/site-packages")
    return folder


def prepare() -> None:
    """Makes the environments, or brings ours up to date."""
    for variant in STARTUP_VARIANTS:
        if not (DIRECTORY / variant / "ready").exists():
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(DIRECTORY / variant))
            _install(variant, "wandb", "numpy", "requests", "psutil", *([PEER] if variant == "peer" else []))
            if variant == "peer":
                (site_packages_of(variant) / "primus_lens_wandb_hook.pth").write_text(PEER_START_UP)
            (DIRECTORY / variant / "ready").touch()
    shutil.copy(ROOT / "primus_lens_wandb_hook.pth", site_packages_of("empty"))
    (site_packages_of("empty") / "primus_lens_wandb_startup").mkdir(exist_ok=True)
    (site_packages_of("empty") / "primus_lens_wandb_startup" / "__init__.py").write_text("")
    with tempfile.TemporaryDirectory() as wheels:
        _run(sys.executable, "-m", "build", "--wheel", "--outdir", wheels, str(ROOT))
        (wheel,) = Path(wheels).glob("*.whl")
        _install("ours", "--reinstall-package", "primus-lens-wandb-exporter", str(wheel))
    for variant in ("ours", "peer"):
        patched = "import wandb; assert wandb._primus_lens_patched is True"
        subprocess.run([python_of(variant), "-c", patched], check=True, env=environment(), cwd=DIRECTORY)


def environment(**variables: str) -> dict[str, str]:
    foreign = ("PRIMUS_", "WANDB_", "WORKLOAD_", "POD_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "WANDB_MODE": "offline", "WANDB_SILENT": "true", **variables}


def _install(variant: str, *requirements: str) -> None:
    _uv("pip", "install", "--quiet", "--python", python_of(variant), *requirements)


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
