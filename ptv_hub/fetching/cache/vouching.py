"""Who vouches for a file: a team's lock file, the published hash, or the first use here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ptv_hub.errors import FetchError, HashMismatch
from ptv_hub.fetching.cache.pinned import Pin, pins
from ptv_hub.fetching.cache.places import folder, key, key_without_scheme
from ptv_hub.files import expanded, write_text
from ptv_hub.zoo.entry import Artifact
from ptv_hub.zoo.records import Record, Sha256, first_fault

LOCK_VARIABLE = "PTV_HUB_LOCK"


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


class Allowed(Record):
    """One file that may be used: where it lies, what it must be, what it was when last hashed."""

    artifact: Artifact
    key: str
    path: Path
    """Where it lies once it is fetched."""
    expected: Expectation
    pin: Pin | None = None


def read_lock() -> tuple[str, LockFile] | None:
    """Name and content of the lock file of ``PTV_HUB_LOCK``; ``None`` when none is set.

    Raises:
        FetchError: it is set, and cannot be read.
    """
    named = os.environ.get(LOCK_VARIABLE)
    if not named:
        return None
    path = expanded(named)
    try:
        return path.name, LockFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise FetchError(
            "the lock file cannot be read",
            where=f"{path} (from {LOCK_VARIABLE} or --lock)",
            found=first_fault(error),
            fix="'ptv-hub lock -o FILE' writes one",
        ) from error


def allowed(artifacts: Iterable[Artifact]) -> list[Allowed]:
    """Those of the files that may be used, in order; lock file and pins are read once for all.

    Raises:
        HashMismatch: the lock file and the manifest name different hashes.
        FetchError: the lock file or the record of pins cannot be read.
    """
    lock, known = read_lock(), pins()
    found = (_allowed(artifact, lock, known) for artifact in artifacts)
    return [file for file in found if file is not None]


def as_it_is_now(file: Allowed) -> Allowed:
    """The same after a wait: other processes may have pinned it meanwhile."""
    return _allowed(file.artifact, read_lock(), pins()) or file


def _allowed(
    artifact: Artifact, lock: tuple[str, LockFile] | None, known: dict[str, Pin]
) -> Allowed | None:
    expected = _expectation(artifact, lock, known)
    if expected is None:
        return None
    name = _key(artifact, known)
    return Allowed(
        artifact=artifact,
        key=name,
        path=folder() / name,
        expected=expected,
        pin=known.get(name),
    )


def _key(artifact: Artifact, known: dict[str, Pin]) -> str:
    """The artifact's key, or the one that version 0.1 pinned its file under."""
    old, name = key_without_scheme(artifact), key(artifact)
    pin = known.get(old)
    # 0.1 fetched it: then the pin names this address, or the mirror that stood in for it.
    was_here = old != name and name not in known and pin is not None
    return old if was_here and pin is not None and pin.source == artifact.url else name


def expectation(artifact: Artifact) -> Expectation | None:
    """What the artifact must be: by the lock file, as published, or as pinned on first use.

    ``None``: there is a lock file, and it does not name the artifact. Raises as ``allowed``.
    """
    # A published hash needs no pin.
    return _expectation(artifact, read_lock(), {} if artifact.sha256 else pins())


def _expectation(
    artifact: Artifact, lock: tuple[str, LockFile] | None, known: dict[str, Pin]
) -> Expectation | None:
    if lock is not None:
        name, content = lock
        item = content.files.get(artifact.url)
        if item is None:
            # What lies beside a manifest came with it, and the manifest vouches for it.
            return None if artifact.beside is None else _without_lock(artifact, known)
        if artifact.sha256 not in (None, item.sha256) or not artifact.may_be(item.sha256):
            raise HashMismatch(
                "the lock file and the manifest name different hashes",
                where=artifact.url,
                expected=f"sha256 {item.sha256} ({name})",
                found=f"sha256 {artifact.sha256 or artifact.sha256_begins}"
                f" (manifest: {artifact.hash_source})",
                fix="find out which is right before you trust either",
            )
        return Expectation(sha256=item.sha256, size=item.size, vouched_by=f"lock file {name}")
    return _without_lock(artifact, known)


def _without_lock(artifact: Artifact, known: dict[str, Pin]) -> Expectation:
    if artifact.sha256 is not None:
        return Expectation(
            sha256=artifact.sha256, size=artifact.size, vouched_by=artifact.hash_source
        )
    pin = known.get(_key(artifact, known))
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
        item, pin = _without_lock(artifact, known), known.get(_key(artifact, known))
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
    write_text(path, content.model_dump_json(indent=1) + "\n")
