"""What a server states of a file before any of it is fetched: its size, its validators."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import urllib3
from requests.utils import get_auth_from_url

from ptv_hub._version import __version__
from ptv_hub.fetching import headers as said
from ptv_hub.fetching.addresses import origin, redirected
from ptv_hub.fetching.connection import Watch, session
from ptv_hub.fetching.download import without_login
from ptv_hub.fetching.http import REDIRECTS
from ptv_hub.fetching.patience import Again, require_server, wanted_patience


class Stated(NamedTuple):
    """What is stated; nothing of it is believed before the bytes are here."""

    size: int | None = None
    """Bytes."""
    etag: str | None = None
    last_modified: str | None = None


def stated(url: str) -> Stated:
    """What the server of an address states of its file (HEAD); nothing where it says nothing.

    Raises:
        NoServer: the server's name has no address: there is no network.
    """
    login, plain = get_auth_from_url(url), without_login(url)
    if urlsplit(plain).scheme == "file":
        path = Path(url2pathname(urlsplit(plain).path))
        return Stated(size=path.stat().st_size if path.is_file() else None)
    require_server(plain)
    watch = Watch()
    try:
        with session(watch) as talks:
            return _asked(talks, watch, plain, login)
    except (
        Again,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        ValueError,
    ):
        return Stated()  # fetching it will say what is wrong
    finally:
        watch.close()


def _asked(talks: requests.Session, watch: Watch, url: str, login: tuple[str, str]) -> Stated:
    patience, first = wanted_patience(), url
    for _ in range(REDIRECTS + 1):
        watch.give(patience.connect_s + patience.headers_s)
        try:
            # Identity: the length is to be that of the file.
            answer = talks.head(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": f"ptv_hub/{__version__}"},
                auth=login if any(login) and origin(url) == origin(first) else None,
                allow_redirects=False,
                timeout=(patience.connect_s, patience.silence_s),
            )
        finally:
            watch.rest()
        if answer.is_redirect:
            url = redirected(url, answer.headers.get("Location"))
            continue
        if answer.status_code != 200:
            return Stated()
        facts = answer.headers
        return Stated(
            said.length(facts.get("Content-Length")),
            _short(facts.get("ETag")),
            _short(facts.get("Last-Modified")),
        )
    return Stated()


def _short(value: str | None) -> str | None:
    """A header that can be written down: a line, and not of any length."""
    return value if value is not None and len(value) <= 200 and value.isprintable() else None
