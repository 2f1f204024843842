"""A local HTTP server that misbehaves as it is told, and keeps a record of what it was asked."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Answer:
    """How one request is answered; the default is a good server's way."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of the file."""
    drop_after: int | None = None
    """Bytes of the body, then the connection is reset."""
    close_after: int | None = None
    """Bytes of the body, then the connection is closed as if all were well."""
    hang_after: int | None = None
    """Bytes of the body, then silence until the server stops."""
    hang_before_headers: bool = False
    trickle: tuple[int, float] | None = None
    """So many bytes at once, so many seconds between them."""
    ranges: bool = True
    """Whether Range is honoured."""
    if_range: bool = True
    """Whether If-Range is honoured; a bad server gives the range of whatever it has now."""
    validators: tuple[str, ...] = ("etag", "last-modified")
    weak: bool = False
    length_off_by: int = 0
    length: bool = True
    """Whether Content-Length is sent; without it the end of the connection ends the body."""
    chunked: bool = False
    gzip: bool = False
    then: bytes | None = None
    """The file from the next request on."""


@dataclass
class Request:
    """One request and what was sent for it."""

    path: str
    headers: dict[str, str]
    proxied: bool
    status: int = 0
    sent: int = 0
    """Bytes of the body."""


class Server:
    """``with Server() as server: server.files["/a.pyth"] = b"..."; server.url("/a.pyth")``."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.plan: dict[str, list[Answer]] = defaultdict(list)
        """Answers to the next requests of a path; after them ``always``, else good ones."""
        self.always: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._http = _Listener(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def url(self, path: str) -> str:
        return self.base + path

    def asked(self, path: str | None = None) -> list[Request]:
        return [r for r in self.requests if path is None or r.path == path]

    def sent(self, path: str | None = None) -> int:
        """Bytes of bodies that left the server with status 200 or 206."""
        return sum(r.sent for r in self.asked(path) if r.status in (200, 206))

    def _next(self, path: str) -> Answer:
        with self._guard:
            if self.plan[path]:
                return self.plan[path].pop(0)
        return self.always.get(path, Answer())


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may leave whenever they like."""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Tests read ``server.requests``."""

        def do_HEAD(self) -> None:
            """What a GET would say; no plan is used up, and nothing is recorded."""
            file = server.files.get(urlsplit(self.path).path)
            self.send_response(200 if file is not None else 404)
            if file is not None:
                for name, value in self.part_of(file, Answer())[1].items():
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(file or b"")))
            self.end_headers()

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            request = Request(address.path, dict(self.headers), proxied=bool(address.netloc))
            server.requests.append(request)
            answer = server._next(address.path)
            file = server.files.get(address.path)
            if answer.then is not None:
                server.files[address.path] = answer.then
            if answer.hang_before_headers:
                server._closing.wait(60)
                self.close_connection = True
                return
            if answer.body is not None:
                status, headers, body = answer.status, {}, answer.body
            elif file is None:
                status, headers, body = 404, {}, b"no such file"
            elif answer.status != 200:
                status, headers, body = answer.status, {}, b"no"
            else:
                status, headers, body = self.part_of(file, answer)
            self.answer(request, answer, status, {**headers, **answer.headers}, body)

        def part_of(self, file: bytes, answer: Answer) -> tuple[int, dict[str, str], bytes]:
            etag = f'"{hashlib.sha256(file).hexdigest()[:16]}"'
            etag = f"W/{etag}" if answer.weak else etag
            modified = f"Wed, 21 Oct 2015 07:28:{file[-1] % 60:02d} GMT" if file else ""
            headers = {}
            if "etag" in answer.validators:
                headers["ETag"] = etag
            if "last-modified" in answer.validators:
                headers["Last-Modified"] = modified
            wanted = self.headers.get("Range")
            proof = self.headers.get("If-Range")
            if wanted is None or not answer.ranges:
                return 200, headers, file
            if answer.if_range and proof not in (None, etag, modified):
                return 200, headers, file
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(file):
                return 416, {"Content-Range": f"bytes */{len(file)}"}, b""
            headers["Content-Range"] = f"bytes {start}-{len(file) - 1}/{len(file)}"
            return 206, headers, file[start:]

        def answer(
            self,
            request: Request,
            answer: Answer,
            status: int,
            headers: dict[str, str],
            body: bytes,
        ) -> None:
            if answer.gzip:
                body = gzip.compress(body)
                headers["Content-Encoding"] = "gzip"
            if answer.chunked:
                headers["Transfer-Encoding"] = "chunked"
            elif answer.length:
                headers["Content-Length"] = str(len(body) + answer.length_off_by)
            if not answer.length or answer.length_off_by or answer.close_after is not None:
                headers["Connection"] = "close"
                self.close_connection = True
            request.status = status
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            stop = min(
                n
                for n in (len(body), answer.drop_after, answer.close_after, answer.hang_after)
                if n is not None
            )
            step, pause = answer.trickle or (1 << 16, 0.0)
            for begin in range(0, stop, step):
                piece = body[begin : min(stop, begin + step)]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
                request.sent += len(piece)
                if pause and server._closing.wait(pause):
                    return
            if answer.hang_after is not None:
                server._closing.wait(60)
                self.close_connection = True
            elif answer.drop_after is not None:
                self.wfile.flush()
                time.sleep(0.02)  # a reset overtakes bytes that the client has not read yet
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.close_connection = True
                self.connection.close()
            elif answer.chunked and answer.close_after is None:
                self.wfile.write(b"0\r\n\r\n")

    return Handler
