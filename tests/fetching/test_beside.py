"""A file that lies beside its manifest: no network, no cache, no mirror, but the right bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import ptv_hub
from ptv_hub.errors import FetchError, HashMismatch, ManifestError
from ptv_hub.fetching import cache
from ptv_hub.fetching.artifacts import fetch
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries, known, list_models, manifest_folder, read_manifest
from tests.command import ptv_hub as command


def copied(folder: Path) -> tuple[Entry, Path]:
    """The demonstration's manifest and its files, elsewhere; the entry and its file of weights."""
    home = manifest_folder()
    shutil.copytree(home / "demo", folder / "demo")
    shutil.copy(home / "demo.json", folder)
    (item,) = read_manifest(folder / "demo.json")
    return item, folder / "demo" / "motion_x3d.safetensors"


def test_it_is_taken_from_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    monkeypatch.setenv("PTV_HUB_MIRROR", "https://mirror.example/zoo")
    file = fetch(entry("motion_x3d"))
    assert file.path == manifest_folder() / "demo" / "motion_x3d.safetensors"
    assert file.artifact.url == "manifests/demo/motion_x3d.safetensors"
    assert file.vouched_by == "the manifest beside it"
    assert cache.cached_files() == []
    assert cache.pins() == {}
    assert ptv_hub.load("motion_x3d").entry.name == "motion_x3d"


def test_other_bytes_are_refused(tmp_path):
    item, path = copied(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(HashMismatch) as caught:
        fetch(item)
    assert str(path) in str(caught.value)
    path.write_bytes(content[:-1])
    with pytest.raises(HashMismatch):
        ptv_hub.load(item)


def test_a_missing_file_says_where_it_should_be(tmp_path):
    item, path = copied(tmp_path)
    path.unlink()
    with pytest.raises(FetchError) as caught:
        fetch(item)
    assert str(path) in str(caught.value)


def test_a_lock_file_need_not_name_it_but_what_it_says_counts(monkeypatch, tmp_path):
    lock = tmp_path / "ptv-hub.lock"
    lock.write_text('{"schema_version": 1, "files": {}}')
    monkeypatch.setenv("PTV_HUB_LOCK", str(lock))
    file = fetch(entry("motion_x3d"))
    said = {"sha256": "0" * 64, "vouched_by": "somebody"}
    lock.write_text(json.dumps({"schema_version": 1, "files": {file.artifact.url: said}}))
    with pytest.raises(HashMismatch, match="lock file"):
        fetch(entry("motion_x3d"))
    monkeypatch.delenv("PTV_HUB_LOCK")
    assert command("lock", "motion_x3d", "-o", lock, "--overwrite").code == 0
    assert json.loads(lock.read_text())["files"][file.artifact.url]["sha256"] == file.sha256


def test_a_file_beside_a_manifest_needs_size_and_hash(tmp_path):
    copied(tmp_path)
    path = tmp_path / "demo.json"
    content = json.loads(path.read_text())
    for key in ("size", "sha256"):
        changed = json.loads(json.dumps(content))
        del changed["entries"][0]["artifacts"][0][key]
        path.write_text(json.dumps(changed))
        with pytest.raises(ManifestError, match="needs size and sha256"):
            read_manifest(path)


def test_a_demonstration_is_known_by_name_and_stands_in_no_list(tmp_path):
    for name in ("motion_x3d", "MOTION_X3D", "Demo/MOTION_X3D", "motion/motion_x3d"):
        assert entry(name).demonstration
    assert "motion_x3d" not in {item.name for item in entries()}
    assert "motion_x3d" not in list_models()
    assert [item.name for item in known() if item.demonstration] == ["motion_x3d"]
    lock = ("lock", "-o", tmp_path / "a.lock")
    for words in (("list",), ("list", "motion*"), ("list", "--json"), lock):
        done = command(*words)
        assert "motion" not in done.out, words
    assert "motion_x3d" in command("list", "--demo").out
    assert [e["name"] for e in json.loads(command("list", "motion*", "--demo", "--json").out)] == [
        "motion_x3d"
    ]


def test_cache_commands_say_that_the_cache_does_not_hold_it():
    done = command("cache", "verify", "motion_x3d", "--json")
    assert (done.code, [row["result"] for row in json.loads(done.out)]) == (0, ["as recorded"])
    assert command("cache", "remove", "motion_x3d").code == 0
    assert fetch(entry("motion_x3d")).path.is_file()
