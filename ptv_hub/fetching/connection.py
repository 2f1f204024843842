"""Connections that end when their time is up, however slowly a server goes on talking.

A timeout of a socket is one of silence: a byte now and then keeps a header, or the line before a
chunk, from ever ending. So a watch shuts the socket down from outside.
"""

from __future__ import annotations

import http.cookiejar
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter


class Watch:
    """Shuts down the connections of a session when the time that was given is over."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._until: float | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.struck = False
        """Whether the time was over since it was last given."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def give(self, seconds: float) -> None:
        """From now on there is so much time until ``give`` is called again, or ``rest``."""
        with self._changed:
            waiting, before = self._until is None, self._until
            self._until = time.monotonic() + seconds
            self.struck = False
            # Later deadlines need no waking: the thread looks again when the first is over.
            if waiting or (before is not None and self._until < before):
                self._changed.notify()

    def rest(self) -> None:
        with self._changed:
            self._until = None

    def over(self, connected: socket.socket) -> None:
        """Watch over a connection, too."""
        with self._changed:
            self._sockets.append(connected)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                left = None if self._until is None else self._until - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                self.struck, self._until = True, None
                for connected in self._sockets:
                    with suppress(OSError):
                        # Not an encrypted socket's own, which another thread must not call.
                        socket.socket.shutdown(connected, socket.SHUT_RDWR)
                self._sockets.clear()


def session(watch: Watch) -> requests.Session:
    """A session whose connections are watched over, and that keeps no cookies.

    It leaves redirects to who asks.
    """
    made = _Session()
    made.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(watch))
    return made


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would read a redirect's body, of whatever length, to find the next."""


class _Adapter(HTTPAdapter):
    def __init__(self, watch: Watch) -> None:
        self._pools = _pools(watch)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # whose pools are its own
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(watch: Watch) -> dict[str, Any]:
    """urllib3's pools, of connections that show their sockets to the watch."""

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watch.over(self.sock)

    class Encrypted(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watch.over(self.sock)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
