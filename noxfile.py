"""The ends of the supported range: the oldest Python with the oldest wandb and an old requests, the newest of all.

The tests themselves run in the development environment; each session is what the training scripts run in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"

# pyenv keeps interpreters off the PATH until they are chosen.
PYENV_VERSIONS = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *(str(path / "bin") for path in PYENV_VERSIONS.glob("*"))])

NEWEST_PYTHON = "3.13"
ENDS = [
    ("3.7", ["wandb==0.12.0", "protobuf<3.21", "requests==2.20.0"]),
    (NEWEST_PYTHON, ["wandb"]),
]


# Of the unit tests those that run something in the session's interpreter; the others are no different here.
RUN_BY_THE_SESSION = [f"tests/unit/test_{name}.py" for name in ("control_characters", "hostile_servers", "wandb_file")]
ALL = ["tests/agent", "tests/otlp/test_values.py", "tests/otlp/test_processes.py", *RUN_BY_THE_SESSION]
# With the newest wandb all else has run in the development environment: what a newer Python may do in its own way.
OF_PYTHON = [
    *(
        f"tests/agent/test_{name}.py"
        for name in ("bad_surroundings", "children", "everything_at_once", "import_hook", "interception", "threads")
    ),
    "tests/otlp/test_processes.py",
    *RUN_BY_THE_SESSION,
]


@nox.session(python=[python for python, _ in ENDS])
def ends(session: nox.Session) -> None:
    tests = OF_PYTHON if session.python == NEWEST_PYTHON else ALL
    run_tests(session, *dict(ENDS)[str(session.python)], tests=tests)


@nox.session
def newest(session: nox.Session) -> None:
    run_tests(session, "wandb")


@nox.session
def next(session: nox.Session) -> None:
    """With wandb's pre-releases; a specifier that names one lets pip take them, for wandb alone."""
    run_tests(session, "wandb>=0.12.0.dev0")


def run_tests(session: nox.Session, *requirements: str, tests: list[str] = ALL) -> None:
    session.install(".[otlp]", *requirements, "numpy", "tensorboard", "tensorboardX")
    session.run("python", "-c", "import sys, wandb; print(sys.version.split()[0], 'wandb', wandb.__version__)")
    # More at once than there are cores: old versions of wandb sleep for seconds at the end of a run.
    options = ["--numprocesses=4", f"--training-python={session.bin}/python"]
    session.run(".venv/bin/python", "-m", "pytest", *(session.posargs or tests), *options, external=True)


@nox.session
def sbom(session: nox.Session) -> None:
    """Writes what an installation of the built wheel with the local Lens holds, as CycloneDX."""
    (wheel,) = Path("dist").glob("*.whl")
    session.install(f"{wheel}[local]")
    session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools")
    command = [".venv/bin/cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--mc-type", "library"]
    session.run(*command, "--output-reproducible", "-o", "sbom.cdx.json", f"{session.bin}/python", external=True)
    # pyproject.toml leaves the version to the source, so that the list would not say which release it is about.
    path = Path("sbom.cdx.json")
    bom = json.loads(path.read_text(encoding="utf-8"))
    component, version = bom["metadata"]["component"], wheel.name.split("-")[1]
    component.update(version=version, purl=f"pkg:pypi/{component['name']}@{version}")
    path.write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")


@nox.session
def frameworks(session: nox.Session) -> None:
    """Real frameworks on CPU. The pinned torch is one whose CPU build some machines have at hand; any will do."""
    packages = ["lightning", "transformers", "accelerate", "keras", "jax", "jaxlib", "tensorflow-cpu", "wandb", "numpy"]
    loggers = [
        "stable-baselines3",
        "tensorboard",
        "tensorboardX",
        "lightgbm",
        "xgboost-cpu",
        "scikit-learn",
        "catboost",
    ]
    session.install(".", "torch==2.13.0", *packages, *loggers)
    session.run(
        ".venv/bin/python",
        "-m",
        "pytest",
        "tests/frameworks",
        f"--training-python={session.bin}/python",
        external=True,
    )


@nox.session(venv_backend="none")
def wandb_files(session: nox.Session) -> None:
    """Makes the files that tests/wandb_files reads, with every minor version of wandb; some with `-- 0.31.0 0.12.0`."""
    session.run(".venv/bin/python", "-m", "tests.wandb_files.make", *session.posargs, external=True)
