"""A server on loopback that sends the very bytes it is given, HTTP or not, as slowly as asked."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Answer = Callable[["int | None"], "bytes | Iterable[bytes]"]
"""What is sent for a request from a byte on, ``None`` for the whole."""


@dataclass(frozen=True)
class Asked:
    path: str
    login: bool
    """Whether a login or a cookie came along."""
    start: int | None


class RawServer:
    """``with RawServer({"/x": answer}) as server: server.base``."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.sent = 0
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(30)
                request = b""
                while b"\r\n\r\n" not in request:
                    received = connection.recv(1 << 16)
                    if not received:
                        return
                    request += received
                path = request.split(b" ", 2)[1].decode("latin-1").partition("?")[0]
                ranged = re.search(rb"(?im)^range: *bytes=(\d+)-", request)
                start = int(ranged[1]) if ranged else None
                login = bool(re.search(rb"(?im)^(authorization|cookie):", request))
                self.asked.append(Asked(path, login, start))
                found = self.answers.get(path)
                pieces = found(start) if found else head("404 Not Found", Content_Length=0)
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    connection.sendall(piece)
                    self.sent += len(piece)
                    if self.closing.is_set():
                        return
            except OSError:
                pass  # the client went away, as it should from many of them


def head(status: str = "200 OK", **fields: object) -> bytes:
    """Status and headers; a name's underscores are hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


def body(content: bytes, **fields: object) -> bytes:
    return head(Content_Length=len(content), **fields) + content


def drip(first: bytes, drop: bytes, pause: float = 0.05, most: int = 2000) -> Iterable[bytes]:
    yield first
    for _ in range(most):
        yield drop
        time.sleep(pause)
