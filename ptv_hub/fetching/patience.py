"""Trouble on the way: how long it is borne, what it is in words, and whether to try again."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies

from ptv_hub.errors import FetchError, NoServer
from ptv_hub.fetching.addresses import without_secrets


@dataclass(frozen=True)
class Patience:
    """How long a bad network is borne, in seconds and bytes."""

    connect_s: float = 10.0
    silence_s: float = 15.0
    """Without a single byte, before the connection is given up; ``PTV_HUB_TIMEOUT``."""
    tries: int = 5
    """In a row that bring nothing new."""
    pause_s: float = 0.5
    """Before the second try; doubled each time, as long as nothing new arrives."""
    longest_pause_s: float = 60.0
    """A server that asks for a longer one (Retry-After) is not waited for."""
    headers_s: float = 15.0
    """From the connection to the end of an answer's headers, drop by drop."""
    slowest: int = 1024
    """Bytes a second, over ``window_s``; a slower connection is given up."""
    window_s: float = 30.0


PATIENCE = Patience()


def wanted_patience() -> Patience:
    """How long users want to wait: as long as we do, or ``PTV_HUB_TIMEOUT``.

    Raises:
        FetchError: ``PTV_HUB_TIMEOUT`` is no time.
    """
    wanted = os.environ.get("PTV_HUB_TIMEOUT")
    if not wanted:
        return PATIENCE
    try:
        seconds = float(wanted)
        if not 0 < seconds < 1e6:
            raise ValueError
    except ValueError:
        raise FetchError(
            "PTV_HUB_TIMEOUT is no time", expected="seconds, over 0", found=repr(wanted)
        ) from None
    return Patience(silence_s=seconds)


NAME_S = 2.5
"""How long a name server is waited for."""


def require_server(url: str) -> None:
    """That the server's name has an address, told at once: no second try would find another.

    The system's own look-up may take half a minute; it is left behind. Behind a proxy, names are
    the proxy's business.

    Raises:
        NoServer: it has none, or nobody answers in time.
    """
    host = urlsplit(url).hostname
    if host is None or get_environ_proxies(url):
        return
    found: list[Exception | None] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None)
            found.append(None)
        except (OSError, ValueError) as error:  # UnicodeError is one: a name of no host
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    seconds = NAME_S if not os.environ.get("PTV_HUB_TIMEOUT") else wanted_patience().silence_s
    thread.join(seconds)
    if found == [None]:
        return
    reason = f"no name server answered in {seconds:g} s"
    if found:
        reason = str(getattr(found[0], "strerror", None) or found[0] or "no address")
    raise NoServer(
        f"the server {host} cannot be found: is there a network?",
        where=url,
        found=reason,
        fix="check the network and its proxies (HTTPS_PROXY), or set PTV_HUB_MIRROR",
    )


class Again(Exception):
    """This try failed, the next may not."""

    def __init__(self, reason: str, *, wait_s: float = 0.0, stalled: bool = False) -> None:
        self.reason = reason
        self.wait_s = wait_s
        self.stalled = stalled
        super().__init__(reason)


def unreachable(url: str, error: Exception) -> Exception:
    """The error of a request without an answer: one more try where that can help."""
    if isinstance(_innermost(error), ssl.SSLCertVerificationError):
        return FetchError(
            "the server's certificate is not trusted",
            where=url,
            found=in_words(error),
            fix="behind a proxy with a certificate of its own, set REQUESTS_CA_BUNDLE to its file",
        )
    passing = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.TimeoutError,
        http.client.HTTPException,
    )
    of_the_system = isinstance(error, OSError) and not isinstance(
        error, requests.exceptions.RequestException
    )
    if isinstance(error, passing) or of_the_system:
        return Again(in_words(error))
    return FetchError("a file could not be fetched", where=url, found=in_words(error))


def in_words(error: BaseException) -> str:
    """The innermost reason that an exception of requests or urllib3 wraps."""
    if isinstance(error, (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return "the server fell silent"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server sends us round in circles (too many redirects)"
    reason = _innermost(error)
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return "the server fell silent"
    if isinstance(reason, (urllib3.exceptions.IncompleteRead, http.client.IncompleteRead)):
        return "the connection ended early"
    text = str(reason) or type(reason).__name__
    # urllib3 begins with the repr of its own objects: "HTTPConnection(...): Failed to ..."
    return without_secrets(re.sub(r"^<?[\w.]+\([^)]*\)>?: |^<[^>]*>: ", "", text))[:300]


def _innermost(error: BaseException) -> BaseException:
    """What requests and urllib3 wrapped in errors of theirs."""
    while True:
        inner = getattr(error, "reason", None)
        if inner is None:
            inner = next((a for a in reversed(error.args) if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            return error
        error = inner
