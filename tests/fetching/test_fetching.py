"""The fetcher against a server that does all that servers do wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import zipfile
from base64 import b64decode
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import urllib3

from ptv_hub.errors import FetchError, HashMismatch, OfflineError, PtvHubError, WriteError
from ptv_hub.fetching import cache
from ptv_hub.fetching import patience as trouble
from ptv_hub.fetching.artifacts import Fetched, fetch
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import Artifact, Entry
from tests import ROOT
from tests.server import Answer, Server

PATH, OTHER = "/zoo/kinetics/X3D_M.pyth", "/official/kinetics/X3D_M.pyth"


def archive(size: int, seed: int) -> bytes:
    """A zip archive of about ``size`` bytes, as checkpoints are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        # A ZipInfo has a fixed date: the same bytes whenever and wherever it is made.
        file.writestr(zipfile.ZipInfo("archive/data.pkl"), random.Random(seed).randbytes(size))
    return buffer.getvalue()


FILE = archive(300_000, seed=0)
CHANGED = archive(300_000, seed=1)
SHA256 = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def server():
    with Server() as running:
        running.files[PATH] = FILE
        yield running


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """No proxies, and shorter pauses than users have; silence is borne as on a loaded machine."""
    for name in list(os.environ):
        if name.startswith(("PTV_HUB_", "HF_HUB_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trouble, "PATIENCE", trouble.Patience(pause_s=0.01))


@pytest.fixture
def impatient(monkeypatch):
    """Little patience with silent and slow servers: for tests of these alone."""
    hurried = trouble.Patience(silence_s=0.4, pause_s=0.01, slowest=2_000, window_s=0.3)
    monkeypatch.setattr(trouble, "PATIENCE", hurried)


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The pauses between tries, in seconds; none is really made."""
    made: list[float] = []
    monkeypatch.setattr("ptv_hub.fetching.http.time.sleep", made.append)
    return made


def model(server: Server, *paths: str, **facts) -> Entry:
    """The entry X3D-M with its files on the server; ``facts`` are of the first file."""
    artifacts = [
        Artifact(
            base_url=server.base,
            path=path.lstrip("/"),
            zoo=zoo,
            layout="pyslowfast",
            **(facts if zoo == "first" else {}),
        )
        for zoo, path in zip(("first", "second"), paths or (PATH,), strict=False)
    ]
    return entry("x3d_m").model_copy(update={"artifacts": tuple(artifacts)})


def published(content: bytes = FILE, **facts) -> dict:
    return {"sha256": hashlib.sha256(content).hexdigest(), "hash_source": "a log", **facts}


def get(item: Entry) -> Fetched:
    """Fetch, and check what is promised of every fetched file."""
    found = fetch(item, progress=False)
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert leftovers() == []
    return found


def whole_files() -> list[str]:
    return [file.key for file in cache.cached_files()]


def leftovers() -> list[str]:
    return [path.name for path in cache.leftovers()]


def fails(item: Entry, kind: type[PtvHubError] = FetchError, *, part: bool | None = False) -> str:
    """Fetching gives one error of this kind and leaves no file; returns its text.

    ``part``: whether it leaves a part to go on from (``None``: either).
    """
    with pytest.raises(kind) as caught:
        fetch(item, progress=False)
    assert whole_files() == []
    assert part is None or bool(leftovers()) == part
    return str(caught.value)


# ------------------------------------------------------------------ the good server


def test_a_file_arrives_whole_and_the_next_fetch_asks_nobody(server):
    found = get(model(server))
    assert found.path.read_bytes() == FILE
    assert (found.sha256, found.from_cache, found.second_choice) == (SHA256, False, None)
    again = get(model(server))
    assert again.from_cache
    assert again.path == found.path
    assert len(server.requests) == 1


def test_a_cached_file_costs_one_look_at_the_record_of_pins(server, tmp_path, monkeypatch):
    item = model(server, PATH, OTHER)
    get(item)
    read, seen = Path.read_bytes, []

    def counted(path: Path) -> bytes:
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert fetch(item, progress=False).from_cache
    assert seen == ["pins.json"]
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, {item.artifacts[0].url: SHA256}))
    seen.clear()
    assert fetch(item, progress=False).vouched_by == "lock file ptv-hub.lock"
    assert sorted(seen) == ["pins.json", "ptv-hub.lock"]


def test_compressed_forms_are_not_asked_for(server):
    get(model(server))
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_cached_file_is_not_read_again_until_it_is_touched(server, monkeypatch):
    found = get(model(server))
    hashed = []
    monkeypatch.setattr(
        "ptv_hub.fetching.artifacts.sha256_of",
        lambda path: hashed.append(path) or hashlib.sha256(Path(path).read_bytes()).hexdigest(),
    )
    get(model(server))
    assert hashed == []
    os.utime(found.path, (1, 1))
    get(model(server))
    assert hashed == [found.path]
    get(model(server))
    assert hashed == [found.path]


@pytest.mark.parametrize("answer", [Answer(chunked=True), Answer(length=False)])
def test_a_body_without_a_stated_length_arrives(server, answer):
    server.always[PATH] = answer
    assert get(model(server)).path.read_bytes() == FILE


def test_a_legacy_file_that_is_no_archive_arrives(server):
    server.files[PATH] = b"\x80\x02\x8a\n" + bytes(5000)
    assert get(model(server)).path.read_bytes() == server.files[PATH]


# ------------------------------------------------------------------ dropped connections


@pytest.mark.parametrize("after", [1, 1000, 123_456, len(FILE) - 1])
def test_after_a_connection_that_ends_early_only_the_rest_is_fetched(server, after):
    server.plan[PATH] = [Answer(close_after=after)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.sent() == len(FILE)
    second = server.requests[1]
    assert second.headers["Range"] == f"bytes={after}-"
    assert second.headers["If-Range"] == f'"{SHA256[:16]}"'


@pytest.mark.parametrize("after", [1, 1000, 123_456, len(FILE) - 1])
def test_after_a_reset_the_rest_is_fetched_from_what_had_arrived(server, after):
    # A reset makes the system drop what it had received and nobody had read yet.
    server.plan[PATH] = [Answer(drop_after=after)]
    assert get(model(server)).path.read_bytes() == FILE
    second = server.requests[1]
    if "Range" in second.headers:
        assert second.headers["Range"] == f"bytes={len(FILE) - second.sent}-"


def test_a_connection_that_ends_thirty_times_gets_there(server):
    server.plan[PATH] = [Answer(close_after=10_000)] * 29
    assert get(model(server)).path.read_bytes() == FILE
    assert len(server.requests) == 30
    assert server.sent() == len(FILE)


def test_a_dropped_chunked_body_is_resumed(server):
    server.plan[PATH] = [Answer(chunked=True, close_after=100_000)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.sent() == len(FILE)


def test_a_body_that_just_ends_without_a_stated_length_is_seen_by_its_archive(server):
    server.plan[PATH] = [Answer(length=False, close_after=100_000)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.sent() == len(FILE)


def test_a_server_without_ranges_sends_all_again(server):
    server.plan[PATH] = [Answer(close_after=100_000), Answer(ranges=False)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.sent() == 100_000 + len(FILE)


def test_always_dropping_at_the_same_place_without_ranges_is_given_up(server):
    server.always[PATH] = Answer(ranges=False, close_after=100_000)
    assert "after 5 tries" in fails(model(server), part=True)
    assert len(server.requests) <= 6


def test_a_weak_etag_gives_way_to_the_date(server):
    server.plan[PATH] = [Answer(weak=True, close_after=100_000), Answer(weak=True)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.requests[1].headers["If-Range"].endswith("GMT")
    assert server.sent() == len(FILE)


def test_without_a_proof_of_sameness_all_is_fetched_again(server):
    server.always[PATH] = Answer(validators=())
    server.plan[PATH] = [Answer(validators=(), close_after=100_000)]
    assert get(model(server)).path.read_bytes() == FILE
    assert "Range" not in server.requests[1].headers


def test_a_published_hash_is_proof_enough_to_resume(server):
    server.always[PATH] = Answer(validators=())
    server.plan[PATH] = [Answer(validators=(), close_after=100_000)]
    assert get(model(server, **published())).path.read_bytes() == FILE
    assert server.sent() == len(FILE)


def test_a_killed_process_loses_nothing_that_had_arrived(server, tmp_path):
    server.plan[PATH] = [Answer(hang_after=200_001, trickle=(4001, 0.001))]
    child = start(server)
    part = cache.location(model(server).artifacts[0]).with_name("X3D_M.pyth.part")
    wait_until(lambda: part.exists() and part.stat().st_size == 200_001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert whole_files() == []
    assert get(model(server)).path.read_bytes() == FILE
    assert server.requests[1].headers["Range"] == "bytes=200001-"
    assert server.sent() == len(FILE)


def test_a_process_killed_between_the_last_byte_and_the_end_fetches_nothing_again(server):
    target = cache.location(model(server).artifacts[0])
    get(model(server))
    cache.forget([cache.key(model(server).artifacts[0])])
    target.rename(target.with_name("X3D_M.pyth.part"))
    state = {"url": server.url(PATH), "etag": '"x"', "total": len(FILE)}
    target.with_name("X3D_M.pyth.part.json").write_text(json.dumps(state))
    assert get(model(server)).path.read_bytes() == FILE
    assert len(server.requests) == 1


def test_a_part_of_another_address_is_not_taken_up(server, monkeypatch):
    server.always[PATH] = Answer(close_after=100_000, ranges=False)
    fails(model(server), part=True)
    with Server() as mirror:
        mirror.files[PATH] = FILE
        monkeypatch.setenv("PTV_HUB_MIRROR", mirror.base)
        assert get(model(server)).path.read_bytes() == FILE
        assert "Range" not in mirror.requests[0].headers


# ------------------------------------------------------------------ a file that changes


def test_a_file_that_changes_midway_is_fetched_from_its_start(server):
    server.plan[PATH] = [Answer(close_after=100_000, then=CHANGED)]
    assert get(model(server)).path.read_bytes() == CHANGED
    assert server.requests[1].status == 200


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(server):
    server.always[PATH] = Answer(if_range=False)
    server.plan[PATH] = [Answer(close_after=100_000, then=CHANGED)]
    assert get(model(server)).path.read_bytes() == CHANGED


def test_a_changed_length_is_found_out_without_an_etag(server):
    server.always[PATH] = Answer(if_range=False, validators=())
    server.plan[PATH] = [Answer(close_after=100_000, then=archive(250_000, seed=2))]
    assert get(model(server)).path.read_bytes() == archive(250_000, seed=2)


def test_a_mixed_file_is_fetched_whole_when_a_hash_is_published(server):
    server.always[PATH] = Answer(validators=())
    server.files[PATH] = CHANGED
    server.plan[PATH] = [Answer(validators=(), close_after=100_000, then=FILE)]
    assert get(model(server, **published())).path.read_bytes() == FILE


def test_the_first_digits_of_a_hash_are_held_against_what_arrives(server):
    """MMAction2 states eight, in a file's name."""
    digits = hashlib.sha256(FILE).hexdigest()[:8]
    right = {"sha256_begins": digits, "hash_source": "the file's name"}
    said = fails(model(server, **{**right, "sha256_begins": "0" * 8}), HashMismatch)
    assert "a sha256 that begins with 00000000 (the file's name)" in said
    assert digits in said
    assert get(model(server, **right)).sha256.startswith(digits)


def test_a_file_that_shrinks_midway_answers_416_and_is_fetched_from_its_start(server):
    small = archive(50_000, seed=3)
    server.always[PATH] = Answer(if_range=False)
    server.plan[PATH] = [Answer(close_after=100_000, then=small)]
    assert get(model(server)).path.read_bytes() == small
    assert [r.status for r in server.requests] == [200, 416, 200]


# ------------------------------------------------------------------ refusals and retries


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416, 451])
def test_a_refusal_is_not_repeated_and_names_the_address(server, status):
    server.always[PATH] = Answer(status=status)
    text = fails(model(server))
    assert f"HTTP {status}" in text
    assert server.url(PATH) in text
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_the_second_choice_is_used_and_said(server, status, caplog):
    server.files[OTHER] = CHANGED
    server.always[PATH] = Answer(status=status)
    found = get(model(server, PATH, OTHER))
    assert found.path.read_bytes() == CHANGED
    assert found.artifact.zoo == "second"
    assert f"HTTP {status}" in found.second_choice
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "using the file of the second zoo" in caplog.text
    again = get(model(server, PATH, OTHER))
    assert again.from_cache
    assert again.second_choice
    assert len(server.requests) == 2


