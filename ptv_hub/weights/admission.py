"""Whether a file's weights may be used as an entry's, and what every result says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptv_hub.errors import OtherWeights
from ptv_hub.weights.attribution import Attribution, proofs
from ptv_hub.weights.lookalikes import is_called
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.own_word import recorded_in
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import all_entries
from ptv_hub.zoo.origin import Origin
from ptv_hub.zoo.repository import own_file

if TYPE_CHECKING:
    from ptv_hub.fetching.artifacts import Fetched


def admitted(entry: Entry, weights: OpenedWeights, *, any_weights: bool = False) -> Origin:
    """Where the weights came from and whose they are, of a file that fits the entry's model.

    X3D_XS, X3D_S and X3D_M fit each other: what tells them apart is a hash, a digest or a pin,
    and what the file says of itself. A file that says nothing is taken.

    Args:
        any_weights: take those of another model, too.

    Raises:
        OtherWeights: the file is another model's, or says so.
        CheckpointError, FetchError: as ``attribution.attribute``.
    """
    found = Attribution(entry, (), proofs(weights))
    file = str(weights.path)
    says = _contradiction(found, weights)
    if says is None:
        grounds = found.proof.how if found.proof else _record_of(entry, weights)
        return Origin(source=file, file=file, grounds=grounds)
    if any_weights:
        return Origin(source=file, file=file, says=says)
    spec = entry.input
    raise OtherWeights(
        f"the weights are another model's than {entry.name}",
        where=file,
        expected=f"{entry.name}: {spec.num_frames} frames, every {spec.sampling_rate}th, "
        f"crops of {spec.train_crop_size} in training and {spec.crop_size} in tests",
        found=says,
        fix="name the model that it says it is; to use it all the same: --any-weights, "
        "in Python any_weights=True",
    )


def fetched_origin(entry: Entry, fetched: Fetched) -> Origin:
    """Of the file that the entry names: the zoo's own, or what a repository put beside its config.

    A repository's config vouches for its bytes, and for nothing they were made with.
    """
    url = fetched.artifact.url
    if own_file(entry) is None or entry.published is None:
        return Origin(source=url, file=str(fetched.path), grounds=fetched.vouched_by)
    return Origin(source=url, file=str(fetched.path))


def _record_of(entry: Entry, weights: OpenedWeights) -> str | None:
    """A model of one's own is whatever its run wrote."""
    own = recorded_in(weights.file) if entry.published is None else None
    told = ("name", "num_classes", "labels", "input")  # views are for whoever runs it to choose
    same = own is not None and all(getattr(own, key) == getattr(entry, key) for key in told)
    return "as its run recorded it" if same else None


def _contradiction(found: Attribution, weights: OpenedWeights) -> str | None:
    """What speaks against it, in words; bytes that are proven to be the entry's are believed."""
    other = found.counterproof
    if other is not None:
        return f"{other.name}, by {other.how}"
    if found.proof is not None:
        return None
    item, own = found.entry, weights.own_word
    if not _is_somebodys(item):
        return None
    if own.names and not any(is_called(name, item) for name in own.names):
        return f"the file says it is of {' or '.join(own.names)}"
    if own.boxes is not None and own.boxes != item.head.takes_boxes:
        return f"the file's config says DETECTION.ENABLE: {own.boxes}"
    if own.pools_otherwise(item) and not own.names and recorded_in(weights.file) is None:
        where = "over the whole map" if own.pooling == "global" else "in windows"
        told = "MULTIGRID.SHORT_CYCLE: True" if own.pooling == "global" else "no SHORT_CYCLE"
        return f"the file's config says that its head pools {where} ({told})"
    if own.excludes(item) and not own.names:
        return f"the file's config says {' or '.join(own.builders or ()) or 'another network'}"
    if own.claims and own.expected(item) != dict(own.claims):
        alike = [e.name for e in all_entries() if own.expected(e) == own.claims and _alike(e, item)]
        named = f" ({' or '.join(alike)})" if alike else ""
        claims = ", ".join(f"{claim} {value}" for claim, value in own.claims.items())
        return f"the file's config says {claims}{named}"
    return None


def _is_somebodys(item: Entry) -> bool:
    """Whether it is of a manifest or a repository: a config of one's own may want other input."""
    return bool(item.artifacts) or any(is_called(other.name, item) for other in all_entries())


def _alike(one: Entry, other: Entry) -> bool:
    return one.builder.name == other.builder.name and one.num_classes == other.num_classes
