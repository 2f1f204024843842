"""The manifest against the published table, its schema, and the ways a manifest can be wrong."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from ptv_hub.errors import AmbiguousName, ManifestError, UnknownName
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries, list_models, manifest_folder, read_manifest
from tests import DATA, ROOT

CONFIG_FOLDER = {"Kinetics": "kinetics400", "SSv2": "ssv2", "Charades": "charades"}


def table_rows() -> list[dict[str, str]]:
    """The published table's rows as dicts by their column."""
    rows, columns = [], []
    for line in (DATA / "zoo_table.md").read_text().splitlines():
        if not line.startswith("|") or set(line) <= set("|- "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "arch":
            columns = cells
        else:
            rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def by_config() -> dict[str, Entry]:
    return {item.config: item for item in entries()}


def test_there_are_the_tables_eighteen_rows():
    rows = table_rows()
    assert len(rows) == 18
    assert [row["config"] for row in rows] == [item.config for item in entries()]


@pytest.mark.parametrize("row", table_rows(), ids=lambda row: row["config"])
def test_every_column_of_the_table_is_in_the_manifest(row):
    item = by_config()[row["config"]]
    assert item.published is not None
    assert item.arch == row["arch"]
    assert item.depth == row["depth"]
    assert item.pretrain == {"\\-": None, "Kinetics 400": "kinetics400"}[row["pretrain"]]
    assert item.frames == row.get("frame length x sample rate", row.get("frame x interval"))
    for column, field in {
        "top 1": "top1",
        "top 5": "top5",
        "MAP": "mean_average_precision",
    }.items():
        printed = row.get(column)
        assert getattr(item.published, field) == (float(printed) if printed else None)
    gflops, crops, clips = row["Flops (G) x views"].split(" x ")
    assert item.published.gflops == float(gflops)
    assert (item.protocol.num_crops, item.protocol.num_clips) == (int(crops), int(clips))
    assert item.published.params_millions == float(row["Params (M)"])
    link = re.search(r"\((.*)\)", row["Model"])
    assert link is not None
    assert item.published.url == link[1]
    folder, _, zoo_name = item.config.split("/")
    assert (item.dataset, item.zoo_name) == (CONFIG_FOLDER[folder], zoo_name)


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_the_first_file_is_the_printed_link_or_an_erratum_says_why_not(item):
    assert item.published is not None
    corrected = [e.found for e in item.errata if e.field == "published.url"]
    assert item.artifacts[0].url == (corrected[0] if corrected else item.published.url)


def test_charades_entries_use_no_file_of_another_data_set():
    for item in entries():
        if item.dataset == "charades":
            assert item.num_classes == 157
            assert all("/charades/" in artifact.path for artifact in item.artifacts)


def test_the_five_known_count_errata_are_recorded():
    counts = [
        (item.name, e.field, e.printed, e.found)
        for item in entries()
        for e in item.errata
        if e.field != "published.url"
    ]
    assert counts == [
        ("slow_r50", "published.gflops", "54.52", "55.10"),
        ("slowfast_r50", "published.gflops", "65.71", "66.60"),
        ("slow_r50_ssv2", "published.params_millions", "31.96", "31.99"),
        ("slowfast_r50_ssv2", "published.params_millions", "34.04", "34.05"),
        ("slowfast_r50_charades", "published.params_millions", "34.00", "34.01"),
    ]


def test_labels_are_those_of_the_data_set():
    first_and_last = {
        "kinetics400": (400, "abseiling", "zumba"),
        "ssv2": (
            174,
            "Approaching something with your camera",
            "Wiping something off of something",
        ),
        "charades": (157, "Holding some clothes", "Someone is eating something"),
    }
    for item in entries():
        count, first, last = first_and_last[item.dataset]
        assert (len(item.labels), item.labels[0], item.labels[-1]) == (count, first, last)
        assert len(set(item.labels)) == count


def test_public_hashes_are_those_of_the_official_files():
    known = json.loads((DATA / "checksums.json").read_text())
    hashed = {
        artifact.path.split("/")[-1]: (artifact.size, artifact.sha256, artifact.zoo)
        for item in entries()
        for artifact in item.artifacts
        if artifact.sha256
    }
    assert hashed == {
        name: (facts["bytes"], facts["sha256"], "official")
        for name, facts in known.items()
        if not name.startswith("_")
    }


def test_clip_seconds_are_the_protocols():
    expected = {
        "x3d_xs": 1.6,
        "x3d_s": 2.6,
        "slow_r50": 64 / 30,
        "slowfast_16x8_r101_50_50": 128 / 30,
    }
    for name, seconds in expected.items():
        assert entry(name).input.clip_seconds == pytest.approx(seconds, abs=1e-12)
    assert entry("slow_r50_charades").input.clip_seconds == pytest.approx(1.9, abs=1e-12)
    assert entry("slowfast_r50_charades").input.clip_seconds == pytest.approx(2.1, abs=1e-12)
    assert entry("slow_r50_ssv2").input.clip_seconds is None


def test_records_are_frozen_and_refuse_unknown_fields():
    item = entry("x3d_m")
    with pytest.raises(ValidationError, match="frozen"):
        item.name = "other"
    with pytest.raises(ValidationError, match="surprise"):
        Entry.model_validate({**item.model_dump(), "surprise": 1})


# Names


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_every_spelling_means_its_entry(item):
    short = item.config.replace("/pytorchvideo/", "/")
    for name in (item.name, item.config, short, f"configs/{item.config}.yaml"):
        for spelling in (name, name.upper(), name.lower()):
            assert entry(spelling) == item


def test_zoo_names_of_one_data_set_resolve_and_shared_ones_are_refused():
    assert entry("X3D_M").name == "x3d_m"
    assert entry("x3d-m").name == "x3d_m"
    with pytest.raises(AmbiguousName) as caught:
        entry("slow_8x8_r50")
    assert "SSv2/SLOW_8x8_R50" in caught.value.spellings
    for spelling in caught.value.spellings:
        assert entry(spelling).zoo_name == "SLOW_8x8_R50"


def test_an_unknown_name_is_answered_with_its_neighbours():
    with pytest.raises(UnknownName) as caught:
        entry("slowfst_r50")
    assert caught.value.neighbours[0] == "slowfast_r50"
    assert "slowfast_r50" in str(caught.value)
    with pytest.raises(UnknownName) as caught:
        entry("X3D_XSS")
    assert caught.value.neighbours[0] == "x3d_xs"


def test_hub_names_are_pytorchvideos_own_where_it_has_one():
    import pytorchvideo.models.hub as hub

    theirs = {name for name in dir(hub) if not name.endswith("detection")}
    ours = {item.name for item in entries() if item.dataset == "kinetics400"}
    assert ours - theirs == {"slow_4x16_r50", "slowfast_4x16_r50"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"pattern": "X3D"}, ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]),
        ({"pattern": "slowfast", "dataset": "SSv2"}, ["slowfast_r50_ssv2"]),
        ({"pattern": "charad"}, ["slow_r50_charades", "slowfast_r50_charades"]),
        ({"pattern": "slow_r50"}, ["slow_r50"]),
        ({"pattern": "csn", "dataset": "k400"}, ["csn_r101"]),
        ({"pattern": "R2PLUS", "dataset": "Kinetics-400"}, ["r2plus1d_r50"]),
        ({"dataset": "something-something", "arch": "slow"}, ["slow_r50_ssv2"]),
        ({"pattern": "nothing"}, []),
    ],
)
def test_a_part_of_a_name_and_a_data_sets_other_names_are_understood(asked, found):
    assert list_models(**asked) == found


