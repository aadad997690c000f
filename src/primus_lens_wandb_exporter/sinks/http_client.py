"""Requests to one server over one kept-alive connection. Knows HTTP, not what is sent."""

import sys
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple

from .. import fork_safety
from .answers import LENS, Answer, Server

if TYPE_CHECKING:
    from .bounded_http import BoundedHttp, Reply

TORN_DOWN = Answer(delivered=False, retry=True, reason="the interpreter is being torn down")

# Of status, headers and body makes what they mean.
Judge = Callable[[int, Any, bytes], Answer]


class HttpClient:
    """Posts with the same headers. ``secrets`` are kept out of what the server is said to answer.

    ``certificate`` is the file of the trusted ones where it is not the environment's, ``client_certificate`` the files
    of our own and of its key.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        secrets: Sequence[str],
        answer_timeout_s: float,
        certificate: str = "",
        client_certificate: Tuple[str, str] = ("", ""),
        server: Server = LENS,
    ) -> None:
        self._headers = headers
        self._server = server
        self._secrets = secrets
        self._answer_timeout_s = answer_timeout_s
        self._certificate = certificate
        self._client_certificate = client_certificate
        self._http: "Optional[BoundedHttp]" = None

    def post(self, url: str, body: bytes, judge: Judge, time_limit_s: Optional[float] = None) -> Answer:
        """Posts a body and returns what the answer means; raises nothing that a server can cause."""
        if not sys.meta_path:
            return TORN_DOWN
        limit_s = self._answer_timeout_s if time_limit_s is None else min(self._answer_timeout_s, time_limit_s)
        try:
            reply = self.exchange("POST", url, self._headers, body, limit_s)
        except Exception as error:
            answer = self._explain(error, url, limit_s)
        else:
            answer = judge(reply.status, reply.headers, reply.content)
        if not answer.delivered:
            self.close()
        return answer._replace(reason=self.without_secret(answer.reason))

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes], limit_s: float
    ) -> "Reply":
        """As `BoundedHttp.exchange`."""
        if self._http is None:
            self._http = _make_http(self._certificate, self._client_certificate)
        reply = self._http.exchange(method, url, headers, body, limit_s)
        # Before anything is cut off: half of a token would not be found.
        for secret in self._secrets:
            reply = reply._replace(content=reply.content.replace(secret.encode(), b"***"))
        return reply

    def without_secret(self, reason: str) -> str:
        """Some servers say back what they were sent."""
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        return reason

    def close(self) -> None:
        """Whatever else is sent over this connection is not to be taken for the answer to the next request."""
        if self._http is not None:
            self._http.close()

    def _explain(self, error: BaseException, url: str, limit_s: float) -> Answer:
        with fork_safety.importing():
            from . import lens_trouble
        trouble = lens_trouble.explain(error, url, limit_s, self._server)
        return Answer(
            delivered=False,
            retry=True,
            needs_a_person=trouble.needs_a_person,
            reason=trouble.what,
            next_step=trouble.next_step,
        )

    def forget_connection(self) -> None:
        """In the child of a fork the connection is the parent's: it is neither used nor closed."""
        self._http = None


def _make_http(certificate: str, client_certificate: Tuple[str, str]) -> "BoundedHttp":
    """Not before the first request: `import wandb` shall not take longer."""
    with fork_safety.importing():
        from . import lens_trouble  # noqa: F401 - on the first failure there may be no file left to import it from
        from .bounded_http import BoundedHttp

        return BoundedHttp(certificate, client_certificate)
