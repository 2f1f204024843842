"""A file's bytes over HTTP: request, judge the answer, take what arrives; and again if need be."""

from __future__ import annotations

import functools
import http.client
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3

from ptv_hub._version import __version__
from ptv_hub.errors import FetchError, HashMismatch, TruncatedFile
from ptv_hub.fetching import headers as said
from ptv_hub.fetching.addresses import origin, redirected, shown
from ptv_hub.fetching.completeness import HEAD, broken, refuse_other, refuse_size
from ptv_hub.fetching.connection import Watch, session
from ptv_hub.fetching.part import Partial, Report
from ptv_hub.fetching.patience import (
    Again,
    Patience,
    in_words,
    require_server,
    unreachable,
    wanted_patience,
)
from ptv_hub.fetching.unpacking import FORMS, Unpacker

log = logging.getLogger("ptv_hub")

ARRIVAL = 1 << 18
"""Bytes taken from the network at once, at most; more only makes the system clear more memory."""

MOST_STATED = 64 << 30
"""Bytes of a file whose length the server states, at most."""
MOST_UNSTATED = 4 << 30
"""Bytes of a file whose length nobody states: the zoo's largest has an eighth of it."""

REDIRECTS = 10
"""One after another, at most."""

REFUSALS = {
    401: "the server asks for a login",
    403: "the server does not give this file away",
    404: "there is no such file",
    410: "the file is gone",
}
RETRIED = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}
_MOVED = {301, 302, 303, 307, 308}


