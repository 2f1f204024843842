"""Where fetched files lie: a folder, a place in it for each address, a lock for each place.

A file's place below the cache folder is its canonical address (``key``), so that the equal
base names of the zoos and data sets never meet; a mirror changes where bytes come from, never
where they lie.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from ptv_hub.errors import WriteError
from ptv_hub.files import expanded
from ptv_hub.zoo.entry import Artifact

CACHE_VARIABLE = "PTV_HUB_CACHE"

PART_SUFFIX = ".part"
"""A file on its way; beside it ``.part.json`` says of what."""
HOUSEKEEPING = (PART_SUFFIX, f"{PART_SUFFIX}.json", ".lock", ".tmp")
"""Suffixes of what is no whole file."""

FIX = f"make room or get the right to write there; or set {CACHE_VARIABLE} to another folder"


def folder() -> Path:
    """The cache: ``PTV_HUB_CACHE``, else ``ptv_hub`` in torch's hub folder."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return expanded(own)
    torch = sys.modules.get("torch")
    if torch is not None:  # torch.hub.set_dir() may have been called
        return Path(torch.hub.get_dir()) / "ptv_hub"
    # The same rule as torch.hub.get_dir, without the second that importing torch takes.
    xdg = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(xdg, "torch"))
    return expanded(home) / "hub" / "ptv_hub"


def drawn_folder() -> Path:
    """Where videos lie that were drawn and not fetched: no host has this name."""
    return folder() / ".drawn"


def key(artifact: Artifact) -> str:
    """Host and path of the canonical address, fit for file names; no two addresses share one.

    Of addresses that are not of https the scheme as well: ``http@host/path``.
    """
    address = urlsplit(artifact.url)
    host = address.netloc.rpartition("@")[2] or "file:"
    if address.scheme != "https" and address.netloc:
        host = f"{address.scheme}@{host}"
    rest = address.path.removeprefix("/") + (f"?{address.query}" if address.query else "")
    return "/".join(_segment(s) for s in (host, *rest.split("/")))


def _segment(text: str) -> str:
    if text == "" or set(text) == {"."}:  # nothing, and dots that would climb out of the cache
        return "%" + text.replace(".", "%2E")
    stem, dot, suffix = quote(text, safe=" +,=@~").rpartition(".")
    if f"{dot}{suffix}" in HOUSEKEEPING or f"{stem}{dot}{suffix}".endswith(HOUSEKEEPING):
        dot = "%2E"
    return f"{stem}{dot}{suffix}"


def key_without_scheme(artifact: Artifact) -> str:
    """The key that version 0.1 gave to an address, whatever its scheme."""
    return re.sub(r"^\w+@", "", key(artifact))


def location(artifact: Artifact) -> Path:
    """Where the artifact's file lies once it is fetched."""
    return folder() / key(artifact)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` against other processes; the system lets go of it when a process is killed.

    Raises:
        WriteError: the folder cannot be made or written.
    """
    from filelock import FileLock  # of no use to who only looks

    lock = FileLock(f"{path}.lock", mode=0o664)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise WriteError.because(error, path.parent, fix=FIX) from error
    try:
        yield
    finally:
        lock.release()
