"""What the environment variables of this process say, and what is wrong with them."""

import logging
import re
from typing import List, NamedTuple

from .. import diagnostics, identity, settings

SWITCH = "PRIMUS_LENS_WANDB_HOOK"


class CapturedWarnings(logging.Handler):
    """Collects what the exporter warns of, instead of letting it be printed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: List[str] = []
        self._logger = diagnostics.LOGGER

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.texts.append(text[len("Primus Lens: ") :] if text.startswith("Primus Lens: ") else text)

    def __enter__(self) -> "CapturedWarnings":
        self._logger.addHandler(self)
        self._propagated, self._logger.propagate = self._logger.propagate, False
        return self

    def __exit__(self, *_error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated


class Environment(NamedTuple):
    """What the environment variables of this process say, and what is wrong with them."""

    hook_is_enabled: bool
    settings: settings.Settings
    identity: identity.Identity
    place: identity.Place
    warnings: List[str]

    def warnings_about(self, variable: str) -> List[str]:
        return [text for text in self.warnings if re.search(r"\b%s\b" % variable, text)]


def read_environment() -> Environment:
    with CapturedWarnings() as captured:
        return Environment(
            settings.hook_is_enabled(),
            settings.read_settings(),
            identity.read_identity(),
            identity.read_place(),
            captured.texts,
        )
