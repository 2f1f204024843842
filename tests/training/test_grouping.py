"""Own folders split by the video that clips were cut from."""

from __future__ import annotations

import pytest

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import DataError, UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.training.finetuning import finetuning
from ptv_hub.training.grouping import held_out_by_source, sources_of
from ptv_hub.training.source import read_source


def clips(**videos: tuple[int, int]) -> list[Item]:
    """``a=(class, count)`` -> so many clips ``a_000.mp4``."""
    return [
        Item(f"{name}_{number:03d}.mp4", "", (label,))
        for name, (label, count) in videos.items()
        for number in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_video_stands_on_both_sides(seed):
    items = clips(**{f"v{n}": (n % 3, 3 + n) for n in range(15)})
    sources = sources_of(items, r"^(v\d+)_")
    train, val = held_out_by_source(items, sources, 0.3, seed)
    assert len(train) + len(val) == len(items)
    sides = [{item.id.split("_")[0] for item in side} for side in (train, val)]
    assert not sides[0] & sides[1]
    assert {item.labels for item in train} == {(0,), (1,), (2,)}
    for label in range(3):
        here = [item for item in items if item.labels == (label,)]
        share = sum(item.labels == (label,) for item in val) / len(here)
        assert 0.1 < share < 0.5


def test_a_class_of_one_video_is_trained_on():
    items = clips(a=(0, 4), b=(0, 4), c=(1, 4))
    train, val = held_out_by_source(items, sources_of(items, "^[a-z]"), 0.5, 0)
    assert {item.id[0] for item in val} < {"a", "b"}
    assert len(train) == 8


def test_a_column_of_the_list_says_it(tmp_path):
    rows = ["path,label,source"]
    rows += [f"{n}.mp4,{n % 2},film{n % 6}" for n in range(24)]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    item = finetuning(entry("x3d_xs"), output=str(tmp_path)).entry
    found = read_source(item, tmp_path, num_classes="auto", holdout=0.3, group_by="source")
    films = [{dict(one.columns)["source"] for one in side} for side in (found.train, found.val)]
    assert found.val
    assert not films[0] & films[1]
    plain = read_source(item, tmp_path, num_classes="auto", holdout=0.3)
    assert {dict(one.columns)["source"] for one in plain.val} & {
        dict(one.columns)["source"] for one in plain.train
    }


def test_splits_that_share_a_video_are_refused(tmp_path):
    for name, numbers in (("train", "0123"), ("val", "34")):
        lines = [f"v{n}_a.mp4 {int(n) % 2}" for n in numbers]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    item = finetuning(entry("x3d_xs"), output=str(tmp_path)).entry
    with pytest.raises(DataError, match="among those to train on") as error:
        read_source(item, tmp_path, num_classes="auto", group_by=r"v\d")
    assert error.value.where == "v3"


def test_what_says_nothing_is_said():
    with pytest.raises(DataError, match="nothing says from which video"):
        sources_of(clips(a=(0, 2)), r"film(\d+)")
    with pytest.raises(UsageError, match="grouped"):
        sources_of(clips(a=(0, 2)), "(")
    with pytest.raises(DataError, match="all clips are of one video"):
        held_out_by_source(clips(a=(0, 2)), ["a", "a"], 0.5, 0)
