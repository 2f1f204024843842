"""An evaluation from the list to the numbers: golden scores, resuming, bad data, plain reports."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

import ptv_hub
from ptv_hub.datasets.decoding import Views
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.engines.optimized import optimize
from ptv_hub.errors import DataError, EvaluationError, UsageError, WriteError, WrongInput
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.evaluation.merging import merge
from ptv_hub.evaluation.report import markdown
from ptv_hub.evaluation.report_page import page
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.predict import protocol_for
from ptv_hub.models.digest import digest
from ptv_hub.runs import queue as shards
from ptv_hub.runs.journal import Journal, name_of
from ptv_hub.zoo.origin import Origin
from tests import GOLDEN, ROOT

SCORES = np.load(GOLDEN / "evaluation.npz")
METRICS = json.loads((GOLDEN / "evaluation_metrics.json").read_text())
VIDEOS = GOLDEN / "videos"
X3D = entry("x3d_xs")


class ColourModel:
    """Scores from the mean colour of a view: no weights, no time, other scores for other views."""

    def __init__(self, name: str = "x3d_xs") -> None:
        self.entry = entry(name)
        self.calls = 0
        rng = np.random.default_rng(0)
        self.matrix = torch.from_numpy(rng.normal(0, 5, (3, self.entry.num_classes)).astype("f4"))

    def __call__(self, clip: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        logits = clip.mean(dim=(2, 3, 4)) @ self.matrix
        sigmoid = self.entry.protocol.activation == "sigmoid"
        return logits.sigmoid() if sigmoid else logits.softmax(dim=1)


class PublishedModel(ColourModel):
    """Of which somebody vouches for the weights."""

    origin = Origin(source="X3D_XS.pyth", grounds="sha256 (a test)")


FAST = protocol_for(X3D, "2x3")


def linked(folder: Path, count: int, start: int = 0) -> list[Item]:
    """Many names for the golden videos, which stand for many videos."""
    files = sorted(VIDEOS.iterdir())
    items = []
    for number in range(start, start + count):
        source = files[number % len(files)]
        path = folder / f"{number:04d}{source.suffix}"
        with suppress(FileExistsError):  # two ranks make them at once
            path.symlink_to(source)
        items.append(Item(path.name, str(path), (number % 400,)))
    return items


def scores_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "scores.npz") as file:
        return {name: file[name] for name in file.files}


def same_scores(one: Path, other: Path) -> bool:
    """Whether two runs gave the same, to the bit."""
    mine, theirs = scores_of(one), scores_of(other)
    return mine.keys() == theirs.keys() and all(
        mine[name].tobytes() == theirs[name].tobytes() for name in mine
    )


# The golden numbers

CASES = {
    "kinetics/X3D_XS/release": ("Kinetics/X3D_XS", "kinetics", "videos"),
    "kinetics/X3D_XS/main": ("Kinetics/X3D_XS", "kinetics", "videos"),
    "ssv2/SLOW_8x8_R50": ("SSv2/SLOW_8x8_R50", "ssv2", "frames"),
    "ssv2/SLOWFAST_8x8_R50": ("SSv2/SLOWFAST_8x8_R50", "ssv2", "frames"),
    "charades/SLOW_8x8_R50/release": ("Charades/SLOW_8x8_R50", "charades", "frames"),
    "charades/SLOW_8x8_R50/main": ("Charades/SLOW_8x8_R50", "charades", "frames"),
}


def golden(case: str, drawn, backend: str = "eager", **options) -> tuple[EvalResult, Path]:
    """The result of a golden case, held to its scores."""
    name, data, videos = CASES[case]
    out: Path = options["out"]
    model = ptv_hub.load(name, weights=drawn(name, training=False))
    if backend != "eager":
        model = optimize(model, backend)
    protocol = protocol_for(model.entry, None, "main" if case.endswith("main") else None)
    listing = read_listing(model.entry, GOLDEN / data, videos=GOLDEN / videos)
    result = evaluate(model, listing, protocol, keep_views=True, **options)
    found = scores_of(out)
    views = SCORES[f"{case}/views"]
    divisor = 1 if protocol.ensemble == "max" else views.shape[1]
    np.testing.assert_allclose(found["scores"], SCORES[f"{case}/video"] / divisor, atol=1e-4)
    np.testing.assert_allclose(found["views"], views, atol=1e-4)
    np.testing.assert_array_equal(found["labels"], SCORES[f"{case}/labels"])
    assert found["num_views"].tolist() == [views.shape[1]] * len(views)
    expected = METRICS[case]
    measured = result.metrics
    if protocol.metric == "top1":
        assert f"{measured.top1:.2f}" == expected["top1_acc"]
        assert f"{measured.top5:.2f}" == expected["top5_acc"]
    else:
        assert f"{measured.mean_average_precision:.2f}" == expected["map"]
    assert (result.counts.listed, result.counts.scored) == (len(views), len(views))
    return result, out


@pytest.mark.parametrize(
    ("batch_views", "workers"), [pytest.param(None, 0, marks=pytest.mark.slow), (7, 1)]
)
def test_kinetics_is_as_pyslowfast_scores_it(drawn, tmp_path, batch_views, workers):
    result, _ = golden(
        "kinetics/X3D_XS/release",
        drawn,
        out=tmp_path,
        batch_views=batch_views,
        workers=workers,
    )
    assert result.differs == ()
    headline = result.comparisons[0]
    assert (headline.published, headline.measured, headline.comparable) == (69.12, 50.0, False)
    assert "the list (4 videos) is not known" in result.unknown_list
    assert "not known to be the published ones" in result.unknown_weights


@pytest.mark.slow
def test_kinetics_with_clip_starts_of_main_is_as_pyslowfast_scores_it(drawn, tmp_path):
    result, _ = golden("kinetics/X3D_XS/main", drawn, out=tmp_path, batch_views=30)
    assert "clip starts" in result.differs[0]
    assert all(row.difference is None for row in result.comparisons)


def centres(case: str, drawn, out: Path) -> EvalResult:
    """The result of a golden case's first video by its centre crops alone, held to their scores."""
    name, data, videos = CASES[case]
    model = ptv_hub.load(name, weights=drawn(name, training=False))
    protocol = protocol_for(model.entry, "10x1", case.rpartition("/")[2])
    listing = read_listing(model.entry, GOLDEN / data, videos=GOLDEN / videos).head(1)
    result = evaluate(model, listing, protocol, out=out, keep_views=True, batch_views=5)
    found = scores_of(out)
    views = SCORES[f"{case}/views"][:1, 1::3]
    scores = views.max(axis=1) if protocol.ensemble == "max" else views.mean(axis=1)
    np.testing.assert_allclose(found["views"], views, atol=1e-4)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
    np.testing.assert_array_equal(found["labels"], SCORES[f"{case}/labels"][:1])
    return result


