"""Collections: what was stopped goes on, nothing is done twice, no name hides another's file."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ptv_hub.errors import EvaluationError, UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.feature_files import FileKind
from ptv_hub.inference.features import asked_features
from ptv_hub.inference.finding import find
from ptv_hub.inference.windows import Windows
from ptv_hub.runs.collection import FAILURES, Share, parse_shard, run
from ptv_hub.runs.extracting import Extracting
from ptv_hub.runs.ledger import FOLDER, known
from tests import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden" / "videos"
SHORT = GOLDEN / "short_15fps_1s.mp4"
NTSC = GOLDEN / "ntsc_6s.mkv"


class Means:
    """A model without a classifier whose embedding is the mean colour of what it sees."""

    entry = entry("x3d_xs").model_copy(update={"num_classes": 0, "labels": ()})
    activation = None
    training = False

    def __init__(self, pause: float = 0.0) -> None:
        self.views = 0
        self.pause = pause

    def __call__(self, views: torch.Tensor) -> torch.Tensor:
        self.views += len(views)
        time.sleep(self.pause)
        return views.mean(dim=(2, 3, 4))

    def eval(self):
        return self

    def to(self, _):
        return self

    def parameters(self):
        return iter(())


def work(out: Path, model: Means | None = None, window: str = "1s", **options) -> Extracting:
    wish = asked_features(Means.entry, (), Windows(window=window))
    kind = options.pop("kind", FileKind("npy"))
    return Extracting(model or Means(), wish, kind, out, weights="0" * 64, **options)


def go(videos: Path, out: Path, model: Means | None = None, share=None, **options) -> list[str]:
    """The names of what was done now; those that failed with a mark."""
    done = run(work(out, model, **options), find(str(videos)), out, share)
    return [one.name if one.failure is None else f"{one.name}!" for one in done]


def files(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*.npy"))
        if FOLDER not in path.parts
    }


@pytest.fixture
def videos(tmp_path) -> Path:
    folder = tmp_path / "videos"
    for name in ("a.mp4", "b/a.mp4", "a-2.mp4", "b/c/d.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHORT, folder / name)
    (folder / "b" / "bad.mp4").write_bytes(b"no video")
    return folder


def test_the_tree_is_mirrored_and_failures_are_listed(videos, tmp_path):
    out = tmp_path / "out"
    assert sorted(go(videos, out)) == ["a", "a-2", "b/a", "b/bad!", "b/c/d"]
    assert list(files(out)) == ["a-2.npy", "a.npy", "b/a.npy", "b/c/d.npy"]
    with open(out / FAILURES, newline="") as file:
        (failure,) = csv.DictReader(file)
    assert failure["video"] == str(videos / "b" / "bad.mp4")
    assert failure["reason"] == "the file cannot be read as a video"
    shutil.copy(SHORT, videos / "b" / "bad.mp4")
    assert go(videos, out) == ["b/bad"]
    assert not (out / FAILURES).exists()


def test_what_is_done_is_known_by_its_content(videos, tmp_path):
    out, model = tmp_path / "out", Means()
    go(videos, out, model)
    before, count = files(out), model.views
    assert go(videos, out, model) == ["b/bad!"]
    os.utime(videos / "a.mp4")  # another time, the same content
    assert go(videos, out, model) == ["b/bad!"]
    assert model.views == count
    assert files(out) == before
    stat = os.stat(videos / "a.mp4")
    shutil.copy(NTSC, videos / "a.mp4")  # another video under the same name
    os.utime(videos / "a.mp4", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (out / "b" / "a.npy").write_bytes(b"")  # and a file that is not as it was written
    assert sorted(go(videos, out, model)) == ["a", "b/a", "b/bad!"]
    after = files(out)
    assert len(after["a.npy"]) > len(before["a.npy"])
    assert after["b/a.npy"] == before["b/a.npy"]


def test_other_settings_are_refused(videos, tmp_path):
    out = tmp_path / "out"
    go(videos, out)
    for changed, word in (
        ({"window": "2s"}, r"views.windows.window\n"),
        ({"allow_broken": True}, "allow_broken"),
        ({"kind": FileKind("npz")}, "files"),
        ({"batch_views": 3}, "batch_views"),
    ):
        with pytest.raises(EvaluationError, match=f"different are: {word}"):
            go(videos, out, **changed)
    assert go(videos, tmp_path / "other", window="2s")


def test_names_stay_when_videos_come(videos, tmp_path):
    out = tmp_path / "out"
    one = find(str(videos / "b" / "a.mp4"))
    assert [done.name for done in run(work(out), one, out)] == ["a"]
    both = [*find(str(videos / "a.mp4")), *one]
    assert [done.name for done in run(work(out), both, out)] == ["a-2"]
    assert list(files(out)) == ["a-2.npy", "a.npy"]


def test_parts_of_a_schedulers_array(videos, tmp_path):
    out = tmp_path / "out"
    parts = [go(videos, out, share=Share(part=(number, 3))) for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == [
        *("a", "a-2", "b/a", "b/bad!", "b/c/d")
    ]
    assert go(videos, out) == ["b/bad!"]
    assert parse_shard("2/8") == (2, 8)
    for wrong in ("0/8", "9/8", "2", "a/b", "-1/2", "1/0"):
        with pytest.raises(UsageError, match="1/N to N/N"):
            parse_shard(wrong)


@pytest.mark.parametrize(
    ("workers", "across"),
    [(0, False), (0, True), (2, True), pytest.param(2, False, marks=pytest.mark.slow)],
)
def test_workers_and_batches_change_no_number(videos, tmp_path, workers, across):
    shutil.copy(NTSC, videos / "long.mkv")
    go(videos, tmp_path / "one")
    options = {"batch_views": 4, "across": across}
    names = go(videos, tmp_path / "many", share=Share(workers=workers), **options)
    assert len(names) == 6
    mine, other = files(tmp_path / "one"), files(tmp_path / "many")
    assert mine == other


def test_several_outputs_of_rows_alone_lie_in_folders(videos, tmp_path):
    out, model = tmp_path / "out", Means()
    model.entry = entry("slowfast_r50").model_copy(update={"num_classes": 0, "labels": ()})
    pathways = ("slow", "fast")
    wish = asked_features(model.entry, pathways, Windows(window="1s"))

    class Both(Means):
        entry = model.entry

        def __call__(self, views):
            return torch.arange(2304.0).expand(len(views[0]), -1)

    extracting = Extracting(Both(), wish, FileKind("npy"), out, weights=None)
    assert len(list(run(extracting, find(str(videos / "a.mp4")), out))) == 1
    assert list(files(out)) == ["fast/a.npy", "slow/a.npy"]
    assert np.load(out / "fast" / "a.npy")[0].tolist() == list(range(2048, 2304))


def one_rank(videos: Path, out: Path, part: tuple[int, int]) -> None:
    torch.set_num_threads(1)
    for _ in run(work(out, Means(pause=0.02)), find(str(videos)), out, Share(part=part)):
        pass


def test_killed_at_any_moment_it_goes_on(tmp_path):
    """In processes of their own, which are killed: no word of farewell, no file half written."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    for number in range(12):
        (folder / str(number % 3)).mkdir(parents=True, exist_ok=True)
        target = folder / str(number % 3) / f"v{number // 3}.mp4"
        if number in (4, 11):
            target.write_bytes(b"broken")
        else:
            shutil.copy(SHORT, target)
    go(folder, tmp_path / "whole")
    expected = files(tmp_path / "whole")
    assert len(expected) == 10
    rng = random.Random(5)
    context = multiprocessing.get_context("fork")
    for moment in range(4):
        ranks = rng.choice([1, 2])
        going = [
            context.Process(target=one_rank, args=(folder, out, (rank + 1, ranks)))
            for rank in range(ranks)
        ]
        for process in going:
            process.start()
        wanted, limit = 2 * (moment + 1), time.monotonic() + 60
        while len(files(out)) < wanted and any(p.is_alive() for p in going):
            assert time.monotonic() < limit
            time.sleep(0.005)
        time.sleep(rng.random() * 0.05)
        for process in going:
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
            process.join()
    model = Means()
    left = go(folder, out, model)
    assert {name for name in left if name.endswith("!")} == {"1/v1!", "2/v3!"}
    assert files(out) == expected
    entries = known(out, work(out).settings)
    assert len(entries) == 12
    assert sum(one.reason is not None for one in entries.values()) == 2
    assert go(folder, out, model) == ["1/v1!", "2/v3!"]
