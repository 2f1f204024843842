"""Manifests, configs and entries of strangers: names at the door, and who vouches for what."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptv_hub.errors import ManifestError
from ptv_hub.fetching import hub
from ptv_hub.zoo.claims import without_vouchers
from ptv_hub.zoo.entry import Artifact, Entry, Published
from ptv_hub.zoo.manifest import entries, read_manifest, resolve
from ptv_hub.zoo.names import file_name, is_name, name_of
from ptv_hub.zoo.repository import HubConfig, Provenance, WeightsFile
from tests.command import ptv_hub

CONTROL = "\x1b]0;title\x07\x1b[2J\x9b1m\u202e"

NO_NAMES = [
    *("", ".", "..", "../escaped/model", "/absolute", "a/b", "a\\b", "C:\\x", "C:x", "~/x", "-o"),
    *(".hidden", "a b", "a\n", "\na", "a\0", "a\x1b[2J", "a\u202eb", "a\x85", "a:b", "a*", "a?"),
    *("a|b", "<b>", "a'b", 'a"b', "`a`", "$(a)", "a;b", "a&b", "{name}", "%2e%2e", "é", "a" * 101),
]
TEXT_FIELDS = [
    *("zoo_name", "config", "arch", "depth", "pretrain", "dataset", "source"),
    *("license.code", "license.weights", "paper.title", "paper.authors", "paper.url"),
]


def document(tmp_path: Path, change) -> Path:
    """A repository's config of x3d_xs, after a change."""
    item = resolve("x3d_xs", entries())
    weights = WeightsFile(size=10, sha256="0" * 64, digest="1" * 64)
    origin = Provenance(
        source="a", sha256="2" * 64, vouched_by=None, evidence="keys and shapes", converted_by="b"
    )
    config = json.loads(HubConfig.of(item, weights, origin).model_dump_json())
    change(config)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def put(path: str, value: object):
    def change(config: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            config = config[key]
        config[last] = value

    return change


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_a_name_that_is_none_is_refused_at_the_door(tmp_path, name):
    folder = document(tmp_path, put("entry.name", name))
    with pytest.raises(ManifestError, match="holds no model"):
        hub.entry(f"local-dir:{folder}")
    zoo = json.loads((Path(__file__).parents[2] / "manifests" / "ssv2.json").read_text())
    zoo["entries"][0]["name"] = name
    zoo["labels"] = []
    (tmp_path / "zoo.json").write_text(json.dumps(zoo))
    with pytest.raises(ManifestError, match="name"):
        read_manifest(tmp_path / "zoo.json")


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_a_name_and_any_name_is_a_file_name(text):
    name = name_of(text)
    assert is_name(name)
    assert name == text or not is_name(text)
    file = file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,100}", file)
    assert not file.endswith(".")
    assert Path("folder", file).parent == Path("folder")


@pytest.mark.parametrize("text", ["con", "NUL", "nul.txt", "com1", "LPT9.x", "aux.", "a.", "a.."])
def test_a_file_name_is_one_on_every_system(text):
    name = file_name(text)
    assert not re.match(r"(con|nul|aux|prn|com\d|lpt\d)(\.|$)", name, re.IGNORECASE)
    assert not name.endswith(".")


def test_names_that_differ_stay_different():
    texts = [*NO_NAMES, "run", "run 1", "run_1", "run-1"]
    assert len({name_of(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("field", TEXT_FIELDS)
@pytest.mark.parametrize("text", ["a\nverified: holds", CONTROL, "a\u2028b", "\ud800"], ids=ascii)
def test_a_text_with_lines_or_commands_is_refused_at_the_door(tmp_path, field, text):
    folder = document(tmp_path, put(f"entry.{field}", text))
    with pytest.raises(ManifestError) as caught:
        hub.entry(f"local-dir:{folder}")
    told = str(caught.value)
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in told.replace("\n", ""))


def test_a_label_with_commands_is_refused_and_one_with_markup_is_text(tmp_path):
    with pytest.raises(ManifestError, match="holds no model"):
        hub.entry(f"local-dir:{document(tmp_path, put('id2label.0', CONTROL))}")
    folder = document(tmp_path, put("id2label.0", "<b> [a](javascript:b) \u202e"))
    assert hub.entry(f"local-dir:{folder}").labels[0].startswith("<b>")


@pytest.mark.parametrize(
    "path",
    [
        *("../x.pyth", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "", "a\\b", "..\\a"),
        *("%2e%2e/x", "%252e%252e/x", "a/%2e%2e%2fx", "a%5cb", "a#b", "a\nb", "a%0ab", "%2fetc"),
    ],
)
def test_a_files_path_stays_below_its_address(path):
    with pytest.raises(ValueError, match="path"):
        Artifact(zoo="a", layout="official", path=path, base_url="file:///folder")


@pytest.mark.parametrize("path", ["a.pyth", "a/b c/d.pyth", "a/..b", "a%20b", "a?b=../c", "a+b"])
def test_a_path_below_another_is_taken(path):
    assert Artifact(zoo="a", layout="official", path=path, base_url="https://a.b").path == path


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(id2label={str(-i): "x" for i in range(400)}),
        lambda config: config.update(id2label={"0": "x", "2": "y"}),
        lambda config: config.update(weights=None),
        lambda config: config.update(entry=[]),
        put("weights.size", -1),
        put("weights.sha256", "x"),
        put("weights.layout", 5),
        put("entry.builder", "x3d"),
        put("entry.artifacts", {"a": 1}),
    ],
)
def test_a_config_that_does_not_hold_together_is_one_error(tmp_path, change):
    with pytest.raises(ManifestError, match="holds no model"):
        hub.entry(f"local-dir:{document(tmp_path, change)}")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' + "9" * 5000 + "}", "nul", "\x00"])