def test_clip_starts_of_main_are_as_in_pyslowfast_and_labelled(drawn, tmp_path):
    result = centres("kinetics/X3D_XS/main", drawn, tmp_path)
    assert [text.split()[0] for text in result.differs] == ["10", "clip"]


@pytest.mark.slow  # of its views every run holds some to PySlowFast's, in test_predict
def test_centres_of_charades_are_as_pyslowfast_scores_them(drawn, tmp_path):
    result = centres("charades/SLOW_8x8_R50/release", drawn, tmp_path)
    assert "the first 1 of 2 videos" in result.cautions[0]


@pytest.mark.slow
def test_slowfast_on_a_short_video_is_as_pyslowfast_scores_it(drawn, tmp_path):
    case = "kinetics/SLOWFAST_4x16_R50/release/short_15fps_1s"
    model = ptv_hub.load(
        "SLOWFAST_4x16_R50", weights=drawn("Kinetics/SLOWFAST_4x16_R50", training=False)
    )
    evaluate(model, [(VIDEOS / "short_15fps_1s.mp4", 374)], out=tmp_path, keep_views=True)
    found = scores_of(tmp_path)
    np.testing.assert_allclose(found["views"], SCORES[f"{case}/views"], atol=1e-4)
    np.testing.assert_allclose(found["scores"], SCORES[f"{case}/video"] / 30, atol=1e-4)


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        ("ssv2/SLOWFAST_8x8_R50", "torch"),
        *(
            pytest.param(f"ssv2/{name}", "eager", marks=pytest.mark.slow)
            for name in ("SLOW_8x8_R50", "SLOWFAST_8x8_R50")
        ),
    ],
)
def test_ssv2_is_as_pyslowfast_scores_it(drawn, tmp_path, case, backend):
    result, _ = golden(case, drawn, backend, out=tmp_path)
    assert result.cautions == ()


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("charades")])
def test_charades_is_as_pyslowfast_scores_it(drawn, tmp_path, case):
    golden(case, drawn, out=tmp_path)


