"""Whether a list of videos is the validation set that the published numbers were measured on."""

from __future__ import annotations

from ptv_hub.datasets.listing import Listing
from ptv_hub.zoo.entry import Entry


def doubt_about(listing: Listing, entry: Entry) -> str | None:
    """Why a list is not known to be the validation set of the entry's data set; else ``None``.

    It is known by its digest, or by a number of videos that copies of the set have. A random
    sample of a known list stands for it, as its interval says how well; the first videos do not.
    """
    known, whole = entry.validation, listing.whole or listing
    if known is not None and whole.digest in known.digests:
        return _of_part(listing)
    count = len(whole.items)
    if known is not None and known.fewest <= count <= known.most:
        return _of_part(listing)
    sizes = "nothing is known of it"
    if known is not None and known.fewest == known.most:
        sizes = f"that has {known.most:,}"
    elif known is not None:
        sizes = f"copies of it have {known.fewest:,} to {known.most:,}"
    return (
        f"the list ({count:,} videos) is not known to be the validation set of {entry.dataset} "
        f"({sizes}); --this-is-the-validation-set says that it is"
    )


def _of_part(listing: Listing) -> str | None:
    if listing.whole is None or listing.random:
        return None
    return f"the list is a part of the validation set: {listing.part}"
