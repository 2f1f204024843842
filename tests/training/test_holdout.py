"""Which videos are watched, and what is said of too few."""

from __future__ import annotations

from collections import Counter

import pytest

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.training.holdout import held_out, shortfalls
from ptv_hub.training.source import read_source


def items(*counts):
    """So many videos of class 0, of class 1, ...; mixed."""
    found = [Item(f"{c}/{n}", "", (c,)) for c, count in enumerate(counts) for n in range(count)]
    return sorted(found, key=lambda item: item.id[::-1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("counts", "part", "expected"),
    [
        ((50, 30, 20), 0.1, (5, 3, 2)),
        ((500, 5, 5), 0.1, (50, 1, 0)),  # the largest rests, the first of two alike
        ((9, 1), 0.5, (5, 0)),  # one video is trained on
        ((1, 1, 1), 0.4, (0, 0, 0)),
        ((4, 4), 0.9, (3, 3)),
    ],
)
def test_a_part_of_each_class_is_held_out(counts, part, expected, seed):
    listed = items(*counts)
    train, val = held_out(listed, part, seed)
    found = Counter(item.labels[0] for item in val)
    assert tuple(found[c] for c in range(len(counts))) == expected
    assert sorted((*train, *val), key=listed.index) == listed
    assert list(val) == sorted(val, key=listed.index)
    assert held_out(listed, part, seed) == (train, val)
    if sum(expected) > 4:
        assert held_out(listed, part, seed + 10)[1] != val


def test_of_several_labels_the_rarest_is_held_out_too():
    listed = [Item(str(n), "", (0,) if n % 10 else (0, 1)) for n in range(200)]
    _, val = held_out(listed, 0.1, 0)
    assert len(val) == 20
    assert sum(1 in item.labels for item in val) == 2


def test_what_is_too_little_is_said(tmp_path):
    for name, count in (("cook", 12), ("jump", 8), ("nothing", 0), ("swim", 1)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.mp4").touch()
    item = entry("x3d_xs")
    source = read_source(item, tmp_path, num_classes="auto", holdout=0.2)
    notes = "\n".join(source.notes)
    assert "1 of 4 classes have no video to train on" in notes
    assert "2 (nothing)" in notes
    assert "1 class folders hold no video: nothing" in notes
    assert "only 4 videos are watched" in notes
    for seed in range(8):  # of each class its part, whatever is drawn
        seen = read_source(item, tmp_path, num_classes="auto", holdout=0.2, seed=seed)
        assert Counter(i.labels[0] for i in seen.val) == {0: 2, 1: 2}
    full = [Item(f"{c}/{n}", "", (c,)) for c in range(2) for n in range(30)]
    two = item.model_copy(update={"num_classes": 2, "labels": ()})
    assert shortfalls(two, full, full[:30], ()) == []
    assert shortfalls(two, full, (), ()) == []  # nothing is watched, by choice


def test_a_negative_seed_is_misuse(tmp_path):
    with pytest.raises(UsageError, match="a seed is 0 or more"):
        read_source(entry("x3d_xs"), tmp_path, num_classes="auto", seed=-1)
