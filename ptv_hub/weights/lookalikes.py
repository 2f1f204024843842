"""Which entries no keys and shapes tell apart, and which are one model by two names."""

from __future__ import annotations

from ptv_hub.models.builders import shapes
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries, known


def lookalikes(entry: Entry) -> list[Entry]:
    """The other entries with the same keys and shapes that want other input than this one.

    X3D_XS, X3D_S and X3D_M are one architecture trained on clips of other lengths and sizes; so
    are SLOW_4x16 and SLOW_8x8. A swapped file loads without a complaint and scores badly.
    """
    among = entries() if entry.zoo is None else known()
    return [
        item
        for item in among
        # Equal shapes have equal sums; the cheap question first.
        if (None in (item.num_params, entry.num_params) or item.num_params == entry.num_params)
        and not same_model(item, entry)
        and shapes(item) == shapes(entry)
    ]


def same_model(one: Entry, other: Entry) -> bool:
    """Whether weights of one are rightly used as the other: two names of one model."""
    told = ("builder", "input", "head", "dataset")
    return all(getattr(one, field) == getattr(other, field) for field in told)


def is_called(name: str, entry: Entry) -> bool:
    """Whether a name is the entry's, or another of the manifest's for the same model."""
    return name == entry.name or any(
        item.name == name and same_model(item, entry) for item in known()
    )
