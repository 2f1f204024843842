"""The files of an entry, in order of preference, from the cache or the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from ptv_hub.errors import FetchError, HashMismatch, NoServer, OfflineError, WriteError
from ptv_hub.fetching import cache, hub, offline
from ptv_hub.fetching.addresses import mirror, shown
from ptv_hub.fetching.cache import Allowed, CachedFile, Pin
from ptv_hub.fetching.completeness import broken
from ptv_hub.fetching.download import download, without_login
from ptv_hub.fetching.part import Report, discard
from ptv_hub.files import sha256_of
from ptv_hub.text import Lines
from ptv_hub.zoo import repository
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.records import Record

log = logging.getLogger("ptv_hub")


class Fetched(Record):
    """A whole file with the right bytes."""

    path: Path
    artifact: Artifact
    sha256: str
    vouched_by: str
    """Who vouches for the hash: a published log, a lock file, or the first use here."""
    from_cache: bool
    second_choice: str | None = None
    """Why it is not the file that the manifest prefers; ``None`` when it is."""


def fetch(entry: Entry | str, *, progress: bool = True) -> Fetched:
    """A verified local file with an entry's weights, or a name's, fetched if the cache has none.

    ``progress`` shows a bar on stderr. Several processes at once fetch a file once.
    ``PTV_HUB_MIRROR`` replaces the manifest's base address, ``PTV_HUB_OFFLINE=1`` (or
    ``HF_HUB_OFFLINE=1``) forbids the network, ``PTV_HUB_LOCK`` names a lock file.

    Raises:
        OfflineError: no file is in the cache, and the network may not be used.
        HashMismatch: bytes that are not those published, locked or pinned on first use.
        FetchError: none of the files could be brought here; all reasons are told.
        WriteError: the cache cannot be written, or the disk is full.
    """
    if isinstance(entry, str):
        entry = hub.entry(entry)
    own = repository.own_file(entry)
    if own is not None:
        return _from_repository(own, progress)
    if entry.artifacts and entry.artifacts[0].beside is not None:
        return _beside_manifest(entry.artifacts[0], entry.artifacts[0].beside)
    allowed = cache.allowed(entry.artifacts)
    reasons = dict.fromkeys((a.url for a in entry.artifacts), "the lock file does not name it")
    for file in allowed:
        found = _from_cache(file)
        if found is not None:
            return _told(found, entry, reasons)
        reasons[file.artifact.url] = "not in the cache, while this one is"
    gone: NoServer | None = None
    for file in allowed:
        url = file.artifact.url
        if gone is not None and _host(file.artifact) in (gone.where or ""):
            reasons[url] = f"{gone.what} ({gone.found})"
            continue
        if offline.forbidden_by() and not address_of(file.artifact).startswith("file:"):
            reasons[url] = "not in the cache, and offline"
            continue
        try:
            return _told(_bring(entry, file, progress), entry, reasons)
        except HashMismatch:
            raise  # not a reason to look elsewhere, but to look closely
        except FetchError as error:
            if len(entry.artifacts) == 1:
                raise
            gone = error if isinstance(error, NoServer) else None
            reasons[url] = ": ".join(filter(None, (error.what, error.found)))
    raise _nothing(entry, allowed, reasons)


def _from_repository(artifact: Artifact, progress: bool) -> Fetched:
    """The file of a Hub repository or of a folder of that form: none other will do instead."""
    was_here = hub.is_here(artifact)
    path = hub.download(artifact, progress=progress)
    assert artifact.sha256 is not None, "download checks against it"
    return Fetched(
        path=path,
        artifact=artifact,
        sha256=artifact.sha256,
        vouched_by=artifact.hash_source or repository.CONFIG_FILE,
        from_cache=was_here,
    )


def _beside_manifest(artifact: Artifact, path: Path) -> Fetched:
    """The file that lies beside the manifest, read whole: no cache, no network, no mirror."""
    expected = cache.expectation(artifact)
    assert expected is not None, "its manifest allows it, whatever a lock file names"
    try:
        size, sha256 = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise FetchError(
            "a file that lies beside its manifest cannot be read",
            where=path,
            found=error.strerror or error,
            fix="restore it, or install ptv_hub anew",
        ) from error
    if (size, sha256) != (expected.size, expected.sha256):
        raise HashMismatch(
            "a file beside its manifest is not the one that the manifest speaks of",
            where=path,
            expected=f"sha256 {expected.sha256}, {expected.size} bytes ({expected.vouched_by})",
            found=f"sha256 {sha256}, {size} bytes",
            fix="restore it, or install ptv_hub anew",
        )
    return Fetched(
        path=path,
        artifact=artifact,
        sha256=sha256,
        vouched_by=expected.vouched_by or "its manifest",
        from_cache=True,
    )


def _told(found: Fetched, entry: Entry, reasons: dict[str, str]) -> Fetched:
    """Say aloud when it is not the preferred file."""
    preferred = entry.artifacts[0]
    if found.artifact == preferred:
        return found
    why = f"{shown(preferred.url)}: {reasons[preferred.url]}"
    log.warning("%s: using the file of the %s zoo (%s)", entry.name, found.artifact.zoo, why)
    return found.model_copy(update={"second_choice": why})


def _nothing(entry: Entry, allowed: list[Allowed], reasons: dict[str, str]) -> FetchError:
    if not entry.artifacts:
        return FetchError(
            f"the manifest names no file with weights of {entry.name}",
            fix="load it with weights=FILE, or pretrained=False",
        )
    told = Lines.of(f"{shown(address_of(a))}: {reasons[a.url]}" for a in entry.artifacts)
    if not allowed:
        return FetchError(
            f"the lock file names no file of {entry.name}",
            where=f"{os.environ[cache.LOCK_VARIABLE]} (from {cache.LOCK_VARIABLE} or --lock)",
            expected=" or ".join(shown(a.url) for a in entry.artifacts),
            fix="write it anew with 'ptv-hub lock' where the model has been fetched",
        )
    if variable := offline.forbidden_by():
        return OfflineError(
            f"the weights of {entry.name} are not in the cache, and {variable} is set",
            where=allowed[0].path,
            found=told,
            fix=f"'ptv-hub fetch {entry.name}' where there is a network, or unset {variable}",
        )
    return FetchError(
        f"none of the files of {entry.name} could be fetched",
        found=told,
        fix="if you have a copy, set PTV_HUB_MIRROR to where it is, or load it with weights=FILE",
    )


def _host(artifact: Artifact) -> str:
    return f"//{urlsplit(without_login(address_of(artifact))).netloc}/"


def address_of(artifact: Artifact) -> str:
    """Where the bytes are to come from: a mirror, if one is set, keeps the path below the base."""
    base = mirror()
    return artifact.url if base is None else f"{base}/{artifact.path}"


# ---------------------------------------------------------------------------- the cache


def _from_cache(wanted: Allowed) -> Fetched | None:
    """The file in the cache, if it is there and right; ``None`` to fetch it.

    Raises:
        HashMismatch: it is what was fetched, but not what it must be; or it is damaged
            and there is no network to fetch it anew.
    """
    file, expected, pin = cache.look_up(wanted), wanted.expected, wanted.pin
    if file is None:
        return None
    as_hashed = cache.is_as_hashed(file)
    try:
        sha256 = pin.sha256 if as_hashed and pin is not None else sha256_of(file.path)
    except FileNotFoundError:
        return None  # another process removed it
    except OSError as trouble:
        raise FetchError(
            "a file of the cache cannot be read", where=file.path, found=trouble.strerror or trouble
        ) from trouble
    right = expected.sha256 in (None, sha256) and wanted.artifact.may_be(sha256)
    if right and expected.size in (None, file.size):
        if not as_hashed:  # put there by hand, copied with another time stamp, or used first
            if expected.sha256 is None and not _sound(file):
                return None
            pin = _try_to_record(file, sha256)
        return _fetched(wanted, sha256, pin, from_cache=True)
    error = HashMismatch(
        "a file of the cache is not what it must be",
        where=file.path,
        expected=_named(wanted),
        found=f"sha256 {sha256}, {file.size} bytes",
        fix="find out which is right; 'ptv-hub cache remove --forget' drops the file and its pin",
    )
    if as_hashed or offline.forbidden_by():
        raise error
    log.warning("%s has changed on disk since it was fetched; fetching it anew", file.path)
    return None


def _sound(file: CachedFile) -> bool:
    """Whether a file that nobody vouches for can be a checkpoint at all."""
    try:
        return broken(file.path) is None
    except OSError:
        return False


def _try_to_record(file: CachedFile, sha256: str) -> Pin | None:
    """The pin that is on record now: this one, if the cache can be written."""
    source = file.pin.source if file.pin else "put into the cache by hand"
    try:
        return cache.add_pin(file.key, cache.pin_of(file.path, sha256, source))
    except (WriteError, FileNotFoundError):
        # A cache that others keep for us to read: hashed again next time.
        log.info("%s: the cache cannot be written; its pin is not recorded", file.path)
        return file.pin


def _named(wanted: Allowed) -> str:
    expected, begins = wanted.expected, wanted.artifact.sha256_begins
    size = "" if expected.size is None else f", {expected.size} bytes"
    if expected.sha256:
        return f"sha256 {expected.sha256}{size} ({expected.vouched_by})"
    what = f"a sha256 that begins with {begins}" if begins else "the size"
    return f"{what}{size} ({expected.vouched_by})"


def _fetched(file: Allowed, sha256: str, pin: Pin | None, *, from_cache: bool) -> Fetched:
    since = f"first use here, {pin.since}" if pin else "first use here"
    return Fetched(
        path=file.path,
        artifact=file.artifact,
        sha256=sha256,
        vouched_by=(file.expected.vouched_by if file.expected.sha256 else None) or since,
        from_cache=from_cache,
    )


# ---------------------------------------------------------------------------- the network


def _bring(entry: Entry, wanted: Allowed, progress: bool) -> Fetched:
    path, artifact = wanted.path, wanted.artifact
    with cache.locked(path):
        wanted = cache.as_it_is_now(wanted)
        found = _from_cache(wanted)  # another process may have brought it while we waited
        if found is not None:
            return found
        expected = wanted.expected
        address = address_of(artifact)
        part = path.with_name(path.name + cache.PART_SUFFIX)
        with _bar(f"{entry.name} ({artifact.zoo} zoo)", progress) as report:
            try:
                sha256 = download(
                    address,
                    part,
                    size=expected.size,
                    sha256=expected.sha256 or artifact.sha256_begins,
                    report=report,
                )
            except HashMismatch as error:
                raise _other_bytes(error, wanted) from error
        try:
            # The pin first: a file without one would be hashed once more, a pin can wait.
            pin = cache.add_pin(wanted.key, cache.pin_of(part, sha256, without_login(address)))
            os.replace(part, path)
            discard(part)
        except OSError as error:
            raise WriteError.because(error, path) from error
    return _fetched(wanted, sha256, pin, from_cache=False)


def _other_bytes(error: HashMismatch, wanted: Allowed) -> HashMismatch:
    expected, pin = wanted.expected, wanted.pin
    if expected.sha256 is None or pin is None or expected.sha256 != pin.sha256:
        fix = "do not use it; tell those who publish the file, and look at another mirror"
    else:
        fix = (
            "the file was changed where it comes from: find out why; 'ptv-hub cache remove"
            " --forget' drops the pin, if you trust the new one"
        )
    return HashMismatch(
        error.what, where=error.where, expected=_named(wanted), found=error.found, fix=fix
    )


@contextmanager
def _bar(what: str, progress: bool) -> Iterator[Report | None]:
    """A bar on stderr that begins with the first byte; ``None`` where none is wanted."""
    if not progress:
        yield None
        return
    from tqdm.auto import tqdm

    bar: tqdm[NoReturn] | None = None

    def report(there: int, total: int | None, arrived: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(
                desc=what,
                total=total,
                initial=there - arrived,
                unit="B",
                unit_scale=True,
            )
        bar.total = total
        bar.update(there - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
