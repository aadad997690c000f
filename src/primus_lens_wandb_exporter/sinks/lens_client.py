"""One request to the telemetry-processor and what its answer means. Knows HTTP, not metrics.

What is retried: network errors, timeouts, 408, 425, 429, every 5xx, and the 400 ``no valid workload found``, because
the server learns of a new pod some 20 seconds late. So is what is no answer of Lens at all: the address is wrong, or
something is in between, and the metrics are not to blame. Anything else that is not Lens's own 200 is final.
"""

import sys
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional
from urllib.parse import urlsplit

from .. import fork_safety

if TYPE_CHECKING:
    from .bounded_http import BoundedHttp

# The server may need seconds for a request, and one that is given up half-way is stored half.
ANSWER_TIMEOUT_S = 30.0
LONGEST_RETRY_AFTER_S = 300.0

_SUCCESS_CODE = 2000
_RETRIED_STATUS = frozenset((408, 425, 429))
# To these a proxy or a firewall may object because of this one request: its size, or a word in it.
_STATUS_OF_ONE_REQUEST = frozenset((400, 403, 413, 422))
_UNKNOWN_WORKLOAD = "no valid workload found"
_LONGEST_REASON = 200
_LONGEST_EXCERPT = 60
_LONGEST_RETRY_AFTER = 100


class Answer(NamedTuple):
    """What came of one request."""

    delivered: bool
    retry: bool = False
    # Whether the server itself failed on this very request (500), instead of being absent, busy or ignorant of the pod.
    failed_on_request: bool = False
    # Whether waiting alone will hardly help: a wrong address, a certificate that is not trusted.
    needs_a_person: bool = False
    retry_after_s: Optional[float] = None
    reason: str = ""


def make_headers(token: str) -> Dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "primus-lens-wandb-exporter"}
    if token:
        headers["Authorization"] = "Bearer " + token
    return headers


class LensClient:
    """Posts to one base URL over one kept-alive connection."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self.base_url = base_url
        self._token = token
        self._headers = make_headers(token)
        self._http: "Optional[BoundedHttp]" = None

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a JSON body and returns what the answer means; raises nothing that a server can cause."""
        if not sys.meta_path:
            return Answer(delivered=False, retry=True, reason="the interpreter is being torn down")
        limit_s = ANSWER_TIMEOUT_S if time_limit_s is None else min(ANSWER_TIMEOUT_S, time_limit_s)
        try:
            if self._http is None:
                self._http = _make_http()
            reply = self._http.exchange("POST", self.base_url + path, self._headers, body, limit_s)
        except Exception as error:
            return self._without_token(_explain(error, self.base_url, limit_s))
        # Before anything is cut off: half of a token would not be found.
        content = reply.content.replace(self._token.encode(), b"***") if self._token else reply.content
        answer = self._without_token(judge(reply.status, reply.headers, content))
        if not answer.delivered:
            # Whatever else is sent over this connection is not to be taken for the answer to the next request.
            self._http.close()
        return answer

    def _without_token(self, answer: Answer) -> Answer:
        """Some servers say back what they were sent."""
        return answer._replace(reason=answer.reason.replace(self._token, "***")) if self._token else answer

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._http = None


def _make_http() -> "BoundedHttp":
    """Not before the first request: `import wandb` shall not take longer."""
    with fork_safety.importing():
        from . import lens_trouble  # noqa: F401 - on the first failure there may be no file left to import it from
        from .bounded_http import BoundedHttp

        return BoundedHttp()


def _explain(error: BaseException, base_url: str, limit_s: float) -> Answer:
    with fork_safety.importing():
        from . import lens_trouble
    trouble = lens_trouble.explain(error, base_url, limit_s)
    return Answer(delivered=False, retry=True, needs_a_person=trouble.needs_a_person, reason=trouble.what)


def judge(status: int, headers: Any, content: bytes) -> Answer:
    """Tells what an HTTP answer means for the request."""
    envelope = _read_envelope(content)
    if envelope is None:
        return _judge_foreign(status, headers, content)
    code, message = envelope
    if status == 200 and code == _SUCCESS_CODE:
        return Answer(delivered=True)
    retry = _may_pass(status) or (status == 400 and message == _UNKNOWN_WORKLOAD)
    return Answer(
        delivered=False,
        retry=retry,
        failed_on_request=status == 500,
        retry_after_s=_read_retry_after(headers.get("Retry-After")) if retry else None,
        reason=_with_hint(status, "HTTP {} {}".format(status, "code %d %s" % envelope if status == 200 else message)),
    )


def _may_pass(status: int) -> bool:
    return status in _RETRIED_STATUS or status >= 500


def _judge_foreign(status: int, headers: Any, content: bytes) -> Answer:
    """An answer in another form than Lens's: of a proxy in between, or of something else at this address."""
    reason = "HTTP {} {}".format(status, _excerpt(content)).strip()
    if 300 <= status < 400:
        reason += " (redirect to %s)" % _without_secrets(headers.get("Location", "nowhere"))
    may_pass = _may_pass(status)
    return Answer(
        delivered=False,
        retry=True,
        failed_on_request=status == 500 or status in _STATUS_OF_ONE_REQUEST,
        needs_a_person=not may_pass,
        retry_after_s=_read_retry_after(headers.get("Retry-After")),
        reason=reason if may_pass else _with_hint(status, reason + ", which is not an answer of Lens"),
    )


def _with_hint(status: int, reason: str) -> str:
    return reason.strip() + (" (is PRIMUS_LENS_API_TOKEN right?)" if status == 401 else "")


def _excerpt(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return "with a web page"
    first_line = text.split("\n", 1)[0].strip()
    return '"%s"' % first_line[:_LONGEST_EXCERPT] if first_line else ""


def _without_secrets(location: str) -> str:
    """The address without user and query: both may be secrets."""
    try:
        parts = urlsplit(location[:_LONGEST_REASON])
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "what is not an address"


def _read_envelope(content: bytes) -> "Optional[tuple[int, str]]":
    """Code and message of an answer in Lens's form; None when it is in another."""
    import json

    try:
        meta = json.loads(content.decode("utf-8"))["meta"]
        code = meta["code"]
        return (code, str(meta.get("message", ""))[:_LONGEST_REASON]) if type(code) is int else None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


def _read_retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None when it holds neither."""
    if not value or len(value) > _LONGEST_RETRY_AFTER:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)
