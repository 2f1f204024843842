"""Which of several entries with the same keys and shapes a file belongs to.

X3D_XS, X3D_S and X3D_M are one architecture trained on clips of other lengths and sizes; so
are SLOW_4x16 and SLOW_8x8. A swapped file loads without a complaint and scores badly. Only
bytes tell them apart: a hash, a digest, a pin, or a golden for these very tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptv_hub import cache
from ptv_hub.builders import shapes
from ptv_hub.entry import Entry
from ptv_hub.manifest import entries
from ptv_hub.verification import goldens
from ptv_hub.verification.records import Check
from ptv_hub.verification.weights_file import Subject

__all__ = ["check_identity", "lookalikes"]


def lookalikes(entry: Entry) -> list[Entry]:
    """The other entries with the same keys and shapes that want other input than this one."""
    return [
        item
        for item in entries()
        # Equal shapes have equal sums; the cheap question first.
        if (None in (item.num_params, entry.num_params) or item.num_params == entry.num_params)
        and not _same_model(item, entry)
        and shapes(item) == shapes(entry)
    ]


def _same_model(one: Entry, other: Entry) -> bool:
    return (one.builder, one.input, one.dataset) == (other.builder, other.input, other.dataset)


@dataclass(frozen=True)
class _Evidence:
    name: str
    how: str
    here_only: bool
    """Whether it rests on nothing but what this machine recorded."""


def check_identity(entry: Entry, subject: Subject, digest: str) -> Check:
    """Whether anything proves that the file is this entry's, or another's."""
    evidence = _evidence(subject, digest)
    own = [e for e in evidence if e.name == entry.name]
    others = [e for e in evidence if e.name != entry.name and not _same(e.name, entry)]
    alike = ", ".join(item.name for item in lookalikes(entry))
    if others and not own:
        return _check(entry, "fails", found=others[0].name, note=f"by {others[0].how}")
    if own:
        best = min(own, key=lambda e: e.here_only)
        verdict = "as recorded here" if best.here_only else "holds"
        return _check(entry, verdict, found=entry.name, note=f"by {best.how}")
    if not alike:
        note = "no other model of the zoo has these keys and shapes"
        return _check(entry, "holds", found=entry.name, note=note)
    note = f"no hash, digest or pin is known: nothing here can tell {entry.name}, {alike} apart"
    return _check(entry, "unknown", found=f"{entry.name}, {alike}", note=note)


def _same(name: str, entry: Entry) -> bool:
    return any(item.name == name and _same_model(item, entry) for item in entries())


def _check(entry: Entry, verdict: str, **facts: str) -> Check:
    return Check(level="keys", name="identity", verdict=verdict, expected=entry.name, **facts)


def _evidence(subject: Subject, digest: str) -> list[_Evidence]:
    """All that ties these bytes or these tensors to an entry, whichever it is."""
    found = []
    pins = cache.pins()
    if subject.artifact is not None and subject.expected.sha256 is None:
        # A file fetched just now was pinned just now: that says nothing of what it is.
        pins.pop(cache.key(subject.artifact), None)
    for item in entries():
        if item.digest == digest:
            found.append(_Evidence(item.name, "its digest, stated in the manifest", False))
        for artifact in item.artifacts:
            if artifact.sha256 == subject.sha256:
                found.append(_Evidence(item.name, f"sha256 ({artifact.hash_source})", False))
                continue
            pin = pins.get(cache.key(artifact))
            if pin is not None and pin.sha256 == subject.sha256:
                found.append(_Evidence(item.name, f"sha256 (first use here, {pin.since})", True))
    if subject.expected.sha256 == subject.sha256 and not subject.first_use:
        owners = [i.name for i in entries() if subject.artifact in i.artifacts]
        how = f"sha256 ({subject.expected.vouched_by})"
        found += [_Evidence(name, how, False) for name in owners]
    golden = goldens.shipped().get(digest)
    if golden is not None:
        found.append(_Evidence(golden.entry, f"its digest: {golden.weights}", False))
    return found
