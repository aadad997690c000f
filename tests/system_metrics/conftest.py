import logging
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest

from primus_lens_wandb_exporter import diagnostics
from primus_lens_wandb_exporter.system_metrics.sampler import SystemSampler

THREAD_NAME = "primus-lens-system-metrics"


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits until the condition holds; a busy machine may take its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not come about in {seconds} s"
        time.sleep(0.002)


def sampler_threads() -> List[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    yield
    until(lambda: sampler_threads() == [])


@pytest.fixture
def warnings() -> Iterator[List[str]]:
    """What the exporter says to the user during the test, "once" beginning anew."""
    messages: List[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                messages.append(record.getMessage())

    collector = Collector()
    seen = dict(diagnostics._seen)
    diagnostics._seen.clear()
    diagnostics.LOGGER.addHandler(collector)
    yield messages
    diagnostics.LOGGER.removeHandler(collector)
    diagnostics._seen.clear()
    diagnostics._seen.update(seen)


@pytest.fixture
def install_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Puts a stand-in where ``import name`` finds it; None makes the import fail."""

    def install(name: str, module: Any) -> None:
        monkeypatch.setitem(sys.modules, name, module)

    return install


@pytest.fixture(autouse=True)
def no_libraries(install_module: Callable[[str, Any], None]) -> None:
    """Whatever this machine has installed, a test sees only the libraries that it brings."""
    install_module("pynvml", None)
    install_module("amdsmi", None)


@pytest.fixture
def sampler_of() -> Iterator[Callable[..., SystemSampler]]:
    """Makes samplers that are stopped at the end of the test."""
    made: List[SystemSampler] = []

    def make(interval_s: float = 3600.0, environ: "Dict[str, str] | None" = None, **roots: str) -> SystemSampler:
        made.append(SystemSampler(interval_s, environ={} if environ is None else environ, **roots))
        return made[-1]

    yield make
    for sampler in made:
        sampler.shut_down()