# One protocol, many ways to run it


def test_batch_size_workers_and_out_change_no_score(tmp_path):
    items = linked(tmp_path, 6)
    model = ColourModel()
    runs = [{}, {"batch_views": 1}, {"batch_views": 64}, {"workers": 2}]
    for number, options in enumerate(runs):
        evaluate(model, items, FAST, out=tmp_path / str(number), keep_views=True, **options)
    first = scores_of(tmp_path / "0")
    for number in range(1, len(runs)):
        found = scores_of(tmp_path / str(number))
        assert found["ids"].tolist() == first["ids"].tolist()
        np.testing.assert_allclose(found["views"], first["views"], atol=1e-6)
    # Nothing but the number of workers differs: the same to the bit.
    assert same_scores(tmp_path / "0", tmp_path / "3")


def test_evaluating_leaves_the_model_as_it_was(drawn):
    model = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))
    before = digest(model.state_dict())
    result = evaluate(model, [(VIDEOS / "short_15fps_1s.mp4", 0)], protocol_for(X3D, "1x1"))
    assert model.activation is None
    assert result.weights_digest == before == digest(model.state_dict())


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = evaluate(ColourModel(), [(VIDEOS / "ntsc_6s.mkv", 5)], FAST)
    assert result.counts.scored == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("items", [["a.mp4", "b.mp4"], ["ab"], ["a3"], [("a.mp4", "left")], [3]])
def test_videos_without_labels_are_refused_in_words(items):
    with pytest.raises(UsageError, match="labels are known"):
        evaluate(ColourModel(), items)


def test_a_path_is_the_list_or_folder_that_lies_there(tmp_path):
    (tmp_path / "list.csv").write_text(f"{VIDEOS / 'ntsc_6s.mkv'} 5\n")
    found = evaluate(ColourModel(), tmp_path / "list.csv", FAST)
    assert found.counts.scored == 1


def test_several_labels_as_plain_objects():
    model = ColourModel("slow_r50_charades")
    protocol = protocol_for(model.entry, "2x1")
    frames = [GOLDEN / "frames" / name for name in ("ABC12", "XYZ89")]
    result = evaluate(model, [(frames[0], (3, 20)), (frames[1], [])], protocol)
    assert result.metrics.mean_average_precision == 100.0 or result.metrics.top1 is None
    assert [row.videos for row in result.classes if row.videos] == [1, 1]
    assert result.hardest[0].labels == (*(model.entry.labels[3], model.entry.labels[20]),)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dtype": "int8"}, UsageError),
        ({"workers": -1}, UsageError),
        ({"batch_views": 0}, UsageError),
    ],
)
def test_values_without_meaning(options, error):
    with pytest.raises(error):
        evaluate(ColourModel(), [("x.mp4", 0)], **options)


def test_models_that_cannot_be_evaluated(drawn):
    with pytest.raises(WrongInput, match="not a model"):
        evaluate(torch.nn.Linear(1, 1), [("x.mp4", 0)])
    model = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False)).train()
    with pytest.raises(UsageError, match="training mode"):
        evaluate(model, [("x.mp4", 0)])
    colour = ColourModel()
    colour.matrix = colour.matrix[:, :7]
    with pytest.raises(WrongInput, match="a score for each view and class"):
        evaluate(colour, [(VIDEOS / "ntsc_6s.mkv", 0)], FAST)
    with pytest.raises(DataError):
        evaluate(ColourModel(), [])


# Resuming


class Stop(BaseException):
    """What ends a process that nobody killed."""


def test_an_interrupted_run_goes_on_with_the_same_result(tmp_path):
    items = linked(tmp_path, 8)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    evaluate(ColourModel(), items, FAST, out=whole, keep_views=True)

    class Interrupted(ColourModel):
        def __call__(self, clip: torch.Tensor) -> torch.Tensor:
            if self.calls == 5:  # first before the fourth video, then in the middle of the sixth
                raise Stop
            return super().__call__(clip)

    for workers in (0, 1):
        with pytest.raises(Stop):
            evaluate(Interrupted(), items, FAST, out=parts, keep_views=True, workers=workers)
    model = ColourModel()
    result = evaluate(model, items, FAST, out=parts, keep_views=True)
    assert model.calls == 2 + 1 + 2  # the clips of the three videos that were left
    assert result.counts.scored == 8
    assert len(result.sessions) == 3
    assert same_scores(whole, parts)