def test_when_both_are_refused_one_error_tells_both_reasons(server):
    server.always[PATH] = Answer(status=403)
    text = fails(model(server, PATH, OTHER))
    assert f"{server.url(PATH)}: " in text
    assert "HTTP 403" in text
    assert f"{server.url(OTHER)}: " in text
    assert "HTTP 404" in text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_trouble_is_waited_out(server, status):
    server.plan[PATH] = [Answer(status=status)] * 3
    assert get(model(server)).path.read_bytes() == FILE


@pytest.mark.parametrize("status", [429, 500, 503])
def test_lasting_trouble_is_given_up(server, status):
    server.always[PATH] = Answer(status=status)
    assert f"HTTP {status}" in fails(model(server))
    assert len(server.requests) == 5


def test_retry_after_seconds_are_waited(server, waits):
    server.plan[PATH] = [Answer(status=429, headers={"Retry-After": "40"})]
    get(model(server))
    assert waits == [40]


def test_retry_after_a_date_is_waited(server, waits):
    when = datetime.now(timezone.utc) + timedelta(seconds=59)
    server.plan[PATH] = [
        Answer(status=503, headers={"Retry-After": format_datetime(when, usegmt=True)})
    ]
    get(model(server))
    (wait,) = waits
    assert 1 < wait <= 59  # less what the request took


