"""What lies in the cache: whole files, and what interrupted downloads left; and its removal.

Other processes fetch and remove meanwhile: what vanishes while it is looked at was not there.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from ptv_hub.errors import FetchError, HashMismatch, WriteError
from ptv_hub.fetching.cache.pinned import Pin, pins
from ptv_hub.fetching.cache.places import (
    HOUSEKEEPING,
    PART_SUFFIX,
    drawn_folder,
    folder,
    locked,
)
from ptv_hub.fetching.cache.vouching import Allowed
from ptv_hub.files import sha256_of
from ptv_hub.zoo.records import Record

TEMPORARY_FOR_S = 3600
"""Seconds after which a temporary text file is nobody's: it lives for milliseconds."""


class CachedFile(Record):
    """One whole file in the cache."""

    key: str
    path: Path
    size: int
    pin: Pin | None = None
    """``None`` for a file that was put there by hand and never used."""


def look_up(file: Allowed) -> CachedFile | None:
    """The file if it lies in the cache whole; its pin says what it was when hashed."""
    size = _size(file.path)
    return (
        None if size is None else CachedFile(key=file.key, path=file.path, size=size, pin=file.pin)
    )


def _size(path: Path) -> int | None:
    """Bytes of a file; ``None`` where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _below(root: Path) -> list[Path]:
    """All that lies below a folder, in order."""
    # os.walk passes over what vanishes; Path.rglob raises for it.
    return sorted(Path(at) / name for at, _, names in os.walk(root) for name in names)


def is_as_hashed(file: CachedFile) -> bool:
    """Whether the file is, by size and time stamp, still the one whose hash is recorded."""
    try:
        facts = file.path.stat()
    except OSError:
        return False
    pin = file.pin
    return pin is not None and (facts.st_size, facts.st_mtime_ns) == (pin.size, pin.mtime_ns)


def cached_files() -> list[CachedFile]:
    """All whole files that were fetched into the cache, by key."""
    root, known = folder(), pins()
    result = []
    for path in _below(root):
        if path.parent == root or path.name.endswith(HOUSEKEEPING):
            continue
        if path.is_relative_to(drawn_folder()):
            continue
        name, size = path.relative_to(root).as_posix(), _size(path)
        if size is not None:
            result.append(CachedFile(key=name, path=path, size=size, pin=known.get(name)))
    return result


def leftovers() -> list[Path]:
    """What interrupted downloads left: files on their way, and what is known of them.

    Locks are not among them: removing one for which somebody waits would let two in.
    """
    suffixes = tuple(suffix for suffix in HOUSEKEEPING if suffix != ".lock")
    return [path for path in _below(folder()) if path.name.endswith(suffixes)]


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files, those that are still there."""
    return sum(_size(path) or 0 for path in paths)


def remove(file: CachedFile) -> None:
    """Remove a file; its pin stays, so that what is fetched next must be the same.

    Raises:
        WriteError: it could not be removed.
    """
    with locked(file.path):
        _unlink(file.path)


def remove_drawn() -> None:
    """Remove the videos that were drawn here.

    Raises:
        WriteError: one could not be removed.
    """
    root = drawn_folder()
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file():
            _unlink(path)


def clean() -> tuple[int, int]:
    """Remove what interrupted downloads left; returns the number of files and of bytes.

    What a process is fetching right now stays, and so do whole files and pins.
    """
    from filelock import FileLock, Timeout

    count = size = 0
    for path in leftovers():
        target = path.name.removesuffix(".json").removesuffix(PART_SUFFIX)
        try:
            if path.suffix == ".tmp":
                if time.time() - path.stat().st_mtime < TEMPORARY_FOR_S:
                    continue
                size += _removed(path)
            else:
                with FileLock(path.with_name(f"{target}.lock"), timeout=0):
                    size += _removed(path)
            count += 1
        except (Timeout, FileNotFoundError):
            continue  # somebody holds it, or is done with it
    return count, size


def _removed(path: Path) -> int:
    size = path.lstat().st_size
    _unlink(path)
    return size


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError.because(error, path) from error


def damaged(file: CachedFile) -> HashMismatch | None:
    """Read the file again from start to end; the error if it is not what was recorded.

    A file that has vanished is not damaged. Raises FetchError where it cannot be read.
    """
    try:
        found = sha256_of(file.path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FetchError(
            "a file of the cache cannot be read", where=file.path, found=error.strerror or error
        ) from error
    if file.pin is None or found == file.pin.sha256:
        return None
    return HashMismatch(
        "a file of the cache has changed on disk",
        where=file.path,
        expected=f"sha256 {file.pin.sha256}, {file.pin.size} bytes (hashed here, {file.pin.since})",
        found=f"sha256 {found}, {file.size} bytes",
        fix="remove it with 'ptv-hub cache remove' and fetch it again",
    )
