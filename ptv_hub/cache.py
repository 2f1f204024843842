"""Where fetched files lie, what is known of their bytes, and who vouches for it.

A file's place below the cache folder is its canonical address, host and path, so that the
equal base names of the zoos and data sets never meet; a mirror changes where bytes come
from, never where they lie. ``pins.json`` records what every file was when it first arrived.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from ptv_hub.entry import Artifact, Record, Sha256
from ptv_hub.errors import FetchError, HashMismatch, WriteError
from ptv_hub.files import atomic_write, sha256_of

__all__ = [
    "CACHE_VARIABLE",
    "LOCK_VARIABLE",
    "CachedFile",
    "Expectation",
    "LockFile",
    "LockedFile",
    "Pin",
    "cached_files",
    "clean",
    "damaged",
    "expectation",
    "folder",
    "forget",
    "is_as_hashed",
    "key",
    "leftovers",
    "location",
    "lockable",
    "locked",
    "look_up",
    "pin_of",
    "pins",
    "read_lock",
    "record",
    "remove",
    "replace_text",
    "write_lock",
]

CACHE_VARIABLE = "PTV_HUB_CACHE"
LOCK_VARIABLE = "PTV_HUB_LOCK"

PART_SUFFIX = ".part"
"""A file on its way; beside it ``.part.json`` says of what."""
HOUSEKEEPING = (PART_SUFFIX, f"{PART_SUFFIX}.json", ".lock", ".tmp")
"""Suffixes of what is no whole file."""


class Pin(Record):
    """What a file was when its bytes were last hashed here."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    """With ``size``, tells whether the file on disk is still the one that was hashed."""
    since: str
    """The day the bytes were first seen here, UTC."""
    source: str
    """The address that the bytes came from, a mirror's too."""


class _Pins(Record):
    schema_version: Literal[1] = 1
    files: dict[str, Pin] = Field(default_factory=dict)


class LockedFile(Record):
    """One file of a team's lock file."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)] | None = None
    vouched_by: str
    """Who vouched for the hash when the lock was written."""


class LockFile(Record):
    """A team's pins, by canonical address: with it, nothing else is used."""

    schema_version: Literal[1] = 1
    files: dict[str, LockedFile]


class Expectation(Record):
    """What an artifact's bytes must be, and who says so."""

    sha256: Sha256 | None = None
    size: int | None = None
    vouched_by: str | None = None
    """``None`` where nobody vouches: the bytes are pinned on first use."""


class CachedFile(Record):
    """One whole file in the cache."""

    key: str
    path: Path
    size: int
    pin: Pin | None = None
    """``None`` for a file that was put there by hand and never used."""


# ---------------------------------------------------------------------------- places


def folder() -> Path:
    """The cache: ``PTV_HUB_CACHE``, else ``ptv_hub`` in torch's hub folder."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser()
    torch = sys.modules.get("torch")
    if torch is not None:  # torch.hub.set_dir() may have been called
        return Path(torch.hub.get_dir()) / "ptv_hub"
    # The same rule as torch.hub.get_dir, without the second that importing torch takes.
    xdg = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(xdg, "torch"))
    return Path(home).expanduser() / "hub" / "ptv_hub"


def key(artifact: Artifact) -> str:
    """Host and path of the canonical address, fit for file names; no two addresses share one."""
    address = urlsplit(artifact.url)
    host = address.netloc.rpartition("@")[2] or "file:"
    rest = address.path.removeprefix("/") + (f"?{address.query}" if address.query else "")
    return "/".join(_segment(s) for s in (host, *rest.split("/")))


def _segment(text: str) -> str:
    if text == "" or set(text) == {"."}:  # nothing, and dots that would climb out of the cache
        return "%" + text.replace(".", "%2E")
    stem, dot, suffix = quote(text, safe=" +,=@~").rpartition(".")
    if f"{dot}{suffix}" in HOUSEKEEPING or f"{stem}{dot}{suffix}".endswith(HOUSEKEEPING):
        dot = "%2E"
    return f"{stem}{dot}{suffix}"


def location(artifact: Artifact) -> Path:
    """Where the artifact's file lies once it is fetched."""
    return folder() / key(artifact)


