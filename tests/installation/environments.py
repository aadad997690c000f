"""Python environments to install into: real interpreters, real site-packages, made in a fraction of a second."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Iterable, Sequence, Union

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "primus_lens_wandb_exporter"
PTH = ROOT / "primus_lens_wandb_hook.pth"
STARTUP_PACKAGE = "primus_lens_wandb_startup"
STARTUP_MODULE = f"{STARTUP_PACKAGE}/__init__.py"
# By their names in a site folder, where the sources have them.
STARTUP_FILES = {
    PTH.name: PTH,
    PTH.stem + ".start": PTH.with_suffix(".start"),
    STARTUP_MODULE: ROOT / "src" / STARTUP_MODULE,
}
# What version 1.0.0 brought, which may lie about in an environment.
FIRST_PTH = (
    'import sys; exec("try:\\n    from primus_lens_wandb_exporter.wandb_hook import install_wandb_hook\\n'
    '    install_wandb_hook()\\nexcept Exception:\\n    pass")\n'
)
FIRST_START = "primus_lens_wandb_exporter.wandb_hook:install_wandb_hook\n"
# Nothing listens on the port of `discard`, and asking costs no name resolution.
NO_LENS = "http://127.0.0.1:9/api/v1"

_MEANS_SOMETHING = re.compile(
    r"^(PYTHON|PIP_|UV_|VIRTUAL_ENV|CONDA|PRIMUS|WANDB|POD_|WORKLOAD|KUBERNETES|NODE_RANK|PET_|GROUP_RANK|SLURM|RANK"
    r"|LOCAL_RANK|WORLD_SIZE|OMPI_|SOURCE_DATE_EPOCH)"
)
PATCHED = "import wandb; print(getattr(wandb, '_primus_lens_patched', False))"

Word = Union[str, Path]
Result = subprocess.CompletedProcess[str]


def copy_startup_files(folder: Path) -> None:
    """Puts them there by hand."""
    for name, source in STARTUP_FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, folder / name)


def clean_environ(**variables: Word) -> dict[str, str]:
    """The environment of a user who has set nothing but `variables`."""
    environ = {name: value for name, value in os.environ.items() if not _MEANS_SOMETHING.match(name)}
    environ["PRIMUS_LENS_API_BASE_URL"] = NO_LENS
    # pip and uv must do with what is on this machine, whatever it is set up to ask.
    environ["PIP_CONFIG_FILE"] = os.devnull
    environ["PIP_NO_INDEX"] = "1"
    environ["UV_OFFLINE"] = "1"
    environ["UV_PYTHON_DOWNLOADS"] = "never"
    environ.update({name: str(value) for name, value in variables.items()})
    return environ


def run(command: Sequence[Word], cwd: Path, **variables: Word) -> Result:
    """Runs a command to its end, with nothing on stdin."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean_environ(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def build_distributions(sources: Path, folder: Path, umask: int = 0o022, **variables: Word) -> None:
    """Builds a wheel and an sdist from a checkout into `folder`."""
    command = [sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation", "--outdir", folder, sources]
    built = subprocess.run(command, env=clean_environ(**variables), capture_output=True, text=True, umask=umask)
    assert built.returncode == 0, built.stdout + built.stderr


class PythonEnvironment:
    """An interpreter with a site-packages of its own, and an empty folder `home` to work in."""

    def __init__(self, folder: Path, python: Path, site_packages: Path) -> None:
        self.folder = folder
        self.python = python
        self.site_packages = site_packages
        self.home = folder / "home"
        self.home.mkdir(parents=True)

    def run(self, *arguments: Word, cwd: Path | None = None, **variables: Word) -> Result:
        """Runs this Python with `arguments`."""
        return run([self.python, *arguments], cwd or self.home, HOME=self.home, **variables)

    def cli(self, *arguments: str, **variables: Word) -> Result:
        """Runs the installed `primus-lens-wandb`."""
        return run([self.python.parent / "primus-lens-wandb", *arguments], self.home, HOME=self.home, **variables)

    def pip(self, *arguments: Word, **variables: Word) -> Result:
        """Runs pip and has it succeed."""
        result = self.run("-m", "pip", "--disable-pip-version-check", *arguments, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def uv(self, action: str, *arguments: Word) -> Result:
        """Runs `uv pip` on this environment and has it succeed."""
        command: list[Word] = [find_uv(), "pip", action, "--python", self.python, *arguments]
        result = run(command, self.home, HOME=self.home, UV_CACHE_DIR=self.folder / "uv-cache")
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def install_quickly(self, wheel: Path) -> None:
        """Brings the package here by uv, for tests that are not about how it comes."""
        self.uv("install", "--no-deps", wheel)

    def wandb_is_patched(self, **variables: Word) -> bool:
        """Whether a new process that imports wandb has it intercepted."""
        result = self.run("-c", PATCHED, **variables)
        assert result.returncode == 0, result.stderr
        return str(result.stdout).strip() == "True"

    def files(self) -> set[str]:
        """Every file and folder of site-packages and bin."""
        roots = (self.site_packages, self.python.parent)
        return {str(path) for root in roots for path in root.rglob("*") if path.name != "__pycache__"}

    def leftovers(self) -> list[str]:
        """What is there of the exporter, by name."""
        return sorted(path for path in self.files() if re.search(r"primus[-_]lens", path[len(str(self.folder)) :]))


def make_venv(
    folder: Path, *libraries: Path, python: Path = Path(sys.executable), with_pip: bool = True
) -> PythonEnvironment:
    """A virtual environment that finds further packages in `libraries`, as by any path line of a .pth file.

    One of the Python that runs the tests never gets pip by itself.
    """
    place = folder / "venv"
    if python == Path(sys.executable):
        venv.create(place, with_pip=False, symlinks=True)
    else:
        options = [] if with_pip else ["--without-pip"]
        command = [str(python), "-m", "venv", *options, str(place)]
        subprocess.run(command, env=clean_environ(), check=True, capture_output=True)
    (site_packages,) = place.glob("lib/python3*/site-packages")
    return _with_libraries(PythonEnvironment(folder, place / "bin" / "python", site_packages), libraries)


def make_whole_python(folder: Path, *libraries: Path, externally_managed: bool = False) -> PythonEnvironment:
    """An interpreter that is no virtual environment: a copy of the base's, with links to its standard library."""
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    binary = folder / "prefix" / "bin" / version
    own_stdlib = folder / "prefix" / "lib" / version
    binary.parent.mkdir(parents=True)
    (own_stdlib / "site-packages").mkdir(parents=True)
    shutil.copy2(Path(os.path.realpath(sys.executable)), binary)
    for entry in stdlib.iterdir():
        if entry.name not in ("site-packages", "dist-packages", "EXTERNALLY-MANAGED", "sitecustomize.py"):
            (own_stdlib / entry.name).symlink_to(entry)
    if externally_managed:
        (own_stdlib / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=Ask the operating system.\n")
    return _with_libraries(PythonEnvironment(folder, binary, own_stdlib / "site-packages"), libraries)


def _with_libraries(environment: PythonEnvironment, libraries: Iterable[Path]) -> PythonEnvironment:
    lines = "".join(f"{library}\n" for library in libraries)
    (environment.site_packages / "libraries_of_the_test.pth").write_text(lines)
    return environment


def link_libraries(folder: Path, only: str | None = None) -> Path:
    """Links what the environment of the tests has installed (entries that match `only`), but not the exporter."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        is_ours = "primus_lens" in entry.name
        if not is_ours and entry.suffix != ".pth" and (only is None or re.match(only, entry.name)):
            (folder / entry.name).symlink_to(entry)
    return folder


def make_stand_ins(folder: Path) -> Path:
    """A tiny wandb, real requests, and the metadata of all that the exporter requires, so that pip asks for nothing."""
    (folder / "wandb" / "sdk").mkdir(parents=True)
    (folder / "wandb" / "__init__.py").write_text(
        "__version__ = '0.99.0'\nfrom wandb.sdk.wandb_run import Run\ndef init(): return Run()\n"
    )
    (folder / "wandb" / "sdk" / "__init__.py").write_text("")
    (folder / "wandb" / "sdk" / "wandb_run.py").write_text(
        "class Run:\n    def log(self, data, step=None, commit=None): pass\n    def finish(self): pass\n"
    )
    for name in ("wandb", "requests", "psutil"):
        metadata = folder / (f"{name}-99.0.dist-info")
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
        (metadata / "RECORD").write_text("")
        (metadata / "INSTALLER").write_text("pip\n")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # The last is charset_normalizer's compiled part.
        if entry.name in ("requests", "urllib3", "certifi", "idna", "charset_normalizer") or "__mypyc." in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


def find_uv() -> str:
    """The uv of the environment of the tests, or the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    assert uv, "uv is missing; it comes with the extra `dev`"
    return uv


def find_python(version: str) -> Path | None:
    """An interpreter of this version (3.7) on PATH or among pyenv's, that works."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [Path(found) for found in [shutil.which(f"python{version}")] if found]
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for candidate in candidates:
        works = subprocess.run([str(candidate), "-c", "import venv"], capture_output=True)
        if works.returncode == 0:
            return candidate
    return None
