"""What is told of an entry is what it says, and nothing where it says nothing."""

from __future__ import annotations

import pytest

from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import License
from ptv_hub.zoo.facts import facts
from ptv_hub.zoo.manifest import entries


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_its_figures_are_the_entrys(item):
    known = facts(item)
    published = dict(known.published)
    assert published["GFLOPs of one view"] == f"{item.published.gflops:.2f}"
    accuracy = getattr(item.published, item.protocol.metric)
    assert f"{accuracy:.2f}" in published.values()
    assert dict(known.input)["frames"].startswith(f"{item.input.num_frames} of ")
    assert ("slow pathway" in dict(known.input)) == (item.input.slowfast_alpha is not None)
    assert len(known.errata) == len(item.errata)


def test_what_an_entry_does_not_say_is_not_told():
    bare = entry("slow_r50_ssv2").model_copy(
        update={"published": None, "paper": None, "errata": (), "license": License(code="MIT")}
    )
    known = facts(bare)
    assert (known.published, known.paper, known.errata) == ((), (), ())
    assert known.licence == (("code", "MIT"), ("weights", "not stated by their owners"))
    assert "equal segments" in dict(known.input)["sampling"]


def test_channels_that_differ_are_all_told():
    item = entry("x3d_m")
    spec = item.input.model_copy(update={"mean": (0.1, 0.2, 0.3)})
    told = dict(facts(item.model_copy(update={"input": spec})).input)["values"]
    assert "minus [0.1, 0.2, 0.3], over 0.225" in told
