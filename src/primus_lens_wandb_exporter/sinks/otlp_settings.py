"""Where OpenTelemetry metrics go, and how: our own variable, and the standard's as its users know them.

Read when a run starts, and only where one of the two variables that switch it on is set.
"""

import os
from typing import Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from .. import diagnostics
from ..settings import is_http_address, parse_boolean, read_variable

OWN_ENDPOINT = "PRIMUS_LENS_WANDB_OTLP_ENDPOINT"
STANDARD_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
METRICS_PATH = "/v1/metrics"
DEFAULT_TIMEOUT_MS: float = 10000
DEFAULT_SERVICE_NAME = "wandb"

# What is said of metrics counts before what is said of every signal.
_PREFIXES = ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_")
# The standard counts milliseconds, Python's own exporter seconds: nobody gives a server less than this many of the
# former, or more of the latter.
_FEWEST_MS = 100
# Some write a number without end for no limit; a socket's has one.
_LONGEST_TIMEOUT_S = 3600.0
_HEADER_NAME = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")

Pairs = Tuple[Tuple[str, str], ...]


class OtlpSettings(NamedTuple):
    """What the environment asks of the way to an OTLP server. ``endpoint`` is the whole address."""

    endpoint: str
    # Secrets, as a rule.
    headers: Pairs = ()
    timeout_s: float = DEFAULT_TIMEOUT_MS / 1000
    # Files; empty where there is none.
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    is_compressed: bool = False
    has_step_attribute: bool = False
    # Whether our own variable names the endpoint: the standard's may be there for something else in the job.
    is_own: bool = True
    service_name: str = DEFAULT_SERVICE_NAME
    resource_attributes: Pairs = ()


def read_otlp_settings(environ: Mapping[str, str] = os.environ) -> Optional[OtlpSettings]:
    """None where nothing asks for OpenTelemetry, or where the address is malformed, which is said."""
    name = OWN_ENDPOINT if environ.get(OWN_ENDPOINT, "").strip() else STANDARD_ENDPOINT
    text = environ.get(name, "").strip()
    is_own = name == OWN_ENDPOINT
    if not text or not (is_own or (_is_wanted_by_the_standard(environ) and not _is_grpc(environ))):
        return None
    if not is_http_address(text):
        diagnostics.warn_once(
            ("setting", name, text),
            "%s=%r is not an address of the form http://host:4318/v1/metrics; nothing is sent to OpenTelemetry",
            name,
            text,
        )
        return None
    endpoint = _with_path(text) if is_own else text
    variables = _Variables(environ, endpoint if is_own else "")
    attributes = _read_pairs("OTEL_RESOURCE_ATTRIBUTES", environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    return OtlpSettings(
        endpoint=endpoint,
        headers=_read_headers(*variables.find("HEADERS")),
        timeout_s=read_variable(environ, variables.find("TIMEOUT")[0], _parse_timeout, DEFAULT_TIMEOUT_MS) / 1000,
        certificate=variables.find("CERTIFICATE")[1],
        client_certificate=variables.find("CLIENT_CERTIFICATE")[1],
        client_key=variables.find("CLIENT_KEY")[1],
        is_compressed=read_variable(environ, variables.find("COMPRESSION")[0], _parse_compression, "none") == "gzip",
        has_step_attribute=read_variable(environ, "PRIMUS_LENS_WANDB_OTLP_STEP_ATTRIBUTE", parse_boolean, False),
        is_own=is_own,
        service_name=environ.get("OTEL_SERVICE_NAME", "").strip()
        or dict(attributes).get("service.name", "")
        or DEFAULT_SERVICE_NAME,
        resource_attributes=attributes,
    )


def _is_wanted_by_the_standard(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() != "none"


def _with_path(address: str) -> str:
    parts = urlsplit(address)
    return address if parts.path.strip("/") else parts._replace(path=METRICS_PATH).geturl()


def _is_grpc(environ: Mapping[str, str]) -> bool:
    """Whether the standard's endpoint is a port that gets no HTTP; a job that did not ask us is not told."""
    variable, protocol = _Variables(environ, "").find("PROTOCOL")
    if protocol != "grpc":
        return False
    diagnostics.debug(
        "nothing is sent to OpenTelemetry: %s is grpc, which is not spoken here; name a port for HTTP in %s",
        variable,
        OWN_ENDPOINT,
    )
    return True


class _Variables:
    """The standard's variables. ``own_endpoint`` gets no header or key that was meant for another server."""

    def __init__(self, environ: Mapping[str, str], own_endpoint: str) -> None:
        self._environ = environ
        self._prefixes = [
            prefix
            for prefix in _PREFIXES
            if not own_endpoint or _is_same_server(environ.get(prefix + "ENDPOINT", "").strip(), own_endpoint)
        ]

    def find(self, suffix: str) -> Tuple[str, str]:
        """The variable that counts, and its value; the last one and an empty text where none is set."""
        for prefix in self._prefixes:
            text = self._environ.get(prefix + suffix, "").strip()
            if text:
                return prefix + suffix, text
        return "", ""


def _is_same_server(address: str, endpoint: str) -> bool:
    """Whether both have scheme, host and port in common; what names no server may be meant for any."""
    if not address:
        return True
    try:
        parts, wanted = urlsplit(address), urlsplit(endpoint)
        return (parts.scheme, parts.hostname, parts.port) == (wanted.scheme, wanted.hostname, wanted.port)
    except ValueError:
        return False


def _read_headers(name: str, text: str) -> Pairs:
    return _read_pairs(name, text, is_header=True)


def _read_pairs(name: str, text: str, is_header: bool = False) -> Pairs:
    """``a=1,b=2``, percent-encoded. What is malformed is left out and counted in one line, without the values."""
    entries = [entry for entry in text.split(",") if entry.strip()]
    pairs = []
    for entry in entries:
        key, equals, value = (part.strip() for part in entry.partition("="))
        key, value = unquote(key), unquote(value)
        is_valid = bool(key and equals and key.isprintable() and value.isprintable())
        if is_header:
            is_valid = is_valid and _HEADER_NAME.issuperset(key.lower()) and value.isascii()
        if is_valid:
            pairs.append((key, value))
    if len(pairs) < len(entries):
        diagnostics.warn_once(
            ("setting", name, text),
            "%s: %d of %d entries left out: each must be name=value, percent-encoded, separated by commas",
            name,
            len(entries) - len(pairs),
            len(entries),
        )
    return tuple(pairs)


def _parse_timeout(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number < float("inf"):
        raise ValueError("is not a number of milliseconds above 0")
    milliseconds = number if number >= _FEWEST_MS else number * 1000
    return min(milliseconds, _LONGEST_TIMEOUT_S * 1000)


def _parse_compression(text: str) -> str:
    if text not in ("gzip", "none"):
        raise ValueError("is not gzip or none")
    return text
