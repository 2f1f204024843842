"""The first day with a network, from end to end: killed, gone on with, merged, checked against."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from ptv_hub.attestation.merging import Project, merge
from ptv_hub.attestation.records import read_attestation
from ptv_hub.attestation.walk import Asked, attest
from ptv_hub.errors import AttestationError, WriteError
from ptv_hub.fetching import cache
from ptv_hub.fetching.hub import entry
from ptv_hub.verification import goldens
from ptv_hub.zoo.facts import facts
from ptv_hub.zoo.manifest_file import manifest_folder
from ptv_hub.zoo.manifest_text import manifest_text
from tests import ROOT
from tests.attestation.rehearsal import BY, NAMES, path_of, project, serve
from tests.command import ptv_hub
from tests.server import Answer, Server

WORDS = ("attest", *NAMES, "--by", BY, "--yes", "--delete-after", "--data", "drawn:12")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The folder of a rehearsal: ``attestation.json``, ``project``, its server still running."""
    folder = tmp_path_factory.mktemp("rehearsal")
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        path = project(folder / "project", server.base)
        patch.setenv("PTV_HUB_MANIFESTS", str(path))
        patch.setenv("PTV_HUB_CACHE", str(folder / "cache"))
        serve(server, path)
        out = folder / "attestation.json"
        killed(server, [*WORDS, "-o", str(out)], out)
        before = len(server.asked(path_of("tiny_equal", "pyslowfast")))
        ran = ptv_hub(*WORDS, "-o", out)
        assert len(server.asked(path_of("tiny_equal", "pyslowfast"))) == before == 1
        yield folder, server, ran


def killed(server: Server, words: list[str], out: Path) -> None:
    """Run it until it hangs in the second model's download, and kill it there."""
    hanging = path_of("tiny_refused", "pyslowfast")
    server.plan[hanging] = [Answer(hang_after=300_000)]
    run = subprocess.Popen(
        [sys.executable, "-m", "ptv_hub", *words], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    until = time.monotonic() + 300
    while not any(p.stat().st_size for p in out.parent.glob(f"cache/*{hanging}.part")):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert [model.name for model in read_attestation(out).models] == ["tiny_equal"]


@pytest.fixture
def attestation(rehearsed, tmp_path, monkeypatch):
    """Of a test of its own: its path, what is in it, and the project to merge it into."""
    folder, server, _ = rehearsed
    path = tmp_path / "attestation.json"
    path.write_text((folder / "attestation.json").read_text())
    mine = tmp_path / "project"
    manifest = project(mine, server.base)
    manifest.write_text((folder / "project" / "manifests" / "tiny.json").read_text())
    monkeypatch.setenv("PTV_HUB_MANIFESTS", str(manifest))
    return path, json.loads(path.read_text()), Project(mine)


def test_what_was_seen(rehearsed):
    folder, server, ran = rehearsed
    made = read_attestation(folder / "attestation.json")
    assert made.finished is not None
    assert ran.code == 3
    equal, refused, missing, other = made.models
    one, two = equal.files
    assert equal.tensors_equal is True
    assert one.digest == two.digest
    assert one.sha256 != two.sha256
    body = server.files[path_of("tiny_equal", "pyslowfast")]
    assert (one.size, one.etag is not None, one.address == one.url) == (len(body), True, True)
    assert (one.layout, two.layout, one.epoch) == ("pyslowfast", "official", 195)
    assert (one.training, sorted(one.dtypes)) == (("epoch",), ["float32", "int64"])
    levels = {check.level for check in one.checks}
    assert levels == {"file", "keys", "tensors", "numbers", "behaviour"}
    assert {check.level for check in two.checks} == {"file", "keys", "tensors"}
    assert [len(video.scores) for video in equal.golden.videos] == [6] * 6
    assert (equal.measured.scored, equal.measured.listed) == (12, 12)
    assert [file.status for file in refused.files] == ["brought", "refused"]
    assert "sha256" in refused.files[1].why
    assert [file.status for file in missing.files] == ["brought", "not brought"]
    assert "404" in missing.files[1].why
    assert (other.tensors_equal, other.differing) == (False, ("blocks.0.conv.conv_t.weight",))


def test_it_went_on_where_it_was_and_left_no_files(rehearsed):
    folder, server, _ = rehearsed
    first, second, *_ = server.asked(path_of("tiny_refused", "pyslowfast"))
    assert first.status == 200
    assert (second.status, "Range" in second.headers) == (206, True)
    assert not list((folder / "cache").rglob("*.pyth"))


def test_what_differed_is_kept_when_the_files_are_gone(attestation):
    path, _, _ = attestation
    *_, other = read_attestation(path).models
    again = attest([entry(other.name)], Asked(BY, path))
    assert again.model_named(other.name) == other


def test_the_file_is_described_by_its_schema(attestation):
    schema = json.loads((ROOT / "docs" / "attestation.schema.json").read_text())
    jsonschema.validate(attestation[1], schema)


def test_merged_fetch_checks_and_verify_knows(rehearsed, attestation, monkeypatch, tmp_path):
    path, _, mine = attestation
    _, server, _ = rehearsed
    ran = ptv_hub("attest", "--merge", path, "--into", mine.root)
    assert ran.code == 0
    assert len(ran.out.split()) == 3
    assert "tiny_refused: official: refused" in ran.err
    assert "tiny_other: pyslowfast: the zoos' files hold other tensors" in ran.err
    item = entry("tiny_equal")
    assert all("attested on" in artifact.hash_source for artifact in item.artifacts)
    assert entry("tiny_missing").artifacts[1].sha256 is None
    assert entry("tiny_other").artifacts[0].sha256 is None
    assert ("measured" in dict(facts(item).attested)["top-1 %"]) is False
    readme = mine.readme.read_text()
    assert "4 of the 8 files of these 4 models are attested, by A. Tester" in readme
    assert "Not measured: `tiny_other`" in readme
    again = ptv_hub("attest", "--merge", path, "--into", mine.root)
    assert (again.code, again.out) == (0, "")
    monkeypatch.setattr(goldens, "FOLDER", mine.goldens.parent)
    (mine.goldens.with_name("goldens.json")).write_text(goldens.to_json(()))
    monkeypatch.setattr(goldens, "shipped", goldens.shipped.__wrapped__)
    report = json.loads(ptv_hub("verify", "tiny_equal", "--json").out)
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("sha256", "size", "identity", "digest", "golden outputs", "drawn videos"):
        assert checks[name]["verdict"] == "holds", checks[name]
    assert "attested on" in checks["sha256"]["note"]
    assert report["caution"] is None
    shown = ptv_hub("show", "tiny_equal").out
    assert "attested files seen" in shown
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "another"))
    monkeypatch.setitem(
        server.files,
        path_of("tiny_equal", "pyslowfast"),
        server.files[path_of(NAMES[2], "pyslowfast")],
    )
    changed = ptv_hub("fetch", "tiny_equal")
    assert changed.code == 1
    assert "attested on" in changed.err
    assert not cache.pins()