_CACHE_FIX = f"make room or get the right to write there; or set {CACHE_VARIABLE} to another folder"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold ``path`` against other processes; the system lets go of it when a process is killed.

    Raises:
        WriteError: the folder cannot be made or written.
    """
    lock = FileLock(f"{path}.lock", mode=0o664)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise WriteError.because(error, path.parent, fix=_CACHE_FIX) from error
    try:
        yield
    finally:
        lock.release()


# ---------------------------------------------------------------------------- pins


def _pins_path() -> Path:
    return folder() / "pins.json"


def pins() -> dict[str, Pin]:
    """All pins of this cache, by key.

    Raises:
        FetchError: the record was damaged.
    """
    path = _pins_path()
    try:
        return dict(_Pins.model_validate_json(path.read_bytes()).files)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValidationError) as error:
        raise FetchError(
            "the record of the cache cannot be read",
            where=path,
            found=_first_line(error),
            fix="restore it; or remove it, and every file is pinned anew on its next use",
        ) from error


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
    return str(error).splitlines()[0]


def record(name: str, pin: Pin) -> None:
    """Record what a file is; of one that was seen before with these bytes, the first day stays."""
    path = _pins_path()
    with locked(path):
        known = pins()
        before = known.get(name)
        if before is not None and before.sha256 == pin.sha256:
            pin = pin.model_copy(update={"since": before.since})
        known[name] = pin
        _write_pins(path, known)


def _write_pins(path: Path, known: dict[str, Pin]) -> None:
    files = {name: known[name] for name in sorted(known)}
    replace_text(path, _Pins(files=files).model_dump_json(indent=1))


def replace_text(path: Path, text: str) -> None:
    """Write a text file of the cache whole or not at all.

    Raises:
        WriteError: it could not be written; what stood there before still stands.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def pin_of(path: Path, sha256: str, source: str) -> Pin:
    """The pin of a file that lies at ``path`` and has just been hashed."""
    facts = path.stat()
    today = datetime.now(timezone.utc).date().isoformat()
    return Pin(
        sha256=sha256, size=facts.st_size, mtime_ns=facts.st_mtime_ns, since=today, source=source
    )


# ---------------------------------------------------------------------------- lock files


def read_lock() -> tuple[str, LockFile] | None:
    """Name and content of the lock file of ``PTV_HUB_LOCK``; ``None`` when none is set.

    Raises:
        FetchError: it is set, and cannot be read.
    """
    named = os.environ.get(LOCK_VARIABLE)
    if not named:
        return None
    path = Path(named).expanduser()
    try:
        return path.name, LockFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise FetchError(
            "the lock file cannot be read",
            where=f"{path} (from {LOCK_VARIABLE} or --lock)",
            found=_first_line(error),
            fix="'ptv-hub lock -o FILE' writes one",
        ) from error


def expectation(artifact: Artifact) -> Expectation | None:
    """What the artifact must be: by the lock file, as published, or as pinned on first use.

    ``None``: there is a lock file, and it does not name the artifact.

    Raises:
        HashMismatch: the lock file and the manifest name different hashes.
        FetchError: the lock file or the record of pins cannot be read.
    """
    lock = read_lock()
    if lock is not None:
        name, content = lock
        item = content.files.get(artifact.url)
        if item is None:
            return None
        if artifact.sha256 not in (None, item.sha256):
            raise HashMismatch(
                "the lock file and the manifest name different hashes",
                where=artifact.url,
                expected=f"sha256 {item.sha256} ({name})",
                found=f"sha256 {artifact.sha256} (manifest: {artifact.hash_source})",
                fix="find out which is right before you trust either",
            )
        return Expectation(sha256=item.sha256, size=item.size, vouched_by=f"lock file {name}")
    return _without_lock(artifact, pins())


def _without_lock(artifact: Artifact, known: dict[str, Pin]) -> Expectation:
    if artifact.sha256 is not None:
        return Expectation(
            sha256=artifact.sha256, size=artifact.size, vouched_by=artifact.hash_source
        )
    pin = known.get(key(artifact))
    if pin is None:
        return Expectation(size=artifact.size, vouched_by=artifact.hash_source)
    # Not the pin's size: a changed file is fetched whole, so that the error can show both hashes.
    return Expectation(
        sha256=pin.sha256, size=artifact.size, vouched_by=f"first use here, {pin.since}"
    )


