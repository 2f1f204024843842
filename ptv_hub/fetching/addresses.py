"""Addresses of files: where a redirect leads, and how an address may be shown and written down."""

from __future__ import annotations

import os
import re
from urllib.parse import urljoin, urlsplit, urlunsplit

from ptv_hub.errors import FetchError, UsageError
from ptv_hub.files import expanded
from ptv_hub.zoo.names import address

MIRROR_VARIABLE = "PTV_HUB_MIRROR"
_PORTS = {"http": 80, "https": 443}


def mirror() -> str | None:
    """The address that stands in for those of manifests (``PTV_HUB_MIRROR``), if one is set.

    Raises:
        UsageError: it is none.
    """
    wanted = os.environ.get(MIRROR_VARIABLE)
    if not wanted:
        return None
    if "://" not in wanted:  # a folder
        wanted = expanded(wanted).absolute().as_uri()
    try:
        return address(wanted).rstrip("/")
    except ValueError as error:
        raise UsageError(
            f"{MIRROR_VARIABLE} is no mirror",
            expected="an address of http, https or file, or a folder",
            found=f"{shown(wanted)[:200]}: {error}",
        ) from error


def shown(url: str) -> str:
    """The address without what may be a secret: a login, and what stands behind the path."""
    beginning, mark, _ = re.sub(r"(//)[^/?#]*@", r"\1", url).partition("?")
    return f"{beginning.partition('#')[0]}{'?...' if mark else ''}"


def without_secrets(text: str) -> str:
    """A message that may hold addresses, as ``shown``."""
    text = re.sub(r"(//)[^/\s?#@]*@", r"\1", text)
    return re.sub(r"\?[^\s'\")>]+", "?...", text)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: a login is for one of them. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def redirected(url: str, location: str | None) -> str:
    """The address that an answer of ``url`` sends to, without a login.

    Raises:
        FetchError: it sends nowhere, to no web address, or from https to http.
    """
    try:
        target = urlsplit(urljoin(url, location or ""))
        scheme, host, _ = origin(target.geturl())
        host.encode("idna")  # a label that is empty or too long is found here and nowhere later
    except ValueError as error:
        raise _nowhere(url, location, "an address that is none") from error
    if not location or scheme not in _PORTS or not host:
        raise _nowhere(url, location, "no web address")
    if scheme == "http" and url.lower().startswith("https:"):
        raise _nowhere(url, location, "an address without encryption, after one with it")
    place = target.netloc.rpartition("@")[2]
    return urlunsplit((scheme, place, target.path, target.query, ""))


def _nowhere(url: str, location: str | None, what: str) -> FetchError:
    return FetchError(
        "the server sends us on to where no file is fetched from",
        where=shown(url),
        expected="an address of http or https, of https if it began so",
        found=f"{what}: {shown(location)[:200]}" if location else "no address",
        fix="if you have a copy, set PTV_HUB_MIRROR to where it is, or load it with weights=FILE",
    )