def test_list_models_filters():
    assert list_models("x3d_*") == ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]
    assert list_models("X3D*", max_gflops=3) == ["x3d_xs", "x3d_s"]
    assert list_models(arch="r2plus1d") == list_models(arch="R(2+1)D") == ["r2plus1d_r50"]
    assert list_models(dataset="SSv2") == ["slow_r50_ssv2", "slowfast_r50_ssv2"]
    assert list_models(depth="r101", max_params_millions=60) == [
        "slowfast_16x8_r101_50_50",
        "csn_r101",
    ]
    assert list_models("no_such*") == []
    assert list_models(dataset="ava") == []  # of another collection
    assert list_models(arch="MViT", depth="R50") == []


@pytest.mark.parametrize(
    ("asked", "kind", "near"),
    [
        ({"dataset": "kinetics4000"}, "data set", "kinetics400"),
        ({"arch": "slowfastt"}, "architecture", "SlowFast"),
        ({"depth": "R51"}, "depth", "R50"),
        ({"pattern": "x3d*", "dataset": "bogus"}, "data set", None),
    ],
)
def test_what_no_model_at_all_has_is_no_empty_list(asked, kind, near):
    with pytest.raises(UnknownName, match=f"there is no {kind} ") as caught:
        list_models(**asked)
    assert near is None or near in caught.value.neighbours


# The schema and manifests of one's own


def test_the_schema_is_generated_and_the_manifests_meet_it():
    schema = json.loads((manifest_folder() / "schema.json").read_text())
    for path in manifest_folder().glob("*.json"):
        if path.name != "schema.json":
            jsonschema.validate(json.loads(path.read_text()), schema)


def own_manifest(tmp_path: Path, **changes: object) -> Path:
    """The example of docs/manifest.md, with changes to its entry."""
    text = (ROOT / "docs" / "manifest.md").read_text()
    example = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    example["entries"][0].update(changes)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(example))
    return path


def test_a_manifest_of_ones_own_joins_the_zoo(tmp_path, monkeypatch):
    path = own_manifest(tmp_path)
    monkeypatch.setenv("PTV_HUB_MANIFESTS", str(path))
    assert entry("X3D_S_GESTURES").labels == ("wave", "point", "clap")
    assert entry("x3d_s_gestures").artifacts[0].url.endswith("/video/X3D_S_GESTURES.pyth")
    assert len(entries()) == 19
    monkeypatch.setenv("PTV_HUB_MANIFESTS", str(tmp_path))
    assert entry("gestures/X3D_S_GESTURES").num_classes == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_classes": 4}, "3 labels"),
        ({"surprise": True}, "x3d_s_gestures.surprise"),
        ({"frame_length": "thirteen"}, "x3d_s_gestures.frame_length"),
        ({"builder": {"name": "mvit"}}, "x3d_s_gestures.builder"),
        (
            {"artifacts": [{"zoo": "ours", "layout": "official", "path": "x", "sha256": "abc"}]},
            "sha256",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_entry(tmp_path, changes, says):
    with pytest.raises(ManifestError) as caught:
        read_manifest(own_manifest(tmp_path, **changes))
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_two_entries_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_MANIFESTS", str(own_manifest(tmp_path, name="x3d_m")))
    with pytest.raises(ManifestError, match="x3d_m"):
        entries()


def test_a_manifest_that_is_no_json_says_where(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"schema_version": 1,\n oops')
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert f"{path}:2:" in str(caught.value)


def test_a_manifest_variable_that_names_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_MANIFESTS", os.pathsep.join([str(tmp_path / "gone.json")]))
    with pytest.raises(ManifestError, match="no manifest"):
        entries()