def test_a_long_retry_after_is_an_error_at_once(server):
    server.plan[PATH] = [Answer(status=503, headers={"Retry-After": "86400"})]
    assert "86400 s" in fails(model(server))


def test_nobody_there_is_one_error():
    with Server() as gone:
        item = model(gone)
    assert "refused" in fails(item).lower()


def test_a_certificate_that_is_not_trusted_is_told_by_its_class_and_not_tried_again():
    refused = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
    error = urllib3.exceptions.MaxRetryError(None, "https://a.org", refused)
    found = trouble.unreachable("https://a.org", requests.exceptions.SSLError(error))
    assert isinstance(found, FetchError)
    assert "certificate is not trusted" in found.what
    assert "REQUESTS_CA_BUNDLE" in found.fix
    broken = urllib3.exceptions.SSLError(ssl.SSLEOFError("CERTIFICATE_VERIFY_FAILED, it says"))
    error = urllib3.exceptions.MaxRetryError(None, "https://a.org", broken)
    found = trouble.unreachable("https://a.org", requests.exceptions.SSLError(error))
    assert isinstance(found, trouble.Again)


# ------------------------------------------------------------------ redirects


def test_redirects_are_followed_also_on_resuming(server):
    server.files["/moved"] = b"-"
    server.files["/here"] = FILE
    server.always["/moved"] = Answer(status=302, headers={"Location": "/here"})
    server.plan["/here"] = [Answer(close_after=100_000)]
    assert get(model(server, "/moved")).path.read_bytes() == FILE
    assert server.sent("/here") == len(FILE)