def lockable(artifacts: Iterable[Artifact]) -> dict[str, LockedFile]:
    """What a lock file can say of these: of each whose hash is published or pinned, by address."""
    known = pins()
    files = {}
    for artifact in artifacts:
        item, pin = _without_lock(artifact, known), known.get(key(artifact))
        if item.sha256 is None or item.vouched_by is None:
            continue
        size = pin.size if pin is not None and pin.sha256 == item.sha256 else item.size
        files[artifact.url] = LockedFile(
            sha256=item.sha256,
            size=size,
            vouched_by=item.vouched_by.replace("first use here", "first use where this was locked"),
        )
    return files


def write_lock(path: Path, files: dict[str, LockedFile]) -> None:
    """Write a lock file, whole or not at all.

    Raises:
        WriteError: it could not be written.
    """
    content = LockFile(files={url: files[url] for url in sorted(files)})
    replace_text(path, content.model_dump_json(indent=1))


# ---------------------------------------------------------------------------- what is there


def look_up(artifact: Artifact) -> CachedFile | None:
    """The artifact's file if it lies in the cache whole; its pin says what it was when hashed."""
    path = location(artifact)
    if not path.is_file():
        return None
    name = key(artifact)
    return CachedFile(key=name, path=path, size=path.stat().st_size, pin=pins().get(name))


def is_as_hashed(file: CachedFile) -> bool:
    """Whether the file is, by size and time stamp, still the one whose hash is recorded."""
    facts = file.path.stat()
    pin = file.pin
    return pin is not None and (facts.st_size, facts.st_mtime_ns) == (pin.size, pin.mtime_ns)


def cached_files() -> list[CachedFile]:
    """All whole files of the cache, by key."""
    root, known = folder(), pins()
    result = []
    for path in sorted(root.rglob("*")):
        if path.parent == root or not path.is_file() or path.name.endswith(HOUSEKEEPING):
            continue
        name = path.relative_to(root).as_posix()
        result.append(
            CachedFile(key=name, path=path, size=path.stat().st_size, pin=known.get(name))
        )
    return result


def leftovers() -> list[Path]:
    """What interrupted downloads left: files on their way, and what is known of them.

    Locks are not among them: removing one for which somebody waits would let two in.
    """
    suffixes = tuple(suffix for suffix in HOUSEKEEPING if suffix != ".lock")
    return [p for p in sorted(folder().rglob("*")) if p.is_file() and p.name.endswith(suffixes)]


def remove(file: CachedFile) -> None:
    """Remove a file; its pin stays, so that what is fetched next must be the same.

    Raises:
        WriteError: it could not be removed.
    """
    with locked(file.path):
        _unlink(file.path)


def forget(names: list[str]) -> None:
    """Drop the pins of these keys: their files are pinned anew on their next use."""
    path = _pins_path()
    with locked(path):
        known = pins()
        if any(name in known for name in names):
            _write_pins(path, {n: pin for n, pin in known.items() if n not in names})


def clean() -> tuple[int, int]:
    """Remove what interrupted downloads left; returns the number of files and of bytes.

    What a process is fetching right now stays, and so do whole files and pins.
    """
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


TEMPORARY_FOR_S = 3600
"""Seconds after which a temporary text file is nobody's: it lives for milliseconds."""


def _removed(path: Path) -> int:
    size = path.stat().st_size
    _unlink(path)
    return size


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError.because(error, path) from error


def damaged(file: CachedFile) -> HashMismatch | None:
    """Read the file again from start to end; the error if it is not what was recorded."""
    found = sha256_of(file.path)
    if file.pin is None or found == file.pin.sha256:
        return None
    return HashMismatch(
        "a file of the cache has changed on disk",
        where=file.path,
        expected=f"sha256 {file.pin.sha256}, {file.pin.size} bytes (hashed here, {file.pin.since})",
        found=f"sha256 {found}, {file.size} bytes",
        fix="remove it with 'ptv-hub cache remove' and fetch it again",
    )
