"""Makes the kept files again, with every minor version of wandb: `make wandb-files`, or some: `ARGS="0.31.0"`.

Each version gets an environment below ``.nox``; its files go to ``tests/data/wandb_files/<version>.zip``. A job
that the version has not (forks before 0.16) is left out. Nothing of the machine may be in the files: it is looked for.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import KEPT, jobs_in
from .versions import VERSIONS, Version

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NOT_IN_THIS_VERSION = 3
# wandb writes the name of the machine into its files, and takes TensorBoard's event files only where they bear it.
ON_A_HOST_CALLED_HOST = (
    "unshare",
    "--user",
    "--map-root-user",
    "--uts",
    "sh",
    "-c",
    'hostname host && exec "$@"',
    "sh",
)
KILLED = -9


def main() -> None:
    known = {version.wandb: version for version in VERSIONS}
    versions = [known[name] for name in sys.argv[1:] or known]
    KEPT.mkdir(parents=True, exist_ok=True)
    # A name that tells nothing: wandb writes paths into its files.
    with tempfile.TemporaryDirectory(prefix="wandb-files-", dir="/tmp") as directory, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda version: make(version, Path(directory) / version.wandb), versions))


def make(version: Version, directory: Path) -> None:
    environment = ROOT / ".nox" / "wandb_files" / version.wandb
    if not (environment / "ready").exists():
        uv("venv", "--clear", "--python", version.python, str(environment))
        uv("pip", "install", "--python", str(environment / "bin" / "python"), *version.requirements)
        (environment / "ready").touch()
    directory.mkdir()
    (directory / "env").symlink_to(environment)
    python = directory / "env" / "bin" / "python"
    for name in ("jobs.py", "wandb_server.py"):
        shutil.copy(HERE / name, directory)
    for job in jobs_in(HERE / "jobs.py"):
        run(python, directory, job)
    files = sorted(directory.glob("*/wandb/*run-2*/*.wandb"))
    if not files:
        raise SystemExit(f"wandb {version.wandb} made no file at all: see what its jobs said above")
    names = [str(file.relative_to(directory)) for file in files]
    command = [python, HERE / "records.py", *names]
    records = subprocess.run(command, cwd=directory, env=surroundings(directory), check=True, stdout=subprocess.PIPE)
    (directory / "records.json").write_bytes(records.stdout)
    kept = [*files, *sorted(directory.glob("*/truth.json")), directory / "records.json"]
    refuse_what_names_the_machine(kept)
    with zipfile.ZipFile(KEPT / f"{version.wandb}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in kept:
            name = zipfile.ZipInfo(str(file.relative_to(directory)))
            archive.writestr(name, file.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    print(version.wandb, len(files), "files", flush=True)


def run(python: Path, directory: Path, job: str) -> None:
    (directory / job).mkdir()
    # Not a pipe: the service of a killed job of 0.12 lives on, and holds it open.
    log = directory / f"{job}.log"
    command = [*ON_A_HOST_CALLED_HOST, python, directory / "jobs.py", job]
    try:
        with log.open("w") as output:
            ended = subprocess.run(
                command, cwd=directory / job, env=surroundings(directory), stdout=output, stderr=output, timeout=120
            )
        code = ended.returncode
    except subprocess.TimeoutExpired:
        code = KILLED
    if code != (KILLED if job == "crash" else 0):
        shutil.rmtree(directory / job)
        if code != NOT_IN_THIS_VERSION:
            print(f"{directory.name}, {job}: exit code {code}, left out\n{log.read_text()}", flush=True)


def surroundings(directory: Path) -> dict[str, str]:
    home = directory / "home"
    home.mkdir(exist_ok=True)
    quiet = ("WANDB_SILENT", "WANDB_DISABLE_GIT", "WANDB_DISABLE_CODE", "WANDB__DISABLE_STATS", "WANDB_X_DISABLE_STATS")
    return {
        **dict.fromkeys(quiet, "true"),
        **dict.fromkeys(("USER", "LOGNAME", "USERNAME"), "somebody"),
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "WANDB_MODE": "offline",
        "WANDB_CONSOLE": "off",
        "WANDB_START_METHOD": "thread",
    }


def refuse_what_names_the_machine(files: list[Path]) -> None:
    # Shorter names are parts of words.
    words = [word for word in (socket.gethostname(), getpass.getuser()) if len(word) > 4]
    for file in files:
        content = file.read_bytes()
        found = [name for name in (str(ROOT), str(Path.home()), *words) if name.encode() in content]
        if found:
            raise SystemExit(f"{file} names this machine: {found}")


def uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", "--no-python-downloads", *arguments], check=True)


if __name__ == "__main__":
    main()
