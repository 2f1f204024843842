"""Whether a list is the validation set that the published numbers were measured on."""

from __future__ import annotations

import pytest

from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.validation import doubt_about
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import ValidationSet


def listing(count: int) -> Listing:
    items = tuple(Item(f"{n}.mp4", f"{n}.mp4", (n % 10,)) for n in range(count))
    return Listing("", items, ())


@pytest.mark.parametrize(
    ("name", "count", "known"),
    [
        ("x3d_m", 8, False),
        ("x3d_m", 1, False),
        ("x3d_m", 19_403, False),
        ("x3d_m", 19_761, True),
        ("slowfast_r50", 20_000, True),
        ("slowfast_r50", 20_001, False),
        ("slow_r50_ssv2", 24_777, True),
        ("slow_r50_ssv2", 19_761, False),
        ("slow_r50_charades", 1_863, True),
        ("slow_r50_charades", 1_862, False),
    ],
)
def test_a_list_is_known_by_its_number_of_videos(name, count, known):
    doubt = doubt_about(listing(count), entry(name))
    assert (doubt is None) == known
    assert known or f"{count:,} videos" in doubt


def test_a_list_is_known_by_its_digest_whatever_its_length():
    mine, item = listing(12), entry("x3d_s")
    own = ValidationSet(fewest=100, most=100, digests=(mine.digest,), source="mine")
    item = item.model_copy(update={"validation": own})
    assert doubt_about(mine, item) is None
    assert "that has 100" in doubt_about(listing(13), item)
    unknown = item.model_copy(update={"validation": None})
    assert "nothing is known of it" in doubt_about(mine, unknown)


def test_a_random_sample_stands_for_its_list_and_the_first_videos_do_not():
    whole = listing(19_800)
    assert doubt_about(whole.sample(300, seed=4), entry("x3d_l")) is None
    assert "not a random sample" in doubt_about(whole.head(300), entry("x3d_l"))
    assert "a part of" in doubt_about(whole.head(3000).sample(30), entry("x3d_l"))
    assert "not known to be" in doubt_about(listing(900).sample(300), entry("x3d_l"))
