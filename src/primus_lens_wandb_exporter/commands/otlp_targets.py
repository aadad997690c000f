"""Where `sync --to otlp` sends to: one endpoint, which the user names. What a file says of addresses is Lens's."""

import os
from typing import Any, Dict, Mapping, Set, Tuple

from .. import settings
from ..records import Run
from ..sinks.otlp_attributes import config_entries, info_attributes
from ..sinks.otlp_batches import OtlpBatcher, load_encoding
from ..sinks.otlp_client import OtlpClient
from ..sinks.otlp_settings import OWN_ENDPOINT, STANDARD_ENDPOINT, read_otlp_settings
from .destination import OTLP_DESTINATION, Target

OPTION = "--otlp-endpoint"


class NoEndpointError(ValueError):
    """No address is named, or what is named is none; says what to do."""


class OtlpTargets:
    """Raises NoEndpointError, and EncodingError where messages cannot be made here."""

    destination = OTLP_DESTINATION

    def __init__(self, endpoint: str = "", environ: Mapping[str, str] = os.environ) -> None:
        named_by = OPTION if endpoint else OWN_ENDPOINT if environ.get(OWN_ENDPOINT, "").strip() else STANDARD_ENDPOINT
        found = read_otlp_settings({**environ, OWN_ENDPOINT: endpoint} if endpoint else environ)
        if found is None:
            raise NoEndpointError(
                "--to otlp wants an address: give %s http://host:4318, or set %s" % (OPTION, OWN_ENDPOINT)
            )
        self._settings = found
        self._encoding = load_encoding()
        self._client = OtlpClient(found)
        self._target = Target(found.endpoint, named_by)
        self.given_up: Set[Target] = set()

    def choose(self, address_in_file: str) -> Target:
        return self._target

    def client(self, target: Target) -> OtlpClient:
        return self._client

    def make_batcher(self) -> OtlpBatcher:
        return OtlpBatcher(self._settings, settings.DEFAULT_FLUSH_INTERVAL_S)

    def encode_detection(self, run: Run, detection: Dict[str, Any]) -> Tuple[str, bytes]:
        resource = self.make_batcher().resource(run)
        attributes, config = info_attributes(detection), config_entries(detection)
        body: bytes = self._encoding.encode_info(resource, detection["timestamp"], attributes, config)
        return "", body
