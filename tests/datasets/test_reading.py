"""Annotation files as users have them, and as they should not be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptv_hub.datasets.listing import Frames, Item, Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.errors import DataError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.video import open_video
from tests import GOLDEN

X3D, SSV2, CHARADES = (entry(n) for n in ("x3d_xs", "slow_r50_ssv2", "slow_r50_charades"))


def listed(text: str | bytes, folder: Path, name: str = "test.csv") -> Listing:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_listing(X3D, folder, videos=folder)


def told(listing: Listing) -> list[tuple[str, tuple[int, ...]]]:
    return [(item.id, item.labels) for item in listing.items]


# Kinetics


def test_pyslowfasts_list_of_kinetics():
    listing = read_listing(X3D, GOLDEN / "kinetics", videos=GOLDEN / "videos")
    assert [item.labels for item in listing.items] == [(374,), (332,), (157,), (374,)]
    assert all(Path(str(item.video)).is_file() for item in listing.items)
    assert listing.files == (GOLDEN / "kinetics" / "test.csv",)


@pytest.mark.parametrize(
    "text",
    [
        "a b.mp4 3\nc.mp4 0\n",
        "a b.mp4,3\nc.mp4,0\n",
        "a b.mp4, 3\r\nc.mp4, 0\r\n",
        "﻿a b.mp4 3\nc.mp4 0",
        "﻿path,label\r\na b.mp4,3\r\nc.mp4,0\r\n",
        "\na b.mp4\t3\n\n  c.mp4 0  \n",
        '"a b.mp4",applauding\nc.mp4,abseiling\n',
        "a b.mp4 applauding\nc.mp4 Abseiling\n",
    ],
)
def test_lists_in_every_spelling(tmp_path, text):
    assert told(listed(text, tmp_path)) == [("a b.mp4", (3,)), ("c.mp4", (0,))]


def test_a_label_by_name_may_have_blanks(tmp_path):
    listing = listed("some video.mp4 air drumming\nx.mp4,tai_chi\n", tmp_path)
    assert told(listing) == [
        ("some video.mp4", (X3D.labels.index("air drumming"),)),
        ("x.mp4", (X3D.labels.index("tai chi"),)),
    ]


def test_paths_with_commas(tmp_path):
    assert told(listed('a, b.mp4 3\n"c, d.mp4",4\n', tmp_path)) == [
        ("a, b.mp4", (3,)),
        ("c, d.mp4", (4,)),
    ]


@pytest.mark.parametrize("line", ["lonely.mp4", "a.mp4,1,2,3", ",3"])
def test_a_line_that_is_no_item_is_named(tmp_path, line):
    with pytest.raises(DataError, match="line 2"):
        listed(f"a.mp4 1\n{line}\n", tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xff\xfe\x00"])
def test_a_list_without_text(tmp_path, content):
    with pytest.raises(DataError, match=r"empty|UTF-8"):
        listed(content, tmp_path)


def test_labels_outside_the_range_are_problems_of_their_videos(tmp_path):
    listing = listed("a.mp4 3\nb.mp4 400\nc.mp4 -1\nd.mp4 no such class\n", tmp_path)
    problems = {item.id: item.problem for item in listing.items}
    assert problems["a.mp4"] is None
    assert problems["b.mp4"] == "label 400 is outside 0 to 399"
    assert problems["c.mp4"] == "label -1 is outside 0 to 399"
    assert [item.id for item in listing.items if item.problem] == list(problems)[1:]
    assert any("outside 0 to 399" in note for note in listing.notes)


def test_labels_that_count_from_one_are_refused(tmp_path):
    text = "".join(f"{i}.mp4 {i}\n" for i in range(1, 401))
    with pytest.raises(DataError, match="count from 1"):
        listed(text, tmp_path)


def test_a_list_of_which_nothing_can_be_used(tmp_path):
    with pytest.raises(DataError, match="no video of the annotation can be used"):
        listed("a.mp4 400\nb.mp4 401\n", tmp_path)


def test_repeated_lines_count_once_and_contradictions_not_at_all(tmp_path):
    listing = listed("a.mp4 3\nb.mp4 4\na.mp4 3\nb.mp4 5\nc.mp4 6\n", tmp_path)
    assert told(listing) == [("a.mp4", (3,)), ("b.mp4", ()), ("c.mp4", (6,))]
    assert listing.items[1].problem == "listed with two labels: 4 and 5"
    assert len(listing.notes) == 2


def test_the_owners_csv_of_kinetics(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "abc_000010_000020.mkv").touch()
    (tmp_path / "def.mp4").touch()
    (tmp_path / "val.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "tai chi,abc,10,20,val\n"
        '"petting animal (not cat)",def,0,10,val\n'
        "abseiling,gone,5,15,val\n"
    )
    listing = read_listing(X3D, tmp_path)
    assert [item.id for item in listing.items] == [
        *("abc_000010_000020", "def_000000_000010", "gone_000005_000015"),
    ]
    assert [X3D.labels[i.labels[0]] for i in listing.items] == [
        *("tai chi", "petting animal (not cat)", "abseiling"),
    ]
    assert str(listing.items[0].video).endswith("sub/abc_000010_000020.mkv")
    assert str(listing.items[1].video).endswith("def.mp4")
    assert str(listing.items[2].video).endswith("gone_000005_000015.mp4")


def test_a_folder_for_each_class(tmp_path):
    for name in ("val/air_drumming/1.mp4", "val/tai chi/x.webm", "val/other/2.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "val" / "tai chi" / "notes.txt").touch()
    listing = read_listing(X3D, tmp_path)
    found = {item.id: (item.labels, item.problem) for item in listing.items}
    assert found == {
        "air_drumming/1.mp4": ((1,), None),
        "other/2.mp4": ((), "no class is called 'other'"),
        "tai chi/x.webm": ((X3D.labels.index("tai chi"),), None),
    }


def test_class_names_beside_the_list_are_held_to_the_models_order(tmp_path):
    names = {f'"{name}"': index for index, name in enumerate(X3D.labels)}
    (tmp_path / "kinetics_classnames.json").write_text(json.dumps(names))
    assert len(listed("a.mp4 3\n", tmp_path).files) == 2
    names['"abseiling"'], names['"air drumming"'] = 1, 0
    (tmp_path / "kinetics_classnames.json").write_text(json.dumps(names))
    with pytest.raises(DataError, match="not in the order"):
        listed("a.mp4 3\n", tmp_path)


def test_a_path_without_prefix_is_beside_its_list(tmp_path):
    (tmp_path / "test.csv").write_text("a.mp4 3\n/abs/b.mp4 4\n")
    listing = read_listing(X3D, tmp_path / "test.csv")
    assert [item.video for item in listing.items] == [str(tmp_path / "a.mp4"), "/abs/b.mp4"]


def test_nothing_where_data_should_be(tmp_path):
    with pytest.raises(DataError, match="no such data folder"):
        read_listing(X3D, tmp_path / "no")
    with pytest.raises(DataError, match="no annotation"):
        read_listing(X3D, tmp_path)
    (tmp_path / "test.csv").write_text("a.mp4 1")
    with pytest.raises(DataError, match="no such folder of videos"):
        read_listing(X3D, tmp_path, videos=tmp_path / "no")


# Something-Something v2


def test_ssv2_by_frame_list():
    listing = read_listing(SSV2, GOLDEN / "ssv2", videos=GOLDEN / "frames")
    assert told(listing) == [("101", (20,)), ("102", (103,))]
    frames = listing.items[0].source
    assert len(frames) == 45
    assert frames[0] == str(GOLDEN / "frames" / "101" / "101_000001.jpg")
    assert all(Path(frame).is_file() for item in listing.items for frame in item.source)
    assert len(open_video(frames).timestamps.pts) == 45


def ssv2_folder(folder: Path, *, frame_list: bool = False) -> Path:
    for path in (GOLDEN / "ssv2").iterdir():
        if frame_list or path.suffix == ".json":
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_ssv2_from_videos_and_from_frame_folders(tmp_path):
    data = ssv2_folder(tmp_path)
    videos = data / "20bn-something-something-v2"
    videos.mkdir()
    (videos / "101.webm").touch()
    (videos / "102").mkdir()
    listing = read_listing(SSV2, data)
    assert told(listing) == [("101", (20,)), ("102", (103,))]
    assert [item.video for item in listing.items] == [
        str(videos / "101.webm"),
        str(videos / "102"),
    ]


def test_a_missing_video_of_ssv2_has_the_path_it_was_looked_for_at(tmp_path):
    listing = read_listing(SSV2, ssv2_folder(tmp_path), videos=tmp_path)
    assert listing.items[0].video == str(tmp_path / "101.webm")


def test_ssv2_in_another_label_order_is_refused(tmp_path):
    path = next(ssv2_folder(tmp_path).glob("*labels.json"))
    names = json.loads(path.read_text())
    first, second = list(names)[:2]
    names[first], names[second] = names[second], names[first]
    path.write_text(json.dumps(names))
    with pytest.raises(DataError, match="not in the order") as caught:
        read_listing(SSV2, tmp_path)
    assert "0: Approaching something with your camera" in str(caught.value)


def test_ssv2_says_what_list_and_annotation_do_not_share(tmp_path):
    data = ssv2_folder(tmp_path, frame_list=True)
    path = next(data.glob("*validation.json"))
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([rows[0], {**rows[1], "id": "999"}]))
    listing = read_listing(SSV2, data)
    assert [(i.id, i.problem) for i in listing.items] == [
        ("101", None),
        ("102", "not in the annotation"),
    ]
    assert "1 videos of something-something-v2-validation.json are not in val.csv" in str(
        listing.notes
    )


def test_ssv2_without_its_files(tmp_path):
    with pytest.raises(DataError, match=r"Something-Something v2 is missing"):
        read_listing(SSV2, tmp_path)


# Charades


def test_charades_by_frame_list():
    listing = read_listing(CHARADES, GOLDEN / "charades", videos=GOLDEN / "frames")
    assert told(listing) == [("ABC12", (3, 20, 77)), ("XYZ89", (3, 20, 77, 110, 149))]
    assert [len(item.source) for item in listing.items] == [150, 96]


def test_charades_from_the_owners_csv(tmp_path):
    (tmp_path / "Charades_v1_480").mkdir()
    (tmp_path / "Charades_v1_480" / "ABC12.mp4").touch()
    (tmp_path / "Charades_v1_test.csv").write_text(
        "id,subject,script,actions,length\n"
        'ABC12,X,"a, b",c003 11.90 21.20;c020 0.00 12.60;c003 1.0 2.0,30.5\n'
        "XYZ89,X,none,,12.0\n"
    )
    listing = read_listing(CHARADES, tmp_path)
    assert told(listing) == [("ABC12", (3, 20)), ("XYZ89", ())]
    assert all(item.problem is None for item in listing.items)  # no action is an answer
    assert listing.items[0].video == str(tmp_path / "Charades_v1_480" / "ABC12.mp4")


def test_charades_class_names_are_checked(tmp_path):
    (tmp_path / "Charades_v1_test.csv").write_text("id,actions\nA,c001 0 1\n")
    lines = [f"c{i:03d} {name}" for i, name in enumerate(CHARADES.labels)]
    (tmp_path / "Charades_v1_classes.txt").write_text("\n".join(lines))
    assert len(read_listing(CHARADES, tmp_path).files) == 2
    (tmp_path / "Charades_v1_classes.txt").write_text("\n".join(["c000 Sleeping", *lines[1:]]))
    with pytest.raises(DataError, match="not in the order"):
        read_listing(CHARADES, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,scene\nA,B\n", "lacks columns"),
        ("id,actions\nA,walking 0 1\n", "not understood"),
        ("original_vido_id video_id frame_id path labels\nA 0 0 A/1.jpg x\n", "no numbers"),
        ("original_vido_id video_id frame_id path labels\nA 0 0\n", "number of fields"),
        ("original_vido_id video_id frame_id labels\nA 0 0 3\n", "not a frame list"),
    ],
)
def test_charades_files_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "test.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_listing(CHARADES, tmp_path)


def test_a_label_outside_charades_is_a_problem_of_its_video(tmp_path):
    (tmp_path / "test.csv").write_text("id,actions\nA,c157 0 1\nB,c000 0 1\n")
    listing = read_listing(CHARADES, tmp_path)
    assert [item.problem for item in listing.items] == ["label 157 is outside 0 to 156", None]


# Frames and listings


@pytest.mark.parametrize(
    "paths",
    [
        ["a/a_000001.jpg", "a/a_000002.jpg", "a/a_000003.jpg"],
        ["a_9.jpg", "a_10.jpg"],
        ["x/1.png", "x/3.png"],
        ["x/b.png", "x/a.png"],
        ["/root/5/frame7.jpeg"],
    ],
)
def test_frames_say_their_paths_again(paths):
    frames = Frames.of(paths)
    assert list(frames.paths()) == paths
    assert list(frames.below(Path("/data")).paths()) == [str(Path("/data") / p) for p in paths]


def test_numbered_frames_are_not_kept_one_by_one():
    assert Frames.of([f"v/v_{i:06d}.jpg" for i in range(1, 901)]).names == ()


def listing(count: int = 50) -> Listing:
    return Listing("x", tuple(Item(f"{i}", f"/v/{i}", (i,)) for i in range(count)), ())


def test_a_sample_is_drawn_by_its_seed_and_kept_in_order():
    one, same, other = (listing().sample(10, seed) for seed in (1, 1, 2))
    assert one.items == same.items != other.items
    assert [i.labels for i in one.items] == sorted(i.labels for i in one.items)
    assert one.part == "a random sample of 10 of 50 videos (seed 1)"
    assert listing().sample(50).part is None
    assert listing().head(3).part == "the first 3 of 50 videos, not a random sample"


def test_the_digest_is_of_ids_and_labels_wherever_videos_lie():
    base = listing(3)
    moved = Listing("x", tuple(Item(i.id, "/else", i.labels) for i in base.items), ())
    changed = Listing("x", (*base.items[:2], Item("2", "/v/2", (7,))), ())
    assert base.digest == moved.digest != changed.digest
    assert base.digest != Listing("x", base.items[::-1], ()).digest


def named(tmp_path, text, files=()):
    for name in files:
        (tmp_path / name).touch()
    (tmp_path / "test.csv").write_text(text)
    return read_listing(entry("x3d_xs"), tmp_path)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('"my video.mp4" 3', "my video.mp4"),
        ("'my video.mp4' 3", "my video.mp4"),
        ('"my video.mp4",3', "my video.mp4"),
        ("'my video.mp4', 3", "my video.mp4"),
        ('"my video.mp4" "3"', "my video.mp4"),
        ('"a, b.mp4","3"', "a, b.mp4"),
        ("a.mp4 '3'", "a.mp4"),
        ("a.mp4 3 # good one", "a.mp4"),
        ("a.mp4,3 # 12 of them", "a.mp4"),
        ('"my video.mp4" 3 # "quoted"', "my video.mp4"),
        ("a.mp4,applauding # why", "a.mp4"),
        ("my video.mp4 applauding # why", "my video.mp4"),
        ("take #2.mp4 3", "take #2.mp4"),
        ("it's 'fine'.mp4 3", "it's 'fine'.mp4"),
    ],
)
def test_quotes_and_remarks_in_lists(tmp_path, line, name):
    (item,) = named(tmp_path, f"{line}\n").items
    assert (item.id, item.labels, item.problem) == (name, (3,), None)


def test_lines_of_remarks(tmp_path):
    text = "# path label\n#a.mp4 1\n#1 goal.mp4 2\nb.mp4 3\n  # 17 of 20\n"
    found = named(tmp_path, text, files=["#1 goal.mp4"])
    assert [(item.id, item.labels) for item in found.items] == [
        ("#1 goal.mp4", (2,)),
        ("b.mp4", (3,)),
    ]


def test_one_video_by_two_spellings(tmp_path):
    text = f"q.mp4 3\n./q.mp4 3\na/../q.mp4 3\n{tmp_path}/q.mp4 3\nr.mp4 1\n.//r.mp4 2\n"
    found = named(tmp_path, text, files=["q.mp4"])
    assert [(item.id, item.labels) for item in found.items] == [("q.mp4", (3,)), ("r.mp4", ())]
    assert "two labels" in found.items[1].problem
    assert any("3 lines repeat" in note for note in found.notes)
    first = named(tmp_path, "./q.mp4 3\nq.mp4 3\n")
    assert [item.id for item in first.items] == ["./q.mp4"]  # journals know it by this name


def test_folders_of_own_classes_are_told_of_finetune(tmp_path):
    for name in ("pour", "stir"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").touch()
    with pytest.raises(DataError) as caught:
        read_listing(entry("x3d_m"), tmp_path)
    assert "'ptv-hub finetune x3d_m --data FOLDER -o RUN'" in str(caught.value)
