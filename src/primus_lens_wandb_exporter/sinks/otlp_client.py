"""One request to an OTLP server and what its answer means. Knows HTTP, not metrics.

As the standard says 429, 502, 503 and 504 are asked again, and what an OTLP server refuses by 400 is refused for good.
A web page, a redirect, 404 and the like are no answers of one: the address is wrong, and metrics wait.
"""

import json
from typing import Any, Dict, Optional

from .. import diagnostics
from ..sources import protobuf
from .answers import LONGEST_REASON, Answer, Server, judge_foreign, may_pass, read_retry_after, with_hint
from .http_client import HttpClient
from .otlp_settings import OWN_ENDPOINT, STANDARD_ENDPOINT, OtlpSettings

TITLE = "an OTLP server"
_SECRET = "OTEL_EXPORTER_OTLP_HEADERS"
# Shorter values of headers are no secrets, and would take letters out of every answer.
_SHORTEST_SECRET = 6


class OtlpClient:
    """Posts to one endpoint."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._endpoint = settings.endpoint
        self._variable = OWN_ENDPOINT if settings.is_own else STANDARD_ENDPOINT
        self._is_compressed = settings.is_compressed
        headers = dict(settings.headers)
        headers.update(_own_headers(settings.is_compressed))
        secrets = {part for _, value in settings.headers for part in (value, value.rpartition(" ")[2])}
        self._http = HttpClient(
            headers,
            # The longest first: a part of one is left otherwise.
            sorted((secret for secret in secrets if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True),
            settings.timeout_s,
            settings.certificate,
            (settings.client_certificate, settings.client_key),
            Server("the OTLP server", self._variable, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        )
        # Whether an OTLP server has ever taken something here: then a refusal in plain words is its own.
        self._has_taken = False

    @property
    def address(self) -> str:
        return diagnostics.redact_addresses(self._endpoint)

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a message to the endpoint, whatever ``path`` is; raises nothing that a server can cause."""
        if self._is_compressed:
            import gzip  # requests' own urllib3 has loaded what it needs

            body = gzip.compress(body)
        answer = self._http.post(self._endpoint, body, self._judge, time_limit_s)
        self._has_taken = self._has_taken or answer.delivered
        return answer

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._http.forget_connection()

    def _judge(self, status: int, headers: Any, content: bytes) -> Answer:
        answer = judge(status, headers, content, self._has_taken)
        if not answer.needs_a_person:
            return answer
        if status in (401, 403):
            return answer._replace(next_step="set %s to what this server asks for" % _SECRET)
        return answer._replace(
            next_step="set %s to the whole address, with the path that this server has for OTLP" % self._variable
        )


def _own_headers(is_compressed: bool) -> Dict[str, str]:
    headers = {"Content-Type": "application/x-protobuf", "User-Agent": "primus-lens-wandb-exporter"}
    if is_compressed:
        headers["Content-Encoding"] = "gzip"
    return headers


def judge(status: int, headers: Any, content: bytes, is_known: bool = False) -> Answer:
    """Tells what an HTTP answer means; ``is_known`` says that an OTLP server has answered at this address before."""
    kind = str(headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    if 200 <= status < 300:
        return _judge_success(kind, content) or judge_foreign(TITLE, _SECRET, status, headers, content)
    is_page = kind == "text/html" or content.lstrip()[:1] == b"<"
    message = _status_message(content) if kind == "application/x-protobuf" else None
    if may_pass(status):
        return Answer(
            delivered=False,
            retry=True,
            failed_on_request=status == 500,
            retry_after_s=read_retry_after(headers.get("Retry-After")),
            reason=judge_foreign(TITLE, _SECRET, status, headers, b"" if message is not None else content).reason
            + (" " + message if message else ""),
        )
    if status == 400 and not is_page and (is_known or message is not None):
        return Answer(delivered=False, reason="HTTP 400 " + (_text(content) if message is None else message))
    if status in (401, 403) and not is_page:
        reason = "HTTP %d %s" % (status, _text(content) if message is None else message)
        return Answer(False, retry=True, needs_a_person=True, reason=with_hint(status, reason, _SECRET))
    return judge_foreign(TITLE, _SECRET, status, headers, content)


def _judge_success(kind: str, content: bytes) -> Optional[Answer]:
    """None for what no OTLP server answers."""
    try:
        if kind == "application/json":
            found = json.loads(content.decode("utf-8") or "{}")
            partial = found.get("partialSuccess") or {}
            if set(found) - {"partialSuccess"}:
                return None
            rejected, message = int(partial.get("rejectedDataPoints", 0)), str(partial.get("errorMessage", ""))
        elif kind == "application/x-protobuf" or not content:
            rejected, message = _read_partial_success(content)
        else:
            return None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    message = message[:LONGEST_REASON]
    if rejected <= 0:
        # A warning, as the standard says.
        if message:
            diagnostics.debug("%s took everything, and says: %s", TITLE, message)
        return Answer(delivered=True)
    return Answer(delivered=True, rejected=rejected, reason=message or "it gives no reason")


def _read_partial_success(content: bytes) -> "tuple[int, str]":
    """Of an ExportMetricsServiceResponse: how many points were refused, and why; raises MessageError."""
    rejected, message = 0, ""
    for number, value in protobuf.read_fields(content):
        for inner, found in protobuf.to_message(value) if number == 1 else ():
            if inner == 1:
                rejected = protobuf.to_int(found)
            elif inner == 2:
                message = protobuf.to_text(found)
    return rejected, message


def _status_message(content: bytes) -> Optional[str]:
    """The message of a google.rpc.Status; None where it is none."""
    try:
        texts = [protobuf.to_text(value) for number, value in protobuf.read_fields(content) if number == 2]
    except protobuf.MessageError:
        return None
    return (texts[0] if texts else "")[:LONGEST_REASON]


def _text(content: bytes) -> str:
    return " ".join(content.decode("utf-8", "replace").split())[:LONGEST_REASON]
