"""The cache's text files: written whole or not at all, and what is wrong with one in a line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ptv_hub.files import atomic_write

__all__ = ["first_line", "replace_text"]


def first_line(error: Exception) -> str:
    """Why a record could not be read: the first of its faults, and where it is."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
    return str(error).splitlines()[0]


def replace_text(path: Path, text: str) -> None:
    """Write a text file of the cache whole or not at all.

    Raises:
        WriteError: it could not be written; what stood there before still stands.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
