"""What a `kill -9` leaves in wandb's file and in the mirror: `python -m benchmarks.kills [versions of wandb]`."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from primus_lens_wandb_exporter.sources.record_log import NotARecordLogError
from primus_lens_wandb_exporter.sources.wandb_file import HistoryRow, WandbFile
from tests.wandb_files.versions import VERSIONS, Version

from .environments import DIRECTORY, ROOT, environment
from .scripts.killed import CALLS

SCRIPT = Path(__file__).parent / "scripts" / "killed.py"
DEFAULT = ["0.12.0", "0.16.6", "0.19.11", "0.31.0"]
# Seconds from the last call to its death.
DELAYS = (0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("versions", nargs="*", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"Of {CALLS} calls, one every 20 ms; medians over {options.rounds} rounds (from least to most)\n")
    print("| wandb | killed after its last call by | in wandb's file | in the mirror |\n|---|---|---|---|")
    for version in [version for version in VERSIONS if version.wandb in options.versions]:
        python = prepare(version)
        for delay in DELAYS:
            found = [kill(python, delay) for _ in range(options.rounds)]
            columns = " | ".join(show([pair[side] for pair in found]) for side in (0, 1))
            print(f"| {version.wandb} | {delay:.0f} s | {columns} |", flush=True)


def prepare(version: Version) -> Path:
    folder = DIRECTORY / f"wandb-{version.wandb}"
    python = folder / "bin" / "python"
    if not python.exists():
        uv("venv", "--quiet", "--no-python-downloads", "--python", version.python, str(folder))
        uv("pip", "install", "--quiet", "--python", str(python), *version.requirements)
    with tempfile.TemporaryDirectory() as wheels:
        uv("build", "--quiet", "--wheel", "--out-dir", wheels, str(ROOT))
        (wheel,) = Path(wheels).glob("*.whl")
        reinstall = ["--reinstall-package", "primus-lens-wandb-exporter"]
        uv("pip", "install", "--quiet", "--python", str(python), *reinstall, str(wheel))
    return python


def kill(python: Path, delay: float) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "WANDB_DIR": directory,
            "WORKLOAD_UID": f"killed-{uuid.uuid4()}",
            "PRIMUS_LENS_WANDB_API_REPORTING": "false",
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": directory,
        }
        # No pipes: the service of wandb 0.12 outlives its job, and would hold them open.
        null = subprocess.DEVNULL
        command = [python, SCRIPT, str(delay)]
        subprocess.run(command, env=environment(**settings), cwd=directory, stdout=null, stderr=null, timeout=300)
        (file,) = Path(directory).glob("wandb/*run-2*/*.wandb")
        (mirror,) = Path(directory).glob("node_0/rank_0/*.jsonl")
        return rows_in(file), mirror.read_bytes().count(b"\n")


def rows_in(path: Path) -> int:
    with path.open("rb") as file:
        try:
            return sum(isinstance(event, HistoryRow) for event in WandbFile(file).read())
        except NotARecordLogError:
            return 0


def show(counts: list[int]) -> str:
    return f"{statistics.median(counts):.0f} ({min(counts)} to {max(counts)})"


def uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


if __name__ == "__main__":
    main()
