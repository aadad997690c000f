"""The start-up files: where an interpreter reads them, whether they are there, how they come and go.

Stands alone: the standard library only and nothing of the exporter, because install_hook.py loads this file by its
path from a checkout whose package is not installed. Nothing here prints; ``cli`` and ``install_hook`` do.
"""

import csv
import hashlib
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

PACKAGE = "primus_lens_wandb_exporter"
DISTRIBUTION = "primus-lens-wandb-exporter"

_PTH = "primus_lens_wandb_hook.pth"
_START = "primus_lens_wandb_hook.start"
_MODULE = "primus_lens_wandb_startup/__init__.py"

# The files at the root of the wheel, for environments that got the package without them (`pip install --target`, a
# checkout on PYTHONPATH). A test holds the two against each other. The module comes first: what names it finds it.
STARTUP_FILES = {
    _MODULE: '''\
"""Run at every start of Python, by primus_lens_wandb_hook.pth. Until wandb is imported it does nothing but wait."""

import sys


class StartupFinder:
    is_primus_lens_finder = True

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != "wandb":
            return None
        try:
            from primus_lens_wandb_exporter.wandb_hook import find_wandb
        except Exception:  # the exporter is gone or damaged: wandb must be importable all the same
            return None
        return find_wandb(path, target)


def register() -> None:
    for finder in sys.meta_path:
        if hasattr(finder, "is_primus_lens_finder"):
            return
    sys.meta_path.insert(0, StartupFinder())  # type: ignore[arg-type]


register()
''',
    _PTH: (
        'import os; os.access(os.path.join(locals().get("sitedir", os.devnull), "primus_lens_wandb_startup", '
        '"__init__.py"), os.R_OK) and __import__("primus_lens_wandb_startup")\n'
    ),
    _START: "primus_lens_wandb_startup:register\n",
}

CURRENT = "current"
OUTDATED = "outdated"
MISSING = "missing"

# A cold import of wandb from a network file system takes tens of seconds.
PROBE_TIMEOUT_S = 120.0


class StartupFile(NamedTuple):
    """One start-up file, by its name in STARTUP_FILES, in one site folder.

    ``sha256`` is empty when it cannot be read; ``recorded`` tells whether ``pip uninstall`` knows of it.
    """

    folder: str
    name: str
    state: str
    sha256: str
    recorded: bool

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)


def site_folders() -> List[str]:
    """The folders in which this interpreter reads start-up files, existing or not; none under ``python -S``."""
    if sys.flags.no_site:
        return []
    # virtualenv before 20 brings a site module of its own, without getsitepackages.
    list_folders = getattr(site, "getsitepackages", lambda: [sysconfig.get_path("purelib")])
    folders = list(list_folders())
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return list(dict.fromkeys(folders))


def read_startup_files(folder: str) -> List[StartupFile]:
    """What is there of the start-up files in ``folder``."""
    recorded = _recorded_names(folder)
    files = []
    for name, content in STARTUP_FILES.items():
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                found = file.read()
        except OSError:
            # One that cannot be read is there, and no good.
            state = OUTDATED if os.path.lexists(path) else MISSING
            files.append(StartupFile(folder, name, state, "", name in recorded))
        else:
            state = CURRENT if found == content.encode("utf-8") else OUTDATED
            files.append(StartupFile(folder, name, state, hashlib.sha256(found).hexdigest(), name in recorded))
    return files


def expected_sha256(name: str) -> str:
    """The digest that the start-up file of this name has in this version."""
    return hashlib.sha256(STARTUP_FILES[name].encode("utf-8")).hexdigest()


def find_startup_files() -> List[StartupFile]:
    """Every start-up file that this interpreter can come across; those that are missing are left out."""
    return [file for folder in site_folders() for file in read_startup_files(folder) if file.state != MISSING]


