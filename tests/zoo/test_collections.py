"""The other collections: every row of their tables is served or named with its reason."""

from __future__ import annotations

import json

import pytest

from ptv_hub.errors import AmbiguousName, NotServed, UnknownName
from ptv_hub.zoo.manifest import (
    all_entries,
    entries,
    find,
    left_out_of,
    list_models,
    of_zoo,
    zoos,
)
from tests import DATA

ROWS = json.loads((DATA / "zoo_rows.json").read_text())
SERVED = {"pyslowfast_native": 19, "mmaction2": 20, "torchvision": 0, "pytorchvideo": 6}


@pytest.mark.parametrize("zoo", SERVED)
def test_every_row_is_served_or_left_out_with_its_reason(zoo):
    served = {artifact.url for item in of_zoo(zoo) for artifact in item.artifacts}
    # MViT's file lies where none is fetched from: the network is served, and its row shown.
    served |= {i.published.url for i in of_zoo(zoo) if i.published and not i.artifacts}
    left = {row.url: row.reason for row in left_out_of(zoo)}
    assert len(served) == SERVED[zoo]
    assert len(left) == len(ROWS[zoo]) - SERVED[zoo]
    assert served | left.keys() == set(ROWS[zoo])
    assert all(len(reason.split()) > 1 for reason in left.values())
    for row in left_out_of(zoo):
        with pytest.raises((NotServed, AmbiguousName)):
            find(row.name)


def test_the_eighteen_are_the_core():
    assert len(entries()) == 18
    assert list_models() == [item.name for item in entries()]
    assert list_models(zoo="all") == [item.name for item in all_entries()]
    assert {"core", "pyslowfast_native", "mmaction2"} <= set(zoos())
    assert all(item.zoo is None for item in entries())
    with pytest.raises(UnknownName, match="no zoo"):
        list_models(zoo="model_zoo")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("X3D_M", "x3d_m"),
        ("Kinetics/X3D_M", "x3d_m"),
        ("SLOWFAST_8x8_R50_stepwise.pkl", "slowfast_r50_stepwise"),
        ("configs/Kinetics/c2/C2D_NOPOOL_8x8_R50.yaml", "c2d_nopool_r50"),
        ("Kinetics/C2D_NOPOOL_8x8_R50", "c2d_nopool_r50"),
        ("SSv2/SLOWFAST_16x8_R50", "slowfast_16x8_r50_ssv2"),
        (
            "configs/recognition/x3d/x3d_m_16x5x1_facebook-kinetics400-rgb.py",
            "x3d_m_16x5",
        ),
    ],
)
def test_names_of_the_core_stay_its_own_and_the_others_are_found(asked, name):
    assert find(asked).name == name


def test_what_mmaction2_says_of_a_hash_is_part_of_the_entry():
    for item in of_zoo("mmaction2"):
        (artifact,) = item.artifacts
        digits = artifact.path.rsplit("-", 1)[1].removesuffix(".pth")
        assert artifact.sha256_begins == digits
        assert artifact.may_be(digits + "0" * 56)
        assert not artifact.may_be("0" * 64)
        assert item.head.pooling == "global"


def test_multigrids_heads_pool_over_the_whole_map():
    pooled = {item.name for item in of_zoo("pyslowfast_native") if item.head.pooling == "global"}
    assert pooled == {
        "slowfast_r50_stepwise_multigrid",
        "slowfast_16x8_r50_ssv2_multigrid",
        "slowfast_16x8_r50_charades_multigrid",
    }


def test_a_licence_that_is_missing_or_forbids_is_said():
    for item in all_entries():
        assert "no licence" in (item.license.caution or ""), item.name
    licence = entries()[0].license
    forbidding = licence.model_copy(update={"weights": "CC-BY-NC-4.0"})
    assert "forbids commercial use" in (forbidding.caution or "")
    assert licence.model_copy(update={"weights": "MIT"}).caution is None
