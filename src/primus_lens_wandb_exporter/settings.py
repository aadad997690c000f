"""Every environment variable of the exporter, read in one place.

The switch is read when wandb is imported, the rest when a run starts, because notebooks set variables after Python
has started. A malformed value is one warning that names the variable, the value and what is used instead.
"""

import os
from typing import TYPE_CHECKING, Callable, Mapping, NamedTuple, Optional, TypeVar
from urllib.parse import urlsplit, urlunsplit

from . import diagnostics

if TYPE_CHECKING:
    from .sinks.otlp_settings import OtlpSettings

# What the guides print: the first of the addresses that are tried where none is set.
DEFAULT_BASE_URL = "http://primus-lens-telemetry-processor:8080/api/v1"
# A step of a typical job has 5 to 30 metrics; the server needs about 4 round trips to its database for each step.
DEFAULT_BATCH_SIZE = 500
MAXIMUM_BATCH_SIZE = 500
DEFAULT_FLUSH_INTERVAL_S = 1.0
DEFAULT_FLUSH_TIMEOUT_S = 5.0
DEFAULT_BUFFER_MB = 64.0
DEFAULT_SYSTEM_INTERVAL_S = 5.0

_TRUE = frozenset(("true", "1", "yes", "on"))
_FALSE = frozenset(("false", "0", "no", "off"))

T = TypeVar("T")


class Settings(NamedTuple):
    """What the environment asks of the exporter. Equal settings share one exporter."""

    api_reporting: bool = True
    # Empty where none is set: Lens is looked for, and no token goes there.
    base_url: str = ""
    api_token: str = ""
    save_local: bool = True
    output_path: Optional[str] = None
    enhance_metrics: bool = False
    debug: bool = False
    batch_size: int = DEFAULT_BATCH_SIZE
    flush_interval_s: float = DEFAULT_FLUSH_INTERVAL_S
    flush_timeout_s: float = DEFAULT_FLUSH_TIMEOUT_S
    buffer_mb: float = DEFAULT_BUFFER_MB
    system_interval_s: float = DEFAULT_SYSTEM_INTERVAL_S
    flush_on_sigterm: bool = False
    # None where nothing asks for OpenTelemetry.
    otlp: "Optional[OtlpSettings]" = None
    announce: bool = False


def hook_is_enabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether wandb is to be intercepted at all (``PRIMUS_LENS_WANDB_HOOK``)."""
    return read_variable(environ, "PRIMUS_LENS_WANDB_HOOK", parse_boolean, True)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    base_url = read_variable(environ, "PRIMUS_LENS_API_BASE_URL", parse_base_url, "", "the known addresses of Lens")
    api_token = read_variable(environ, "PRIMUS_LENS_API_TOKEN", _token, "")
    return Settings(
        api_reporting=read_variable(environ, "PRIMUS_LENS_WANDB_API_REPORTING", parse_boolean, True),
        base_url=base_url,
        # That for a malformed address was meant for another server than what is found instead.
        api_token=api_token if base_url or not environ.get("PRIMUS_LENS_API_BASE_URL", "").strip() else "",
        save_local=read_variable(environ, "PRIMUS_LENS_WANDB_SAVE_LOCAL", parse_boolean, True),
        output_path=_output_path(environ),
        enhance_metrics=read_variable(environ, "PRIMUS_LENS_WANDB_ENHANCE_METRICS", parse_boolean, False),
        debug=read_variable(environ, "PRIMUS_LENS_WANDB_DEBUG", parse_boolean, False),
        batch_size=read_variable(environ, "PRIMUS_LENS_WANDB_BATCH_SIZE", _batch_size, DEFAULT_BATCH_SIZE),
        flush_interval_s=read_variable(
            environ, "PRIMUS_LENS_WANDB_FLUSH_INTERVAL", _positive, DEFAULT_FLUSH_INTERVAL_S
        ),
        flush_timeout_s=read_variable(
            environ, "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT", _not_negative, DEFAULT_FLUSH_TIMEOUT_S
        ),
        buffer_mb=read_variable(environ, "PRIMUS_LENS_WANDB_BUFFER_MB", _positive, DEFAULT_BUFFER_MB),
        system_interval_s=read_variable(
            environ, "PRIMUS_LENS_WANDB_SYSTEM_INTERVAL", _positive, DEFAULT_SYSTEM_INTERVAL_S
        ),
        flush_on_sigterm=read_variable(environ, "PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM", parse_boolean, False),
        otlp=_otlp(environ),
        announce=read_variable(environ, "PRIMUS_LENS_WANDB_ANNOUNCE", parse_boolean, False),
    )


def _otlp(environ: Mapping[str, str]) -> "Optional[OtlpSettings]":
    if not (environ.get("PRIMUS_LENS_WANDB_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")):
        return None
    from .sinks.otlp_settings import read_otlp_settings

    return read_otlp_settings(environ)


def _output_path(environ: Mapping[str, str]) -> Optional[str]:
    # A relative path means where the run starts: some launchers change the directory afterwards.
    path = environ.get("PRIMUS_LENS_WANDB_OUTPUT_PATH", "")
    return os.path.abspath(path) if path else None


def read_variable(
    environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T, instead: str = "none"
) -> T:
    """The variable's value, or the default, with a warning where it is malformed: ``parse`` raises ValueError that
    says what is wrong. ``instead`` says what an empty default comes to."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        shown = "***" if parse is _token else text
        diagnostics.warn_once(
            ("setting", name, shown), "%s=%r %s; using %s", name, shown, error, instead if default == "" else default
        )
        return default


def parse_boolean(text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("is not one of true/false, 1/0, yes/no, on/off")


def _batch_size(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MAXIMUM_BATCH_SIZE:
        raise ValueError("is not a whole number from 1 to %d" % MAXIMUM_BATCH_SIZE)
    return number


def _token(text: str) -> str:
    # Not part of the message: it is a secret, malformed or not.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has characters that a header cannot carry")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise ValueError("is not a number above 0")
    return number


def _not_negative(text: str) -> float:
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise ValueError("is not a number of at least 0")
    return number


def parse_base_url(text: str) -> str:
    """The address of a Lens API, without a slash at its path's end; raises ValueError that says what is wrong."""
    if not is_http_address(text):
        raise ValueError("is not an address of the form http://host:port/api/v1")
    parts = urlsplit(text)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def is_http_address(text: str) -> bool:
    """Whether every reader takes it for the same address of a web server."""
    try:
        parts = urlsplit(text)
        # urlsplit itself leaves out tabs and line ends, wherever they stand.
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text
        # Readers of addresses differ in which of "http://one\\@two/" and "http://one/x@two" is the host: so do people.
        valid = valid and "\\" not in text and "@" not in text.partition(parts.netloc)[2]
        parts.port  # noqa: B018 - reading it is what validates it
    except ValueError:
        valid = False
    return valid
