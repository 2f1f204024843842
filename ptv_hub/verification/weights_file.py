"""Level ``file``: the bytes, who vouches for them, and what kind of file they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptv_hub.errors import CheckpointError, FetchError, HashMismatch, LayoutError
from ptv_hub.fetching import cache
from ptv_hub.fetching.cache import Expectation
from ptv_hub.verification.keys import wanted
from ptv_hub.verification.records import Check, Verdict
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.layouts import LAYOUTS
from ptv_hub.weights.lookalikes import is_called
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.own_word import OwnWord
from ptv_hub.zoo.entry import Artifact, Entry


@dataclass(frozen=True)
class Subject:
    """The file to verify, and what was known of it before it was looked at."""

    weights: OpenedWeights
    """Its hash is that of the bytes as they are now."""
    origin: str
    artifact: Artifact | None
    """``None`` for a local file whose bytes are none of the entry's."""
    expected: Expectation

    @property
    def first_use(self) -> bool:
        """Whether all that vouches for the bytes is that they are the ones first used here."""
        return (self.expected.vouched_by or "").startswith("first use here")


def obtain(entry: Entry, weights: OpenedWeights | None, *, progress: bool) -> Subject:
    """A local file, or the entry's own, fetched if the cache has none.

    Raises:
        FetchError: it cannot be brought here or not be read; ``HashMismatch`` when the bytes
            are not those published, locked, or pinned.
    """
    if weights is not None:
        return _local(entry, weights)
    from ptv_hub.fetching.artifacts import fetch

    # Before fetching: afterwards a file that nobody vouches for has a pin of today.
    before = {artifact.url: cache.expectation(artifact) for artifact in entry.artifacts}
    fetched = fetch(entry, progress=progress)
    expected = before[fetched.artifact.url] or Expectation()
    weights = OpenedWeights(fetched.path, entry, checked=True)
    return Subject(weights, fetched.artifact.url, fetched.artifact, expected)


def _local(entry: Entry, weights: OpenedWeights) -> Subject:
    """A file of the user's: vouched for only if its bytes are those of one of the entry's files."""
    try:
        sha256 = weights.sha256
    except OSError as error:
        raise FetchError(
            "the weights file cannot be opened", where=weights.path, found=error.strerror or error
        ) from error
    for artifact in entry.artifacts:
        expected = cache.expectation(artifact)
        if expected is not None and expected.sha256 == sha256:
            return Subject(weights, artifact.url, artifact, expected)
    return Subject(weights, "local file", None, Expectation())


def check_file(entry: Entry, subject: Subject) -> tuple[list[Check], bool]:
    """The checks, and whether the file can be read safely."""
    checks = [_sha256(subject), _size(entry, subject)]
    weights = subject.weights
    try:
        file = weights.file
    except CheckpointError as error:
        found = f"{error.what}: {error.found}" if error.found else error.what
        return [*checks, _check("safe to read", "fails", found=found, note=error.fix)], False
    checks += [
        _check("safe to read", "holds", found="tensors and plain data only"),
        _check("container", "noted", found=_container(file)),
        _layout(subject),
        _dtypes(entry, weights),
        _own_word(entry, weights.own_word),
    ]
    return checks, True


def mismatch(error: HashMismatch) -> Check:
    """What ``fetch`` refused, as a check that does not hold."""
    note = f"{error.what} ({error.where})" if error.where else error.what
    return _check("sha256", "fails", expected=error.expected, found=error.found, note=note)


def _check(name: str, verdict: Verdict, **facts: str | None) -> Check:
    return Check(level="file", name=name, verdict=verdict, **facts)


def _sha256(subject: Subject) -> Check:
    expected = subject.expected
    if expected.sha256 is None:
        note = "nobody has published, locked or pinned a hash of this file"
        if subject.artifact is not None:
            note = "nobody has published a hash of this file; it is pinned from now on"
        return _check("sha256", "unknown", found=subject.weights.sha256, note=note)
    agrees: Verdict = "as recorded here" if subject.first_use else "holds"
    return _check(
        "sha256",
        agrees if subject.weights.sha256 == expected.sha256 else "fails",
        expected=expected.sha256,
        found=subject.weights.sha256,
        note=expected.vouched_by,
    )


def _size(entry: Entry, subject: Subject) -> Check:
    found = subject.weights.size
    stated = subject.expected.size
    if stated is not None:
        verdict: Verdict = "holds" if stated == found else "fails"
        return _check("size", verdict, expected=f"{stated:,} bytes", found=f"{found:,} bytes")
    twin = next((a for a in entry.artifacts if a.size == found and a.sha256), None)
    note = f"the size of the {twin.zoo} zoo's file, but not its bytes" if twin else None
    return _check("size", "noted", found=f"{found:,} bytes", note=note)


_FORMATS = {
    "zip": "torch.save (zip)",
    "legacy": "torch.save before 1.6",
    "safetensors": "safetensors",
}


def _container(file: Checkpoint) -> str:
    parts = [_FORMATS[file.format]]
    if file.container != "bare":
        parts.append(f"weights under {file.container!r}")
    if file.prefix:
        parts.append(f"wrapped in {file.prefix!r}")
    if file.not_mapped:
        parts.append(f"read, not mapped: {file.not_mapped}")
    beside = ", ".join(file.training) or "nothing else"
    epoch = file.training.get("epoch")
    return f"{'; '.join(parts)}; beside them: {beside}" + (
        f" (epoch {epoch})" if isinstance(epoch, int) else ""
    )


def _layout(subject: Subject) -> Check:
    expected = subject.artifact.layout if subject.artifact else " or ".join(LAYOUTS)
    try:
        found = subject.weights.layout
    except LayoutError as error:
        note = error.found and f"{error.what}: {error.found}"
        return _check("layout", "fails", expected=expected, found="none", note=note or error.what)
    agrees = subject.artifact is None or found == expected
    return _check("layout", "holds" if agrees else "fails", expected=expected, found=found)


def _dtypes(entry: Entry, weights: OpenedWeights) -> Check:
    """Weights are float32, counters int64, as the model's own state dict has them."""
    try:
        official = weights.official
    except LayoutError:
        official = {}
    expected = wanted(entry)
    wrong = [k for k, t in official.items() if k in expected and t.dtype != expected[k].dtype]
    kinds = {str(t.dtype).removeprefix("torch.") for t in weights.file.tensors.values()}
    return _check(
        "dtype",
        "fails" if wrong else "holds",
        expected="float32, counters int64",
        found=", ".join(sorted(kinds)),
        note=f"{len(wrong)} tensors of another type, the first {wrong[0]}" if wrong else None,
    )


def _own_word(entry: Entry, own: OwnWord) -> Check:
    """What the file says of itself: the config in a PySlowFast checkpoint, a safetensors header.

    A contradiction fails. Agreement is the file's own claim and proves nothing.
    """
    found, expected = dict(own.claims), own.expected(entry)
    if own.names:
        found["entry"] = " or ".join(own.names)
        agrees = any(is_called(name, entry) for name in own.names)
        expected["entry"] = found["entry"] if agrees else entry.name
    if not found:
        return _check("its own word", "noted", found="says nothing of itself")
    agrees = found == expected
    return _check(
        "its own word",
        "holds" if agrees else "fails",
        expected=_told(expected),
        found=_told(found),
        note=f"the file's own claim{', no proof' if agrees else ' to be of another model'}",
    )


def _told(claims: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in claims.items())
