"""Which of several entries with the same keys and shapes a file belongs to, as a check."""

from __future__ import annotations

from ptv_hub.verification import goldens
from ptv_hub.verification.records import Check, Verdict
from ptv_hub.verification.weights_file import Subject
from ptv_hub.weights.attribution import Proof, attribute
from ptv_hub.weights.lookalikes import lookalikes
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import known


def check_identity(entry: Entry, subject: Subject) -> Check:
    """Whether anything proves that the file is this entry's, or another's."""
    nobody_vouched = subject.expected.sha256 is None
    found = attribute(
        subject.weights,
        entry,
        known=_known(subject),
        just_pinned=subject.artifact if nobody_vouched else None,
    )
    other, own = found.counterproof, found.proof
    if other is not None:
        return _check(entry, "fails", found=other.name, note=f"by {other.how}")
    if own is not None:
        verdict: Verdict = "as recorded here" if own.here_only else "holds"
        return _check(entry, verdict, found=entry.name, note=f"by {own.how}")
    alike = ", ".join(item.name for item in lookalikes(entry))
    if not alike:
        note = "no other model of the zoo has these keys and shapes"
        return _check(entry, "holds", found=entry.name, note=note)
    note = f"no hash, digest or pin is known: nothing here can tell {entry.name}, {alike} apart"
    return _check(entry, "unknown", found=f"{entry.name}, {alike}", note=note)


def _check(entry: Entry, verdict: Verdict, **facts: str) -> Check:
    return Check(level="keys", name="identity", verdict=verdict, expected=entry.name, **facts)


def _known(subject: Subject) -> list[Proof]:
    """What a lock file says of the bytes, and goldens of the tensors."""
    found = []
    expected = subject.expected
    if expected.sha256 == subject.weights.sha256 and not subject.first_use:
        owners = [item.name for item in known() if subject.artifact in item.artifacts]
        how = f"sha256 ({expected.vouched_by})"
        found += [Proof(here_only=False, name=name, how=how) for name in owners]
    golden = goldens.shipped().get(subject.weights.digest)
    if golden is not None:
        how = f"its digest: {golden.weights}"
        found.append(Proof(here_only=False, name=golden.entry, how=how))
    return found