def test_redirects_in_a_circle_are_one_error(server):
    server.files["/round"] = b"-"
    server.always["/round"] = Answer(status=302, headers={"Location": "/round"})
    assert "circles" in fails(model(server, "/round"))


# ------------------------------------------------------------------ not the file

PAGE = b"<!DOCTYPE html>\n<html><body>Please log in to the guest network</body></html>"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"}),
        Answer(body=PAGE),
        Answer(body=b"\xef\xbb\xbf  \n<HTML>" + PAGE),
        Answer(body=b"Please log in", headers={"Content-Type": "text/html"}),
        Answer(body=b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
        Answer(body=PAGE, gzip=True),
        Answer(body=PAGE, trickle=(1, 0.001)),
        Answer(body=PAGE, chunked=True),
    ],
)
def test_a_web_page_is_recognised(server, answer):
    server.always[PATH] = answer
    assert "web page" in fails(model(server))
    assert "web page" in fails(model(server, **published(size=len(FILE))))


def test_a_checkpoint_served_as_html_is_not_taken_for_a_page(server):
    server.always[PATH] = Answer(headers={"Content-Type": "text/html"})
    assert get(model(server)).path.read_bytes() == FILE


def test_after_a_web_page_the_second_choice_is_used(server):
    server.files[OTHER] = FILE
    server.always[PATH] = Answer(body=PAGE)
    assert "web page" in get(model(server, PATH, OTHER)).second_choice


def test_an_empty_file_is_an_error(server):
    server.files[PATH] = b""
    server.always[PATH] = Answer(validators=())
    assert "an empty file" in fails(model(server))


@pytest.mark.parametrize("facts", [{}, published(), published(size=len(FILE))])
def test_too_short_a_length_is_found_out(server, facts):
    server.always[PATH] = Answer(length_off_by=-1000)
    fails(model(server, **facts))


