"""``local-dir:`` and ``hf-hub:`` on the command line: fetched, checked, locked; not removed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ptv_hub.errors import FetchError
from ptv_hub.fetching.artifacts import fetch
from ptv_hub.fetching.hub import entry
from ptv_hub.weights.named import weights_file
from ptv_hub.zoo.repository import HubConfig, Provenance, WeightsFile
from tests import hub_server
from tests.fetching.test_cache import run  # noqa: F401  (a fixture)

WEIGHTS = b"the fetcher does not look inside" * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = HubConfig.of(
    entry("x3d_m"),
    WeightsFile(size=len(WEIGHTS), sha256=SHA256, digest="0" * 64),
    Provenance(
        source="drawn", sha256=SHA256, vouched_by=None, evidence="none", converted_by="a test"
    ),
)
FILES = {"config.json": CONFIG.model_dump_json().encode(), "model.safetensors": WEIGHTS}
COMMIT = hashlib.sha1(b"the first").hexdigest()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A repository's files in a folder."""
    path = tmp_path / "own"
    path.mkdir()
    for name, content in FILES.items():
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The same files on a Hub."""
    with hub_server.in_this_process(monkeypatch, tmp_path / "hf") as running:
        running.repositories["org/own"] = hub_server.Repository(
            private=False, commits={COMMIT: FILES}, branches={"main": COMMIT}
        )
        running.large[SHA256] = WEIGHTS
        yield running


@pytest.fixture(params=["local-dir", "hf-hub"])
def address(request, folder, hub) -> str:
    return f"local-dir:{folder}" if request.param == "local-dir" else "hf-hub:org/own"


def pinned(address: str) -> str:
    """The address as it is written down: of the Hub, with the commit that was read."""
    return address if address.startswith("local-dir:") else f"{address}@{COMMIT}"


def test_fetch_brings_the_file_and_says_where_it_is(address, run):  # noqa: F811
    code, out, err = run("fetch", address)
    assert code == 0, err
    assert Path(out.strip()).read_bytes() == WEIGHTS
    assert pinned(address) in err
    assert SHA256[:12] in err
    (row,) = json.loads(run("fetch", address, "--json")[1])
    assert (row["name"], row["from_cache"], row["path"]) == ("x3d_m", True, out.strip())


def test_fetch_of_what_is_not_there_leaves_the_others(address, run):  # noqa: F811
    code, out, err = run("fetch", "local-dir:/nowhere", "hf-hub:org/none", address)
    assert code == 1
    assert Path(out.strip()).read_bytes() == WEIGHTS
    assert "the folder holds no config.json" in err
    assert "no such repository, or it is private" in err


def test_cache_verify_compares_with_the_config(address, run, folder):  # noqa: F811
    path = Path(run("fetch", address)[1].strip())
    code, out, _ = run("cache", "verify", address, "--json")
    assert (code, json.loads(out)) == (
        0,
        [{"model": address, "file": str(path), "result": "as recorded"}],
    )
    path.write_bytes(WEIGHTS[:-1] + b"!")
    code, out, err = run("cache", "verify", address)
    assert code == 3
    assert "changed" in out
    assert SHA256 in err


def test_cache_verify_fetches_nothing(hub, run):  # noqa: F811
    code, _, err = run("cache", "verify", "hf-hub:org/own")
    assert (code, "'ptv-hub fetch hf-hub:org/own'" in err) == (1, True)
    assert hub.asked("GET", "/storage/") == []


def test_cache_remove_says_whose_the_files_are(address, run, folder):  # noqa: F811
    code, _, err = run("cache", "remove", address)
    assert code == 2
    assert ("remove it" if address.startswith("local-dir:") else "'hf cache'") in err
    assert (folder / "model.safetensors").exists()


def test_lock_names_the_address_and_the_hash(address, run, tmp_path, monkeypatch):  # noqa: F811
    lock = tmp_path / "team.lock"
    code, _, err = run("lock", address, "-o", str(lock))
    assert (code, "1 files of 1 models" in err) == (0, True), err
    files = json.loads(lock.read_text())["files"]
    assert list(files) == [f"{pinned(address)}/model.safetensors"]
    assert files[f"{pinned(address)}/model.safetensors"]["sha256"] == SHA256
    assert run("--lock", str(lock), "fetch", address)[0] == 0
    monkeypatch.setenv("PTV_HUB_LOCK", str(lock))
    assert fetch(entry(address), progress=False).sha256 == SHA256


def test_a_lock_that_does_not_name_the_address_refuses_it(address, tmp_path, monkeypatch):
    (tmp_path / "team.lock").write_text('{"schema_version": 1, "files": {}}')
    monkeypatch.setenv("PTV_HUB_LOCK", str(tmp_path / "team.lock"))
    for bring in (lambda: fetch(entry(address), progress=False), lambda: weights_file(address)):
        with pytest.raises(FetchError, match=r"does not name .*own.*model\.safetensors"):
            bring()
