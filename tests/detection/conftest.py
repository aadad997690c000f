from typing import Callable, Iterator

import pytest

from primus_lens_wandb_exporter.detection import environment
from primus_lens_wandb_exporter.redaction import EXTRA_KEYS_VARIABLE

from .stand_ins import Modules


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run under has none of the variables that detection reads."""
    for name in (*environment.ALLOWED, EXTRA_KEYS_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def modules() -> Modules:
    return Modules()


@pytest.fixture
def set_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all  # type: ignore[return-value]
