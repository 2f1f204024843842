"""Which of several entries with the same keys and shapes a file belongs to.

Only bytes tell look-alikes apart: a hash, a digest, a pin, or a golden for these very tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptv_hub.fetching import cache
from ptv_hub.verification import goldens
from ptv_hub.verification.records import Check
from ptv_hub.verification.weights_file import Subject
from ptv_hub.weights.identify import lookalikes, same_model
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries


@dataclass(frozen=True, order=True)
class _Evidence:
    """What ties the file to an entry; the strongest sorts first."""

    here_only: bool
    """Whether it rests on nothing but what this machine recorded."""
    name: str
    how: str


def check_identity(entry: Entry, subject: Subject, digest: str) -> Check:
    """Whether anything proves that the file is this entry's, or another's."""
    evidence = _evidence(subject, digest)
    own = [e for e in evidence if e.name == entry.name]
    others = [e for e in evidence if e.name != entry.name and not _same(e.name, entry)]
    # The strongest speaks; bytes that are two models' by equal right are one's by mistake.
    if others and (not own or min(own).here_only >= min(others).here_only):
        best = min(others)
        return _check(entry, "fails", found=best.name, note=f"by {best.how}")
    if own:
        best = min(own)
        verdict = "as recorded here" if best.here_only else "holds"
        return _check(entry, verdict, found=entry.name, note=f"by {best.how}")
    alike = ", ".join(item.name for item in lookalikes(entry))
    if not alike:
        note = "no other model of the zoo has these keys and shapes"
        return _check(entry, "holds", found=entry.name, note=note)
    note = f"no hash, digest or pin is known: nothing here can tell {entry.name}, {alike} apart"
    return _check(entry, "unknown", found=f"{entry.name}, {alike}", note=note)


def _same(name: str, entry: Entry) -> bool:
    return any(item.name == name and same_model(item, entry) for item in entries())


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
            found.append(_Evidence(False, item.name, "its digest, stated in the manifest"))
        for artifact in item.artifacts:
            if artifact.sha256 == subject.sha256:
                found.append(_Evidence(False, item.name, f"sha256 ({artifact.hash_source})"))
                continue
            pin = pins.get(cache.key(artifact))
            if pin is not None and pin.sha256 == subject.sha256:
                found.append(_Evidence(True, item.name, f"sha256 (first use here, {pin.since})"))
    if subject.expected.sha256 == subject.sha256 and not subject.first_use:
        owners = [i.name for i in entries() if subject.artifact in i.artifacts]
        how = f"sha256 ({subject.expected.vouched_by})"
        found += [_Evidence(False, name, how) for name in owners]
    golden = goldens.shipped().get(digest)
    if golden is not None:
        found.append(_Evidence(False, golden.entry, f"its digest: {golden.weights}"))
    return found
