"""Entries that a state dict alone cannot tell apart.

X3D_XS, X3D_S and X3D_M are one architecture trained on clips of other lengths and sizes; so
are SLOW_4x16 and SLOW_8x8. A swapped file loads without a complaint and scores badly.
"""

from __future__ import annotations

from ptv_hub.builders import shapes
from ptv_hub.entry import Entry
from ptv_hub.manifest import entries

__all__ = ["lookalikes", "same_model"]


def lookalikes(entry: Entry) -> list[Entry]:
    """The other entries with the same keys and shapes that want other input than this one."""
    return [
        item
        for item in entries()
        # Equal shapes have equal sums; the cheap question first.
        if (None in (item.num_params, entry.num_params) or item.num_params == entry.num_params)
        and not same_model(item, entry)
        and shapes(item) == shapes(entry)
    ]


def same_model(one: Entry, other: Entry) -> bool:
    """Whether weights of one are rightly used as the other: two names of one model."""
    return (one.builder, one.input, one.dataset) == (other.builder, other.input, other.dataset)
