"""One HTTP exchange at a time over a kept-alive connection, bounded in time and in bytes, whatever the server does.

http.client gives each ``recv`` the whole timeout anew and reads any number of ``100 Continue``: a server that drips or
floods would hold the thread, or a core, as long as the job lives. Here sending and the whole answer have one deadline,
and an answer has a largest size. Imported at the first request only, as is all that it imports.
"""

import encodings.idna  # noqa: F401 - what requests would import in the middle of a request
import http.client
import io
import os
import socket
import ssl  # noqa: F401
import threading
import time
from typing import Any, Mapping, NamedTuple, Optional, Tuple, Union

import requests
from requests.adapters import HTTPAdapter

CONNECT_TIMEOUT_S = 5.0
LONGEST_BODY = 64 * 1024
# With all headers, those of any number of `100 Continue` included.
LONGEST_ANSWER = 128 * 1024
# A TLS record: where less is read, the rest is invisible to urllib3's look for unread data in a kept connection.
_BUFFER_SIZE = 16 * 1024


class Reply(NamedTuple):
    """A server's answer; of a body longer than `LONGEST_BODY` the beginning."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class UnreadableCertificatesError(OSError):
    """The file of trusted certificates that the environment names cannot be read."""


class _Bounds:
    """What an exchange may still take."""

    def __init__(self, limit_s: float) -> None:
        self._deadline = time.monotonic() + limit_s
        self.bytes_left = LONGEST_ANSWER
        self.is_overrun = False

    def limit(self, sock: Any) -> None:
        """Gives the next call of the socket what is left of the time; raises socket.timeout when nothing is."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("the answer did not end in time")
        sock.settimeout(left)


class _Current(threading.local):
    """The bounds of the exchange that runs on this thread: urllib3 makes the connections and cannot pass them on."""

    bounds = _Bounds(0.0)


_current = _Current()


class _RawAnswer(io.RawIOBase):
    """The bytes of one answer as they come from the socket, which ``held_open`` keeps open."""

    def __init__(self, sock: Any, held_open: Any, bounds: _Bounds) -> None:
        self._sock = sock
        self._held_open = held_open
        self._bounds = bounds
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.is_over:
            return 0
        if self._bounds.bytes_left <= 0:
            raise http.client.HTTPException("the answer does not end")
        self._bounds.limit(self._sock)
        count: int = self._sock.recv_into(buffer)
        self._bounds.bytes_left -= count
        return count

    def close(self) -> None:
        self._held_open.close()
        super().close()


class _AnswerFile(io.BufferedReader):
    """What http.client reads an answer from, and closes at its end."""

    def __init__(self, raw: _RawAnswer, bounds: _Bounds) -> None:
        super().__init__(raw, _BUFFER_SIZE)
        self._answer = raw
        self._bounds = bounds

    def close(self) -> None:
        if not self.closed:
            # What came behind the answer must not be taken for the answer to the next request.
            self._answer.is_over = True
            self._bounds.is_overrun = bool(self.peek(1))
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        bounds = _current.bounds
        self.fp: Any = _AnswerFile(_RawAnswer(sock, self.fp, bounds), bounds)

    def begin(self) -> None:
        super().begin()
        if self.headers.defects:
            # urllib3 would log this on the job's stderr, each time.
            raise http.client.HTTPException("the header of the answer is malformed")


class _Connection:
    """Mixed into urllib3's connections."""

    response_class = _Response
    sock: Any

    def send(self, data: bytes) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        # In pieces: pyOpenSSL, which an old requests puts in the place of ssl, gives each the whole timeout anew.
        for start in range(0, len(data), _BUFFER_SIZE):
            _current.bounds.limit(self.sock)
            self.sock.sendall(data[start : start + _BUFFER_SIZE])


def _bounded(pool_class: Any) -> Any:
    """urllib3's connection pool, with connections of ours."""
    connection_class = type("BoundedConnection", (_Connection, pool_class.ConnectionCls), {})
    return type("BoundedPool", (pool_class,), {"ConnectionCls": connection_class})


class _Adapter(HTTPAdapter):
    """requests' way to a server without its session: no proxy, no ~/.netrc, no cookies, no redirects."""

    # Made once: classes are reference cycles, and some trainers switch the garbage collector off.
    _pool_classes: Any = None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        manager: Any = self.poolmanager
        if _Adapter._pool_classes is None:
            own = manager.pool_classes_by_scheme
            _Adapter._pool_classes = {scheme: _bounded(pool_class) for scheme, pool_class in own.items()}
        manager.pool_classes_by_scheme = _Adapter._pool_classes

    def build_response(self, req: Any, resp: Any) -> Any:
        return resp


class BoundedHttp:
    """Exchanges with one server.

    ``certificate`` is the file of the trusted ones where it is not the environment's, ``client_certificate`` the files
    of our own and of its key; empty names where there are none.
    """

    def __init__(self, certificate: str = "", client_certificate: Tuple[str, str] = ("", "")) -> None:
        self._adapter = _Adapter()
        self._certificate = certificate
        own, key = client_certificate
        self._client_certificate = (own, key) if own and key else own or None

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes], limit_s: float
    ) -> Reply:
        """Sends a request and reads its answer within ``limit_s`` seconds; looking up the name alone may take longer.

        Raises what requests, urllib3, http.client, ssl and socket raise. Bodies come as they were sent: none is
        decompressed.
        """
        _current.bounds = bounds = _Bounds(limit_s)
        request = requests.Request(method, url, headers={**headers, "Accept-Encoding": "identity"}, data=body)
        raw: Any = None
        is_clean = False
        try:
            raw = self._adapter.send(
                request.prepare(),
                stream=True,
                timeout=(min(CONNECT_TIMEOUT_S, limit_s), limit_s),
                verify=_trusted_certificates(url, self._certificate),
                cert=self._client_certificate,
            )
            content = raw.read(LONGEST_BODY, decode_content=False)
            is_clean = not bounds.is_overrun
            return Reply(raw.status, raw.headers, content)
        finally:
            if raw is not None:
                raw.close()
            if not is_clean:
                self.close()

    def close(self) -> None:
        """Closes the connection; the next exchange opens another."""
        self._adapter.close()


def _trusted_certificates(url: str, certificate: str) -> Union[bool, str]:
    bundle = certificate or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        return True
    if url.lower().startswith("https:") and not os.path.isdir(bundle):
        try:
            open(bundle, "rb").close()
        except OSError as error:
            raise UnreadableCertificatesError("%s: %s" % (bundle, error.strerror)) from None
    return bundle
