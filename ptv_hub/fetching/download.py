"""Bytes from an address to a file, on the worst network there is.

Nothing here knows of models, of the cache or of who vouches for a hash.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from requests.utils import get_auth_from_url, urldefragauth

from ptv_hub.errors import FetchError, HashMismatch
from ptv_hub.fetching.addresses import shown
from ptv_hub.fetching.completeness import HEAD, broken, refuse_other, refuse_size
from ptv_hub.fetching.http import persist
from ptv_hub.fetching.part import CHUNK, Partial, Report

log = logging.getLogger("ptv_hub")


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    report: Report | None = None,
) -> str:
    """Bring the bytes of ``url`` into the file ``part``; returns their sha256.

    ``size`` and ``sha256`` (or its first digits) are what they must be, where somebody vouches for
    them. A part of an earlier try is taken up where the server can prove that the file is still
    the same. After a network failure the part stays for the next try; where the bytes are wrong
    it is removed.

    Raises:
        FetchError: refused, not reachable, given up, a web page, or a truncated file.
        HashMismatch: another size or hash than what must be.
        WriteError: the disk is full, or the file cannot be written.
    """
    login, url = get_auth_from_url(url), without_login(url)
    try:
        return _one_part(url, login, part, size, sha256, report)
    except _Mixed as error:
        # The beginning may come from another file, or be damaged; only a whole try can tell.
        log.warning("%s: %s; fetching it whole", shown(url), error)
    try:
        return _one_part(url, login, part, size, sha256, report)
    except _Mixed as error:
        raise error.reason from error


class _Mixed(Exception):
    """What came in more than one answer is not the file, and is gone."""

    def __init__(self, reason: FetchError) -> None:
        self.reason = reason
        super().__init__(reason.what)


def _one_part(
    url: str,
    login: tuple[str, str],
    part: Path,
    size: int | None,
    sha256: str | None,
    report: Report | None,
) -> str:
    partial = Partial(part, url, vouched=sha256 is not None)
    try:
        found = _bring(url, login, partial, size, report)
        if not found.startswith(sha256 or ""):
            arrived = partial.size
            partial.discard()
            raise HashMismatch(
                "the bytes are not the expected ones",
                where=shown(url),
                expected=f"sha256 {sha256}",
                found=f"sha256 {found}, {arrived} bytes",
            )
        return found
    except FetchError as error:
        if partial.joined and partial.discarded:
            raise _Mixed(error) from error
        raise
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
        persist(url, login, partial, size, report)
    # Once more, of the whole: a page may have come in drops, a length may have been a lie.
    with open(partial.path, "rb") as file:
        refuse_other(partial, file.read(HEAD), shown(url))
    refuse_size(partial, partial.size, size, shown(url))
    trouble = broken(partial.path)
    if trouble is not None:
        told = ": ".join(filter(None, (trouble.what, trouble.found)))
        found = f"{told}, after {partial.size} bytes"
        partial.discard()
        raise FetchError(
            "the file is broken where it comes from",
            where=shown(url),
            expected="a whole file",
            found=found,
            fix="try again later, or another mirror (PTV_HUB_MIRROR)",
        )
    return partial.sha256()


def _copy(url: str, partial: Partial, size: int | None, report: Report | None) -> None:
    source = Path(url2pathname(urlsplit(url).path))
    try:
        if source.exists() and not source.is_file():  # a device would be read without end
            raise OSError(errno.EINVAL, "no file: a folder, a device or a pipe")
        with open(source, "rb", buffering=0) as file:
            partial.restart()
            partial.total = os.fstat(file.fileno()).st_size
            refuse_size(partial, partial.total, size, url)
            partial.make_room()
            while chunk := file.read(CHUNK):
                partial.write(chunk)
                if report:
                    report(partial.size, partial.total, len(chunk))
    except OSError as error:
        raise FetchError(
            "a file could not be read", where=source, found=error.strerror or error
        ) from error
