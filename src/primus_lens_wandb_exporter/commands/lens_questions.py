"""Asks Lens, without an effect there, whether it would take a report from here, and whether it knows the workload."""

import json
import socket
import threading
from typing import TYPE_CHECKING, Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote, urlsplit

from ..sinks.http_client import HttpClient
from ..sinks.lens_address import LENS, NOT_LENS, REFUSED, UNREACHABLE, ProbeResult, join_path, probe, siblings
from ..sinks.lens_client import make_headers

if TYPE_CHECKING:
    from ..sinks.bounded_http import Reply

LIMIT_S = 3.0
_UNKNOWN_WORKLOAD_CODE = 4004
_SUCCESS_CODE = 2000

# What Lens tells of a workload.
KNOWN, EMPTY, UNKNOWN, UNVERIFIED = "known", "empty", "unknown", "unverified"
# In which form queries are answered: as the guides print it, or in the envelope that came in January 2026.
BARE, ENVELOPE = "bare", "envelope"


class FoundLens(NamedTuple):
    """Where Lens was found. ``others`` are the addresses that were asked before, with what is wrong there."""

    address: str
    result: ProbeResult
    others: "Sequence[Tuple[str, ProbeResult]]" = ()


class Workload(NamedTuple):
    """What the query API tells of a workload, and in which form; ``form`` is empty where it did not answer."""

    state: str
    form: str = ""
    reason: str = ""


def find_lens(addresses: Sequence[str], token: str, are_users: bool) -> FoundLens:
    """Asks the addresses in turn, and where something else answers at one of the user's, under the other prefix."""
    asked: List[Tuple[str, ProbeResult]] = []
    for address in addresses:
        result = probe(exchange, address, make_headers(token), LIMIT_S)
        if result.kind == LENS:
            return FoundLens(address, result, asked)
        asked.append((address, result))
        if result.kind == NOT_LENS and are_users:
            for sibling in siblings(address):
                result = probe(exchange, sibling, make_headers(token), LIMIT_S)
                if result.kind in (LENS, REFUSED):
                    return FoundLens(sibling, result, asked)
    # Something that answers tells more than what does not.
    address, result = next(((at, found) for at, found in asked if found.kind != UNREACHABLE), asked[0])
    return FoundLens(address, result, [one for one in asked if one[0] != address])


def wants_token(address: str) -> bool:
    """Whether a Lens takes no report without its token."""
    return probe(exchange, address, make_headers(""), LIMIT_S).kind != LENS


def ask_workload(address: str, token: str, workload_uid: str) -> Workload:
    """Whether Lens knows the workload. A report for one that it does not know is taken, and found by no query."""
    url = join_path(address, "/workloads/%s/metrics/sources" % quote(workload_uid, safe=""))
    try:
        reply = exchange("GET", url, make_headers(token), None, LIMIT_S)
    except Exception:  # whatever a server or the way to it can cause
        return Workload(UNVERIFIED, reason="queries are not answered here")
    return judge_workload(reply.status, reply.content)


def judge_workload(status: int, content: bytes) -> Workload:
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or status != 200:
        return Workload(UNVERIFIED, reason="queries are answered with HTTP %d here" % status)
    meta = found.get("meta")
    if isinstance(meta, dict):
        code = meta.get("code")
        if code == _UNKNOWN_WORKLOAD_CODE:
            return Workload(UNKNOWN, ENVELOPE)
        if code != _SUCCESS_CODE:
            return Workload(UNVERIFIED, ENVELOPE, "the query was answered with code %.10s" % code)
        return Workload(KNOWN, ENVELOPE)
    if "data_sources" not in found:
        return Workload(UNVERIFIED, reason="queries are answered in a form of their own here")
    # Here one that is not known looks like one that has nothing yet.
    return Workload(KNOWN if found["data_sources"] else EMPTY, BARE)


def prefix_of(address: str) -> str:
    """``/v1`` is the service's own, ``/api/v1`` what the guides print."""
    return urlsplit(address).path.rstrip("/") or "/"


def exchange(method: str, url: str, headers: Mapping[str, str], body: Optional[bytes], limit_s: float) -> "Reply":
    """As `HttpClient.exchange`, and in time also where a name server keeps us waiting much longer than any socket."""
    # Here, and not in the thread: on a busy machine this alone takes seconds.
    from ..sinks import bounded_http, lens_trouble  # noqa: F401

    token = headers.get("Authorization", "").rpartition(" ")[2]
    client = HttpClient(headers, [token] if token else [], limit_s)
    outcome: List[Any] = []

    def run() -> None:
        try:
            outcome.append(client.exchange(method, url, headers, body, limit_s))
        except Exception as error:
            outcome.append(error)
        finally:
            client.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s + 0.5)
    if not outcome:
        raise socket.timeout("no answer in time")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    reply: "Reply" = outcome[0]
    return reply
