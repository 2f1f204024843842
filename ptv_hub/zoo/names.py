"""Names and texts as they pass the door: in a manifest, a config, a checkpoint, whoever wrote it.

A name is used as one: as a file's, a folder's, a page's, in code to copy. So it is of letters,
digits and ``._+-`` alone, and what makes a name of something else is ``name_of``. Every other text
of a record is a line; what shows it escapes it for its medium.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$"

Name = Annotated[str, Field(pattern=NAME)]
"""What a model is called."""

_DEVICES = re.compile(r"(con|prn|aux|nul|conin|conout|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""What Windows takes for a device, with any suffix."""


def name_of(text: str) -> str:
    """A name for something that is called ``text``: itself, if it is one.

    Texts that differ get names that differ, but for the chance of eight equal digits of sha256.
    """
    if is_name(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^A-Za-z0-9._+-]+", "_", plain).strip("._+-")[:80].rstrip("._+-")
    return f"{kept or 'model'}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def is_name(text: str) -> bool:
    return re.fullmatch(NAME[1:-1], text) is not None


def file_name(text: str) -> str:
    """The name as that of a file or folder, on every system: no path is built from another.

    A stranger's name passed the door, or is made to pass it here.
    """
    name = name_of(text)
    if name.endswith("."):  # Windows drops it: two names would be one file
        name = f"{name[:-1]}-"
    return f"_{name}" if _DEVICES.match(name) else name


def _line(text: str) -> str:
    # What is printable has none of them, and is told so at once: there are 30,000 class names.
    if not text.isprintable() and any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text
    ):
        raise ValueError("a text with control characters or line ends")
    return text


Line = Annotated[str, Field(max_length=4000), AfterValidator(_line)]
"""A text of one line, without control characters."""


def _below(path: str) -> str:
    """A path that stays below what it is joined to, decoded as often as anybody may decode it."""
    decoded = path
    for _ in range(3):
        parts = decoded.split("?")[0].split("/")
        if "\\" in decoded or "#" in decoded or any(part in ("", ".", "..") for part in parts):
            raise ValueError("not a path below another: no '..', no empty part, no '\\' or '#'")
        decoded = unquote(decoded)
    _line(decoded)
    return path


def address(text: str) -> str:
    """The text, if it is the address of a file, or of a folder of them, as the web's and this
    machine's are spelled.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https", "file") or not unquote(text).isprintable():
        raise ValueError("not an address of http, https or file, in characters that are seen")
    if parts.scheme == "file":
        return text
    host = parts.hostname or ""
    if not host or re.search(r"[\s\\]", parts.netloc) or parts.port == 0:
        raise ValueError("an address without a host, or with a space in it")
    try:
        host.encode("idna")  # a label that is empty or too long: found here and nowhere later
    except UnicodeError:
        raise ValueError("an address whose host has a name that no host can have") from None
    return text


def _base(text: str) -> str:
    return text if text == "." else address(text)


Base = Annotated[
    str,
    Field(max_length=4000, pattern=r"^((https?|file)://.*[^/]|\.)$"),
    AfterValidator(_line),
    AfterValidator(_base),
]
"""An address that paths go on from, or a point."""

Below = Annotated[Line, AfterValidator(_below)]
"""Where a file lies below an address or a folder."""
