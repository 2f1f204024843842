"""Whether a file is the one that was asked for, and all of it: what can be told without a hash."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

from ptv_hub.errors import FetchError, HashMismatch
from ptv_hub.fetching.part import Partial

HEAD = 256
"""Bytes at the start of a file that tell a web page from a checkpoint."""


def truncated(path: Path) -> str | None:
    """What shows that the end of a file is missing; ``None`` if nothing does.

    Of a zip archive (``.pyth``) its directory stands at the end, a safetensors file says its
    length at the start; pickles of old cannot be judged without reading them.
    """
    with open(path, "rb") as file:
        head = file.read(10)
    if head[:4] == b"PK\x03\x04" and not zipfile.is_zipfile(path):
        return "no end of the zip archive"
    if head[8:10] == b'{"':
        return _truncated_safetensors(path, *struct.unpack("<Q", head[:8]))
    return None


def _truncated_safetensors(path: Path, length: int) -> str | None:
    size = path.stat().st_size
    if length > size - 8:
        return "no end of the safetensors header" if length < 100_000_000 else None
    with open(path, "rb") as file:
        file.seek(8)
        header = file.read(length)
    ends = [int(end) for end in re.findall(rb'"data_offsets":\s*\[\s*\d+\s*,\s*(\d+)\s*\]', header)]
    return "not all tensors" if ends and 8 + length + max(ends) > size else None


PAGE_TAGS = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<?xml", b"<error", b"<!--")


def is_page(head: bytes, content_type: str = "") -> bool:
    """Whether a file that begins so is a web page: by its tags, or a text that says it is one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    text = all(byte in b"\t\r\n" or byte >= 32 for byte in start)
    return start.startswith(PAGE_TAGS) or (text and "html" in content_type.lower())


def refuse_page(partial: Partial, head: bytes, where: str, content_type: str = "") -> None:
    """Discard what is a web page.

    Raises:
        FetchError: it was one.
    """
    if is_page(head, content_type):
        partial.discard()
        raise FetchError(
            "the server sent a web page in place of the file",
            where=where,
            expected="a checkpoint",
            found=ascii(head[:60].decode("utf-8", "replace")),
            fix="log in to the network, if it asks for that, or set PTV_HUB_MIRROR",
        )


def refuse_size(partial: Partial, found: int | None, size: int | None, url: str) -> None:
    """Discard what is not of the size that somebody vouches for.

    Raises:
        HashMismatch: it was not.
    """
    if None not in (size, found) and found != size:
        partial.discard()
        raise HashMismatch(
            "the file has not the expected size",
            where=url,
            expected=f"{size} bytes",
            found=f"{found} bytes",
        )
