"""Where files lie, and the commands that fetch, list, check, remove and lock them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from ptv_hub.cli import main
from ptv_hub.errors import HashMismatch
from ptv_hub.fetching import cache
from ptv_hub.fetching import patience as trouble
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import Artifact
from ptv_hub.zoo.manifest import entries
from tests import ROOT
from tests.fetching.test_fetching import CHANGED, FILE, SHA256
from tests.server import Answer, Server

X3D_M = "/pysf_model_zoo/kinetics/X3D_M.pyth"
C2D_OFFICIAL = "/model_zoo/kinetics/C2D_8x8_R50.pyth"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def server(monkeypatch):
    """A mirror with two files, that the commands use."""
    with Server() as running:
        running.files = {X3D_M: FILE, C2D_OFFICIAL: FILE}
        monkeypatch.setenv("PTV_HUB_MIRROR", running.base)
        yield running


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the command line in this process: exit code, stdout, stderr."""

    def command(*args: str) -> tuple[int, str, str]:
        before = dict(os.environ)
        monkeypatch.setattr(sys, "argv", ["ptv-hub", *args])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return command


def artifact(url: str) -> Artifact:
    base, _, path = url.rpartition("/")
    # Past the door, which lets few of them in.
    return Artifact.model_construct(base_url=base, path=path, zoo="own", layout="official")


# ------------------------------------------------------------------ places


def test_no_two_files_of_the_zoo_share_a_place():
    urls = {a.url for item in entries() for a in item.artifacts}
    keys = {cache.key(a).casefold() for item in entries() for a in item.artifacts}
    assert len(keys) == len(urls) == 34
    assert len({key.rpartition("/")[2] for key in keys}) == 14


def test_a_place_names_host_and_path():
    first = entry("x3d_m").artifacts[0]
    assert cache.key(first) == f"dl.fbaipublicfiles.com/pytorchvideo{X3D_M}"
    assert cache.location(first) == cache.folder() / cache.key(first)


addresses = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["https", "http", "file"]),
    st.sampled_from(["", "a.org", "a.org:80", "a.org%3A80", "user:secret@b.org"]),
    st.text(alphabet="aB./%?=:+&\\ é", min_size=1, max_size=12),
)


@given(addresses)
def test_no_address_leads_out_of_the_cache(url):
    place = os.path.normpath(cache.folder() / cache.key(artifact(url)))
    assert Path(place).parent != cache.folder()
    assert Path(place).is_relative_to(cache.folder())
    assert "secret" not in place


@given(addresses, addresses)
def test_two_addresses_have_two_places(one, other):
    same = cache.key(artifact(one)) == cache.key(artifact(other))
    assert same == (canonical(one) == canonical(other))


def canonical(url: str) -> str:
    """What makes two addresses one: all but the fragment and the login."""
    parts = urlsplit(artifact(url).url)
    query = f"?{parts.query}" if parts.query else ""
    scheme = f"{parts.scheme}@" if parts.scheme != "https" and parts.netloc else ""
    return scheme + (parts.netloc.rpartition("@")[2] or "file:") + "/" + parts.path[1:] + query


