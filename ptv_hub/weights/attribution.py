"""Whose weights are these, held against one entry, and what proves it.

``verify`` holds the answer to a claim, ``push`` refuses weights of another model, ``admission``
says whether a file may be loaded as a model. Bytes prove: a hash, a digest, a pin; keys only agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptv_hub.fetching import cache
from ptv_hub.weights.identify import Candidate, Evidence, candidates, has_bytes, has_tensors
from ptv_hub.weights.lookalikes import is_called
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.manifest import known as known_entries


@dataclass(frozen=True, order=True)
class Proof:
    """What ties these very bytes, or these tensors, to an entry; the strongest sorts first."""

    here_only: bool
    """Whether it rests on nothing but what this machine recorded."""
    name: str
    how: str


@dataclass(frozen=True)
class Attribution:
    """Whose weights these are, held against one entry."""

    entry: Entry
    candidates: tuple[Candidate, ...]
    """The entries that they can be, those with the strongest evidence only."""
    proofs: tuple[Proof, ...]
    """Of this entry and of others, the strongest first."""

    @property
    def evidence(self) -> Evidence | None:
        """Why the entry is among the candidates; ``None`` where it is not."""
        return next((c.evidence for c in self.candidates if c.name == self.entry.name), None)

    @property
    def proof(self) -> Proof | None:
        """The strongest that they are this entry's."""
        return next((p for p in self.proofs if p.name == self.entry.name), None)

    @property
    def counterproof(self) -> Proof | None:
        """What proves them another's, unless something stronger proves them this entry's.

        Bytes that are two models' by equal right are one's by mistake: that counts against it.
        """
        other = next((p for p in self.proofs if not is_called(p.name, self.entry)), None)
        own = self.proof
        outweighed = other is None or (own is not None and own.here_only < other.here_only)
        return None if outweighed else other


def attribute(
    weights: OpenedWeights,
    entry: Entry,
    *,
    known: Sequence[Proof] = (),
    just_pinned: Artifact | None = None,
) -> Attribution:
    """Whose weights these are, held against an entry.

    Args:
        known: proofs of other rooms: a lock file, outputs that somebody recorded.
        just_pinned: a file fetched just now was pinned just now, which says nothing of it.

    Raises:
        CheckpointError: the file cannot be read, or no layout names its keys.
        FetchError: the cache's record of its pins is damaged.
    """
    found = proofs(weights, more=known, just_pinned=just_pinned)
    return Attribution(entry, candidates(weights), found)


def proofs(
    weights: OpenedWeights, *, more: Sequence[Proof] = (), just_pinned: Artifact | None = None
) -> tuple[Proof, ...]:
    """What ties the bytes or the tensors to any entry, the strongest first. As ``attribute``."""
    found = list(more)
    # Of files of this size alone: what comes before every load should not hash without need.
    pins = {key: pin for key, pin in cache.pins().items() if pin.size == weights.size}
    if just_pinned is not None:
        pins.pop(cache.key(just_pinned), None)
    for item in known_entries():
        if has_tensors(weights, item):
            found.append(Proof(False, item.name, "its digest, stated in the manifest"))
        for artifact in item.artifacts:
            pin = pins.get(cache.key(artifact)) if pins else None
            if has_bytes(weights, artifact):
                found.append(Proof(False, item.name, f"sha256 ({artifact.hash_source})"))
            elif pin is not None and pin.sha256 == weights.sha256:
                found.append(Proof(True, item.name, f"sha256 (first use here, {pin.since})"))
    return tuple(sorted(found))