def test_a_finished_run_is_not_run_again(tmp_path):
    items = linked(tmp_path, 2)
    evaluate(ColourModel(), items, FAST, out=tmp_path / "out")
    model = ColourModel()
    assert evaluate(model, items, FAST, out=tmp_path / "out").counts.scored == 2
    assert model.calls == 0


def test_videos_that_failed_are_tried_again(tmp_path):
    items = linked(tmp_path, 2)
    late = tmp_path / "late.mp4"
    items.append(Item("late.mp4", str(late), (3,)))
    first = evaluate(ColourModel(), items, FAST, out=tmp_path / "out")
    assert first.failures_by_reason == {"there is no such video": 1}
    late.symlink_to(VIDEOS / "ntsc_6s.mkv")
    second = evaluate(ColourModel(), items, FAST, out=tmp_path / "out")
    assert second.counts.scored == 3
    assert second.failures == ()


def test_a_folder_of_another_run_is_refused_and_the_difference_said(tmp_path, drawn):
    items, out = linked(tmp_path, 2), tmp_path / "out"
    evaluate(ColourModel(), items, FAST, out=out)
    with pytest.raises(EvaluationError, match=r"protocol\.num_clips"):
        evaluate(ColourModel(), items, protocol_for(X3D, "1x3"), out=out)
    with pytest.raises(EvaluationError, match="different are: videos"):
        evaluate(ColourModel(), items[:1], FAST, out=out)
    model = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))
    with pytest.raises(EvaluationError, match="different are: weights"):
        evaluate(model, items, FAST, out=out)
    assert evaluate(ColourModel(), items, FAST, out=out).counts.scored == 2


def test_two_processes_do_not_write_one_journal(tmp_path):
    items, out = linked(tmp_path, 1), tmp_path / "out"
    evaluate(ColourModel(), items, FAST, out=out)
    with (
        FileLock(out / "journal-0.lock"),
        pytest.raises(EvaluationError, match="another process"),
    ):
        evaluate(ColourModel(), items, FAST, out=out)


SCRIPT = """
import sys
from pathlib import Path
from tests.evaluation.test_loop import FAST, ColourModel, evaluate, linked

class Slow(ColourModel):
    def __call__(self, clip):
        import time
        time.sleep(0.05)
        return super().__call__(clip)

if __name__ == "__main__":
    folder, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    evaluate(Slow(), linked(folder, 12), FAST, out=out, keep_views=True, workers=workers)
"""


def scored_rows(out: Path) -> int:
    path = out / name_of(0)
    if not path.exists():
        return 0
    with Journal(path, new=False) as journal:
        return 0 if journal.is_new else len(journal.ids())


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_with_the_same_result(tmp_path, workers):
    whole, parts, script = tmp_path / "whole", tmp_path / "parts", tmp_path / "script.py"
    script.write_text(SCRIPT)
    evaluate(ColourModel(), linked(tmp_path, 12), FAST, out=whole, keep_views=True)
    command = [sys.executable, str(script), str(tmp_path), str(parts), str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    while scored_rows(parts) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = scored_rows(parts)
    assert 3 <= kept < 12
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    assert scored_rows(parts) == 12
    assert same_scores(whole, parts)


# Bad data


def bad_videos(folder: Path) -> dict[str, str]:
    """Name of a bad video -> the reason it is to fail for."""
    whole = (VIDEOS / "wide_30fps_10s.mp4").read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video " * 100)
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "zeroed.mp4").write_bytes(whole[:2000] + bytes(20_000) + whole[22_000:])
    (folder / "folder.mp4").mkdir()
    return {
        "missing.mp4": "there is no such video",
        "empty.mp4": "the video file is empty",
        "text.mp4": "the file cannot be read as a video",
        "cut.mp4": "the file cannot be read as a video",
        "zeroed.mp4": "the video is damaged",
        "folder.mp4": "no frames in the folder",
    }


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_bad_videos_are_told_and_the_rest_is_scored(tmp_path, workers):
    good = linked(tmp_path, 3)
    reasons = bad_videos(tmp_path)
    bad = [Item(name, str(tmp_path / name), (1,)) for name in reasons]
    items = [*bad[:3], *good, *bad[3:], Item("label", str(good[0].video), (400,))]
    result = evaluate(ColourModel(), items, FAST, out=tmp_path / "out", workers=workers)
    assert result.counts.model_dump() == {"listed": 10, "scored": 3, "failed": 7, "pending": 0}
    found = {failure.id: failure.reason for failure in result.failures}
    assert found == {**reasons, "label": "the annotation cannot be used"}
    assert "label 400 is outside 0 to 399" in result.failures[-1].error
    alone = evaluate(ColourModel(), good, FAST, out=tmp_path / "good")
    np.testing.assert_array_equal(
        scores_of(tmp_path / "out")["scores"], scores_of(tmp_path / "good")["scores"]
    )
    right = alone.metrics.top5 * 3 / 100
    assert result.metrics.top5 == alone.metrics.top5
    assert result.metrics_failures_wrong.top5 == pytest.approx(100 * right / 10)
    assert "7 of 10 videos failed" in " ".join(result.cautions)


