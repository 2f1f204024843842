"""Bytes from an address to a file, on the worst network there is.

Nothing here knows of models, of the cache or of who vouches for a hash.
"""

from __future__ import annotations

import email.utils
import functools
import http.client
import logging
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import urllib3
from requests.utils import get_auth_from_url, urldefragauth

from ptv_hub._version import __version__
from ptv_hub.errors import FetchError, HashMismatch
from ptv_hub.fetch.part import CHUNK, Partial, is_page, truncated

__all__ = ["Patience", "Report", "download", "without_login"]

log = logging.getLogger("ptv_hub")

Report = Callable[[int, "int | None", int], None]
"""Called with the bytes that are there, the bytes there will be (``None`` if unknown), and how
many of the former have arrived since the last call."""

ARRIVAL = 1 << 18
"""Bytes taken from the network at once, at most; more only makes the system clear more memory."""

HEAD = 256
"""Bytes at the start of a file that tell a web page from a checkpoint."""


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
    slowest: int = 1024
    """Bytes a second, over ``window_s``; a slower connection is given up."""
    window_s: float = 30.0


PATIENCE = Patience()

REFUSALS = {
    401: "the server asks for a login",
    403: "the server does not give this file away",
    404: "there is no such file",
    410: "the file is gone",
}
RETRIED = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}


class _Again(Exception):
    """This try failed, the next may not."""

    def __init__(self, reason: str, *, wait_s: float = 0.0, stalled: bool = False) -> None:
        self.reason = reason
        self.wait_s = wait_s
        self.stalled = stalled
        super().__init__(reason)


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    report: Report | None = None,
) -> str:
    """Bring the bytes of ``url`` into the file ``part``; returns their sha256.

    ``size`` and ``sha256`` are what they must be, where somebody vouches for it. A part of an
    earlier try is taken up where the server can prove that the file is still the same. After
    a network failure the part stays for the next try; where the bytes are wrong it is removed.

    Raises:
        FetchError: refused, not reachable, given up, a web page, or a truncated file.
        HashMismatch: another size or hash than what must be.
        WriteError: the disk is full, or the file cannot be written.
    """
    login, url = get_auth_from_url(url), without_login(url)
    partial = Partial(part, url, vouched=sha256 is not None)
    try:
        found = _bring(url, login, partial, size, report)
        if partial.joined and sha256 not in (None, found):
            # The beginning may come from another file; only a whole try can tell.
            log.warning("%s: the resumed file is not the expected one; fetching it whole", url)
            partial.restart()
            found = _bring(url, login, partial, size, report)
        if sha256 not in (None, found):
            arrived = partial.size
            partial.discard()
            raise HashMismatch(
                "the bytes are not the expected ones",
                where=url,
                expected=f"sha256 {sha256}",
                found=f"sha256 {found}, {arrived} bytes",
            )
        return found
    finally:
        partial.close()


def without_login(url: str) -> str:
    """The address as it may be shown and written down: a mirror's may hold a password."""
    return urldefragauth(url) if "@" in urlsplit(url).netloc else url


def _bring(
    url: str, login: tuple[str, str], partial: Partial, size: int | None, report: Report | None
) -> str:
    if urlsplit(url).scheme == "file":
        _copy(url, partial, size, report)
    else:
        _persist(url, login, partial, size, report)
    # Once more, of the whole: a page may have come in drops, a length may have been a lie.
    with open(partial.path, "rb") as file:
        _refuse_page(partial, file.read(HEAD), url)
    _refuse_size(partial, partial.size, size, url)
    trouble = truncated(partial.path) if partial.size else "an empty file"
    if trouble:
        found = f"{trouble}, after {partial.size} bytes"
        partial.discard()
        raise FetchError(
            "the file is broken where it comes from",
            where=url,
            expected="a whole file",
            found=found,
            fix="try again later, or another mirror (PTV_HUB_MIRROR)",
        )
    return partial.sha256()


# ---------------------------------------------------------------------------- http


