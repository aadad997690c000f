"""A real Jupyter kernel, driven as a notebook drives it: cells in, output and errors out, interrupts, restarts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from .training import Trainer, Training

# What a kernel does by itself before a cell of it may run, on a machine with other work.
START_S = 120
CELL_S = 120

# What Jupyter does with a kernel that began before the installation: its start-up files were not read.
WITHOUT_STARTUP_FILE = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "is_primus_lens_finder")]
"""


@dataclasses.dataclass
class Cell:
    """What a notebook shows below a cell."""

    stdout: str = ""
    stderr: str = ""
    html: list[str] = dataclasses.field(default_factory=list)
    error: str = ""
    traceback: str = ""


class Kernel:
    """A kernel in a trainer's folder, with a trainer's environment."""

    def __init__(self, trainer: Trainer, **variables: str) -> None:
        self._trainer = trainer
        # Sockets in a folder of a short name instead of ports: nobody else can have taken them.
        self._sockets = Path(tempfile.mkdtemp(prefix="kernel-"))
        specification = self._sockets / "training" / "kernel.json"
        specification.parent.mkdir()
        command = [trainer.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        specification.write_text(json.dumps({"argv": command, "display_name": "training", "language": "python"}))
        specifications = KernelSpecManager(kernel_dirs=[str(self._sockets)], ensure_native_kernel=False)
        self.manager = KernelManager(
            kernel_name="training",
            kernel_spec_manager=specifications,
            transport="ipc",
            connection_file=str(self._sockets / "kernel"),
        )
        self._cells: dict[str, Cell] = {}
        self._idle: set[str] = set()
        # The kernel's own log; what the exporter says there nobody with a notebook sees.
        self.log = trainer.directory / "kernel.log"
        # Open as long as the manager lives: a restarted kernel gets it too.
        self._log_file = self.log.open("ab")
        self.manager.start_kernel(
            env=trainer.environment(IPYTHONDIR=str(trainer.directory / "ipython"), **variables),
            cwd=str(trainer.directory),
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
        )
        self._client = self._connect()

    def _connect(self) -> BlockingKernelClient:
        client: BlockingKernelClient = self.manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=START_S)
        return client

    def run(self, code: str, *, fails: bool = False, timeout: float = CELL_S) -> Cell:
        """Runs a cell to its end; fails when it does not end, or not as expected."""
        cell = self.wait(self.start(code), timeout)
        assert bool(cell.error) == fails, f"{cell.traceback}\n{cell.stderr}\n{self.log.read_text()}"
        return cell

    def start(self, code: str) -> str:
        """Starts a cell and returns its name for the calls below."""
        name = str(self._client.execute(textwrap.dedent(code), allow_stdin=False))
        self._cells[name] = Cell()
        return name

    def wait(self, name: str, timeout: float = CELL_S) -> Cell:
        """Waits until the cell has ended."""
        self._listen(lambda: name in self._idle, timeout, f"a cell ran for more than {timeout} s")
        return self._cells[name]

    def interrupt_cell(self, name: str) -> Cell:
        """Interrupts until the cell has ended: Python drops an interrupt that comes in a finaliser."""
        for _ in range(20):
            self.interrupt()
            with contextlib.suppress(AssertionError):
                return self.wait(name, 5)
        raise AssertionError("a cell went on through 20 interrupts")

    def wait_for_output(self, name: str, text: str) -> None:
        """Waits until the cell has written ``text`` to its standard output."""
        self._listen(lambda: text in self._cells[name].stdout, CELL_S, f"a cell never wrote {text!r}")

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        self._client.stop_channels()
        self.manager.restart_kernel()
        # The new client names its cells as the first one did.
        self._cells = {f"before {name}": cell for name, cell in self._cells.items()}
        self._idle.clear()
        self._client = self._connect()

    def shut_down(self, now: bool = False) -> None:
        """Asks the kernel to end, as a closed notebook does, and kills it when it stays; ``now`` kills it at once."""
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=now)

    def close(self) -> None:
        if self.manager.is_alive():
            self.shut_down(now=True)
        self.manager.cleanup_resources()
        self._log_file.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def output(self) -> Cell:
        """What all cells showed, one after the other."""
        cells = self._cells.values()
        return Cell(
            stdout="".join(cell.stdout for cell in cells),
            stderr="".join(cell.stderr for cell in cells),
            html=[html for cell in cells for html in cell.html],
            traceback="".join(cell.traceback for cell in cells),
        )

    @property
    def training(self) -> Training:
        """What wandb recorded, and the mirror."""
        return Training(self._trainer.directory, 0, self.output.stdout, self.output.stderr)

    def _listen(self, is_enough: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while not is_enough():
            left = deadline - time.monotonic()
            assert left > 0, f"{complaint}\n{self.output}\n{self.log.read_text()}"
            if self._client.channels_running and self._client.iopub_channel.msg_ready():
                self._note(self._client.get_iopub_msg(timeout=left))
            elif not self.manager.is_alive():
                raise AssertionError(f"the kernel is dead\n{self.output}\n{self.log.read_text()}")
            else:
                time.sleep(0.005)

    def _note(self, message: dict[str, Any]) -> None:
        name, content = message["parent_header"].get("msg_id", ""), message["content"]
        cell = self._cells.setdefault(name, Cell())
        kind = message["msg_type"]
        if kind == "stream":
            setattr(cell, content["name"], getattr(cell, content["name"]) + content["text"])
        elif kind in ("display_data", "execute_result"):
            cell.html.append(content["data"].get("text/html", content["data"].get("text/plain", "")))
        elif kind == "error":
            cell.error, cell.traceback = content["ename"], "\n".join(content["traceback"])
        elif kind == "status" and content["execution_state"] == "idle":
            self._idle.add(name)


def skip_without_ipykernel(python: str) -> None:
    """Skips the test where no kernel can run in the interpreter that trains."""
    found = subprocess.run([python, "-c", "import ipykernel"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{python} has no ipykernel to run a notebook with")