def persist(
    url: str, login: tuple[str, str], partial: Partial, size: int | None, report: Report | None
) -> None:
    """Bring a file's bytes into a part, over as many tries as it takes.

    Raises:
        FetchError: refused, given up, or a web page in place of the file.
        HashMismatch: another size than ``size``.
        WriteError: the disk is full, or the file cannot be written.
    """
    patience = wanted_patience()
    require_server(url)
    failures = 0
    furthest = partial.size
    watch = Watch()
    try:
        with session(watch) as talks:
            asking = _Asking(talks, watch, url, login, patience)
            while True:
                try:
                    return _one_try(asking, partial, size, report)
                except Again as trouble:
                    # Measured against the furthest ever: a server that knows no ranges and always
                    # drops at the same place brings bytes each time, and nothing new.
                    least = min(patience.slowest, (partial.total or 0) // 100 or patience.slowest)
                    forward = partial.size - furthest >= least and not trouble.stalled
                    furthest = max(furthest, partial.size)
                    failures = 0 if forward else failures + 1
                    if failures >= patience.tries:
                        raise _given_up(url, partial, trouble, failures) from trouble
                    # Jitter, so that many clients of a server in trouble do not return together.
                    pause = patience.pause_s * 2 ** max(0, failures - 1)
                    pause = max(trouble.wait_s, pause * random.uniform(0.75, 1.25))
                    which = f"try {failures + 1} of {patience.tries}" if failures else "going on"
                    log.warning("%s: %s; %s in %.1f s", shown(url), trouble.reason, which, pause)
                    time.sleep(pause)
    finally:
        watch.close()


def _given_up(url: str, partial: Partial, trouble: Again, failures: int) -> FetchError:
    kept = ""
    if not partial.resumable:
        partial.restart()  # nobody can go on from it
    else:
        kept = f"the {partial.size} bytes that arrived are kept: the next try goes on from there; "
    return FetchError(
        f"a file could not be fetched, after {failures} tries",
        where=shown(url),
        found=trouble.reason,
        fix=f"{kept}check the network and its proxies (HTTPS_PROXY), or set PTV_HUB_MIRROR",
    )


@dataclass(frozen=True)
class _Asking:
    """How a file is asked for, the same in every try."""

    talks: requests.Session
    watch: Watch
    url: str
    login: tuple[str, str]
    patience: Patience

    def __call__(self, headers: Mapping[str, str]) -> requests.Response:
        """The answer to a request, after all redirects; its body is not read.

        Raises:
            Again, FetchError: there is none, or it sends us where we do not go.
        """
        url = self.url
        for _ in range(REDIRECTS + 1):
            response = self._one(url, headers)
            if response.status_code not in _MOVED:
                return response
            response.close()
            url = redirected(url, response.headers.get("Location"))
        raise Again("the server sends us round in circles (too many redirects)")

    def _one(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        # A login is for the origin that it was given for, and for no other.
        mine = any(self.login) and origin(url) == origin(self.url)
        patience = self.patience
        self.watch.give(patience.connect_s + patience.headers_s)
        try:
            return self.talks.get(
                url,
                headers=dict(headers),
                auth=self.login if mine else None,
                stream=True,
                allow_redirects=False,
                timeout=(patience.connect_s, patience.silence_s),
            )
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            if self.watch.struck:
                raise Again("the server's answer does not begin in time", stalled=True) from error
            raise unreachable(shown(url), error) from error
        finally:
            self.watch.rest()


def _one_try(asking: _Asking, partial: Partial, size: int | None, report: Report | None) -> None:
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
    with asking(headers) as response:
        _judge(response, partial, asking)
        _receive(response, partial, size, asking, report)


def _judge(response: requests.Response, partial: Partial, asking: _Asking) -> None:
    """Go on with an answer that brings bytes, and set the part up for them."""
    url, patience = shown(asking.url), asking.patience
    status, headers = response.status_code, response.headers
    answer = f"HTTP {status} {(response.reason or '')[:200]}".strip()
    encoding = said.encoding(headers.get("Content-Encoding"))
    if encoding not in ("identity", *FORMS):
        raise FetchError(
            "the server sends the file in an encoding we did not ask for",
            where=url,
            expected="identity",
            found=encoding[:200],
        )
    if status == 206 and not partial.continues(headers, encoding):
        partial.restart()
        raise Again("the file changed on the server while it was being fetched")
    if status == 206:
        return
    if status == 200:
        if partial.size:
            log.info("%s: the server sends the file from its start", url)
        partial.begin(headers, encoding)
        return
    if status == 416 and partial.size:
        partial.restart()
        raise Again(f"{answer}: what is here is no part of what the server has")
    if status in RETRIED:
        wait = said.retry_after(headers.get("Retry-After"))
        if wait > patience.longest_pause_s:
            raise FetchError(
                "the server asks to come back later",
                where=url,
                found=f"{answer}, in {wait:.0f} s",
                fix="do so, or use another mirror (PTV_HUB_MIRROR)",
            )
        raise Again(answer, wait_s=wait)
    raise FetchError(
        REFUSALS.get(status, "the server gives no file"),
        where=url if response.url == asking.url else f"{url} (redirected to {_place(response)})",
        expected="HTTP 200",
        found=answer,
        fix="if you have a copy, set PTV_HUB_MIRROR to where it is, or load it with weights=FILE",
    )


def _place(response: requests.Response) -> str:
    return shown(response.url)


def _receive(
    response: requests.Response,
    partial: Partial,
    size: int | None,
    asking: _Asking,
    report: Report | None,
) -> None:
    """Write the body to the part as it arrives."""
    url, patience = shown(asking.url), asking.patience
    content_type = response.headers.get("Content-Type", "")
    most = _most(partial, size, url)
    partial.make_room()
    head = b"" if partial.size == 0 else None
    mark, there = time.monotonic(), partial.size
    for chunk in _arriving(response, partial, asking):
        if head is not None:  # before more of it arrives; a page may come in drops
            head += chunk[:HEAD]
            refuse_other(partial, head, _place(response), content_type)
            if len(head) >= HEAD:
                refuse_size(partial, partial.total, size, url)
                head = None
        partial.write(chunk)
        if partial.size > most:
            _refuse_longer(partial, size, most, url)
        if report:
            report(partial.size, partial.total, len(chunk))
        now = time.monotonic()
        if now - mark >= patience.window_s:
            if partial.size - there < patience.slowest * patience.window_s:
                raise Again("the server all but fell silent", stalled=True)
            mark, there = now, partial.size
    goal = partial.total if partial.total is not None else size
    if partial.total is not None and partial.size > partial.total:
        partial.restart()
        raise Again("the server sent more than it said")
    if partial.size < goal if goal is not None else _is_cut(partial):
        raise Again("the connection ended early")


def _is_cut(partial: Partial) -> bool:
    """Whether the end is missing of what came without a length."""
    return isinstance(broken(partial.path), TruncatedFile)


def _most(partial: Partial, size: int | None, url: str) -> int:
    """The bytes that are taken at most."""
    total = partial.total
    if total is not None and total > MOST_STATED:
        partial.discard()
        raise FetchError(
            "the server states a length that no weights have",
            where=url,
            expected=f"at most {MOST_STATED} bytes",
            found=f"{total} bytes",
        )
    if size is not None:
        return size
    return MOST_UNSTATED if total is None else total


def _refuse_longer(partial: Partial, size: int | None, most: int, url: str) -> None:
    """Raise for a file that has grown beyond what it may be; a stated length too short is told
    when the answer ends."""
    if size is None and partial.total is not None:
        return
    partial.discard()
    if size is not None:
        raise HashMismatch(
            "the file has not the expected size",
            where=url,
            expected=f"{size} bytes",
            found=f"more than {size} bytes",
        )
    raise FetchError(
        "the server sends without end",
        where=url,
        expected=f"at most {most} bytes of a file whose length nobody states",
        found="more",
    )


def _arriving(response: requests.Response, partial: Partial, asking: _Asking) -> Iterator[bytes]:
    """The body's bytes as they arrive, unpacked."""
    read = _reader(response)
    form = said.encoding(response.headers.get("Content-Encoding"))
    unpack = Unpacker(form, shown(asking.url)) if partial.encoded else None
    while True:
        asking.watch.give(asking.patience.window_s)
        try:
            chunk = read(ARRIVAL)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            if asking.watch.struck:
                raise Again("the server all but fell silent", stalled=True) from error
            raise Again(in_words(error)) from error
        finally:
            asking.watch.rest()
        if not chunk:
            break
        if unpack is None:
            yield chunk
            continue
        try:
            yield from unpack(chunk)
        except FetchError:
            partial.discard()
            raise
    if asking.watch.struck or (unpack is not None and not unpack.ended):
        raise Again("the connection ended early", stalled=asking.watch.struck)


def _reader(response: requests.Response) -> Callable[[int], bytes]:
    """A function that returns what has arrived instead of waiting for as much as it may.

    A killed process then loses nothing, and a slow server is seen to be slow.
    """
    raw: Any = response.raw
    if hasattr(raw, "read1"):
        return functools.partial(raw.read1, decode_content=False)
    reader: Callable[[int], bytes] = raw._fp.read1  # urllib3 1
    return reader
