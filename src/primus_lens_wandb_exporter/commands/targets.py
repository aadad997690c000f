"""Where `sync` sends to that delivers to Lens, and who gets the token.

The user names an address on the command line or in the environment. One that only a file names may be anybody's, and so
may be whatever answers at a known address where nobody names one: they get no token.
"""

import json
import os
from typing import Any, Dict, Optional, Set, Tuple

from .. import settings
from ..records import Run
from ..sinks.lens_api import DETECTION_PATH
from ..sinks.lens_batches import StepBatcher
from ..sinks.lens_client import LensClient
from .destination import LENS_DESTINATION, Target

_VARIABLE = "PRIMUS_LENS_API_BASE_URL"


_KNOWN = Target("", "none is set")


class LensTargets:
    """The addresses of one command, with one client for each."""

    destination = LENS_DESTINATION

    def __init__(self, base_url: Optional[str]) -> None:
        current = settings.read_settings()
        self._token = current.api_token
        self._named: Optional[Target] = None
        if base_url:
            self._named = Target(base_url, "--base-url")
        elif os.environ.get(_VARIABLE, "").strip():
            self._named = Target(current.base_url, _VARIABLE) if current.base_url else _KNOWN
        self._clients: Dict[Target, LensClient] = {}
        self.given_up: Set[Target] = set()

    def choose(self, address_in_file: str) -> Target:
        if self._named is not None:
            return self._named
        # Earlier versions noted the first of the known addresses where nobody had named one.
        if address_in_file in ("", settings.DEFAULT_BASE_URL):
            return _KNOWN
        return Target(address_in_file, "the file", is_users=False)

    def client(self, target: Target) -> LensClient:
        if target not in self._clients:
            self._clients[target] = LensClient(target.address, self._token if target.is_users else "")
        return self._clients[target]

    def make_batcher(self) -> StepBatcher:
        return StepBatcher(settings.DEFAULT_BATCH_SIZE, settings.DEFAULT_FLUSH_INTERVAL_S)

    def encode_detection(self, run: Run, detection: Dict[str, Any]) -> Tuple[str, bytes]:
        return DETECTION_PATH, json.dumps(detection, allow_nan=False, separators=(",", ":")).encode("ascii")
