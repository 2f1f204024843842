"""One file of one zoo, brought here; and what is known before it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.attestation.records import SeenFile
from ptv_hub.errors import FetchError, HashMismatch, PtvHubError
from ptv_hub.fetching import cache
from ptv_hub.fetching.artifacts import address_of, fetch
from ptv_hub.fetching.download import without_login
from ptv_hub.fetching.stated import Stated, stated
from ptv_hub.text import visible
from ptv_hub.zoo.entry import Artifact, Entry


@dataclass(frozen=True)
class Wanted:
    """One file that is to be fetched."""

    entry: Entry
    artifact: Artifact
    here: bool
    """Whether it lies in the cache already."""
    stated: Stated
    """What its server says of it; nothing of one that is here."""

    @property
    def bytes(self) -> int | None:
        """What it is going to be; ``None`` where nobody has said."""
        return self.stated.size or self.artifact.size


def wanted(items: Sequence[Entry]) -> list[Wanted]:
    """Every file of the entries, its server asked for its size.

    Raises:
        NoServer: there is no network.
    """
    found = []
    for item in items:
        for artifact in item.artifacts:
            here = cache.location(artifact).is_file()
            said = Stated() if here else stated(address_of(artifact))
            found.append(Wanted(item, artifact, here, said))
    return found


def bring(item: Entry, artifact: Artifact, *, progress: bool) -> tuple[SeenFile, Path | None]:
    """The file of one zoo and no other in its place, with what its server states of it.

    That it cannot be brought, or is refused, is told and not raised.

    Raises:
        WriteError: the cache cannot be written, or the disk is full.
    """
    seen = SeenFile(zoo=artifact.zoo, url=artifact.url, status="not brought")
    try:
        said = Stated() if cache.location(artifact).is_file() else stated(address_of(artifact))
        alone = item.model_copy(update={"artifacts": (artifact,)})
        fetched = fetch(alone, progress=progress)
        pin = cache.pins().get(cache.key(artifact))
    except HashMismatch as error:
        return seen.model_copy(update={"status": "refused", "why": in_a_line(error)}), None
    except FetchError as error:
        return seen.model_copy(update={"why": in_a_line(error)}), None
    found = {
        "status": "brought",
        "address": pin.source if pin else without_login(address_of(artifact)),
        "on": pin.since if pin else None,
        "size": fetched.path.stat().st_size,
        "sha256": fetched.sha256,
        "etag": said.etag,
        "last_modified": said.last_modified,
    }
    return seen.model_copy(update=found), fetched.path


def in_a_line(error: PtvHubError) -> str:
    """What an error says, its facts one after the other."""
    facts = [f"expected {error.expected}" if error.expected else "", error.found or ""]
    return visible("; ".join(filter(None, [error.what, *facts])))[:1000]


def drop(item: Entry, model_files: Sequence[SeenFile]) -> None:
    """Remove the files that were brought from the cache; what they were stays pinned.

    Raises:
        WriteError: one cannot be removed.
    """
    brought = {file.url for file in model_files if file.status == "brought"}
    keys = {cache.key(artifact) for artifact in item.artifacts if artifact.url in brought}
    for file in cache.cached_files():
        if file.key in keys:
            cache.remove(file)
