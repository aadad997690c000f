"""One request to the telemetry-processor, wherever it is, and what its answer means. Knows HTTP, not metrics.

Beside what is retried anyway it is the 400 ``no valid workload found``, because the server learns of a new pod some 20
seconds late. Anything else in Lens's own form that is not its 200 is final.
"""

import sys
import time
from typing import Any, Dict, Optional, Sequence

from .answers import Answer, judge_foreign, may_pass, read_retry_after, with_hint
from .http_client import TORN_DOWN, HttpClient
from .lens_address import (
    CORRECT_ADDRESS,
    KNOWN_ADDRESSES,
    LENS,
    TOKEN_VARIABLE,
    Envelope,
    ProbeResult,
    join_path,
    probe,
    read_envelope,
)
from .lens_finder import LensFinder

# The server may need seconds for a request, and one that is given up half-way is stored half.
ANSWER_TIMEOUT_S = 30.0

# To write what is ready when no time is left.
_SHORTEST_LIMIT_S = 0.05
_SUCCESS_CODE = 2000
_UNKNOWN_WORKLOAD = "no valid workload found"
_NAME_WORKLOAD = (
    "set WORKLOAD_UID to the uid of the workload in Lens, or POD_NAME to the name of the pod, which on the network of "
    "its host is not the hostname"
)


def make_headers(token: str) -> Dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "primus-lens-wandb-exporter"}
    if token:
        headers["Authorization"] = "Bearer " + token
    return headers


class LensClient:
    """Posts to one base URL. Where it is empty Lens is looked for, without a token: that is for whom the user names."""

    def __init__(self, base_url: str, token: str = "", known_addresses: Sequence[str] = KNOWN_ADDRESSES) -> None:
        token = token if base_url else ""
        self.headers = make_headers(token)
        self._http = HttpClient(self.headers, [token] if token else [], ANSWER_TIMEOUT_S)
        self._finder = LensFinder(base_url, self._probe, known_addresses)

    @property
    def address(self) -> str:
        """For a person to read."""
        return self._finder.address_for_people

    def post(self, path: str, body: bytes, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a JSON body and returns what the answer means; raises nothing that a server can cause."""
        if not sys.meta_path:
            return TORN_DOWN
        ends_at = time.monotonic() + (ANSWER_TIMEOUT_S if time_limit_s is None else time_limit_s)
        trouble = self._finder.find(ends_at)
        if trouble is not None:
            return trouble
        answer = self._post(path, body, time_limit_s, ends_at)
        if answer.is_wrong_address:
            trouble = self._finder.find_sibling(answer, ends_at)
            answer = trouble or self._post(path, body, time_limit_s, ends_at)
        return answer

    def _post(self, path: str, body: bytes, time_limit_s: Optional[float], ends_at: float) -> Answer:
        if time_limit_s is not None:
            time_limit_s = max(_SHORTEST_LIMIT_S, ends_at - time.monotonic())
        return self._http.post(join_path(self._finder.address, path), body, judge, time_limit_s)

    def _probe(self, address: str, limit_s: float) -> ProbeResult:
        found = probe(self._http.exchange, address, self.headers, limit_s)
        if found.kind != LENS:
            self._http.close()
        return found

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._http.forget_connection()


def judge(status: int, headers: Any, content: bytes) -> Answer:
    """Tells what an HTTP answer means for the request."""
    envelope = read_envelope(content)
    if envelope is None:
        answer = judge_foreign("Lens", TOKEN_VARIABLE, status, headers, content)
        is_wrong_address = status in (404, 405)
        next_step = CORRECT_ADDRESS if answer.needs_a_person else ""
        return answer._replace(is_wrong_address=is_wrong_address, next_step=next_step)
    if status == 200 and envelope.code == _SUCCESS_CODE:
        return _judge_success(envelope)
    is_unknown_workload = status == 400 and envelope.message == _UNKNOWN_WORKLOAD
    retry = may_pass(status) or is_unknown_workload
    what = "code %d %s" % (envelope.code, envelope.message) if status == 200 else envelope.message
    return Answer(
        delivered=False,
        retry=retry,
        failed_on_request=status == 500,
        retry_after_s=read_retry_after(headers.get("Retry-After")) if retry else None,
        reason=with_hint(status, "HTTP {} {}".format(status, what), TOKEN_VARIABLE),
        next_step=_NAME_WORKLOAD if is_unknown_workload else "",
    )


def _judge_success(envelope: Envelope) -> Answer:
    """A pod may belong to several workloads, and one that was stored is enough for a 200."""
    data = envelope.data if isinstance(envelope.data, dict) else {}
    stored, workloads = data.get("success_count"), data.get("workloads_count")
    if type(stored) is not int or type(workloads) is not int or stored >= workloads:
        return Answer(delivered=True)
    return Answer(
        delivered=False,
        reason="HTTP 200, but stored for %d of %d workloads only" % (stored, workloads),
        next_step="look at the log of Lens, then deliver it again from the mirror with `primus-lens-wandb sync`",
    )
