"""One request to the telemetry-processor and what its answer means. Knows HTTP, not metrics.

What is retried: network errors, timeouts, 408, 425, 429, every 5xx, and the 400 ``no valid workload found``, because
the server learns of a new pod some 20 seconds late. Anything else that is not Lens's own 200 is final.
"""

import os
import sys
import time
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Optional

from .. import fork_safety

# The server may need seconds for a request, and one that is given up half-way is stored half.
ANSWER_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
LONGEST_RETRY_AFTER_S = 300.0

_SUCCESS_CODE = 2000
_RETRIED_STATUS = frozenset((408, 425, 429))
_UNKNOWN_WORKLOAD = "no valid workload found"
_LONGEST_REASON = 200
_LONGEST_ANSWER = 64 * 1024


class Answer(NamedTuple):
    """What came of one request."""

    delivered: bool
    retry: bool = False
    # Whether the server itself failed on this very request (500), instead of being absent, busy or ignorant of the pod.
    failed_on_request: bool = False
    retry_after_s: Optional[float] = None
    reason: str = ""


class LensClient:
    """Posts to one base URL over one kept-alive connection."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self.base_url = base_url
        self._token = token
        self._session: Any = None

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a JSON body and returns what the answer means; raises nothing that a network can cause."""
        if not sys.meta_path:
            return Answer(delivered=False, retry=True, reason="the interpreter is being torn down")
        requests = _import_requests()
        limit = ANSWER_TIMEOUT_S if time_limit_s is None else min(ANSWER_TIMEOUT_S, time_limit_s)
        deadline = time.monotonic() + limit
        try:
            response = self._open_session().post(
                self.base_url + path,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=(min(CONNECT_TIMEOUT_S, limit), limit),
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, deadline)
        except requests.RequestException as error:
            return Answer(delivered=False, retry=True, reason=_short(error))
        return judge(response.status_code, response.headers, content)

    def _open_session(self) -> Any:
        if self._session is None:
            requests = _import_requests()
            session = requests.Session()
            # Lens is in the cluster: no proxy, and no passwords out of ~/.netrc.
            session.trust_env = False
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
            session.headers["User-Agent"] = "primus-lens-wandb-exporter"
            if self._token:
                session.headers["Authorization"] = "Bearer " + self._token
            self._session = session
        return self._session

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._session = None


def _import_requests() -> Any:
    """Not before the first request: `import wandb` shall not take longer. With what requests imports only when used."""
    requests = sys.modules.get("requests")
    if requests is None or not hasattr(requests, "Session"):
        with fork_safety.importing():
            import encodings.idna  # noqa: F401
            import ssl  # noqa: F401

            import requests
    return requests


def _read(response: Any, deadline: float) -> bytes:
    """The body of an answer. The socket's timeout starts anew with each byte: a server that drips must not hold us."""
    requests = _import_requests()
    content = bytearray()
    for byte in response.iter_content(1):
        content += byte
        if len(content) > _LONGEST_ANSWER:
            break
        if time.monotonic() > deadline:
            raise requests.Timeout("the answer did not end in time")
    return bytes(content)


def judge(status: int, headers: Any, content: bytes) -> Answer:
    """Tells what an HTTP answer means for the request."""
    code, message = _read_meta(content)
    if status == 200 and code == _SUCCESS_CODE:
        return Answer(delivered=True)
    if status == 200:
        return Answer(delivered=False, reason="HTTP 200, but not an answer of Lens (is the address right?)")
    reason = "HTTP {} {}".format(status, message).strip()
    if 300 <= status < 400:
        return Answer(delivered=False, reason="{} (redirect to {})".format(reason, headers.get("Location", "nowhere")))
    retry = status in _RETRIED_STATUS or status >= 500 or (status == 400 and message == _UNKNOWN_WORKLOAD)
    return Answer(
        delivered=False,
        retry=retry,
        failed_on_request=status == 500,
        retry_after_s=_read_retry_after(headers.get("Retry-After")) if retry else None,
        reason=reason,
    )


def _read_meta(content: bytes) -> "tuple[object, str]":
    import json

    try:
        meta = json.loads(content.decode("utf-8"))["meta"]
        return meta.get("code"), str(meta.get("message", ""))[:_LONGEST_REASON]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""


def _read_retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None when it holds neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, IndexError):
            return None
    if seconds != seconds:
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _short(error: BaseException) -> str:
    text = "{}: {}".format(type(error).__name__, error)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"
