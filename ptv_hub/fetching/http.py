"""A file's bytes over HTTP: request, judge the answer, take what arrives; and again if need be."""

from __future__ import annotations

import email.utils
import functools
import http.client
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import requests
import urllib3

from ptv_hub._version import __version__
from ptv_hub.errors import FetchError, TruncatedFile
from ptv_hub.fetching.completeness import HEAD, broken, refuse_page, refuse_size
from ptv_hub.fetching.part import Partial, Report
from ptv_hub.fetching.patience import Again, Patience, in_words, unreachable, wanted_patience

log = logging.getLogger("ptv_hub")

ARRIVAL = 1 << 18
"""Bytes taken from the network at once, at most; more only makes the system clear more memory."""

REFUSALS = {
    401: "the server asks for a login",
    403: "the server does not give this file away",
    404: "there is no such file",
    410: "the file is gone",
}
RETRIED = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}


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
    failures = 0
    furthest = partial.size
    with requests.Session() as session:
        if any(login):
            session.auth = login
        while True:
            try:
                return _one_try(session, url, partial, size, patience, report)
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
                pause = patience.pause_s * 2 ** max(0, failures - 1) * random.uniform(0.75, 1.25)
                log.info("%s: %s; trying again", url, trouble.reason)
                time.sleep(max(trouble.wait_s, pause))


def _given_up(url: str, partial: Partial, trouble: Again, failures: int) -> FetchError:
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
        raise unreachable(url, error) from error
    with response:
        _judge(response, url, partial, patience)
        _receive(response, url, partial, size, patience, report)


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
        wait = _retry_after(headers.get("Retry-After"))
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
            raise Again(in_words(error)) from error
        if not chunk:
            break
        if head is not None:  # before more of it arrives; a page may come in drops
            head += chunk[:HEAD]
            refuse_page(partial, head, response.url or url, content_type)
            if len(head) >= HEAD:
                refuse_size(partial, partial.total, size, url)
                head = None
        partial.write(chunk)
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
