"""Detection imports nothing, starts nothing and opens nothing of the user's: shown in fresh interpreters."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
NAMES = """
primus nemo nemo_rl nemo_automodel verl axolotl llamafactory llmtuner swift MaxText maxtext levanter lightning
pytorch_lightning transformers accelerate keras tf_keras megatron deepspeed torchtitan torchtune jax torch tensorflow
wandb pynvml amdsmi cupy numpy ray flash_attn datasets
"""
TOP_LEVEL = NAMES.split()

DETECT = """
import sys
class Config: pass
class Run: pass
run = Run()
run._config = Config()
run._config.__dict__["_items"] = {"framework": "lightning", "trainer": "deepspeed", "lr": 0.1, "path": object()}
from primus_lens_wandb_exporter.detection import build_detection, collect_facts, current_fingerprint
from primus_lens_wandb_exporter.identity import Identity
"""


def run_python(tmp_path: Path, body: str, **variables: str) -> List[str]:
    """Runs Python in which every framework is installed, as a dummy that says when it is imported."""
    packages = tmp_path / "site-packages"
    for name in TOP_LEVEL:
        (packages / name).mkdir(parents=True, exist_ok=True)
        (packages / name / "__init__.py").write_text(f"print('imported {name}', flush=True)\n")
        (packages / f"{name}-1.0.dist-info").mkdir(exist_ok=True)
    environment: Dict[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))},
        "PYTHONPATH": os.pathsep.join([str(packages), str(SOURCE)]),
        "PRIMUS_CONFIG": "/c.yaml",
        "PRIMUS_BACKEND": "megatron",
        "KERAS_BACKEND": "jax",
        "DEEPSPEED_CONFIG": "/ds.json",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-c", DETECT + body],
        env=environment,
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_dummies_would_be_noticed(tmp_path: Path) -> None:
    assert run_python(tmp_path, "import deepspeed") == ["imported deepspeed"]


def test_no_framework_is_imported(tmp_path: Path) -> None:
    body = """
build_detection(collect_facts(run), Identity("w"), 1.0)
current_fingerprint(run)
frameworks = %r
print(sorted(name for name in sys.modules if name.split(".")[0] in frameworks))
"""
    assert run_python(tmp_path, body % (TOP_LEVEL,)) == ["[]"]


def test_installed_is_not_detected(tmp_path: Path) -> None:
    body = """
body = build_detection(collect_facts(run), Identity("w"), 1.0)
print(body["evidence"]["wrapper_frameworks"], body["evidence"]["base_frameworks"])
print(body["evidence"]["pytorch"]["available"], set(body["evidence"]["pytorch"]["detected_modules"].values()))
print(body["evidence"]["software"]["packages"]["deepspeed"])
"""
    assert run_python(tmp_path, body) == ["{} {}", "False {False}", "1.0"]


def test_once_imported_detection_imports_nothing_at_all(tmp_path: Path) -> None:
    # Neither on the training thread nor, where a fork could catch a module half imported, on the exporter's.
    body = """
before = set(sys.modules)
facts = collect_facts(run)
print(sorted(set(sys.modules) - before))
build_detection(facts, Identity("w"), 1.0)
print(sorted(name for name in set(sys.modules) - before if not name.startswith("encodings")))
"""
    assert run_python(tmp_path, body) == ["[]", "[]"]


@pytest.mark.skipif(sys.version_info < (3, 8), reason="audit hooks came with Python 3.8")
def test_no_process_is_spawned_and_no_file_of_the_users_is_opened(tmp_path: Path) -> None:
    body = """
import threading
seen = []
def audit(event, arguments):
    if event in ("open", "subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system",
                 "socket.connect", "socket.getaddrinfo", "import"):
        seen.append((event, str(arguments[0])))
build_detection(collect_facts(run), Identity("w"), 1.0)
threads = threading.active_count()
sys.addaudithook(audit)
build_detection(collect_facts(run), Identity("w"), 1.0)
print([entry for entry in seen if not entry[1].startswith(("/sys/", "/proc/", "/opt/rocm/"))])
print(threading.active_count() - threads)
"""
    assert run_python(tmp_path, body) == ["[]", "0"]


def test_a_fork_after_detection_leaves_a_process_that_can_detect(tmp_path: Path) -> None:
    body = """
import os
build_detection(collect_facts(run), Identity("w"), 1.0)
child = os.fork()
if child == 0:
    build_detection(collect_facts(run), Identity("w"), 1.0)
    os._exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
"""
    assert run_python(tmp_path, body) == ["7"]