def _persist(
    url: str, login: tuple[str, str], partial: Partial, size: int | None, report: Report | None
) -> None:
    patience = _patience()
    failures = 0
    furthest = partial.size
    with requests.Session() as session:
        if any(login):
            session.auth = login
        while True:
            try:
                return _one_try(session, url, partial, size, patience, report)
            except _Again as trouble:
                # Measured against the furthest ever: a server that knows no ranges and always
                # drops at the same place brings bytes each time, and nothing new.
                least = min(patience.slowest, (partial.total or 0) // 100 or patience.slowest)
                forward = partial.size - furthest >= least and not trouble.stalled
                furthest = max(furthest, partial.size)
                failures = 0 if forward else failures + 1
                if failures >= patience.tries:
                    raise _given_up(url, partial, trouble, failures) from trouble
                # Jitter, so that many clients of a server in trouble do not return together.
                pause = patience.pause_s * 2 ** max(0, failures - 1) * random.uniform(0.75, 1.25)
                log.info("%s: %s; trying again", url, trouble.reason)
                time.sleep(max(trouble.wait_s, pause))


def _patience() -> Patience:
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


def _given_up(url: str, partial: Partial, trouble: _Again, failures: int) -> FetchError:
    kept = ""
    if partial.resumable:
        kept = f"the {partial.size} bytes that arrived are kept: the next try goes on from there; "
    return FetchError(
        f"a file could not be fetched, after {failures} tries",
        where=url,
        found=trouble.reason,
        fix=f"{kept}check the network and its proxies (HTTPS_PROXY), or set PTV_HUB_MIRROR",
    )


def _one_try(
    session: requests.Session,
    url: str,
    partial: Partial,
    size: int | None,
    patience: Patience,
    report: Report | None,
) -> None:
    if partial.complete:
        return
    # Identity: ranges and lengths count the bytes of the file, not of a compressed form.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"ptv_hub/{__version__}"}
    if partial.resumable:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    else:
        partial.restart()
    try:
        response = session.get(
            url, headers=headers, stream=True, timeout=(patience.connect_s, patience.silence_s)
        )
    except requests.exceptions.RequestException as error:
        raise _unreachable(url, error) from error
    with response:
        _judge(response, url, partial, patience)
        _receive(response, url, partial, size, patience, report)


def _unreachable(url: str, error: requests.exceptions.RequestException) -> Exception:
    """The error of a request without an answer: one more try where that can help."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return FetchError(
            "the server's certificate is not trusted",
            where=url,
            found=_in_words(error),
            fix="behind a proxy with a certificate of its own, set REQUESTS_CA_BUNDLE to its file",
        )
    passing = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
    )
    if isinstance(error, passing):
        return _Again(_in_words(error))
    return FetchError("a file could not be fetched", where=url, found=_in_words(error))


def _in_words(error: BaseException) -> str:
    """The innermost reason that an exception of requests or urllib3 wraps."""
    if isinstance(error, (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return "the server fell silent"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server sends us round in circles (too many redirects)"
    reason: object = error
    while isinstance(reason, BaseException):
        inner = getattr(reason, "reason", None)
        if inner is None:
            inner = next((a for a in reversed(reason.args) if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return "the server fell silent"
    if isinstance(reason, (urllib3.exceptions.IncompleteRead, http.client.IncompleteRead)):
        return "the connection ended early"
    text = str(reason) or type(reason).__name__
    # urllib3 begins with the repr of its own objects: "HTTPConnection(...): Failed to ..."
    return re.sub(r"^<?[\w.]+\([^)]*\)>?: |^<[^>]*>: ", "", text)


def _judge(response: requests.Response, url: str, partial: Partial, patience: Patience) -> None:
    """Go on with an answer that brings bytes, and set the part up for them."""
    status, headers = response.status_code, response.headers
    answer = f"HTTP {status} {response.reason or ''}".strip()
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise FetchError(
            "the server sends the file in an encoding we did not ask for",
            where=url,
            expected="identity",
            found=encoding,
        )
    if status == 206 and not partial.continues(headers, encoding):
        partial.restart()
        raise _Again("the file changed on the server while it was being fetched")
    if status == 206:
        return
    if status == 200:
        if partial.size:
            log.info("%s: the server sends the file from its start", url)
        partial.begin(headers, encoding)
        return
    if status == 416 and partial.size:
        partial.restart()
        raise _Again(f"{answer}: what is here is no part of what the server has")
    if status in RETRIED:
        wait = _retry_after(headers.get("Retry-After"))
        if wait > patience.longest_pause_s:
            raise FetchError(
                "the server asks to come back later",
                where=url,
                found=f"{answer}, in {wait:.0f} s",
                fix="do so, or use another mirror (PTV_HUB_MIRROR)",
            )
        raise _Again(answer, wait_s=wait)
    raise FetchError(
        REFUSALS.get(status, "the server gives no file"),
        where=url if response.url == url else f"{url} (redirected to {response.url})",
        expected="HTTP 200",
        found=answer,
        fix="if you have a copy, set PTV_HUB_MIRROR to where it is, or load it with weights=FILE",
    )


def _retry_after(value: str | None) -> float:
    """Seconds that the header asks for, given as a number or as a date; 0 for none."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _receive(
    response: requests.Response,
    url: str,
    partial: Partial,
    size: int | None,
    patience: Patience,
    report: Report | None,
) -> None:
    """Write the body to the part as it arrives."""
    read = _reader(response, partial.encoded)
    content_type = response.headers.get("Content-Type", "")
    partial.make_room()
    head = b"" if partial.size == 0 else None
    mark, there = time.monotonic(), partial.size
    while True:
        try:
            chunk = read(ARRIVAL)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise _Again(_in_words(error)) from error
        if not chunk:
            break
        if head is not None:  # before more of it arrives; a page may come in drops
            head += chunk[:HEAD]
            _refuse_page(partial, head, response.url or url, content_type)
            if len(head) >= HEAD:
                _refuse_size(partial, partial.total, size, url)
                head = None
        partial.write(chunk)
        if report:
            report(partial.size, partial.total, len(chunk))
        now = time.monotonic()
        if now - mark >= patience.window_s:
            if partial.size - there < patience.slowest * patience.window_s:
                raise _Again("the server all but fell silent", stalled=True)
            mark, there = now, partial.size
    goal = partial.total if partial.total is not None else size
    if partial.total is not None and partial.size > partial.total:
        partial.restart()
        raise _Again("the server sent more than it said")
    if partial.size < goal if goal is not None else truncated(partial.path):
        raise _Again("the connection ended early")


