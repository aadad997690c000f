"""A server of bare sockets: it reads a request, then does with the connection what a behaviour does."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
import zlib
from typing import Callable, Iterator

# Told the connection and the number of the request, counted from 0 over all connections.
Behaviour = Callable[[socket.socket, int], None]


def envelope(code: int, message: str) -> bytes:
    return json.dumps({"meta": {"code": code, "message": message}, "data": None, "tracing": None}).encode()


def response(status: int, body: bytes, *header_lines: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Some Reason" % status, *header_lines, b"Content-Length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


GOOD = response(200, envelope(2000, "OK"), b"Content-Type: application/json")


class HostileServer:
    """``bodies`` are those of the requests that were read whole; ``connections`` is how many were opened."""

    def __init__(
        self,
        behaviour: Behaviour,
        tls: ssl.SSLContext | None = None,
        seconds_per_read: float = 0.0,
        seconds_before_body: float = 0.0,
    ) -> None:
        self.behaviour = behaviour
        self.bodies: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._seconds_per_read = seconds_per_read
        self._seconds_before_body = seconds_before_body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_closed = False
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/api/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._is_closed = True
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        # The client goes away whenever it has had enough.
        with contextlib.suppress(OSError, ValueError), plain:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                while not self._is_closed:
                    body = self._read_request(connection)
                    if body is None:
                        return
                    self.bodies.append(body)
                    self.behaviour(connection, len(self.bodies) - 1)

    def _read_request(self, connection: socket.socket) -> bytes | None:
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65536)
            if not more:
                return None
            received += more
        header, _, begin = received.partition(b"\r\n\r\n")
        body = bytearray(begin)
        time.sleep(self._seconds_before_body)
        length = int(header.lower().split(b"content-length:")[1].split()[0])
        while len(body) < length:
            time.sleep(self._seconds_per_read)
            body += connection.recv(16384)
        return bytes(body)


@contextlib.contextmanager
def hostile_server(behaviour: Behaviour, tls: ssl.SSLContext | None = None, **pauses: float) -> Iterator[HostileServer]:
    server = HostileServer(behaviour, tls, **pauses)
    try:
        yield server
    finally:
        server.close()


def send(*pieces: bytes) -> Behaviour:
    """Sends the pieces, with a pause between two."""

    def behave(connection: socket.socket, _number: int) -> None:
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(0.2)
            connection.sendall(piece)

    return behave


def answer(status: int, body: bytes, *header_lines: bytes) -> Behaviour:
    return send(response(status, body, *header_lines))


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One behaviour for each request; the last one for all that follow."""

    def behave(connection: socket.socket, number: int) -> None:
        behaviours[min(number, len(behaviours) - 1)](connection, number)

    return behave


def flood(begin: bytes, again: bytes) -> Behaviour:
    """Sends as fast as the client reads, until it goes away."""

    def behave(connection: socket.socket, _number: int) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(again)

    return behave


def drip(begin: bytes, again: bytes) -> Behaviour:
    """Sends a little ten times a second, until the client goes away."""

    def behave(connection: socket.socket, _number: int) -> None:
        connection.sendall(begin)
        while True:
            time.sleep(0.1)
            connection.sendall(again)

    return behave


def send_and_close(content: bytes) -> Behaviour:
    def behave(connection: socket.socket, _number: int) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


FLOODS = {
    "100 Continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "one header line": flood(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4096),
    "header lines": flood(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "a status line": flood(b"HTTP/1.1 200 ", b"O" * 4096),
    "an announced body": flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b" " * 4096),
    "a body without a length": flood(b"HTTP/1.1 200 OK\r\n\r\n", b"{" * 4096),
    "chunks": flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10\r\n0123456789abcdef\r\n" * 100),
    "a chunk extension": flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x" * 4096),
    "trailers": flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
}
DRIPS = {
    "nothing": drip(b"", b""),
    "the status line": drip(b"HTTP/1.1 200 ", b"O"),
    "a header line": drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "100 Continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
    "chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


def gzip_bomb() -> bytes:
    """100 MB in 100 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    return response(200, packed, b"Content-Encoding: gzip")