def _recorded_names(folder: str) -> Set[str]:
    """Names of the files right in ``folder`` that an installed version of the exporter brought."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return set()
    names: Set[str] = set()
    for entry in entries:
        if entry.startswith(PACKAGE + "-") and entry.endswith(".dist-info"):
            try:
                with open(os.path.join(folder, entry, "RECORD"), newline="", encoding="utf-8") as record:
                    names.update(row[0] for row in csv.reader(record) if row)
            except (OSError, UnicodeDecodeError, csv.Error):
                continue
    return names


def choose_folder(package_folder: Optional[str]) -> Optional[str]:
    """Where to write start-up files: beside the package if start-up files are read there, else the first folder that
    can be written; None when there is none."""
    folders = site_folders()
    beside_package = os.path.dirname(package_folder) if package_folder else None
    folders.sort(key=lambda folder: folder != beside_package)
    for folder in folders:
        if _can_be_written(folder):
            return folder
    return None


def _can_be_written(folder: str) -> bool:
    while not os.path.exists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def write_startup_files(folder: str) -> List[str]:
    """Writes what is missing or outdated in ``folder`` and returns the paths written; raises OSError."""
    written = []
    for file in read_startup_files(folder):
        if file.state == CURRENT:
            continue
        os.makedirs(os.path.dirname(file.path), exist_ok=True)
        # Another Python process may start at any moment: it sees the whole file or none.
        draft = "{}.{}.tmp".format(file.path, os.getpid())
        try:
            with open(draft, "w", encoding="utf-8", newline="") as new:
                new.write(STARTUP_FILES[file.name])
            os.replace(draft, file.path)
        except OSError:
            if os.path.lexists(draft):
                os.remove(draft)
            raise
        written.append(file.path)
    return written


def remove_startup_files() -> Tuple[List[str], List[OSError]]:
    """Removes the start-up files from every folder; returns the removed paths and what went wrong."""
    removed, errors = [], []
    # Whatever names the module goes before it.
    for file in reversed(find_startup_files()):
        try:
            os.remove(file.path)
            removed.append(file.path)
            if file.name == _MODULE:
                shutil.rmtree(os.path.dirname(file.path))  # its bytecode
        except OSError as error:
            errors.append(error)
    return removed, errors


class Probe(NamedTuple):
    """What a new process of this interpreter finds, from its start to the end of ``import wandb``.

    ``ended`` is empty when the process came to its end, else why it did not. ``package`` is the folder of the
    exporter, empty when it cannot be imported; ``package_error`` says why it, or its hook, cannot be.
    ``wandb_is_whole`` tells wandb from a mere folder or script of that name; ``other_wandbs`` are further ones on the
    path. requests is what the exporter sends with; both of its fields are empty where the process did not come so far.
    ``messages`` are the exporter's own lines on stderr.
    """

    ended: str = ""
    hooked_at_start: bool = False
    package: str = ""
    version: str = ""
    package_error: str = ""
    wandb_error: str = ""
    wandb_file: str = ""
    wandb_version: str = ""
    wandb_is_whole: bool = False
    wandb_is_patched: bool = False
    other_wandbs: Sequence[str] = ()
    requests_version: str = ""
    requests_error: str = ""
    messages: Sequence[str] = ()


# The facts are written more than once, because importing wandb may end the process.
_PROBE_CODE = """
import sys
facts = {"hooked_at_start": any(getattr(finder, "is_primus_lens_finder", False) for finder in sys.meta_path)}
import json, os

def write_facts():
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(facts, file)

try:
    import primus_lens_wandb_exporter as package
    facts["package"] = os.path.dirname(package.__file__ or "")
    facts["version"] = getattr(package, "__version__", "")
    import primus_lens_wandb_exporter.wandb_hook
except Exception as error:
    facts["package_error"] = "%s: %s" % (type(error).__name__, error)
places = [os.path.join(folder, "wandb", "__init__.py") for folder in sys.path]
write_facts()
try:
    import wandb
except BaseException as error:
    facts["wandb_error"] = "%s: %s" % (type(error).__name__, error)
    facts["other_wandbs"] = [place for place in places if os.path.isfile(place)]
else:
    own = getattr(wandb, "__file__", None) or ""
    facts["wandb_file"] = own or ", ".join(getattr(wandb, "__path__", []))
    facts["wandb_version"] = str(getattr(wandb, "__version__", ""))
    facts["wandb_is_whole"] = bool(own) and hasattr(wandb, "init")
    facts["wandb_is_patched"] = getattr(wandb, "_primus_lens_patched", False) is True
    facts["other_wandbs"] = [place for place in places if os.path.isfile(place) and place != own]
write_facts()
try:
    import requests
    facts["requests_version"] = str(requests.__version__)
except Exception as error:
    facts["requests_error"] = "%s: %s" % (type(error).__name__, error)
write_facts()
"""


def probe(timeout_s: float = PROBE_TIMEOUT_S) -> Probe:
    """Starts this interpreter with its own flags in an empty folder, has it import wandb, and tells what it found."""
    with tempfile.TemporaryDirectory() as folder:
        facts_path = os.path.join(folder, "facts")
        errors_path = os.path.join(folder, "errors")
        command = [sys.executable, *_own_flags(), "-c", _PROBE_CODE, facts_path]
        try:
            with open(errors_path, "wb") as errors:
                status = subprocess.run(
                    command,
                    cwd=folder,
                    env=_probe_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    timeout=timeout_s,
                ).returncode
            ended = "" if status == 0 else "ended with status {}".format(status)
        except subprocess.TimeoutExpired:
            ended = "did not end within {:.0f} s".format(timeout_s)
        except OSError as error:
            ended = "could not be started: {}".format(error)
        facts = _read_facts(facts_path)
        with open(errors_path, encoding="utf-8", errors="replace") as lines:
            stderr = [line.strip() for line in lines if line.strip()]
    if ended and stderr:
        ended = "{}; its last line: {}".format(ended, stderr[-1])
    own_lines = [line for line in stderr if line.startswith("Primus Lens: ")]
    return Probe(ended=ended, messages=own_lines, **facts)


def _own_flags() -> List[str]:
    """The flags of this process that decide which folders and start-up files an interpreter reads."""
    flags = sys.flags
    given = (
        ("-I", flags.isolated),
        ("-E", flags.ignore_environment),
        ("-s", flags.no_user_site),
        ("-S", flags.no_site),
    )
    return [flag for flag, is_set in given if is_set]


def _probe_environment() -> Dict[str, str]:
    environ = dict(os.environ)
    # Only warnings are of interest.
    environ.pop("PRIMUS_LENS_WANDB_DEBUG", None)
    if environ.get("PYTHONPATH"):
        # Relative entries mean the folder that training starts in, not the empty one of the probe.
        environ["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in environ["PYTHONPATH"].split(os.pathsep))
    return environ


def _read_facts(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        # The process did not come so far; why is told by how it ended.
        return {}
