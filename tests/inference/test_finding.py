"""What words name, to the bottom of folders; and names that no two videos share."""

from __future__ import annotations

import itertools
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv_hub.errors import VideoError
from ptv_hub.inference.finding import Found, find, named


def tree(top, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()


def sources(word) -> list[str | tuple[str, ...]]:
    return [one.source for one in find(str(word))]


def test_words_of_a_command_line(tmp_path):
    tree(tmp_path, "b10.mp4", "b9.MKV", "notes.txt", "frames/2.jpg", "frames/10.jpg")
    (tmp_path / "empty").mkdir()
    at = str(tmp_path)
    assert sources(at) == [f"{at}/b9.MKV", f"{at}/b10.mp4", f"{at}/frames"]
    assert sources(f"{at}/frames") == [f"{at}/frames"]
    assert sources(f"{at}/b*") == [f"{at}/b9.MKV", f"{at}/b10.mp4"]
    assert sources(f"{at}/frames/*.jpg") == [(f"{at}/frames/2.jpg", f"{at}/frames/10.jpg")]
    assert sources("https://example.invalid/a.mp4") == ["https://example.invalid/a.mp4"]
    for wrong in (f"{at}/empty", f"{at}/c*", f"{at}/c.mp4"):
        with pytest.raises(VideoError):
            find(wrong)


def test_folders_are_read_to_the_bottom_and_keep_their_tree(tmp_path):
    tree(
        tmp_path,
        *("a.mp4", "x/a.mp4", "x/y/z/deep.webm", "x/y/frames/1.png", "x/y/poster.jpg"),
        *("x/y/clip.mov", "x/notes.txt"),
    )
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    found = {one.stem: one.source for one in find(str(tmp_path))}
    assert found == {
        "a": f"{tmp_path}/a.mp4",
        "x/a": f"{tmp_path}/x/a.mp4",
        "x/y/clip": f"{tmp_path}/x/y/clip.mov",  # and its poster is no video
        "x/y/frames": f"{tmp_path}/x/y/frames",
        "x/y/z/deep": f"{tmp_path}/x/y/z/deep.webm",
    }


def fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


CLASHING = ("a.mp4", "b/a.mp4", "a-2.mp4", "a.mkv", "c/A.mp4", "a-3", "\u00e4.mp4", "a\u0308.mp4")


@pytest.mark.parametrize("words", list(itertools.permutations(CLASHING))[::4001])
def test_no_two_videos_share_a_name_whatever_the_order(words):
    def names(order) -> dict[str, str]:
        return {
            one.source: name
            for name, one in named(
                Found(f"/v/{word}", os.path.basename(os.path.splitext(word)[0])) for word in order
            ).items()
        }

    first = names(CLASHING)
    assert names(words) == first
    assert len({fold(name) for name in first.values()}) == len(CLASHING)
    assert first["/v/a-2.mp4"] == "a-2"
    assert first["/v/a-3"] == "a-3"


@settings(deadline=None)
@given(st.lists(st.sampled_from("abAB") | st.sampled_from(["a-2", "a-3", "A-2"]), max_size=12))
def test_names_are_as_many_as_videos(stems):
    videos = [Found(f"/v/{number}/{stem}.mp4", stem) for number, stem in enumerate(stems)]
    names = named(videos)
    assert len(names) == len(videos)
    assert len({name.casefold() for name in names}) == len(videos)
    folded = [stem.casefold() for stem in stems]
    for one in videos:
        if folded.count(one.stem.casefold()) == 1:
            assert names[one.stem] == one


def test_the_same_video_twice_is_one(tmp_path, monkeypatch):
    tree(tmp_path, "d/q.mp4")
    monkeypatch.chdir(tmp_path)
    words = ("d/q.mp4", "./d/q.mp4", f"{tmp_path}/d/q.mp4", "d")
    for order in itertools.permutations(words):
        assert list(named([one for word in order for one in find(word)])) == ["q"]


def test_names_that_were_given_stay():
    before = {"/v/b/a.mp4": "a", "/v/gone.mp4": "x"}
    videos = [Found("/v/a.mp4", "a"), Found("/v/b/a.mp4", "a"), Found("/v/x.mp4", "x")]
    assert {one.source: name for name, one in named(videos, before).items()} == {
        "/v/a.mp4": "a-2",
        "/v/b/a.mp4": "a",
        "/v/x.mp4": "x-2",
    }


def test_content_is_known_again(tmp_path):
    tree(tmp_path, "frames/1.jpg", "frames/2.jpg")
    (tmp_path / "a.mp4").write_bytes(b"one")
    (tmp_path / "b.mp4").write_bytes(b"one")
    (tmp_path / "c.mp4").write_bytes(b"two")
    a, b, c = (Found(str(tmp_path / name), "") for name in ("a.mp4", "b.mp4", "c.mp4"))
    assert a.content() == b.content() != c.content()
    frames = Found(str(tmp_path / "frames"), "")
    before = (frames.quick(), frames.content())
    (tmp_path / "frames" / "2.jpg").write_bytes(b"more")
    assert frames.quick() != before[0]
    assert frames.content() != before[1]
    address = Found("https://example.invalid/a.mp4", "a")
    assert (address.quick(), address.content()) == ("", address.content())
    with pytest.raises(VideoError, match="cannot be read"):
        Found(str(tmp_path / "none.mp4"), "").content()
