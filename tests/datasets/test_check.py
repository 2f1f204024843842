"""``ptv-hub data``: what is there of a data set, and frames as the owners extracted them."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ptv_hub.cli import app
from ptv_hub.datasets.check import check, write_usable
from ptv_hub.datasets.extract import extract
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.datasets.workers import each
from ptv_hub.errors import DataError, UsageError, WriteError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.video import open_video
from ptv_hub.inference.views import resample
from tests import GOLDEN

VIDEOS = GOLDEN / "videos"
X3D, SSV2, CHARADES = (entry(n) for n in ("x3d_xs", "slow_r50_ssv2", "slow_r50_charades"))


def ssv2_data(folder: Path) -> Path:
    """The golden annotation with one video that is short and one that is no video."""
    for path in (GOLDEN / "ssv2").glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "videos").mkdir()
    (folder / "videos" / "101.mp4").symlink_to(VIDEOS / "short_15fps_1s.mp4")
    (folder / "videos" / "102.webm").write_text("no video")
    return folder


@pytest.mark.parametrize("decode_all", [False, True])
def test_a_check_tells_what_cannot_be_used(tmp_path, decode_all):
    whole = (VIDEOS / "wide_30fps_10s.mp4").read_bytes()
    middle = len(whole) // 2
    (tmp_path / "zeroed.mp4").write_bytes(whole[:middle] + bytes(20_000) + whole[middle + 20_000 :])
    (tmp_path / "empty.mp4").touch()
    items = [
        Item("good", str(VIDEOS / "ntsc_6s.mkv"), (1,)),
        Item("empty", str(tmp_path / "empty.mp4"), (1,)),
        Item("gone", str(tmp_path / "gone.mp4"), (2,)),
        Item("zeroed", str(tmp_path / "zeroed.mp4"), (2,)),
        Item("label", "x", (), "label 400 is outside 0 to 399"),
    ]
    listing = Listing("kinetics400", tuple(items), ())
    found = check(X3D, listing, decode_all=decode_all)
    reasons = {video.id: video.reason for video in found.failures}
    assert reasons == {
        "empty": "the video file is empty",
        "gone": "there is no such video",
        "label": "the annotation cannot be used",
        # Damage in the middle is found by who decodes.
        **({"zeroed": "the video is damaged"} if decode_all else {}),
    }
    assert found.usable == 5 - len(reasons)


def test_a_check_counts_the_frames_of_a_list(tmp_path):
    for name in ("101", "102"):
        (tmp_path / name).mkdir()
        for frame in (GOLDEN / "frames" / name).iterdir():
            (tmp_path / name / frame.name).symlink_to(frame)
    listing = read_listing(SSV2, GOLDEN / "ssv2", videos=tmp_path)
    assert check(SSV2, listing).failures == ()
    (tmp_path / "102" / "102_000007.jpg").unlink()
    (failure,) = check(SSV2, listing).failures
    assert failure.reason == "frames of the list are missing"
    assert "1 of 20 frames are missing" in failure.error
    assert "102_000007.jpg" in failure.error


def test_the_usable_videos_are_written_as_pyslowfast_reads_them(tmp_path):
    (tmp_path / "test.csv").write_text("a b.mp4,3\ngone.mp4,4\nc.mp4,5\n")
    for name in ("a b.mp4", "c.mp4"):
        (tmp_path / name).symlink_to(VIDEOS / "short_15fps_1s.mp4")
    done = CliRunner().invoke(
        app,
        [
            *("data", "check", "x3d_xs", "--data", str(tmp_path), "--workers", "0"),
            *("--write", str(tmp_path / "usable.csv"), "--json"),
        ],
    )
    assert json.loads(done.stdout)["failures_by_reason"] == {"there is no such video": 1}
    again = read_listing(X3D, tmp_path / "usable.csv")
    assert [(item.id, item.labels) for item in again.items] == [("a b.mp4", (3,)), ("c.mp4", (5,))]


def test_frame_lists_are_written_from_folders(tmp_path):
    frames = GOLDEN / "frames"
    folders = [Item(i, str(frames / i), labels) for i, labels in (("XYZ89", (1, 5)), ("ABC12", ()))]
    listing = Listing("charades", tuple(folders), ())
    found = check(CHARADES, listing)
    write_usable(CHARADES, listing, found, tmp_path / "test.csv", frames)
    again = read_listing(CHARADES, tmp_path, videos=frames)
    assert [(item.id, item.labels) for item in again.items] == [("XYZ89", (1, 5)), ("ABC12", ())]
    golden = {item.id: item.source for item in read_listing(
        CHARADES, GOLDEN / "charades", videos=frames
    ).items}  # fmt: skip
    assert {item.id: item.source for item in again.items} == golden
    files = Listing("charades", (Item("v", str(VIDEOS / "ntsc_6s.mkv"), ()),), ())
    with pytest.raises(DataError, match="not of video files"):
        write_usable(CHARADES, files, check(CHARADES, files), tmp_path / "x.csv", frames)


def test_each_frame_keeps_its_own_labels(tmp_path):
    said = ["3,20", "3,20,77", "77", "", "3"]
    rows = [f'V 0 {i} V/V_{i + 1:06d}.jpg "{labels}"' for i, labels in enumerate(said)]
    header = "original_vido_id video_id frame_id path labels"
    (tmp_path / "V").mkdir()
    for i in range(5):
        Image.new("RGB", (64, 48)).save(tmp_path / "V" / f"V_{i + 1:06d}.jpg")
    (tmp_path / "test.csv").write_text("\n".join([header, *rows, ""]))
    listing = read_listing(CHARADES, tmp_path, videos=tmp_path)
    found = check(CHARADES, listing)
    assert write_usable(CHARADES, listing, found, tmp_path / "usable.csv", tmp_path) == 1
    assert (tmp_path / "usable.csv").read_text() == (tmp_path / "test.csv").read_text()


def test_extracted_frames_carry_the_actions_of_their_time(tmp_path):
    """12 frames in 0.8 s are 24 at 30 a second."""
    (tmp_path / "Charades_v1_test.csv").write_text(
        "id,actions\nV,c003 0.00 0.10;c020 0.10 0.20;c077 100.00 101.00\n"
    )
    (tmp_path / "V.mp4").symlink_to(VIDEOS / "short_15fps_1s.mp4")
    listing = read_listing(CHARADES, tmp_path)
    found = extract(CHARADES, listing, tmp_path / "out")
    labels = [line.split()[-1] for line in Path(found.frame_list).read_text().splitlines()[1:]]
    # An action annotated behind the last frame stands at it, so that the video keeps its label.
    wanted = ['"3"'] * 3 + ['"3,20"'] + ['"20"'] * 3 + ['""'] * 16 + ['"77"']
    assert labels == wanted
    (again,) = read_listing(CHARADES, tmp_path / "out").items
    assert again.labels == listing.items[0].labels == (3, 20, 77)


def test_frames_are_extracted_at_30_a_second_and_read_back(tmp_path):
    data, out = ssv2_data(tmp_path), tmp_path / "frames"
    listing = read_listing(SSV2, data)
    found = extract(SSV2, listing, out)
    assert (found.extracted, found.already, found.frames) == (1, 0, 24)
    assert found.failures_by_reason == {"the file cannot be read as a video": 1}
    assert sorted(path.name for path in out.iterdir()) == ["101", "val.csv"]
    names = sorted(path.name for path in (out / "101").iterdir())
    assert names == [f"101_{number:06d}.jpg" for number in range(1, 25)]
    source = open_video(VIDEOS / "short_15fps_1s.mp4")
    shown = resample(source.timestamps, 30)
    pixels = dict(source.frames(range(12)))
    for tick, place in enumerate(shown):
        jpeg = (out / "101" / names[tick]).read_bytes()
        frame = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
        # Compression: little on average, and another frame would be far more.
        near, far = (
            abs(frame - pixels[p]).mean() for p in (place, (place + 6) % 12)
        )  # fmt: skip
        assert near < 4 < far
    (data / "val.csv").write_bytes((out / "val.csv").read_bytes())
    again = read_listing(SSV2, data, videos=out)
    assert [len(item.source) for item in again.items] == [24]
    assert check(SSV2, again, decode_all=True).notes == {}  # frame-identical now


def test_an_extraction_goes_on_where_it_was(tmp_path):
    data, out = ssv2_data(tmp_path), tmp_path / "frames"
    listing = read_listing(SSV2, data)
    (out / ".101.tmp").mkdir(parents=True)  # of one that was killed
    (out / ".101.tmp" / "101_000001.jpg").touch()
    assert extract(SSV2, listing, out).already == 0
    (data / "videos" / "101.mp4").unlink()
    second = extract(SSV2, listing, out)
    assert (second.extracted, second.already, second.frames) == (1, 1, 24)
    assert not (out / ".101.tmp").exists()


def test_charades_lists_carry_the_labels(tmp_path):
    listing = Listing("charades", (Item("V", str(VIDEOS / "short_15fps_1s.mp4"), (3, 20)),), ())
    found = extract(CHARADES, listing, tmp_path)
    assert Path(found.frame_list).name == "test.csv"
    again = read_listing(CHARADES, tmp_path)
    assert [(item.id, item.labels) for item in again.items] == [("V", (3, 20))]


def test_what_is_not_extracted(tmp_path):
    listing = Listing("kinetics400", (Item("a", str(VIDEOS / "ntsc_6s.mkv"), (1,)),), ())
    with pytest.raises(UsageError, match="reads video files"):
        extract(X3D, listing, tmp_path)
    frames = Listing("ssv2", (Item("102", str(GOLDEN / "frames" / "102"), (1,)),), ())
    with pytest.raises(UsageError, match="only the frames of a video file"):
        extract(SSV2, frames, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        extract(SSV2, frames, tmp_path / "file" / "below")


def test_the_commands(tmp_path):
    data = ssv2_data(tmp_path)
    paths = ["--data", str(data), "--videos", str(data / "videos"), "--workers", "0"]
    checked = CliRunner().invoke(app, ["data", "check", "ssv2", *paths])
    assert checked.exit_code == 0, checked.output
    assert "1 not usable   the file cannot be read as a video" in checked.stdout
    assert CliRunner().invoke(app, ["data", "check", "ssv2", *paths, "--strict"]).exit_code == 1
    command = ["data", "extract", "slow_r50_ssv2", *paths, "--out", str(tmp_path / "out")]
    extracted = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(extracted.stdout)["frames"] == 24
    assert CliRunner().invoke(app, [*command, "--strict"]).exit_code == 1


def doubled(number: int) -> int:
    if number == 7:
        os._exit(3)
    return 2 * number


def test_a_process_that_dies_takes_only_its_item():
    found = dict(each(doubled, range(9), 1))
    assert found == {number: None if number == 7 else 2 * number for number in range(9)}
    assert list(found) == list(range(9))
