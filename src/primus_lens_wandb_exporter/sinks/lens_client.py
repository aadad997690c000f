"""One request to the telemetry-processor and what its answer means. Knows HTTP, not metrics.

Beside what is retried anyway it is the 400 ``no valid workload found``, because the server learns of a new pod some 20
seconds late. Anything else in Lens's own form that is not its 200 is final.
"""

from typing import Any, Dict, Optional

from ..diagnostics import redact_addresses
from .answers import Answer, judge_foreign, may_pass, read_retry_after, with_hint
from .http_client import HttpClient
from .lens_address import SUCCESS_CODE, TOKEN_VARIABLE, join_path, read_envelope

# The server may need seconds for a request, and one that is given up half-way is stored half.
ANSWER_TIMEOUT_S = 30.0

_UNKNOWN_WORKLOAD = "no valid workload found"


def make_headers(token: str) -> Dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "primus-lens-wandb-exporter"}
    if token:
        headers["Authorization"] = "Bearer " + token
    return headers


class LensClient:
    """Posts to one base URL."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self.base_url = base_url
        self.headers = make_headers(token)
        self._http = HttpClient(self.headers, [token] if token else [], ANSWER_TIMEOUT_S)

    @property
    def address(self) -> str:
        """For a person to read."""
        return redact_addresses(self.base_url)

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a JSON body and returns what the answer means; raises nothing that a server can cause."""
        return self._http.post(join_path(self.base_url, path), body, judge, time_limit_s)

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._http.forget_connection()


def judge(status: int, headers: Any, content: bytes) -> Answer:
    """Tells what an HTTP answer means for the request."""
    envelope = read_envelope(content)
    if envelope is None:
        return judge_foreign("Lens", TOKEN_VARIABLE, status, headers, content)
    code, message = envelope
    if status == 200 and code == SUCCESS_CODE:
        return Answer(delivered=True)
    retry = may_pass(status) or (status == 400 and message == _UNKNOWN_WORKLOAD)
    return Answer(
        delivered=False,
        retry=retry,
        failed_on_request=status == 500,
        retry_after_s=read_retry_after(headers.get("Retry-After")) if retry else None,
        reason=with_hint(
            status, "HTTP {} {}".format(status, "code %d %s" % envelope if status == 200 else message), TOKEN_VARIABLE
        ),
    )