def test_too_long_a_length_is_one_error(server):
    server.always[PATH] = Answer(length_off_by=1000)
    assert "tries" in fails(model(server), part=None)


def test_a_truncated_safetensors_file_is_found_out(server):
    header = b'{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}'
    content = len(header).to_bytes(8, "little") + header + bytes(400)
    server.files[PATH] = content[:-1]
    assert "not all tensors" in fails(model(server))
    server.files[PATH] = content
    get(model(server))


def test_a_compressed_answer_is_unpacked(server):
    server.always[PATH] = Answer(gzip=True)
    assert get(model(server)).path.read_bytes() == FILE


def test_a_dropped_compressed_answer_is_fetched_from_its_start(server):
    server.plan[PATH] = [Answer(gzip=True, close_after=100_000)]
    assert get(model(server)).path.read_bytes() == FILE
    assert "Range" not in server.requests[1].headers


def test_a_compressed_answer_to_a_range_is_not_mixed_in(server):
    server.plan[PATH] = [Answer(close_after=100_000), Answer(gzip=True)]
    assert get(model(server)).path.read_bytes() == FILE


def test_an_encoding_that_nobody_asked_for_is_refused(server):
    server.always[PATH] = Answer(headers={"Content-Encoding": "br"})
    assert "encoding" in fails(model(server))


# ------------------------------------------------------------------ slow and silent


def test_silence_is_given_up_and_the_rest_fetched(server, impatient):
    server.plan[PATH] = [Answer(hang_after=100_000), Answer(hang_before_headers=True)]
    assert get(model(server)).path.read_bytes() == FILE
    assert server.sent() == len(FILE)


def test_lasting_silence_is_one_error(server, impatient):
    server.always[PATH] = Answer(hang_before_headers=True)
    assert "silent" in fails(model(server))


def test_a_trickle_is_given_up(server, impatient):
    server.always[PATH] = Answer(trickle=(10, 0.05))
    assert "silent" in fails(model(server), part=True)


def test_a_slow_but_steady_server_is_borne(server, monkeypatch):
    # A hundredth of what comes would do, so that a loaded machine may be slow as well.
    borne = trouble.Patience(slowest=2_000, window_s=0.3)
    monkeypatch.setattr(trouble, "PATIENCE", borne)
    server.always[PATH] = Answer(trickle=(10_000, 0.05))
    assert get(model(server)).path.read_bytes() == FILE
    assert len(server.requests) == 1


def test_the_timeout_can_be_set(server, monkeypatch):
    monkeypatch.setenv("PTV_HUB_TIMEOUT", "0.2")
    server.plan[PATH] = [Answer(hang_before_headers=True)]
    get(model(server)).path.unlink()
    monkeypatch.setenv("PTV_HUB_TIMEOUT", "soon")
    assert "PTV_HUB_TIMEOUT" in fails(model(server))


# ------------------------------------------------------------------ hashes and pins


def test_a_published_hash_that_does_not_hold_leaves_nothing(server):
    text = fails(model(server, **published(CHANGED)), HashMismatch)
    assert SHA256 in text
    assert hashlib.sha256(CHANGED).hexdigest() in text
    assert "a log" in text


def test_a_wrong_hash_does_not_lead_to_the_second_choice(server):
    server.files[OTHER] = FILE
    fails(model(server, PATH, OTHER, **published(CHANGED)), HashMismatch)
    assert server.asked(OTHER) == []


def test_a_published_size_that_does_not_hold_is_an_error_before_the_download(server):
    item = model(server, size=len(FILE) + 1, hash_source="a log")
    assert f"{len(FILE) + 1} bytes" in fails(item, HashMismatch)


def test_a_file_without_a_published_hash_is_pinned_on_first_use(server):
    found = get(model(server))
    assert found.vouched_by.startswith("first use here, 20")
    pin = cache.pins()[cache.key(found.artifact)]
    assert (pin.sha256, pin.size, pin.source) == (SHA256, len(FILE), server.url(PATH))


def test_a_later_change_is_an_error_that_shows_both(server):
    found = get(model(server))
    found.path.unlink()
    server.files[PATH] = CHANGED
    text = fails(model(server), HashMismatch)
    assert SHA256 in text
    assert hashlib.sha256(CHANGED).hexdigest() in text
    assert "first use here" in text
    cache.forget([cache.key(found.artifact)])
    assert get(model(server)).path.read_bytes() == CHANGED


