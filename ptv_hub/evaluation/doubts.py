"""What to doubt of measured numbers: whose weights, which videos, and whether seen in training.

What was found is kept with each session of a run, since who looks at its journal later can ask
neither the file of the weights nor the user.
"""

from __future__ import annotations

from pathlib import Path

from ptv_hub.datasets.listing import Listing
from ptv_hub.datasets.split_list import LISTED, read_splits
from ptv_hub.datasets.validation import doubt_about
from ptv_hub.errors import CheckpointError, DataError
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.origin import Origin

UNKNOWN_LIST, UNKNOWN_WEIGHTS, TRAINED_ON = "unknown_list", "unknown_weights", "trained_on"


def doubts(
    model: object, entry: Entry, listing: Listing, digest: str | None, *, validation_set: bool
) -> dict[str, str | None]:
    """Why list and weights are not known to be those of the published numbers; ``None`` if known.

    And which videos of the list the weights were trained on, by the word of the run that made them.

    Args:
        digest: of the model's tensors, as they are now.
        validation_set: the user's word that the list is the validation set.
    """
    origin = getattr(model, "origin", None)
    seen = {TRAINED_ON: _trained_on(origin, listing)}
    if entry.published is None:
        return {UNKNOWN_LIST: None, UNKNOWN_WEIGHTS: None, **seen}
    return {
        UNKNOWN_LIST: None if validation_set else doubt_about(listing, entry),
        UNKNOWN_WEIGHTS: _of_weights(origin, entry, digest),
        **seen,
    }


def _trained_on(origin: object, listing: Listing) -> str | None:
    """Of weights that a run of ours wrote, and that still lie in its folder."""
    if not isinstance(origin, Origin) or origin.file is None:
        return None
    folder = Path(origin.file).absolute().parent
    for path in (folder / LISTED, folder.parent / LISTED):
        try:
            splits = read_splits(path)
        except DataError:  # somebody else's file of that name
            continue
        if splits is None:
            continue
        train, val = ({item.id for item in items} for items in splits)
        # A name of both splits may be that of two videos, each in a folder of its split.
        seen = len({item.id for item in listing.items} & train - val)
        if seen:
            return (
                f"{seen} of {len(listing.items)} videos are named like ones that these weights "
                f"were trained on ({path}, where those held out stand under 'val')"
            )
    return None


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