@pytest.mark.parametrize("suffix", [".part", ".part.json", ".lock", ".tmp"])
def test_a_file_named_as_housekeeping_is_listed_as_a_file(suffix):
    name = cache.key(artifact(f"https://a.org/zoo/file{suffix}"))
    path = cache.folder() / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert [file.key for file in cache.cached_files()] == [name]
    assert cache.leftovers() == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CACHE_HOME": "/x/cache"},
        {"TORCH_HOME": "~/torch-home"},
        {"TORCH_HOME": "/t", "XDG_CACHE_HOME": "/x"},
    ],
)
def test_the_cache_is_in_torchs_hub_folder_without_importing_torch(variables, monkeypatch):
    for name in ("PTV_HUB_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = (
        "import sys; from ptv_hub.fetching import cache; print(cache.folder())\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == f"{torch.hub.get_dir()}/ptv_hub", done.stderr


def test_the_cache_follows_torchs_set_dir(monkeypatch):
    monkeypatch.delenv("PTV_HUB_CACHE")
    monkeypatch.setattr(torch.hub, "_hub_dir", "/elsewhere")
    assert cache.folder() == Path("/elsewhere/ptv_hub")


# ------------------------------------------------------------------ records


def pin(sha256: str = SHA256) -> cache.Pin:
    return cache.Pin(sha256=sha256, size=1, mtime_ns=1, since="2020-01-01", source="https://a.org")


def test_the_first_day_of_a_pin_stays_while_the_bytes_are_the_same():
    cache.add_pin("a/b", pin())
    cache.add_pin("a/b", pin().model_copy(update={"since": "2021-01-01", "mtime_ns": 2}))
    assert cache.pins()["a/b"].since == "2020-01-01"
    assert cache.pins()["a/b"].mtime_ns == 2


def test_threads_that_record_at_once_lose_nothing():
    threads = [threading.Thread(target=cache.add_pin, args=(f"a/{i}", pin())) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.pins()) == 16


# ------------------------------------------------------------------ fetch


def test_fetch_prints_paths_and_says_who_vouches(server, run):
    code, out, err = run("fetch", "X3D_M", "c2d_r50")
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == ["X3D_M.pyth", "C2D_8x8_R50.pyth"]
    assert all(Path(line).read_bytes() == FILE for line in out.splitlines())
    assert "x3d_m: fetched from the pyslowfast zoo" in err
    assert "first use here" in err
    assert "c2d_r50: fetched from the official zoo" in err
    assert run("fetch", "x3d_m")[1] == out.splitlines()[0] + "\n"


def test_fetch_as_json(server, run):
    code, out, _ = run("fetch", "x3d_m", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["name"], row["sha256"], row["from_cache"]) == ("x3d_m", SHA256, False)


def test_fetch_goes_on_after_a_failure_and_ends_with_1(server, run):
    code, out, err = run("fetch", "i3d_r50", "x3d_m")
    assert code == 1
    assert out.endswith("X3D_M.pyth\n")
    assert "none of the files of i3d_r50 could be fetched" in err


def test_fetch_all_walks_the_manifests(server, run, monkeypatch):
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    code, out, err = run("fetch", "--all")
    assert (code, out) == (1, "")
    assert err.count("are not in the cache") == len(entries())


@pytest.mark.parametrize(
    "args", [("fetch",), ("fetch", "x3d_m", "--all"), ("fetch", "x3d_mm"), ("cache", "remove")]
)
def test_misuse_ends_with_2(run, args):
    assert run(*args)[0] == 2


# ------------------------------------------------------------------ cache


def test_list_and_size(server, run):
    assert run("cache", "list", "--json")[:2] == (0, "[]\n")
    run("fetch", "x3d_m")
    (row,) = json.loads(run("cache", "list", "--json")[1])
    assert (row["model"], row["zoo"], row["sha256"]) == ("x3d_m", "pyslowfast", SHA256)
    assert row["source"] == server.url(X3D_M)
    assert row["vouched_by"] == f"first use here, {row['since']}"
    assert "X3D_M.pyth" in run("cache", "list")[1]
    facts = json.loads(run("cache", "size", "--json")[1])
    assert (facts["files"], facts["bytes"], facts["leftover_bytes"]) == (1, len(FILE), 0)
    assert "1 file, 0.3 MB" in run("cache", "size")[1]


def test_verify_reads_every_byte(server, run):
    run("fetch", "x3d_m", "c2d_r50")
    code, out, _ = run("cache", "verify", "--json")
    assert code == 0
    assert [row["result"] for row in json.loads(out)] == ["as recorded"] * 2
    path = cache.location(entry("x3d_m").artifacts[0])
    facts = path.stat()
    path.write_bytes(CHANGED)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as a failing disk would
    code, out, err = run("cache", "verify")
    assert code == 3
    assert "changed" in out
    assert SHA256 in err
    assert run("cache", "verify", "c2d_r50")[0] == 0
    (file, *_) = cache.allowed(entry("x3d_m").artifacts)
    assert isinstance(cache.damaged(cache.look_up(file)), HashMismatch)


def test_remove_keeps_the_pin_and_forget_drops_it(server, run):
    run("fetch", "x3d_m", "c2d_r50")
    code, _, err = run("cache", "remove", "x3d_m")
    assert (code, "removed 1 file, 0.3 MB" in err) == (0, True)
    server.files[X3D_M] = CHANGED
    code, _, err = run("fetch", "x3d_m")
    assert code == 1
    assert SHA256 in err
    assert run("cache", "remove", "x3d_m", "--forget")[0] == 0
    assert run("fetch", "x3d_m")[0] == 0
    key = cache.key(entry("c2d_r50").artifacts[1])
    assert run("cache", "remove", key)[0] == 0
    assert [file.pin.source for file in cache.cached_files()] == [server.url(X3D_M)]
    run("cache", "remove", "--all", "--forget")
    assert (cache.cached_files(), cache.pins()) == ([], {})


def test_clean_removes_what_was_interrupted_and_nothing_else(server, run, monkeypatch):
    run("fetch", "c2d_r50")
    server.always[X3D_M] = Answer(close_after=100_000, ranges=False)
    monkeypatch.setattr(trouble, "PATIENCE", trouble.Patience(tries=1, pause_s=0))
    assert run("fetch", "x3d_m")[0] == 1
    part = cache.location(entry("x3d_m").artifacts[0]).with_name("X3D_M.pyth.part")
    assert part.stat().st_size == 100_000
    assert "0.1 MB of interrupted downloads" in run("cache", "size")[1]
    with FileLock(f"{part.with_name('X3D_M.pyth')}.lock"):  # as a process that is fetching it
        assert json.loads(run("cache", "clean", "--json")[1])["files"] == 0
    done = json.loads(run("cache", "clean", "--json")[1])
    assert done["files"] == 2
    assert done["bytes"] > 100_000
    assert cache.leftovers() == []
    assert [file.path.name for file in cache.cached_files()] == ["C2D_8x8_R50.pyth"]


# ------------------------------------------------------------------ lock and show


def test_a_lock_file_carries_pins_to_another_cache(server, run, tmp_path, monkeypatch):
    lock = tmp_path / "ptv-hub.lock"
    run("fetch", "x3d_m")
    code, out, err = run("lock", "-o", str(lock))
    assert (code, out) == (0, "")
    assert "not fetched yet, so not locked: c2d_r50" in err
    files = json.loads(lock.read_text())["files"]
    url = entry("x3d_m").artifacts[0].url
    assert files[url]["sha256"] == SHA256
    published = [a for item in entries() for a in item.artifacts if a.sha256]
    assert files.keys() == {url, *(a.url for a in published)}
    assert len(published) == 6

    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "another"))
    code, _, err = run("--lock", str(lock), "fetch", "x3d_m")
    assert (code, "lock file ptv-hub.lock" in err) == (0, True)
    code, _, err = run("--lock", str(lock), "fetch", "c2d_r50")
    assert (code, "names no file of c2d_r50" in err) == (1, True)
    run("cache", "remove", "x3d_m", "--forget")
    server.files[X3D_M] = CHANGED
    code, _, err = run("--lock", str(lock), "fetch", "x3d_m")
    assert (code, SHA256 in err) == (1, True)


def test_a_lock_of_what_is_not_known_is_refused(run, tmp_path):
    code, _, err = run("lock", "c2d_r50", "-o", str(tmp_path / "lock"))
    assert (code, "ptv-hub fetch c2d_r50" in err) == (1, True)
    assert not (tmp_path / "lock").exists()


def test_show_says_who_vouches(server, run, tmp_path):
    assert "nobody vouches for a hash" in run("show", "x3d_m")[1]
    assert "public log" in run("show", "x3d_m")[1]
    run("fetch", "x3d_m")
    assert f"(sha256 {SHA256[:12]}..., first use here, 20" in run("show", "x3d_m")[1]
    lock = str(tmp_path / "team.lock")
    run("lock", "x3d_m", "-o", lock)
    assert "lock file team.lock" in run("--lock", lock, "show", "x3d_m")[1]
    assert "the lock file does not name it" in run("--lock", lock, "show", "c2d_r50")[1]