def test_a_published_hash_wins_over_a_pin(server):
    found = get(model(server))
    with pytest.raises(HashMismatch, match=hashlib.sha256(CHANGED).hexdigest()):
        fetch(model(server, **published(CHANGED)), progress=False)
    found.path.unlink()
    server.files[PATH] = CHANGED
    again = get(model(server, **published(CHANGED)))
    assert again.vouched_by == "a log"


def test_a_pin_is_of_the_canonical_address_whatever_mirror_served_it(server, monkeypatch):
    get(model(server)).path.unlink()
    with Server() as mirror:
        mirror.files[PATH] = CHANGED
        monkeypatch.setenv("PTV_HUB_MIRROR", mirror.base)
        fails(model(server), HashMismatch)


def test_a_file_damaged_on_disk_is_fetched_anew(server, caplog):
    found = get(model(server))
    found.path.write_bytes(FILE[:-1])
    assert get(model(server)).path.read_bytes() == FILE
    assert "changed on disk" in caplog.text


def test_a_file_damaged_on_disk_is_an_error_offline(server, monkeypatch):
    found = get(model(server))
    found.path.write_bytes(CHANGED)
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    with pytest.raises(HashMismatch) as caught:
        fetch(model(server), progress=False)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(CHANGED).hexdigest() in str(caught.value)


def test_a_file_put_into_the_cache_by_hand_is_used_and_pinned(server):
    item = model(server)
    path = cache.location(item.artifacts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(FILE)
    found = get(item)
    assert found.from_cache
    assert cache.pins()[cache.key(item.artifacts[0])].sha256 == SHA256
    assert server.requests == []


@pytest.mark.parametrize("content", [b"", PAGE, FILE[:1000]])
def test_what_is_no_checkpoint_is_not_adopted_by_hand(server, content):
    item = model(server)
    path = cache.location(item.artifacts[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert get(item).path.read_bytes() == FILE


def test_a_damaged_record_of_pins_is_one_error(server):
    get(model(server))
    (cache.folder() / "pins.json").write_text("{")
    with pytest.raises(FetchError, match="record of the cache"):
        fetch(model(server), progress=False)


# ------------------------------------------------------------------ lock files


def write_lock(tmp_path: Path, files: dict[str, str]) -> str:
    path = tmp_path / "ptv-hub.lock"
    locked = {
        url: cache.LockedFile(sha256=sha256, vouched_by="the team") for url, sha256 in files.items()
    }
    cache.write_lock(path, locked)
    return str(path)


def test_a_lock_file_vouches(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, {server.url(PATH): SHA256}))
    assert get(model(server)).vouched_by == "lock file ptv-hub.lock"


def test_bytes_that_the_lock_file_does_not_name_are_refused(server, tmp_path, monkeypatch):
    other = hashlib.sha256(CHANGED).hexdigest()
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, {server.url(PATH): other}))
    text = fails(model(server), HashMismatch)
    assert SHA256 in text
    assert other in text
    assert "ptv-hub.lock" in text


def test_a_cached_file_that_the_lock_file_does_not_name_is_refused(server, tmp_path, monkeypatch):
    get(model(server))
    other = hashlib.sha256(CHANGED).hexdigest()
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, {server.url(PATH): other}))
    with pytest.raises(HashMismatch, match=other):
        fetch(model(server), progress=False)


def test_only_files_of_the_lock_file_are_used(server, tmp_path, monkeypatch):
    server.files[OTHER] = CHANGED
    locked = {server.url(OTHER): hashlib.sha256(CHANGED).hexdigest()}
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, locked))
    assert get(model(server, PATH, OTHER)).artifact.path == OTHER.lstrip("/")
    assert server.asked(PATH) == []
    with pytest.raises(FetchError, match="lock file names no file"):
        fetch(model(server), progress=False)


