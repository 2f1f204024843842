"""Level ``file``: the bytes, who vouches for them, and what kind of file they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv_hub.errors import CheckpointError, FetchError, HashMismatch, LayoutError
from ptv_hub.fetching import cache
from ptv_hub.fetching.cache import Expectation
from ptv_hub.files import sha256_of
from ptv_hub.verification.keys import wanted
from ptv_hub.verification.records import Check
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.checkpoint import Checkpoint
from ptv_hub.weights.identify import config_claims, same_model
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.manifest import entries


@dataclass(frozen=True)
class Subject:
    """The file to verify, and what was known of it before it was looked at."""

    path: Path
    origin: str
    artifact: Artifact | None
    """``None`` for a local file whose bytes are none of the entry's."""
    expected: Expectation
    sha256: str
    """Of the bytes as they are now."""

    @property
    def first_use(self) -> bool:
        """Whether all that vouches for the bytes is that they are the ones first used here."""
        return (self.expected.vouched_by or "").startswith("first use here")


def obtain(entry: Entry, weights: Path | None, *, progress: bool) -> Subject:
    """The local file ``weights``, or the entry's own, fetched if the cache has none.

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
    sha256 = sha256_of(fetched.path)
    return Subject(fetched.path, fetched.artifact.url, fetched.artifact, expected, sha256)


def _local(entry: Entry, path: Path) -> Subject:
    """A file of the user's: vouched for only if its bytes are those of one of the entry's files."""
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        raise FetchError(
            "the weights file cannot be opened", where=path, found=error.strerror or error
        ) from error
    for artifact in entry.artifacts:
        expected = cache.expectation(artifact)
        if expected is not None and expected.sha256 == sha256:
            return Subject(path, artifact.url, artifact, expected, sha256)
    return Subject(path, "local file", None, Expectation(), sha256)


def check_file(entry: Entry, subject: Subject) -> tuple[list[Check], Checkpoint | None]:
    """The checks, and the file's content unless it cannot be read safely."""
    checks = [_sha256(subject), _size(entry, subject)]
    try:
        file = checkpoint.read(subject.path)
    except CheckpointError as error:
        found = f"{error.what}: {error.found}" if error.found else error.what
        return [*checks, _check("safe to read", "fails", found=found, note=error.fix)], None
    checks += [
        _check("safe to read", "holds", found="tensors and plain data only"),
        _check("container", "noted", found=_container(file)),
        _layout(subject, file),
        _dtypes(entry, file),
        _own_word(entry, file),
    ]
    return checks, file


def read_official(file: Checkpoint) -> dict[str, Any] | None:
    """The tensors under official keys; ``None`` where no layout names them."""
    try:
        return layouts.to_official(file.tensors)
    except LayoutError:
        return None


def mismatch(error: HashMismatch) -> Check:
    """What ``fetch`` refused, as a check that does not hold."""
    note = f"{error.what} ({error.where})" if error.where else error.what
    return _check("sha256", "fails", expected=error.expected, found=error.found, note=note)


def _check(name: str, verdict: Any, **facts: str | None) -> Check:
    return Check(level="file", name=name, verdict=verdict, **facts)


def _sha256(subject: Subject) -> Check:
    expected = subject.expected
    if expected.sha256 is None:
        note = "nobody has published, locked or pinned a hash of this file"
        if subject.artifact is not None:
            note = "nobody has published a hash of this file; it is pinned from now on"
        return _check("sha256", "unknown", found=subject.sha256, note=note)
    agrees = "as recorded here" if subject.first_use else "holds"
    return _check(
        "sha256",
        agrees if subject.sha256 == expected.sha256 else "fails",
        expected=expected.sha256,
        found=subject.sha256,
        note=expected.vouched_by,
    )


def _size(entry: Entry, subject: Subject) -> Check:
    found = subject.path.stat().st_size
    stated = subject.expected.size
    if stated is not None:
        verdict = "holds" if stated == found else "fails"
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
    beside = ", ".join(file.training) or "nothing else"
    epoch = file.training.get("epoch")
    return f"{'; '.join(parts)}; beside them: {beside}" + (
        f" (epoch {epoch})" if isinstance(epoch, int) else ""
    )


def _layout(subject: Subject, file: Checkpoint) -> Check:
    expected = subject.artifact.layout if subject.artifact else " or ".join(layouts.LAYOUTS)
    try:
        found = layouts.detect(file.tensors)
    except LayoutError as error:
        note = error.found and f"{error.what}: {error.found}"
        return _check("layout", "fails", expected=expected, found="none", note=note or error.what)
    agrees = subject.artifact is None or found == expected
    return _check("layout", "holds" if agrees else "fails", expected=expected, found=found)


def _dtypes(entry: Entry, file: Checkpoint) -> Check:
    """Weights are float32, counters int64, as the model's own state dict has them."""
    official = read_official(file) or {}
    expected = wanted(entry)
    wrong = [k for k, t in official.items() if k in expected and t.dtype != expected[k].dtype]
    kinds = {str(t.dtype).removeprefix("torch.") for t in file.tensors.values()}
    return _check(
        "dtype",
        "fails" if wrong else "holds",
        expected="float32, counters int64",
        found=", ".join(sorted(kinds)),
        note=f"{len(wrong)} tensors of another type, the first {wrong[0]}" if wrong else None,
    )


def _own_word(entry: Entry, file: Checkpoint) -> Check:
    """What the file says of itself: the config in a PySlowFast checkpoint, a safetensors header.

    A contradiction fails. Agreement is the file's own claim and proves nothing.
    """
    claims = config_claims(file)
    expected = {claim: getattr(entry.input, claim) for claim in claims}
    name = file.metadata.get("entry")
    if name is not None:
        own = name == entry.name or any(i.name == name and same_model(i, entry) for i in entries())
        claims, expected = (
            {**claims, "entry": name},
            {**expected, "entry": name if own else entry.name},
        )
    if not claims:
        return _check("its own word", "noted", found="says nothing of itself")
    agrees = claims == expected
    return _check(
        "its own word",
        "holds" if agrees else "fails",
        expected=_told(expected),
        found=_told(claims),
        note=f"the file's own claim{', no proof' if agrees else ' to be of another model'}",
    )


def _told(claims: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in claims.items())
