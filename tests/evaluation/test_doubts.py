"""What is doubted of an evaluation before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.split_list import LISTED, write_splits
from ptv_hub.evaluation.doubts import TRAINED_ON, doubts
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.origin import Origin


class Loaded:
    def __init__(self, file: Path) -> None:
        self.origin = Origin(source=str(file), file=str(file))


def items(*names: str) -> tuple[Item, ...]:
    return tuple(Item(name, name, (0,)) for name in names)


def told(file: Path, *names: str) -> str | None:
    listing = Listing("custom", items(*names), ())
    return doubts(Loaded(file), entry("x3d_xs"), listing, None, validation_set=True)[TRAINED_ON]


@pytest.mark.parametrize("file", ["best.pyth", "last.pyth", "model/model.safetensors"])
def test_videos_that_a_run_was_trained_on_are_told(tmp_path, file):
    write_splits(tmp_path / LISTED, items("a/1.mp4", "a/2.mp4", "b/1.mp4"), items("a/3.mp4"))
    found = told(tmp_path / file, "a/1.mp4", "a/3.mp4", "b/1.mp4", "c/9.mp4")
    assert found is not None
    assert found.startswith("2 of 4 videos are named like ones that these weights were trained on")
    assert str(tmp_path / LISTED) in found
    assert told(tmp_path / file, "a/3.mp4", "c/9.mp4") is None


def test_a_name_of_both_splits_tells_nothing(tmp_path):
    write_splits(tmp_path / LISTED, items("a/1.mp4"), items("a/1.mp4"))
    assert told(tmp_path / "best.pyth", "a/1.mp4") is None


@pytest.mark.parametrize(
    "text", ["path,class\nx,1\n", "split,id,labels\ntest,a/1.mp4,0\n", "split\ntrain\n"]
)
def test_somebody_elses_file_of_that_name_is_passed_by(tmp_path, text):
    (tmp_path / LISTED).write_text(text)
    assert told(tmp_path / "best.pyth", "a/1.mp4") is None
    (tmp_path / LISTED).write_bytes(b"\xff\xfe\x00")
    assert told(tmp_path / "best.pyth", "a/1.mp4") is None