def test_a_missing_frame_of_a_list_is_told(tmp_path):
    source = GOLDEN / "frames" / "102"
    folder = tmp_path / "102"
    folder.mkdir()
    for frame in source.iterdir():
        (folder / frame.name).symlink_to(frame)
    model = ColourModel("slow_r50_ssv2")
    listing = read_listing(model.entry, GOLDEN / "ssv2", videos=tmp_path)
    for frame in folder.iterdir():
        if frame.name.endswith("09.jpg"):
            frame.unlink()
    result = evaluate(model, listing)
    assert result.failures_by_reason == {"there is no such video": 1, "a frame cannot be read": 1}
    assert "102_000009.jpg" in result.failures[1].error


class Bomb(str):
    """A path that ends the process that reads it, as a decoder does that crashes."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


def test_a_decoder_that_crashes_takes_only_its_video(tmp_path):
    items = linked(tmp_path, 6)
    items[2] = Item("bomb", Bomb(items[2].video), (0,))
    result = evaluate(ColourModel(), items, FAST, workers=2)
    assert [(f.id, f.reason) for f in result.failures] == [("bomb", "the decoder crashed")]
    assert result.counts.scored == 5


def test_scores_that_are_no_numbers_are_failures(tmp_path):
    class Broken(ColourModel):
        def __call__(self, clip: torch.Tensor) -> torch.Tensor:
            return super().__call__(clip) * float("nan")

    result = evaluate(Broken(), linked(tmp_path, 2), FAST)
    assert result.failures_by_reason == {"the model's scores are not finite": 2}
    assert result.metrics.top1 is None
    assert result.metrics_failures_wrong.top1 == 0.0


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WriteError):
            evaluate(ColourModel(), linked(tmp_path, 1), FAST, out=out)


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.evaluation.test_loop import FAST, ColourModel, evaluate, linked
from ptv_hub.errors import WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, resource.RLIM_INFINITY))
try:
    items = linked(Path(sys.argv[1]), 8)
    evaluate(ColourModel(), items, FAST, out=Path(sys.argv[2]), keep_views=True)
except WriteError as error:
    print(error)
"""


def test_a_disk_that_fills_up_loses_nothing(tmp_path):
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the journal cannot be written" in done.stdout
    assert "is kept" in done.stdout
    kept = scored_rows(out)
    assert 0 < kept < 8
    model = ColourModel()
    result = evaluate(model, linked(tmp_path, 8), FAST, out=out, keep_views=True)
    assert result.counts.scored == 8
    assert model.calls <= 2 * (8 - kept)
    evaluate(ColourModel(), linked(tmp_path, 8), FAST, out=tmp_path / "whole", keep_views=True)
    assert same_scores(out, tmp_path / "whole")


# What the report says


def test_other_views_are_not_compared_as_if_equal(tmp_path):
    result = evaluate(ColourModel(), linked(tmp_path, 2), FAST)
    assert result.differs == ("2 x 3 views, published with 10 x 3",)
    for row in result.comparisons:
        assert row.published is not None
        assert row.measured is not None
        assert (row.comparable, row.difference, row.inside) == (False, None, None)
    for text in (markdown(result), page(result)):
        assert "not comparable with the published 69.12" in text
        assert "2 x 3 views, published with 10 x 3" in text


def test_frames_from_video_files_are_not_frame_identical():
    model = ColourModel("slow_r50_ssv2")
    result = evaluate(model, [(VIDEOS / "ntsc_6s.mkv", 3)])
    assert "not frame-identical: 1 videos" in result.cautions[0]
    assert result.differs == ()