def test_a_lock_file_against_the_manifest_is_an_error(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_LOCK", write_lock(tmp_path, {server.url(PATH): SHA256}))
    fails(model(server, **published(CHANGED)), HashMismatch)
    assert server.requests == []


@pytest.mark.parametrize("content", [None, "{", '{"files": {"x": {"sha256": "no"}}}'])
def test_a_lock_file_that_cannot_be_read_is_one_error(server, tmp_path, monkeypatch, content):
    path = tmp_path / "ptv-hub.lock"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("PTV_HUB_LOCK", str(path))
    assert "lock file cannot be read" in fails(model(server))


# ------------------------------------------------------------------ places


@pytest.mark.parametrize("variable", ["PTV_HUB_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_takes_from_the_cache_and_asks_nobody(server, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    text = fails(model(server), OfflineError)
    assert variable in text
    assert server.requests == []
    monkeypatch.delenv(variable)
    get(model(server))
    monkeypatch.setenv(variable, "1")
    assert get(model(server)).from_cache


def test_a_mirror_keeps_the_path_and_the_place(server, monkeypatch):
    with Server() as mirror:
        mirror.files[f"/copy{PATH}"] = FILE
        monkeypatch.setenv("PTV_HUB_MIRROR", f"{mirror.base}/copy/")
        found = get(model(server))
        assert server.requests == []
    monkeypatch.delenv("PTV_HUB_MIRROR")
    assert get(model(server)).path == found.path
    assert server.requests == []


@pytest.mark.parametrize("form", [str, Path.as_uri])
def test_a_mirror_may_be_a_folder_and_needs_no_network(server, tmp_path, monkeypatch, form):
    folder = tmp_path / "a mirror"
    (folder / PATH.lstrip("/")).parent.mkdir(parents=True)
    (folder / PATH.lstrip("/")).write_bytes(FILE)
    monkeypatch.setenv("PTV_HUB_MIRROR", form(folder))
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    assert get(model(server)).path.read_bytes() == FILE


def test_a_folder_without_the_file_is_one_error(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PTV_HUB_MIRROR", str(tmp_path))
    assert "No such file" in fails(model(server))


def test_a_proxy_is_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.base)
    item = model(SimpleNamespace(base="http://zoo.invalid"))
    assert get(item).path.read_bytes() == FILE
    assert server.requests[0].proxied


def test_a_mirrors_login_is_used_and_never_shown(server, monkeypatch):
    monkeypatch.setenv("PTV_HUB_MIRROR", server.base.replace("://", "://me:s%40cret@"))
    text = fails(model(server, "/not", "/there"))
    assert "cret" not in text
    found = get(model(server))
    given = b64decode(server.requests[-1].headers["Authorization"].removeprefix("Basic "))
    assert given == b"me:s@cret"
    assert cache.pins()[cache.key(found.artifact)].source == server.url(PATH)


# ------------------------------------------------------------------ many at once


def start(server: Server) -> subprocess.Popen:
    """A process of its own that fetches ``model(server)``."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from types import SimpleNamespace\n"
        "from ptv_hub.fetching.artifacts import fetch\n"
        "from tests.fetching.test_fetching import model\n"
        "print(fetch(model(SimpleNamespace(base=sys.argv[1])), progress=False).sha256)"
    )
    root = ROOT
    return subprocess.Popen(
        [sys.executable, "-c", code, server.base, str(root)], stdout=subprocess.PIPE, text=True
    )


def wait_until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_eight_processes_fetch_one_file_once(server):
    # So slow that the last of them is there long before the first is done.
    server.plan[PATH] = [Answer(trickle=(5000, 0.1))]
    children = [start(server) for _ in range(8)]
    assert {child.communicate()[0].strip() for child in children} == {SHA256}
    assert {child.returncode for child in children} == {0}
    assert len(server.requests) == 1
    assert whole_files() == [cache.key(model(server).artifacts[0])]


# ------------------------------------------------------------------ disks


def test_too_small_a_disk_is_said_before_it_is_full(server, monkeypatch):
    usage = SimpleNamespace(total=10**9, used=10**9 - 5, free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    text = fails(model(server), WriteError)
    assert "no room" in text
    assert f"{len(FILE)} bytes free" in text


def test_a_disk_that_fills_up_is_said_and_nothing_is_left(server, monkeypatch):
    monkeypatch.setattr("ptv_hub.fetching.part.FileIO", _full_disk)
    assert "the disk is full" in fails(model(server), WriteError)


def test_a_disk_too_full_to_note_what_a_part_is_of_is_said_and_nothing_is_left(server, monkeypatch):
    def full(path, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ptv_hub.files.open", full, raising=False)
    text = fails(model(server), WriteError)
    assert "the disk is full" in text
    assert "PTV_HUB_CACHE" in text


class _full_disk(io.FileIO):  # noqa: N801  (stands in for `FileIO`)
    """A file that takes 100000 bytes, then says what a full disk says."""

    def __init__(self, path, mode="r", buffering=-1):
        super().__init__(path, mode.replace("b", ""))

    def write(self, data):
        if self.tell() + len(data) > 100_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_cache_below_a_file_is_said(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PTV_HUB_CACHE", str(tmp_path / "file" / "cache"))
    text = fails(model(server), WriteError)
    assert str(tmp_path / "file") in text
    assert "a file, not a folder" in text
    assert "PTV_HUB_CACHE" in text


@contextmanager
def without_rights(folder: Path):
    """Be somebody who may read the folder and not write it."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # whom no mode holds back
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(mode)


@pytest.fixture
def shared(tmp_path_factory):
    """A folder that everybody can reach (those of pytest are for the owner alone)."""
    path = Path(tempfile.mkdtemp(prefix="ptv_hub-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems keep rights otherwise")
def test_a_cache_that_may_not_be_written_is_said(server, shared, monkeypatch):
    monkeypatch.setenv("PTV_HUB_CACHE", str(shared))
    with without_rights(shared):
        text = fails(model(server), WriteError)
    assert "permission denied" in text
    assert str(shared) in text


@pytest.mark.skipif(os.name != "posix", reason="other systems keep rights otherwise")
def test_a_cache_that_others_keep_can_be_used_without_writing(server, shared, monkeypatch):
    monkeypatch.setenv("PTV_HUB_CACHE", str(shared))
    found = get(model(server))
    os.utime(found.path, (1, 1))  # copied: its time stamp is not the recorded one
    with without_rights(shared):
        assert get(model(server)).from_cache


# ------------------------------------------------------------------ progress


def test_the_library_is_silent_without_progress(server, capfd):
    fetch(model(server), progress=False)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_on_stderr(server, capfd):
    server.plan[PATH] = [Answer(close_after=100_000)]
    fetch(model(server), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "x3d_m (first zoo)" in err
    assert "100%" in err


# ------------------------------------------------------------------ anything at all


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_the_file_is_right_or_there_is_one_error(server, seed):
    dice = random.Random(seed)

    def any_answer() -> Answer:
        return Answer(
            status=dice.choice([200] * 12 + [403, 416, 429, 500, 503]),
            body=dice.choice([None] * 9 + [PAGE]),
            ranges=dice.random() < 0.8,
            if_range=dice.random() < 0.9,
            chunked=dice.random() < 0.2,
            gzip=dice.random() < 0.1,
            weak=dice.random() < 0.2,
            length=dice.random() < 0.9,
            length_off_by=dice.choice([0] * 8 + [-10, 10]),
            then=dice.choice([None] * 6 + [CHANGED]),
            **dice.choice(
                [{}, *({how: dice.randrange(len(FILE))} for how in ("drop_after", "close_after"))]
            ),
        )

    server.plan[PATH] = [any_answer() for _ in range(dice.randrange(1, 9))]
    item = model(server, **(published() if dice.random() < 0.5 else {}))
    try:
        content = fetch(item, progress=False).path.read_bytes()
    except FetchError:
        assert whole_files() == []
    else:
        assert content == FILE or (content == CHANGED and item.artifacts[0].sha256 is None)


def test_a_server_without_an_address_is_one_message_at_once(monkeypatch):
    """Both files of the entry are told, each in a line, and nothing is tried twice."""
    asked = []

    def no_address(host, port):
        asked.append(host)
        raise OSError(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(trouble.socket, "getaddrinfo", no_address)
    start = time.monotonic()
    with pytest.raises(FetchError) as failed:
        fetch(entry("c2d_r50"), progress=False)
    assert time.monotonic() - start < 3
    assert asked == ["dl.fbaipublicfiles.com"]
    lines = [line for line in str(failed.value).splitlines() if "https://" in line]
    assert len(lines) == 2
    assert all("cannot be found" in line and "name resolution" in line for line in lines)


def test_a_name_server_that_does_not_answer_is_left_behind(monkeypatch):
    monkeypatch.setattr(trouble.socket, "getaddrinfo", lambda *_: time.sleep(5))
    monkeypatch.setattr(trouble, "NAME_S", 0.1)
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"no name server answered in 0\.1 s"):
        fetch(entry("x3d_l"), progress=False)
    assert time.monotonic() - start < 3