def test_a_config_that_is_no_json_is_one_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ManifestError, match="holds no model"):
        hub.entry(f"local-dir:{tmp_path}")
    (tmp_path / "zoo.json").write_text(text)
    with pytest.raises(ManifestError):
        read_manifest(tmp_path / "zoo.json")


# ------------------------------------------------------------------ who vouches


def vouch(config: dict) -> None:
    """The config says that others vouch for its file."""
    own = {"zoo": "pyslowfast", "layout": "official", "path": "x.pyth", "size": 10}
    own |= {"sha256": "0" * 64, "hash_source": "three independent users' logs"}
    config["entry"]["artifacts"].append({**own, "base_url": "https://dl.fbaipublicfiles.com/zoo"})
    config["entry"]["published"]["top1"] = 99.9
    config["provenance"]["vouched_by"] = "everybody"


def test_a_repository_does_not_vouch_for_itself(tmp_path):
    folder = document(tmp_path, vouch)
    item, zoos = hub.entry(f"local-dir:{folder}"), resolve("x3d_xs", entries())
    assert item.artifacts[1:] == zoos.artifacts
    assert item.artifacts[0].hash_source == "config.json beside it"
    assert item.published is None
    shown = ptv_hub("show", f"local-dir:{folder}")
    assert shown.code == 0
    for claim in ("three independent", "everybody", "99.9", "local-dir zoo", "published top-1"):
        assert claim not in shown.out
    assert "its own" in shown.out


def test_what_the_manifest_says_as_well_is_kept(tmp_path):
    item = hub.entry(f"local-dir:{document(tmp_path, lambda config: None)}")
    zoos = resolve("x3d_xs", entries())
    assert (item.published, item.artifacts[1:]) == (zoos.published, zoos.artifacts)


@pytest.mark.parametrize("field", ["name", "dataset", "num_classes"])
def test_the_figures_of_a_model_are_not_lent_to_another(field):
    zoos = resolve("x3d_xs", entries())
    other = {"name": "mine", "dataset": "mine", "num_classes": 399}[field]
    assert without_vouchers(zoos.model_copy(update={field: other})).published is None


def test_errata_and_files_that_no_manifest_has_are_left_out():
    zoos = resolve("slow_r50", entries())
    assert zoos.errata
    published = Published(top1=1.0, gflops=1.0, params_millions=1.0, url="https://a.b/c")
    files = (zoos.artifacts[0].model_copy(update={"hash_source": "me", "size": 5}),)
    changed = zoos.model_copy(update={"published": published, "artifacts": files})
    found = without_vouchers(changed)
    assert (found.published, found.errata, found.artifacts) == (None, (), ())


def test_the_digest_of_a_config_is_its_own(tmp_path):
    from ptv_hub.verification.spec import check_spec
    from ptv_hub.verification.tensors import _digest

    item = hub.entry(f"local-dir:{document(tmp_path, lambda config: None)}")
    assert _digest(item, "1" * 64).note == "its own config"
    assert next(c for c in check_spec(item) if c.name == "parameters").note == "its own config"
    manifests = resolve("x3d_xs", entries()).model_copy(update={"digest": "1" * 64})
    assert _digest(manifests, "1" * 64).note == "the manifest"


def test_no_entry_of_the_zoo_is_refused_by_its_own_rules():
    for item in entries():
        assert without_vouchers(item) == item
        assert Entry.model_validate(item.model_dump()) == item


@pytest.mark.parametrize(
    "address",
    [
        *("http://[::1/x", "http://a:99999/x", "http://a:b/x", "http://a b/x", "http:///x"),
        *("http://a..b/x", f"http://{'a' * 64}/x", "http://a\\b/x", "file:///a%00b/x"),
        *("ftp://a/x", "data:text/plain,x", "javascript://a/x", "http://\u202e.com/x"),
    ],
)
def test_an_address_that_is_none_is_refused_at_the_door(address, tmp_path):
    zoo = json.loads((Path(__file__).parents[2] / "manifests" / "ssv2.json").read_text())
    zoo.update(labels=[], base_url=address)
    (tmp_path / "zoo.json").write_text(json.dumps(zoo))
    with pytest.raises(ManifestError, match="base_url"):
        read_manifest(tmp_path / "zoo.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0])
def test_a_normalisation_by_no_number_is_refused_at_the_door(number, tmp_path):
    """Every score would be NaN; JSON as Python reads it has such numbers."""
    for field in ("mean", "std") if number else ("std",):
        folder = document(tmp_path, put(f"entry.input.{field}", [number] * 3))
        with pytest.raises(ManifestError, match=field):
            hub.entry(f"local-dir:{folder}")
