"""Whether measured numbers may be held against the published ones: whose weights, which videos.

What was found is kept with each session of a run, since who looks at its journal later can ask
neither the file of the weights nor the user.
"""

from __future__ import annotations

from pathlib import Path

from ptv_hub.datasets.listing import Listing
from ptv_hub.datasets.validation import doubt_about
from ptv_hub.errors import CheckpointError
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.origin import Origin

UNKNOWN_LIST, UNKNOWN_WEIGHTS = "unknown_list", "unknown_weights"


def doubts(
    model: object, entry: Entry, listing: Listing, digest: str | None, *, validation_set: bool
) -> dict[str, str | None]:
    """Why list and weights are not known to be those of the published numbers; ``None`` if known.

    Args:
        digest: of the model's tensors, as they are now.
        validation_set: the user's word that the list is the validation set.
    """
    if entry.published is None:
        return {UNKNOWN_LIST: None, UNKNOWN_WEIGHTS: None}
    return {
        UNKNOWN_LIST: None if validation_set else doubt_about(listing, entry),
        UNKNOWN_WEIGHTS: _of_weights(getattr(model, "origin", None), entry, digest),
    }


def _of_weights(origin: object, entry: Entry, digest: str | None) -> str | None:
    if entry.digest is not None and digest == entry.digest:
        return None
    if not isinstance(origin, Origin):
        return "the model was not loaded from a file: nothing is known of its weights"
    if origin.doubt is not None:
        return origin.doubt
    if origin.file is None or digest == _digest_of(origin.file):
        return None
    return f"the model's weights are no longer those it was loaded with ({origin.source})"


def _digest_of(file: str) -> str | None:
    try:
        return OpenedWeights(Path(file)).digest
    except (CheckpointError, OSError):
        return None
