"""Servers that lie, drip, flood and send elsewhere: the file, or one error in bounded time."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
import unicodedata
import zlib
from contextlib import suppress
from dataclasses import dataclass

import pytest

from ptv_hub.errors import FetchError, NoServer, PtvHubError, UsageError
from ptv_hub.fetching import cache, http
from ptv_hub.fetching import patience as trouble
from ptv_hub.fetching.artifacts import fetch
from ptv_hub.fetching.hub import entry
from ptv_hub.zoo.entry import Artifact, Entry
from tests.fetching.test_fetching import CHANGED, FILE, leftovers, whole_files
from tests.raw_server import Answer, RawServer, body, drip, head

CONTROL = "\x1b]0;title\x07\x1b[2J\x9b2J"
HALF = len(FILE) // 2
OFFSET = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    for name in ("PTV_HUB_MIRROR", "PTV_HUB_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    short = trouble.Patience(
        connect_s=2, silence_s=2, tries=2, pause_s=0.01, headers_s=0.2, slowest=2000, window_s=0.6
    )
    monkeypatch.setattr(trouble, "PATIENCE", short)
    monkeypatch.setattr(http, "MOST_UNSTATED", 4 << 20)


def model(base: str, path: str, **facts: object) -> Entry:
    artifact = Artifact(zoo="test", layout="pyslowfast", path=path, base_url=base, **facts)
    return entry("x3d_m").model_copy(update={"artifacts": (artifact,)})


def redirect(to: str) -> Answer:
    return lambda start: head("302 Found", Location=to, Content_Length=0)


def later(after: str) -> Answer:
    return lambda start: head("503 Later", Retry_After=after, Content_Length=0)


def stated(length: object) -> Answer:
    return lambda start: head(Content_Length=length) + FILE


def half_then(rest) -> Answer:
    """The first half, and then what ``rest`` gives of a request from there on."""
    first = head(Content_Length=len(FILE), ETag='"a"') + FILE[:HALF]
    return lambda start: first if start is None else rest(start)


def partial(first: int, content: bytes, where: str | None = None) -> bytes:
    where = where or f"bytes {first}-{len(FILE) - 1}/{len(FILE)}"
    return head("206 Part", Content_Range=where, ETag='"a"', Content_Length=len(content)) + content


def chunks(piece: bytes):
    yield head(Transfer_Encoding="chunked")
    for _ in range(2000):
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def bomb(form: str):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if form == "gzip" else 15)
    zeros = bytes(1 << 24)
    yield head(Content_Encoding=form) + packer.compress(FILE[:1000])
    for _ in range(100):
        yield packer.compress(zeros) + packer.flush(zlib.Z_SYNC_FLUSH)


@dataclass(frozen=True)
class Case:
    answer: Answer
    what: str
    whole: bool = False
    """Whether the file must arrive; else there is one error, and nothing is kept that blocks."""
    seconds: float = 10
    sized: bool = False
    """Whether the manifest states the size."""


def gzipped(start: int | None) -> bytes:
    return body(gzip.compress(FILE, 1), Content_Encoding="gzip")


def deflated(start: int | None) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return body(packer.compress(FILE) + packer.flush(), Content_Encoding="deflate")


CASES = {
    "good": Case(lambda start: body(FILE), "a good answer", whole=True),
    "drop": Case(half_then(lambda s: partial(s, FILE[s:])), "cut in the middle", whole=True),
    "gzip": Case(gzipped, "packed although nobody asked for it", whole=True),
    "raw_deflate": Case(deflated, "packed without a head", whole=True),
    "two_lines": Case(
        lambda start: head().replace(b"Connection", b"X-A: a\r\n b\r\nConnection") + FILE,
        "a folded header, no length",
        whole=True,
    ),
    "spaces": Case(lambda start: head(Content_Length=f"  {len(FILE)} ") + FILE, "", whole=True),
    "hop": Case(redirect("//127.0.0.1:{port}/good"), "sends to an address without scheme", True),
    "file": Case(redirect("file:///etc/passwd"), "sends to a file of ours"),
    "data": Case(redirect("data:text/plain,x"), "sends to an address that is its own content"),
    "ftp": Case(redirect("ftp://127.0.0.1/x"), "sends to another protocol"),
    "javascript": Case(redirect("javascript:alert(1)"), "sends to a program"),
    "nowhere": Case(redirect(""), "sends nowhere"),
    "no_place": Case(
        lambda start: head("302 Found", Content_Length=0), "sends, and says not where"
    ),
    "dots": Case(redirect("http://a..b/x"), "a host with an empty label"),
    "long_host": Case(redirect(f"http://{'a' * 80}/x"), "a host with too long a label"),
    "bad_port": Case(redirect("http://127.0.0.1:99999/x"), "a port that there is not"),
    "word_port": Case(redirect("http://127.0.0.1:http/x"), "a port that is a word"),
    "minus_port": Case(redirect("http://127.0.0.1:-1/x"), "a port below 0"),
    "v6": Case(redirect("http://[::1/x"), "half an address"),
    "v6_zone": Case(redirect("http://[::g]/x"), "an address of letters"),
    "no_host": Case(redirect("http:///x"), "an address without a host"),
    "control_in_address": Case(redirect(f"http://127.0.0.1/{CONTROL}"), "commands in an address"),
    "flood": Case(
        lambda s: (
            head("302 Found", Location="/good") if i == 0 else bytes(1 << 20) for i in range(200)
        ),
        "sends on, with a body without end",
        whole=True,
    ),
    "circle": Case(redirect("/circle"), "sends to itself"),
    "reason": Case(lambda s: head(f"404 {CONTROL}", Content_Length=0), "commands in the reason"),
    "status_999": Case(lambda s: head("999 What", Content_Length=0), "a status that there is not"),
    "no_content": Case(lambda s: head("204 None"), "no content"),
    "superscript_wait": Case(later("\xb2"), "a wait of a digit that is none"),
    "long_wait": Case(later("9" * 400), "a wait of 400 digits"),
    "bad_date": Case(later("Mon, 99 Jan 99999999999 00:00:00 GMT"), "a day that there is not"),
    "last_date": Case(later("Fri, 31 Dec 9999 23:59:59 -9999"), "a day behind the last one"),
    "minus_wait": Case(later("-5"), "a wait of less than nothing"),
    "superscript_length": Case(stated("\xb2"), "a length of a digit that is none", whole=True),
    "long_length": Case(stated("1" * 5000), "a length of 5,000 digits"),
    "vast_length": Case(stated(10**30), "a length that no disk holds"),
    "large_length": Case(stated(10**14), "a length that no weights have"),
    "minus_length": Case(stated(-5), "a length of less than nothing", whole=True),
    "two_lengths": Case(stated("5, 6"), "two lengths"),
    "arabic_length": Case(stated("+5"), "a length with a sign"),
    "endless": Case(lambda start: chunks(FILE[: 1 << 18]), "chunks without end"),
    "endless_sized": Case(
        lambda s: chunks(FILE[: 1 << 18]), "the same, of a known size", sized=True
    ),
    "bomb": Case(lambda start: bomb("gzip"), "packed so that it never ends"),
    "bomb_deflate": Case(lambda start: bomb("deflate"), "the same in another form"),
    "bomb_sized": Case(lambda start: bomb("gzip"), "the same, of a known size", sized=True),
    "gzip_none": Case(lambda s: body(FILE, Content_Encoding="gzip"), "said to be packed, is not"),
    "gzip_cut": Case(
        lambda s: head(Content_Encoding="gzip") + gzip.compress(FILE, 1)[:-9000], "packed, and cut"
    ),
    "gzip_more": Case(
        lambda s: head(Content_Encoding="gzip") + gzip.compress(FILE, 1) + b"MORE",
        "packed, and more",
    ),
    "gzip_twice": Case(
        lambda s: body(gzip.compress(gzip.compress(FILE, 1)), Content_Encoding="gzip, gzip"),
        "twice",
    ),
    "brotli": Case(lambda s: body(FILE, Content_Encoding="br"), "a form that nobody asked for"),
    "drip_header": Case(lambda s: drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"), "a header without end"),
    "drip_headers": Case(
        lambda s: drip(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"), "headers without end"
    ),
    "drip_status": Case(lambda s: drip(b"HTTP/1.1 ", b"2"), "a status line without end"),
    "drip_chunk": Case(
        lambda s: drip(head(Transfer_Encoding="chunked") + b"5;", b"a"), "a line before a chunk"
    ),
    "drip_trailer": Case(
        lambda s: drip(
            head(Transfer_Encoding="chunked") + b"%x\r\n%s\r\n0\r\n" % (len(FILE), FILE),
            b"X: a\r\n",
        ),
        "headers behind the chunks",
    ),
    "drip_body": Case(lambda s: drip(head(Content_Length=len(FILE)), FILE[:1]), "byte by byte"),
    "drip_redirect": Case(
        lambda s: drip(b"HTTP/1.1 302 Found\r\nLocation: ", b"/good"), "an address without end"
    ),
    "continue": Case(
        lambda s: drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "always about to begin"
    ),
    "long_header": Case(lambda s: b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, "a header of 100 kB"),
    "many_headers": Case(
        lambda s: (
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(300)) + b"\r\n"
        ),
        "300 headers",
    ),
    "no_http": Case(lambda s: b"\x00\x01\x02 no http\r\n\r\n", "no HTTP"),
    "bad_chunk": Case(lambda s: head(Transfer_Encoding="chunked") + b"zz\r\nabc", "no number"),
    "minus_chunk": Case(lambda s: head(Transfer_Encoding="chunked") + b"-5\r\nabc", "below 0"),
    "vast_chunk": Case(
        lambda s: head(Transfer_Encoding="chunked") + b"f" * 30 + b"\r\n" + FILE,
        "a chunk of 10**36",
    ),
    "long_offset": Case(
        lambda s: body(len(OFFSET).to_bytes(8, "little") + OFFSET + b"1234"), "5,000 digits inside"
    ),
    "deep_header": Case(
        lambda s: body((200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995), "deep inside"
    ),
    "long_range": Case(
        half_then(lambda s: partial(0, b"12345", f"bytes {'5' * 5000}-9/10")), "5,000 digits"
    ),
    "range_lie": Case(half_then(lambda s: partial(s, CHANGED[s:])), "the rest of another file"),
    "range_shifted": Case(half_then(lambda s: partial(s + 5, FILE[s + 5 :])), "a gap"),
    "range_of_none": Case(half_then(lambda s: partial(s, b"", "bytes */0")), "a part of nothing"),
    "range_longer": Case(
        half_then(lambda s: partial(s, FILE[s:], f"bytes {s}-{len(FILE)}/{10**17}")),
        "grown meanwhile",
    ),
    "trailing": Case(lambda s: body(FILE) + b"GARBAGE" * 100, "more behind its length", whole=True),
    "trailing_no_length": Case(
        lambda s: head() + FILE + b"GARBAGE" * 100, "more, without a length"
    ),
    "comment": Case(lambda s: body(b"\n\n  <!-- x --><html>log in"), "a page"),
    "page": Case(
        lambda s: body(f"<div>{CONTROL}</div>".encode(), Content_Type="text/html"), "a page"
    ),
    "json": Case(lambda s: body(b'{"error":"nope"}', Content_Type="application/json"), "JSON"),
    "json_like": Case(
        lambda s: body(b'{"aaaa":{"error":1}, "bbbb": "cccc"}'), "as a header begins"
    ),
    "json_short": Case(lambda s: body(b"{}"), "two bytes of JSON"),
    "list": Case(lambda s: body(b'["error"]' * 30), "JSON of another kind"),
    "text": Case(lambda s: body(b"Access denied" * 50), "a text"),
    "utf16": Case(lambda s: body("Access denied".encode("utf-16")), "a text of two bytes a letter"),
    "picture": Case(lambda s: body(b"\x89PNG\r\n\x1a\n" + bytes(500)), "a picture"),
    "pdf": Case(lambda s: body(b"%PDF-1.7\n" + bytes(500)), "a document"),
    "other_zip": Case(lambda s: body(b"PK\x05\x06" + bytes(18)), "a zip archive without anything"),
    "git_lfs": Case(
        lambda s: body(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "a pointer"
    ),
    "empty": Case(lambda s: body(b""), "nothing"),
    "zeros": Case(lambda s: body(bytes(5000)), "zeros"),
}


@pytest.fixture(scope="module")
def server():
    answers = {f"/{name}": case.answer for name, case in CASES.items()}
    answers["/not_there"] = lambda start: head("404 Not Found", Content_Length=0)
    with RawServer(answers) as running:
        port = running.base.rpartition(":")[2]
        answers["/hop"] = redirect(f"//127.0.0.1:{port}/good")
        yield running


@pytest.mark.parametrize("name", CASES)
def test_the_file_arrives_or_there_is_one_error_and_nothing_that_blocks(server, name):
    case = CASES[name]
    facts = {"size": len(FILE), "hash_source": "a test"} if case.sized else {}
    before, begun = server.sent, time.monotonic()
    if case.whole:
        assert fetch(model(server.base, name, **facts), progress=False).path.read_bytes() == FILE
    else:
        with pytest.raises(PtvHubError) as caught:
            fetch(model(server.base, name, **facts), progress=False)
        told = str(caught.value)
        assert not any(unicodedata.category(c) == "Cc" for c in told.replace("\n", ""))
        assert len(told) < 3000
        assert whole_files() == []
        assert cache.pins() == {}
    assert time.monotonic() - begun < case.seconds
    assert server.sent - before < 40 << 20
    if case.whole:
        return
    # Whatever was left does not keep the good file away, under the same name.
    server.answers[f"/{name}"], kept = CASES["good"].answer, server.answers[f"/{name}"]
    try:
        assert fetch(model(server.base, name), progress=False).path.read_bytes() == FILE
        assert leftovers() == []
    finally:
        server.answers[f"/{name}"] = kept


def test_no_login_goes_to_another_origin_and_none_comes_back(server, monkeypatch):
    with RawServer({"/good": CASES["good"].answer, "/gone": redirect("/not_there")}) as other:
        other.answers["/not_there"] = server.answers["/not_there"]
        server.answers["/away"] = redirect(f"{other.base}/good")
        server.answers["/lost"] = redirect(
            f"http://u:sekret@{other.base.removeprefix('http://')}/gone?X-Amz-Signature=abc"
        )
        monkeypatch.setenv("PTV_HUB_MIRROR", server.base.replace("://", "://me:my%20secret@"))
        assert fetch(model("https://a.b", "away"), progress=False).path.read_bytes() == FILE
        with pytest.raises(FetchError) as caught:
            fetch(model("https://a.b", "lost"), progress=False)
        assert [one.login for one in other.asked] == [False] * len(other.asked)
        assert other.asked
        assert server.asked[-1].login
        for secret in ("sekret", "abc", "secret", "me:"):
            assert secret not in str(caught.value)
            assert secret not in caplog_text(caught.value)
    text = (cache.folder() / "pins.json").read_text()
    assert "secret" not in text


def caplog_text(error: BaseException) -> str:
    return repr(error)


def test_cookies_are_not_kept(server):
    answers = {
        "/first": lambda s: head(
            "302 Found", Location="/second", Set_Cookie="a=b", Content_Length=0
        ),
        "/second": CASES["good"].answer,
    }
    with RawServer(answers) as cookies:
        fetch(model(cookies.base, "first"), progress=False)
        assert [one.login for one in cookies.asked] == [False, False]


def test_https_is_never_left_for_http():
    from ptv_hub.fetching.addresses import redirected

    assert redirected("https://a.b/x", "/y") == "https://a.b/y"
    assert redirected("http://a.b/x", "https://c.d/y") == "https://c.d/y"
    for location in ("http://a.b/x", "HTTP://a.b/x", "hTtP://u:p@a.b:443/x"):
        with pytest.raises(FetchError, match="sends us on"):
            redirected("https://a.b/x", location)
        with pytest.raises(FetchError, match="sends us on"):
            redirected("HTTPS://a.b/x", location)


@pytest.mark.parametrize(
    "mirror",
    ["http://[::1", "ftp://a/x", "://", "http://", "http://a:99999/", "http://a\n/", "file:///%00"],
)
def test_a_mirror_that_is_no_address_is_misuse(monkeypatch, mirror):
    monkeypatch.setenv("PTV_HUB_MIRROR", mirror)
    with pytest.raises(UsageError, match="no mirror"):
        fetch("x3d_m", progress=False)


def test_a_name_that_no_host_has_is_told_as_such(monkeypatch, capfd):
    """Its look-up runs in a thread, whose errors Python prints."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: host.encode("idna"))
    with pytest.raises(NoServer) as caught:
        trouble.require_server("http://a..b/x")
    assert "label" in str(caught.value.found)
    assert capfd.readouterr().err == ""


