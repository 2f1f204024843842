"""When a published number counts as reproduced: one definition, for ``eval`` and ``verify`` alike.

A measured number differs from the published one for two reasons that say nothing against it. It
is over as many videos as there are, and another draw of as many would give another one: that is
its 95 % interval (Wilson's of a binomial, of mAP a bootstrap). And links of the data set die: of
the owners' list, a share has no score here, and nobody knows how those videos would have fared.
If all of them were wrong, or all right, top-1 over the whole list would be

    (1 - lost) * low   to   (1 - lost) * high + lost * 100

- ``held``: the published number lies in the interval of the measured one.
- ``within loss``: not so, but in that range; the videos that are lost can account for it.
- ``differs``: neither; nothing that is known here accounts for it.

It cannot be told where the interval is wider than ``TELLING`` points to either side (any number
would hold), where videos are pending, or where mAP lies outside its interval and videos are lost:
no such range is known of mAP.
"""

from __future__ import annotations

from ptv_hub.evaluation.result import Comparison, Counts
from ptv_hub.zoo.entry import Entry, Reproduced

TELLING = 2.0
"""Points to either side: a wider interval holds nearly any number, and proves none."""


def lost(entry: Entry, counts: Counts, *, part: bool) -> float:
    """Percent of the owners' list without a score; of a part of it, of that part.

    The list that is here has lost its dead links already: it is held to the longest known.
    """
    known = entry.validation
    whole = counts.listed if part or known is None else max(known.most, counts.listed)
    return 100 * (1 - counts.scored / whole)


def reproduced(row: Comparison, lost: float, *, pending: int = 0) -> Reproduced | None:
    """What a comparable measured number says of the published one; ``None`` if it cannot be told.

    Args:
        lost: percent of the owners' list without a score.
        pending: videos that were not tried yet.
    """
    if not row.comparable or row.published is None or row.low is None or row.high is None:
        return None
    if pending or row.high - row.low > 2 * TELLING:
        return None
    if row.low <= row.published <= row.high:
        return "held"
    if row.metric != "top1":
        return None if lost > 0 else "differs"
    kept = 1 - lost / 100
    within = kept * row.low <= row.published <= kept * row.high + lost
    return "within loss" if within else "differs"


_MEANING: dict[Reproduced, str] = {
    "held": "held: it lies in the interval",
    "within loss": "within loss: it lies outside, and the lost videos can explain that",
    "differs": "differs: neither the interval nor the lost videos explain it",
}


def in_words(row: Comparison) -> str:
    """What became of the published number, in a sentence without its end."""
    share = "" if row.lost is None else f" ({row.lost:.2f} % of the owners' list has no score)"
    if row.reproduced is None:
        return f"whether it is reproduced cannot be told{share}"
    return f"{_MEANING[row.reproduced]}{share}"
