"""``check --python PATH``: has another interpreter run the check, with this version of the package as a visitor.

The package is given to it by its place, and nothing else of the environment that it comes from: requests, wandb and the
start-up files are those of the interpreter.
"""

import os
import subprocess
import sys
import tempfile

from .. import installation
from ..diagnostics import printable

VISITOR_OPTION = "--visitor"
_OLDEST = (3, 7)
_START_TIMEOUT_S = 60.0

# No bytecode of its version is left in the package's folder.
_VISIT = """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
import importlib.util
sys.dont_write_bytecode = True
name, folder = sys.argv[1:3]
spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
from primus_lens_wandb_exporter import cli
sys.exit(cli.main(sys.argv[3:]))
"""


def check_elsewhere(path: str, is_strict: bool, is_json: bool) -> int:
    """The exit status of the check in that interpreter, or 2 where it is none that could run it."""
    python = _find_interpreter(path)
    wrong = _why_unfit(python)
    if wrong:
        print("primus-lens-wandb check: error: --python %s %s" % (printable(path), printable(wrong)), file=sys.stderr)
        return 2
    options = [VISITOR_OPTION] + ["--strict"] * is_strict + ["--json"] * is_json
    folder = os.path.dirname(os.path.abspath(installation.__file__))
    sys.stdout.flush()
    return subprocess.run([python, "-c", _VISIT, installation.PACKAGE, folder, "check", *options]).returncode


def _find_interpreter(path: str) -> str:
    """A folder is that of an environment."""
    path = os.path.abspath(path)
    return os.path.join(path, "bin", "python") if os.path.isdir(path) else path


def _why_unfit(python: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = subprocess.run(
                [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_START_TIMEOUT_S,
            ).stdout.decode("ascii", "replace")
        except OSError as error:
            return "cannot be started: %s" % error.strerror
        except subprocess.TimeoutExpired:
            return "does not come to an end"
    parts = answer.strip().split(".")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        return "is no Python interpreter"
    if (int(parts[0]), int(parts[1])) < _OLDEST:
        return "is Python %s; the exporter needs %d.%d or newer" % (answer.strip(), *_OLDEST)
    return ""