def test_a_device_is_no_file_to_fetch(monkeypatch):
    """/dev/zero would fill the disk, and a pipe never end."""
    monkeypatch.setattr("ptv_hub.fetching.part.Partial.write", None)
    with pytest.raises(FetchError, match="no file"):
        fetch(model("file:///dev", "zero"), progress=False)


def test_a_complete_but_broken_part_is_fetched_anew(server):
    """A process was killed before it looked at what it had."""
    for content in (FILE[:-5] + b"xxxxx", OFFSET, bytes(len(FILE)), b""):
        item = model(server.base, "good")
        path = cache.location(item.artifacts[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        cache.forget([cache.key(item.artifacts[0])])
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        part.with_name(f"{part.name}.json").write_text(
            f'{{"url": "{server.base}/good", "etag": "\\"a\\"", "total": {len(content)}}}'
        )
        assert fetch(item, progress=False).path.read_bytes() == FILE


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link"])
def test_a_link_at_a_parts_name_is_never_written_through(server, tmp_path, kind):
    item = model(server.base, "good")
    path = cache.location(item.artifacts[0])
    path.parent.mkdir(parents=True)
    other = tmp_path / "other"
    if kind != "dangling":
        other.write_bytes(b"mine")
    part = path.with_name(f"{path.name}.part")
    part.hardlink_to(other) if kind == "hard link" else part.symlink_to(other)
    assert fetch(item, progress=False).path.read_bytes() == FILE
    assert other.read_bytes() == b"mine" if kind != "dangling" else not other.exists()
    assert not path.is_symlink()


def test_http_and_https_are_two_addresses():
    keys = [
        cache.key(Artifact(zoo="t", layout="official", path="x.pyth", base_url=f"{scheme}://a.b"))
        for scheme in ("https", "http", "file")
    ]
    assert len(set(keys)) == 3
    assert keys[0] == "a.b/x.pyth"  # as version 0.1 wrote it


def test_a_file_that_0_1_pinned_without_its_scheme_is_still_found(server):
    item = model(server.base, "good")
    found = fetch(item, progress=False)
    name = cache.key(item.artifacts[0])
    old = name.removeprefix("http@")
    assert old != name
    place = cache.folder() / old
    place.parent.mkdir(parents=True)
    found.path.rename(place)
    pin = cache.pins()[name]
    cache.forget([name])
    cache.add_pin(old, pin)
    asked = len(server.asked)
    again = fetch(item, progress=False)
    assert (again.path, again.sha256, again.from_cache) == (place, found.sha256, True)
    assert len(server.asked) == asked


def test_what_vanishes_from_the_cache_is_absent(server, monkeypatch):
    """Removed by another process just after its name was read."""
    item = model(server.base, "good")
    found = fetch(item, progress=False)
    (file,) = cache.cached_files()
    found.path.unlink()
    assert cache.damaged(file) is None
    assert not cache.is_as_hashed(file)
    cache.remove(file)
    assert cache.size_of([found.path, found.path.with_name("gone.part")]) == 0
    assert fetch(item, progress=False).path.read_bytes() == FILE
    real, left = cache.contents._below, itertools.count()

    def vanishing(root):
        names = real(root)
        if next(left) == 0:
            found.path.unlink()
        return names

    monkeypatch.setattr(cache.contents, "_below", vanishing)
    assert cache.cached_files() == []


def test_fetching_listing_checking_and_removing_at_once(server):
    """Whatever one of them finds gone was not there; the last to fetch has the file."""
    item, errors, until = model(server.base, "good"), [], time.monotonic() + 4

    def again(do) -> None:
        while time.monotonic() < until and not errors:
            try:
                do()
            except Exception as error:
                errors.append(error)

    def checked() -> None:
        for file in cache.cached_files():
            cache.is_as_hashed(file)
            assert cache.damaged(file) is None

    jobs = [
        lambda: fetch(item, progress=False),
        lambda: fetch(item, progress=False),
        lambda: [cache.remove(file) for file in cache.cached_files()],
        checked,
        lambda: (cache.clean(), cache.size_of(cache.leftovers())),
    ]
    threads = [threading.Thread(target=again, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert fetch(item, progress=False).path.read_bytes() == FILE


def test_a_handshake_that_drips_ends_in_time():
    """A record of TLS that is announced and then comes byte by byte, longer than it may."""
    ended, start = threading.Event(), time.monotonic()

    def answer(listening: socket.socket) -> None:
        for _ in range(trouble.PATIENCE.tries):
            connected, _ = listening.accept()
            with connected, suppress(OSError):
                connected.recv(4096)
                connected.sendall(b"\x16\x03\x03\x3f\xff")
                while not ended.wait(0.05) and time.monotonic() - start < 45:
                    connected.sendall(b"\x02")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        try:
            with pytest.raises(FetchError, match=r"begin in time|fell silent"):
                fetch(model(f"https://127.0.0.1:{listening.getsockname()[1]}", "a"), progress=False)
        finally:
            ended.set()
    assert time.monotonic() - start < 30
