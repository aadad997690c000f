"""Where Lens may be, and whether what answers at an address is a Lens. Knows nothing of what is sent."""

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit, urlunsplit

from .. import fork_safety
from ..settings import DEFAULT_BASE_URL
from .answers import LONGEST_REASON, judge_foreign, may_pass, with_hint
from .lens_batches import METRICS_PATH

if TYPE_CHECKING:
    from typing import Protocol

    from .bounded_http import Reply

    class Exchange(Protocol):
        """As `BoundedHttp.exchange`."""

        def __call__(
            self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes], limit_s: float
        ) -> Reply: ...


_HOST = "primus-lens-telemetry-processor"
# Where nobody has named an address: what the guides print, which exists where somebody made it so; where a stock Lens
# is installed; and the same beside the job, where Lens was installed in the job's own namespace.
KNOWN_ADDRESSES = (
    DEFAULT_BASE_URL,
    "http://%s.primus-lens.svc.cluster.local:8989/v1" % _HOST,
    "http://%s:8989/v1" % _HOST,
)

CORRECT_ADDRESS = (
    "set PRIMUS_LENS_API_BASE_URL to the address of Lens with its prefix, /v1 or /api/v1 (a stock Lens: %s)"
    % KNOWN_ADDRESSES[1]
)

# What a probe found at an address.
LENS = "lens"
NOT_LENS = "not lens"
UNREACHABLE = "unreachable"
REFUSED = "refused"

PROBE_LIMIT_S = 2.0
# Names no workload, so that every Lens refuses it, and nothing is stored; a token is looked at before.
_EMPTY_REPORT = b"{}"
# The guides' prefix, and that of the service itself.
_PREFIXES = ("/api/v1", "/v1")

TOKEN_VARIABLE = "PRIMUS_LENS_API_TOKEN"


class Envelope(NamedTuple):
    """What Lens puts around each answer."""

    code: int
    message: str
    data: Any


class ProbeResult(NamedTuple):
    """What is at an address.

    ``LENS``: a report would be taken; with a ``trouble`` it is a Lens that fails or is busy. ``NOT_LENS``: something
    else answers, or this is not the prefix. ``UNREACHABLE``: no answer, or one of a gateway that has no Lens behind it
    now. ``REFUSED``: a token is wanted (401, 403), by a Lens or by what stands before it.
    """

    kind: str
    # What is wrong, of the form "Lens at ADDRESS: …", and what to do next; both empty where nothing is.
    trouble: str = ""
    next_step: str = ""


def probe(
    exchange: "Exchange", base_url: str, headers: Mapping[str, str], limit_s: float = PROBE_LIMIT_S
) -> ProbeResult:
    """Asks whether a Lens is at the address, without an effect there; raises nothing that a server can cause.

    Takes ``limit_s`` seconds at most, looking up the name not counted. ``headers`` are `lens_client.make_headers`; a
    token in them is for the address of a user only.
    """
    try:
        reply = exchange("POST", join_path(base_url, METRICS_PATH), headers, _EMPTY_REPORT, limit_s)
    except Exception as error:
        with fork_safety.importing():
            from . import lens_trouble
        trouble = lens_trouble.explain(error, base_url, limit_s)
        return ProbeResult(UNREACHABLE, trouble.what, trouble.next_step)
    return judge_probe(reply.status, reply.headers, reply.content)


def judge_probe(status: int, headers: Any, content: bytes) -> ProbeResult:
    """What the answer to an empty report tells of the address."""
    envelope = read_envelope(content)
    if envelope is not None and status == 400:
        return ProbeResult(LENS)
    if envelope is None:
        reason = judge_foreign("Lens", TOKEN_VARIABLE, status, headers, content).reason
    else:
        reason = with_hint(status, "HTTP %d %s" % (status, envelope.message), TOKEN_VARIABLE)
    if status in (401, 403):
        return ProbeResult(REFUSED, reason, "set %s to the token of this Lens" % TOKEN_VARIABLE)
    if may_pass(status):
        kind = UNREACHABLE if envelope is None else LENS
        return ProbeResult(kind, reason, "look at the log of Lens, and of what is in between")
    return ProbeResult(NOT_LENS, reason, CORRECT_ADDRESS)


def read_envelope(content: bytes) -> Optional[Envelope]:
    """What is in an answer in Lens's form; None when it is in another."""
    import json

    try:
        answer = json.loads(content.decode("utf-8"))
        code, message = answer["meta"]["code"], str(answer["meta"].get("message", ""))[:LONGEST_REASON]
        return Envelope(code, message, answer.get("data")) if type(code) is int else None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


def join_path(base_url: str, path: str) -> str:
    """The address of a path below a base: ``http://gw/api/v1?cluster=a`` and ``/x`` are ``http://gw/api/v1/x?cluster=a``."""
    before, question_mark, query = base_url.partition("#")[0].partition("?")
    return before.rstrip("/") + path + question_mark + query


def siblings(base_url: str) -> Tuple[str, ...]:
    """The same place under the other prefix, ``/v1`` for ``/api/v1`` and the reverse; under both where it has none."""
    parts = urlsplit(base_url)
    stem = parts.path.rstrip("/")
    found = next((prefix for prefix in _PREFIXES if stem.endswith(prefix)), "")
    stem = stem[: len(stem) - len(found)]
    return tuple(urlunsplit(parts._replace(path=stem + prefix, fragment="")) for prefix in _PREFIXES if prefix != found)
