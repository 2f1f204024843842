"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ptv_hub.errors import WriteError


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, fix: str | None = None) -> Iterator[Path]:
    """A temporary path beside ``path``; what was written to it takes its place at the end.

    On any error the temporary file goes, and what stood under ``path`` before still stands.
    An interrupted process leaves at most a hidden ``.NAME.*.tmp``, never half a file. ``fix``
    is what the error advises to do.

    Raises:
        WriteError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    # Not tempfile's: its files are for the owner alone, whatever the umask says.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        # An early, plain error: some writers hide the reason for theirs.
        with open(temporary, "xb"):
            pass
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise WriteError.because(error, path, fix=fix) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str, *, fix: str | None = None) -> None:
    """Write a text file, UTF-8, whole or not at all. Raises as ``atomic_write``."""
    with atomic_write(path, fix=fix) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits. Raises OSError."""
    hasher = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()
