"""What an answer to a request means, whoever gave it, and when to ask again.

What is retried: network errors, timeouts, 408, 425, 429, every 5xx, and what is no answer of the server that was meant:
the address is wrong, or something is in between, and the metrics are not to blame.
"""

import random
import time
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Optional
from urllib.parse import urlsplit

SHORTEST_BACKOFF_S = 0.1
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
LONGEST_RETRY_AFTER_S = 300.0

_RETRIED_STATUS = frozenset((408, 425, 429))
# To these a proxy or a firewall may object because of this one request: its size, or a word in it.
_STATUS_OF_ONE_REQUEST = frozenset((400, 403, 413, 422))
LONGEST_REASON = 200
_LONGEST_EXCERPT = 60
_LONGEST_RETRY_AFTER = 100


class Server(NamedTuple):
    """What people call a server, and the variables for its address and for the certificates that are trusted there."""

    title: str = "Lens"
    variable: str = "PRIMUS_LENS_API_BASE_URL"
    certificates: str = "REQUESTS_CA_BUNDLE"


LENS = Server()


class Answer(NamedTuple):
    """What came of one request."""

    delivered: bool
    retry: bool = False
    # Whether the server itself failed on this very request (500), instead of being absent, busy or ignorant of the pod.
    failed_on_request: bool = False
    # Whether waiting alone will hardly help: a wrong address, a certificate that is not trusted.
    needs_a_person: bool = False
    # Whether nothing of what was meant is at this address, such as a prefix that the server has not.
    is_wrong_address: bool = False
    retry_after_s: Optional[float] = None
    reason: str = ""
    # Of what was delivered, how many values the server has not stored.
    rejected: int = 0
    # What a person can do about it.
    next_step: str = ""


def backoff_s(attempts: int, answer: Answer, longest_s: float = LONGEST_BACKOFF_S) -> float:
    """How long to wait after ``attempts`` failures before this one: exponential, with full jitter.

    The server's own Retry-After can make it longer, never shorter.
    """
    ceiling = min(longest_s, FIRST_BACKOFF_S * 2 ** min(attempts, 10))
    asked_for = (answer.retry_after_s or 0.0) * random.uniform(1.0, 1.1)
    return max(SHORTEST_BACKOFF_S, random.uniform(0.0, ceiling), asked_for)


def may_pass(status: int) -> bool:
    """Whether the same request may be taken later."""
    return status in _RETRIED_STATUS or status >= 500


def judge_foreign(title: str, secret: str, status: int, headers: Any, content: bytes) -> Answer:
    """An answer in another form than that of ``title``: of a proxy in between, or of something else at this address.

    ``secret`` is the variable that holds what the server may ask for.
    """
    reason = "HTTP {} {}".format(status, _excerpt(content)).strip()
    if 300 <= status < 400:
        reason += " (redirect to %s)" % _without_secrets(headers.get("Location", "nowhere"))
    is_passing = may_pass(status)
    return Answer(
        delivered=False,
        retry=True,
        failed_on_request=status == 500 or status in _STATUS_OF_ONE_REQUEST,
        needs_a_person=not is_passing,
        retry_after_s=read_retry_after(headers.get("Retry-After")),
        reason=reason if is_passing else with_hint(status, reason + ", which is not an answer of " + title, secret),
    )


def with_hint(status: int, reason: str, secret: str) -> str:
    return reason.strip() + (" (is %s right?)" % secret if status == 401 else "")


def _excerpt(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return "with a web page"
    first_line = text.split("\n", 1)[0].strip()
    return '"%s"' % first_line[:_LONGEST_EXCERPT] if first_line else ""


def _without_secrets(location: str) -> str:
    """The address without user and query: both may be secrets."""
    try:
        parts = urlsplit(location[:LONGEST_REASON])
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "what is not an address"


def read_retry_after(value: Optional[str]) -> Optional[float]:
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