def _reader(response: requests.Response, encoded: bool) -> Callable[[int], bytes]:
    """A function that returns what has arrived instead of waiting for as much as it may.

    A killed process then loses nothing, and a slow server is seen to be slow.
    """
    raw: Any = response.raw
    if hasattr(raw, "read1"):
        return functools.partial(raw.read1, decode_content=encoded)
    if encoded:  # urllib3 1 cannot do both
        return functools.partial(raw.read, decode_content=True)
    reader: Callable[[int], bytes] = raw._fp.read1
    return reader


def _refuse_page(partial: Partial, head: bytes, where: str, content_type: str = "") -> None:
    if is_page(head, content_type):
        partial.discard()
        raise FetchError(
            "the server sent a web page in place of the file",
            where=where,
            expected="a checkpoint",
            found=ascii(head[:60].decode("utf-8", "replace")),
            fix="log in to the network, if it asks for that, or set PTV_HUB_MIRROR",
        )


def _refuse_size(partial: Partial, found: int | None, size: int | None, url: str) -> None:
    if None not in (size, found) and found != size:
        partial.discard()
        raise HashMismatch(
            "the file has not the expected size",
            where=url,
            expected=f"{size} bytes",
            found=f"{found} bytes",
        )


# ---------------------------------------------------------------------------- file


def _copy(url: str, partial: Partial, size: int | None, report: Report | None) -> None:
    source = Path(url2pathname(urlsplit(url).path))
    try:
        with open(source, "rb", buffering=0) as file:
            partial.restart()
            partial.total = os.fstat(file.fileno()).st_size
            _refuse_size(partial, partial.total, size, url)
            partial.make_room()
            while chunk := file.read(CHUNK):
                partial.write(chunk)
                if report:
                    report(partial.size, partial.total, len(chunk))
    except OSError as error:
        raise FetchError(
            "a file could not be read", where=source, found=error.strerror or error
        ) from error