def test_a_subset_says_how_sure_it_is(tmp_path):
    listing = Listing("kinetics400", tuple(linked(tmp_path, 12)), ()).sample(4, seed=3)
    result = evaluate(PublishedModel(), listing, validation_set=True)
    assert result.part == "a random sample of 4 of 12 videos (seed 3)"
    headline = result.comparisons[0]
    assert headline.interval == "Wilson, 95 %"
    assert headline.inside == (headline.low <= 69.12 <= headline.high)
    assert headline.difference == pytest.approx(result.metrics.top1 - 69.12)
    assert result.part in markdown(result)


def test_every_fact_of_a_report_is_in_both_formats(tmp_path):
    items = [*linked(tmp_path, 4), Item("gone.mp4", str(tmp_path / "gone.mp4"), (7,))]
    result = evaluate(ColourModel(), items, out=tmp_path / "out")
    text, html = markdown(result), page(result)
    facts = [
        *("there is no such video", "gone.mp4", "80.00 %", result.videos_digest),
        *(X3D.labels[0], torch.__version__, "10 clips x 3 crops", "short side 182, crop 182"),
        *(video.id for video in result.hardest),
        *(pair.predicted for pair in result.confusions),
    ]
    assert result.confusions
    for fact in facts:
        assert fact in text
        assert fact in html
    assert html.count('class="bar"') == sum(row.value is not None for row in result.classes)
    assert html.count("<svg") == 2 * 3  # the number, confusions, reliability; each for phones too
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert len(html) < 1_000_000
    stored = json.loads((tmp_path / "out" / "result.json").read_text())
    assert EvalResult.model_validate(stored) == result


def test_names_from_annotations_are_no_markup(tmp_path):
    name = "<b>&|.mp4"
    result = evaluate(ColourModel(), [*linked(tmp_path, 1), Item(name, f"/no/{name}", (1,))], FAST)
    assert "&lt;b&gt;&amp;|.mp4" in page(result)
    assert "<b>" not in page(result)
    assert "&lt;b&gt;&amp;\\|.mp4" in markdown(result)


# Joining


def test_runs_over_parts_are_joined(tmp_path):
    items = linked(tmp_path, 7)
    evaluate(ColourModel(), items, FAST, out=tmp_path / "whole", keep_views=True)
    for name, part in (("a", items[:3]), ("b", items[3:])):
        evaluate(ColourModel(), part, FAST, out=tmp_path / name, keep_views=True)
    result = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "joined")
    assert result.counts.scored == 7
    assert same_scores(tmp_path / "whole", tmp_path / "joined")
    with pytest.raises(EvaluationError, match="holds a journal already"):
        merge([tmp_path / "a"], tmp_path / "joined")
    evaluate(ColourModel(), items, protocol_for(X3D, "1x1"), out=tmp_path / "other")
    with pytest.raises(EvaluationError, match="different are"):
        merge([tmp_path / "a", tmp_path / "other"], tmp_path / "never")


def test_an_unfinished_run_reports_what_is_left(tmp_path):
    items = linked(tmp_path, 4)
    evaluate(ColourModel(), items, FAST, out=tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / name_of(0)) as database:
        database.execute("DELETE FROM videos WHERE id = ?", (items[1].id,))
    database.close()
    result = merge([tmp_path / "out"], tmp_path / "joined")
    assert (result.counts.scored, result.counts.pending) == (3, 1)
    assert "1 of 4 videos are not scored yet" in result.cautions


def test_what_a_worker_sends_is_no_larger_than_the_views():
    for width, shared in ((240, True), (2000, False)):
        clip = torch.arange(4 * 3 * 160 * width, dtype=torch.float32).view(4, 3, 160, width)
        views = tuple(clip.transpose(0, 1)[..., left : left + 160] for left in (0, 40, 80))
        sent = Views(views).compact().views
        assert (sent[0].untyped_storage().data_ptr() == clip.data_ptr()) is shared
        assert sent[0].untyped_storage().nbytes() <= sum(view.nbytes for view in views)
        assert all(torch.equal(one, other) for one, other in zip(sent, views, strict=True))


class Elsewhere(shards.Queue):
    """Half of the videos fall to a rank whose folder is another one."""

    def places(self, count):
        yield from range(0, count, 2)


def test_a_run_with_videos_missing_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "queue", lambda run: Elsewhere())
    with pytest.raises(EvaluationError, match="3 of 6 videos are not scored") as caught:
        evaluate(ColourModel(), linked(tmp_path, 6), FAST, out=tmp_path / "out")
    assert "--merge" in caught.value.fix
    assert len(scores_of(tmp_path / "out")["ids"]) == 3  # and nothing is lost