WRONG = {
    "no size": ("models.0.files.0.size", None, "has a size, a sha256"),
    "a number for a hash": ("models.0.files.0.sha256", 12, "tiny_equal.files.0.sha256"),
    "another version": ("schema_version", 2, "schema_version"),
    "a published hash": ("models.1.files.1", "as models.0.files.1", "tiny_refused"),
    "equal, and not": ("models.3.tensors_equal", True, "tensors_equal"),
    "weights of two models": ("models.2.files.0.digest", "as models.0.files.0.digest", "those of"),
    "outputs of other weights": ("models.0.golden.digest", "0" * 64, "golden"),
    "no scores": ("models.0.golden.scores.0", 0.9, "softmax"),
    "a model of nobody's": ("models.0.name", "unknown", "none of them has"),
    "tomorrow": ("models.0.files.0.on", "2999-01-01", "a day that has been"),
    "more than there are": ("models.0.measured.scored", 13, "at most 12"),
    "held, and not": ("models.0.measured.reproduced", "held", "reproduced"),
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_malformed_or_contradictory_one_changes_nothing(attestation, wrong):
    path, content, mine = attestation
    place, value, told = WRONG[wrong]
    if str(value).startswith("as "):
        value = at(content, value[3:])
    if wrong == "a published hash":
        value = {**value, "url": at(content, "models.1.files.1.url")}
    *steps, last = place.split(".")
    at(content, ".".join(steps))[int(last) if last.isdigit() else last] = value
    path.write_text(json.dumps(content))
    before = everything(mine.root)
    with pytest.raises(AttestationError) as error:
        merge(path, mine)
    assert told in str(error.value)
    assert everything(mine.root) == before


def at(content, place):
    for step in filter(None, place.split(".")):
        content = content[int(step) if step.isdigit() else step]
    return content


def everything(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_place_that_cannot_be_written_leaves_all_as_it_was(attestation, monkeypatch):
    path, _, mine = attestation
    before = everything(mine.root)
    replace = os.replace

    def fails(source, target):
        if str(target).endswith("tiny.json"):  # the last to be put in its place
            raise OSError(28, "no space")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(WriteError):
        merge(path, mine)
    assert everything(mine.root) == before


def test_from_a_mirror_nothing_is_vouched_for(attestation):
    path, content, mine = attestation
    for model in content["models"]:
        for file in model["files"]:
            if file["status"] == "brought":
                file["address"] = "https://mirror.example/file"
    path.write_text(json.dumps(content))
    done = merge(path, mine)
    assert done.merged == ()
    assert "its bytes came from elsewhere: https://mirror.example/file" in done.held_back[0]


def test_manifests_are_written_as_they_stand():
    for name in ("kinetics400", "ssv2", "charades"):
        text = (manifest_folder() / f"{name}.json").read_text()
        assert manifest_text(json.loads(text)) == text


def test_nobody_is_asked_where_nobody_is(attestation):
    ran = ptv_hub("attest", "tiny_missing", "--by", BY, "-o", attestation[0].with_name("new.json"))
    assert ran.code == 2
    assert "to fetch: 2 files of 1 models" in ran.err
    assert "1 whose size nobody states" in ran.err


def test_somebody_elses_is_not_gone_on_with(attestation):
    ran = ptv_hub("attest", *NAMES, "--by", "another", "--yes", "-o", attestation[0])
    assert ran.code == 1
    assert "somebody else's" in ran.err


def test_a_word_takes_models_whose_zoos_differ_and_a_second_person_is_added(attestation):
    path, content, mine = attestation
    merge(path, mine, differing=True)
    content["by"] = "B. Another"
    path.write_text(json.dumps(content))
    merge(path, mine, differing=True)
    item = entry("tiny_other")
    assert item.digest == content["models"][3]["files"][0]["digest"]
    for artifact in item.artifacts:
        assert artifact.sha256 is not None
        assert "A. Tester" in artifact.hash_source
        assert "B. Another" in artifact.hash_source
