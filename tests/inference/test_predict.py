"""Predictions and features: PySlowFast's scores of every view, words about them, the picture."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

import ptv_hub
from ptv_hub.cli import app, main
from ptv_hub.errors import MissingExtra, UnknownName, UsageError, VideoError, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.inference import playable
from ptv_hub.inference.batching import over_views
from ptv_hub.inference.feature_files import save_features
from ptv_hub.inference.features import features
from ptv_hub.inference.predict import (
    SCORES,
    ensemble,
    predict,
    protocol_for,
    score_video,
    scores_of,
)
from ptv_hub.inference.timeline import draw_timeline
from ptv_hub.inference.transforms import transform
from ptv_hub.inference.video import open_video
from ptv_hub.inference.viewing import ProtocolViews
from ptv_hub.inference.views import ViewPlan
from ptv_hub.models.stage_model import StageModel
from ptv_hub.models.stages import find_stage, stages
from ptv_hub.zoo.manifest import entries
from tests import GOLDEN

WIDE, SHORT = GOLDEN / "videos" / "wide_30fps_10s.mp4", GOLDEN / "videos" / "short_15fps_1s.mp4"
KINETICS = ("wide_30fps_10s.mp4", "ntsc_6s.mkv", "portrait_25fps_5s.avi", "short_15fps_1s.mp4")

TOLERANCE = 1e-4
"""Of a probability, as the golden scores promise; here they differ by some 3e-7."""


@pytest.fixture(scope="session")
def golden():
    with np.load(GOLDEN / "evaluation.npz") as arrays:
        return {key: arrays[key] for key in arrays}


@pytest.fixture(scope="module")
def x3d(drawn):
    return ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))


def scored(model, source, sampling="release"):
    protocol = protocol_for(model.entry, None, sampling)
    found = score_video(model, source, protocol)
    return found.scores.numpy(), ensemble(found.scores, protocol.ensemble).numpy()


# -- PySlowFast's scores -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "sampling"),
    [(0, "release"), (1, "release"), (2, "release"), (0, "main"), (1, "main")],
)
def test_kinetics_views_are_pyslowfasts(x3d, golden, index, sampling):
    views, video = scored(x3d, GOLDEN / "videos" / KINETICS[index], sampling)
    key = f"kinetics/X3D_XS/{sampling}"
    assert np.abs(views - golden[f"{key}/views"][index]).max() < TOLERANCE
    assert np.abs(video - golden[f"{key}/video"][index] / 30).max() < TOLERANCE


@pytest.mark.parametrize("sampling", ["release", "main"])
def test_a_video_shorter_than_a_clip(x3d, golden, sampling):
    views, _ = scored(x3d, SHORT, sampling)
    assert np.abs(views - golden[f"kinetics/X3D_XS/{sampling}/views"][3]).max() < TOLERANCE


@pytest.mark.slow
def test_two_pathways_with_alpha_8(drawn, golden):
    model = ptv_hub.load("slowfast_4x16_r50", weights=drawn("slowfast_4x16_r50", training=False))
    views, _ = scored(model, SHORT)
    key = "kinetics/SLOWFAST_4x16_R50/release/short_15fps_1s/views"
    assert np.abs(views - golden[key][0]).max() < TOLERANCE


@pytest.mark.slow  # an evaluation compares the same views in every run
@pytest.mark.parametrize("name", ["SLOW_8x8_R50", "SLOWFAST_8x8_R50"])
def test_ssv2_views_are_pyslowfasts(drawn, golden, name):
    model = ptv_hub.load(f"SSv2/{name}", weights=drawn(f"SSv2/{name}", training=False))
    for index, folder in enumerate(("101", "102")):
        views, video = scored(model, GOLDEN / "frames" / folder)
        assert np.abs(views - golden[f"ssv2/{name}/views"][index]).max() < TOLERANCE
        assert np.abs(video - golden[f"ssv2/{name}/video"][index] / 3).max() < TOLERANCE


@pytest.fixture(scope="module")
def charades(drawn):
    name = "Charades/SLOW_8x8_R50"
    return ptv_hub.load(name, weights=drawn(name, training=False), activation="sigmoid")


@pytest.mark.parametrize(
    ("folder", "sampling", "clip"),
    [("ABC12", "release", 4), pytest.param("XYZ89", "main", 9, marks=pytest.mark.slow)],
)
def test_some_charades_views_are_pyslowfasts(charades, golden, folder, sampling, clip):
    protocol = protocol_for(charades.entry, None, sampling)
    with open_video(GOLDEN / "frames" / folder) as video:
        viewing = ProtocolViews(charades.entry.input, protocol)
        plan = viewing.plan(video.timestamps)
        one = ViewPlan(plan.clips[clip : clip + 1], plan.num_crops)
        found = over_views(scores_of(charades), charades, video, viewing, 3, plan=one)
    expected = golden[f"charades/SLOW_8x8_R50/{sampling}/views"][int(folder == "XYZ89")]
    difference = found[SCORES].numpy() - expected[clip * 3 : clip * 3 + 3]
    assert np.abs(difference).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["release", "main"])
def test_all_charades_views_are_pyslowfasts(charades, golden, sampling):
    for index, folder in enumerate(("ABC12", "XYZ89")):
        views, video = scored(charades, GOLDEN / "frames" / folder, sampling)
        key = f"charades/SLOW_8x8_R50/{sampling}"
        assert np.abs(views - golden[f"{key}/views"][index]).max() < TOLERANCE
        assert np.abs(video - golden[f"{key}/video"][index]).max() < TOLERANCE  # the maximum


# -- predict -----------------------------------------------------------------------------


def test_labels_scores_and_how_they_came_about(x3d, golden):
    found = predict(x3d, WIDE, 3)
    expected = golden["kinetics/X3D_XS/release/video"][0] / 30
    best = np.argsort(-expected)[:3]
    assert [one.index for one in found.predictions] == best.tolist()
    assert [one.label for one in found.predictions] == [x3d.entry.labels[i] for i in best]
    assert np.allclose([one.score for one in found.predictions], expected[best], atol=TOLERANCE)
    assert (found.model, found.dataset, found.views) == ("x3d_xs", "kinetics400", "10x3")
    assert (found.activation, found.ensemble) == ("softmax", "mean")
    assert found.duration == 10
    (note,) = found.notes
    assert note.endswith("not known to be the published ones")
    assert found.timeline is None


def test_a_loaded_model_is_left_as_it_was(x3d):
    assert x3d.activation is None
    predict(x3d, SHORT, views="1x1")
    assert x3d.activation is None
    with pytest.raises(VideoError):
        predict(x3d, b"not a video", views="1x1")
    assert x3d.activation is None
    features(x3d, SHORT, views="1x1")
    assert not any(module._forward_pre_hooks for module in x3d.modules())
    with torch.inference_mode():
        assert x3d(transform(x3d)(np.zeros((4, 9, 9, 3), np.uint8))[None]).min() < 0  # logits


def test_a_name_is_as_good_as_its_model(x3d, drawn):
    named = predict("X3D_XS", SHORT, views="2x1", weights=drawn("x3d_xs", training=False))
    assert named == predict(x3d, SHORT, views="2x1")


def test_every_way_to_give_a_video_is_the_same(x3d):
    with open_video(SHORT) as video:
        frames = np.stack([frame for _, frame in video.frames(range(12))])
    expected = predict(x3d, SHORT, views="2x3").predictions
    assert predict(x3d, SHORT.read_bytes(), views="2x3").predictions == expected
    assert predict(x3d, frames, views="2x3", fps=15).predictions == expected
    assert predict(x3d, torch.from_numpy(frames), views="2x3", fps=15).predictions == expected


def test_batches_do_not_change_the_scores(x3d):
    one, five = (predict(x3d, WIDE, 400, "2x3", batch_views=n).predictions for n in (1, 5))
    scores = [sorted((c.index, c.score) for c in found) for found in (one, five)]
    assert np.allclose(scores[0], scores[1], atol=1e-6)


def test_a_threshold_takes_as_many_as_reach_it(charades):
    few = predict(charades, GOLDEN / "frames" / "101", 2, views="1x1", threshold=0.6)
    found = predict(charades, GOLDEN / "frames" / "101", views="1x1", threshold=0.6)
    rest = predict(charades, GOLDEN / "frames" / "101", 157, views="1x1")
    assert few.predictions == found.predictions[:2]
    assert len(found.predictions) > 5
    assert found.predictions == tuple(c for c in rest.predictions if c.score >= 0.6)
    assert (found.activation, found.ensemble) == ("sigmoid", "max")


def test_a_timeline_holds_each_clip(x3d, golden):
    found = predict(x3d, WIDE, timeline=True)
    views = golden["kinetics/X3D_XS/release/views"][0].reshape(10, 3, 400).mean(axis=1)
    assert len(found.timeline) == 10
    for clip, moment in enumerate(found.timeline):
        chosen = [views[clip][one.index] for one in found.predictions]
        assert np.allclose(moment.scores, chosen, atol=TOLERANCE)
        assert moment.predictions[0].score == pytest.approx(views[clip].max(), abs=TOLERANCE)
        assert moment.start == pytest.approx((10 - 1.6) * clip / 10)
        assert moment.end == pytest.approx(moment.start + 1.6)
    (only,) = predict(x3d, SHORT, views="1x1", timeline=True).timeline
    assert only.end == pytest.approx(0.8)  # the video's, not the clip's


def test_a_video_of_another_rate_is_said_to_be_resampled(charades):
    found = predict(charades, SHORT, views="1x1")
    assert "resampled to 30" in found.notes[1]


def test_a_head_of_ones_own_has_no_labels():
    model = ptv_hub.load("x3d_xs", pretrained=False, num_classes=7)
    found = predict(model, SHORT, 10, views="1x1")
    assert {one.label for one in found.predictions} == {f"class {i}" for i in range(7)}


def test_what_makes_no_sense_is_refused(x3d):
    for wrong in ({"top_k": 0}, {"views": "3"}, {"clip_sampling": "new"}, {"weights": "a.pyth"}):
        with pytest.raises(UsageError):
            predict(x3d, SHORT, **wrong)
    with pytest.raises(UsageError, match="one clip"):
        predict(ptv_hub.load("SSv2/SLOW_8x8_R50", pretrained=False), SHORT, views="10x3")
    with pytest.raises(WrongInput, match="not a model"):
        predict(torch.nn.Identity(), SHORT)
    with pytest.raises(UsageError, match="training mode"):
        predict(ptv_hub.load("x3d_xs", pretrained=False).train(), SHORT)
    with pytest.raises(UnknownName):
        predict("x3d_xxs", SHORT)


# -- features ----------------------------------------------------------------------------


def test_the_embedding_is_what_the_classifier_sees(x3d, drawn):
    found = features(x3d, WIDE, views="3x2")
    assert found.values.shape == (3, 2048)
    assert (found.stage, found.views) == ("embedding", "3x2")
    assert found.start == pytest.approx((0, 2.8, 5.6))
    assert found.end == pytest.approx((1.6, 4.4, 7.2))
    # The classifier is linear: on the mean over positions it gives the mean of the logits.
    proj = x3d.blocks[-1].proj
    headless = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False), num_classes=0)
    with open_video(WIDE) as video, torch.inference_mode():
        protocol = protocol_for(x3d.entry, "3x2")
        viewing = ProtocolViews(x3d.entry.input, protocol)
        logits = over_views(scores_of(x3d), x3d, video, viewing, 3)[SCORES]
        pooled = over_views(scores_of(headless), headless, video, viewing, 3)[SCORES]
        logits, pooled = logits.reshape(3, 2, 400).mean(1), pooled.reshape(3, 2, -1)
        assert torch.allclose(proj(found.values), logits, atol=1e-4)
    assert torch.allclose(pooled.mean(1), found.values, atol=1e-6)


def test_a_short_videos_clips_are_one():
    model = ptv_hub.load("x3d_xs", pretrained=False)
    values = features(model, SHORT, views="4x1").values
    assert values.shape == (4, 2048)
    assert torch.equal(values[0], values[3])


def test_a_stage_by_name_pooled_or_as_maps(x3d):
    maps = features(x3d, SHORT, stage="stage3", views="1x2", pool=False)
    assert maps.values.shape == (1, 2, 96, 4, 12, 12)
    pooled = features(x3d, SHORT, stage="stage3", views="1x2")
    assert torch.allclose(pooled.values, maps.values.mean(dim=(1, 3, 4, 5)), atol=1e-6)
    with pytest.raises(UnknownName, match="stage5") as caught:
        features(x3d, SHORT, stage="stage5")
    assert "stem, stage1, stage2, stage3, stage4" in str(caught.value)
    with pytest.raises(UsageError, match="no maps"):
        features(x3d, SHORT, pool=False)


def test_a_model_without_a_classifier_gives_its_features(x3d, drawn):
    headless = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False), num_classes=0)
    assert headless.entry.num_classes == 0
    assert not any("proj" in key for key in headless.state_dict())
    assert set(headless.state_dict()) < set(x3d.state_dict())
    both = [features(model, SHORT, views="1x1").values for model in (x3d, headless)]
    assert torch.equal(*both)
    for wrong in (
        {"num_classes": 0, "activation": "softmax"},
        {"features_only": True, "num_classes": 3},
    ):
        with pytest.raises(UsageError, match="no classes"):
            ptv_hub.load("x3d_xs", pretrained=False, **wrong)


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_every_models_stages_are_as_they_say(item):
    known = stages(item)
    pathways = item.input.num_pathways
    assert len(known) == 5 * pathways
    assert [stage.stride_space for stage in known[-pathways:]] == [32] * pathways
    assert known[-1].name == ("stage4" if pathways == 1 else "stage4.fast")
    assert find_stage(item, known[0].name) == known[0]


@pytest.mark.parametrize("name", ["x3d_xs", "slowfast_4x16_r50", "c2d_r50"])
def test_features_only_returns_what_feature_info_says(name):
    model = ptv_hub.load(name, pretrained=False, features_only=True)
    spec = model.entry.input
    assert isinstance(model, StageModel)
    clip = torch.randn(1, 3, spec.num_frames, 224, 224)
    with torch.inference_mode():
        outputs = model(clip)
    assert len(outputs) == len(model.feature_info)
    for stage, output in zip(model.feature_info, outputs, strict=True):
        frames, side = spec.num_frames // stage.stride_time, 224 // stage.stride_space
        assert tuple(output.shape) == (1, stage.channels, frames, side, side)
    assert not any(key.startswith(f"blocks.{len(model.blocks)}") for key in model.state_dict())


def test_stages_of_a_slowfast_are_not_overwritten_by_the_next():
    whole = ptv_hub.load("slowfast_4x16_r50", pretrained=False)
    clip = torch.randn(1, 3, 32, 224, 224)
    with torch.inference_mode():
        every = StageModel(whole)(clip)
        alone = StageModel(whole, ["stage1.slow", "stage2.fast"])(clip)
    names = [stage.name for stage in stages(whole.entry)]
    assert torch.equal(every[names.index("stage1.slow")], alone[0])
    assert torch.equal(every[names.index("stage2.fast")], alone[1])


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_features_in_a_file(x3d, tmp_path, suffix):
    found = features(x3d, WIDE, views="3x1")
    path = tmp_path / f"wide.{suffix}"
    save_features(found, path)
    if suffix == "npz":
        arrays = dict(np.load(path))
        assert str(arrays["model"]) == "x3d_xs"
        assert str(arrays["stage"]) == "embedding"
    else:
        arrays = load_file(path)
    assert np.array_equal(arrays["features"], found.values.numpy())
    assert arrays["start"].tolist() == list(found.start)
    assert arrays["end"].tolist() == list(found.end)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="4 formats"):
        save_features(found, tmp_path / "wide.csv")


# -- the picture -------------------------------------------------------------------------


def test_the_picture_as_png(x3d, tmp_path):
    found = predict(x3d, WIDE, views="4x1", timeline=True)
    draw_timeline(found, WIDE, tmp_path / "wide.png")
    with Image.open(tmp_path / "wide.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (1920, 864)
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours = {tuple(pixel) for pixel in pixels}
    assert (0x00, 0x72, 0xB2) in colours  # the line of the best class
    assert len(colours) > 5000  # and frames, not paper


def test_the_picture_as_a_page_that_needs_nothing_else(x3d, tmp_path):
    found = predict(x3d, WIDE, views="4x1", timeline=True)
    named = found.model_copy(update={"video": "<b>&.mp4", "notes": ("a < b",)})
    draw_timeline(named, WIDE, tmp_path / "wide.html")
    text = (tmp_path / "wide.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert text.count("<title>") == 1 + 2 * 5 * 4  # of the page, and a point of each of both sizes
    assert text.count("data-start=") == 4
    assert all(one.label in text for one in found.predictions)
    assert "<h1>&lt;b&gt;&amp;.mp4</h1>" in text
    assert "a &lt; b" in text
    assert re.findall(r"https?://(?!www\.w3\.org)|<link|@import", text) == []
    assert len(text) < 1_000_000


def test_a_page_finds_its_video(tmp_path):
    (tmp_path / "some videos").mkdir()
    small, large = tmp_path / "some videos" / "a b.mp4", tmp_path / "large.webm"
    small.write_bytes(b"small")
    large.write_bytes(bytes(playable.EMBEDDED + 1))
    page = tmp_path / "pages" / "a.html"
    assert playable.address(small, page) == "data:video/mp4;base64,c21hbGw="
    assert playable.address(small, page, embedded=0) == "../some%20videos/a%20b.mp4"
    assert playable.address(str(large), page) == "../large.webm"
    for other in (tmp_path, tmp_path / "a.avi", tmp_path / "gone.mp4", "https://a.example/a.mp4"):
        assert playable.address(other, page) is None
    assert playable.address([str(small)], page) is None


def test_a_preview_plays_what_browsers_do_not(tmp_path):
    preview = base64.b64decode(playable.preview(WIDE, (64, 48)).partition(",")[2])
    opened = open_video(preview)
    assert opened.timestamps.seconds[-1] <= 4
    assert next(iter(opened.frames({0})))[1].shape == (48, 64, 3)


def test_pictures_that_cannot_be(x3d, tmp_path, monkeypatch):
    found = predict(x3d, SHORT, views="1x1", timeline=True)
    with pytest.raises(UsageError, match="another kind"):
        draw_timeline(found, SHORT, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="no timeline"):
        draw_timeline(found.model_copy(update={"timeline": None}), SHORT, tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra) as caught:
        draw_timeline(found, SHORT, tmp_path / "a.png")
    assert "ptv_hub[plot]" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


# -- the command line --------------------------------------------------------------------


@pytest.fixture
def run(drawn):
    def command(*words, weights="x3d_xs"):
        given = [str(word) for word in words]
        if weights:
            given += ["--weights", str(drawn(weights, training=False))]
        return CliRunner().invoke(app, given)

    return command


def test_predict_as_json(run):
    done = run("predict", "x3d_xs", SHORT, WIDE, "--views", "2x1", "-k", 2, "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("not known to be the published ones") == 1
    first, second = json.loads(done.stdout)
    assert first["video"] == str(SHORT)
    assert second["views"] == "2x1"
    assert [set(one) for one in first["predictions"]] == [{"label", "index", "score"}] * 2
    assert "timeline" not in first


@pytest.mark.parametrize("backend", [None, "torch", "eager"])
def test_a_cpu_gets_the_backend_that_is_ready_at_once(run, drawn, monkeypatch, backend):
    from ptv_hub.cli import loading

    ran = []
    load_on = loading.load_on

    def watched(machine, *arguments, **options):
        ran.append(machine.backend)
        return load_on(machine, *arguments, **options)

    monkeypatch.setattr("ptv_hub.cli.predict.load_on", watched)
    words = () if backend is None else ("--backend", backend)
    done = run("predict", "x3d_xs", SHORT, "--views", "1x1", "--device", "cpu", "--json", *words)
    assert done.exit_code == 0, done.output
    assert ran == [backend or "torch"]
    model = ptv_hub.load("x3d_xs", weights=drawn("x3d_xs", training=False))
    wanted = [one.score for one in predict(model, SHORT, views="1x1").predictions]
    scores = [one["score"] for one in json.loads(done.stdout)[0]["predictions"]]
    assert np.abs(np.subtract(scores, wanted)).max() <= (0 if backend == "eager" else 1e-6)


def test_predict_as_csv_with_a_timeline(run):
    done = run("predict", "x3d_xs", WIDE, "--views", "3x1", "-k", 2, "--csv", "--timeline")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 2 + 3 * 2
    assert [row["start"] for row in rows[::2]] == ["", "0.000", "2.800", "5.600"]
    assert rows[0]["rank"] == "1"


def test_predict_as_a_table(run):
    done = run("predict", "x3d_xs", SHORT, "--views", "1x1", "--timeline")
    assert done.exit_code == 0
    assert str(SHORT) in done.stdout
    assert "0.00 - 0.80" in done.stdout


def test_a_bad_video_is_reported_and_the_rest_done(run, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no")
    words = ("predict", "x3d_xs", bad, SHORT, tmp_path / "none.mp4", "--views", "1x1", "--json")
    done = run(*words)
    assert done.exit_code == 1
    good, *failed = json.loads(done.stdout)
    assert good["predictions"]
    assert {one["video"] for one in failed} == {str(bad), str(tmp_path / "none.mp4")}
    assert all(one["error"] and one["predictions"] == [] for one in failed)
    assert "cannot be read as a video" in done.stderr
    assert "2 could not be done" in done.stderr


def test_folders_and_frames_on_the_command_line(run):
    name = "Charades/SLOW_8x8_R50"
    frames = GOLDEN / "frames" / "101"
    words = ("predict", name, frames, "--views", "1x1", "--fps", 12, "--threshold", 0.6, "--json")
    done = run(*words, weights=name)
    (found,) = json.loads(done.stdout)
    assert found["duration"] == pytest.approx(45 / 12)
    assert "resampled" in found["notes"][1]
    assert f"{frames}: frames resampled" in done.stderr
    assert all(one["score"] >= 0.6 for one in found["predictions"])


def test_a_picture_from_the_command_line(run, tmp_path):
    picture = tmp_path / "short.html"
    done = run("predict", "x3d_xs", SHORT, "--views", "2x1", "--plot", picture, "--json")
    assert done.exit_code == 0
    assert picture.exists()
    assert f"wrote {picture}" in done.stderr
    assert "timeline" not in json.loads(done.stdout)[0]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "x3d_xs", SHORT, "--json", "--csv"),
        ("predict", "x3d_xs", SHORT, "--plot", "a.gif"),
        ("predict", "x3d_xs", SHORT, WIDE, "--plot", "a.html"),
        ("predict", "x3d_xs", SHORT, "--device", "warp"),
        ("predict", "x3d_xs", SHORT, "--views", "many"),
        ("predict", "x3d_xs", SHORT, "--top-k", "0"),
        ("features", "x3d_xs", SHORT),
        ("features", "x3d_xs", SHORT, "-o", "out", "--format", "csv"),
        ("features", "x3d_xs", SHORT, "-o", "out", "--stage", "stage9"),
    ],
    ids=lambda words: " ".join(str(word).rpartition("/")[2] for word in words),
)
def test_misuse_exits_with_2(drawn, words, tmp_path, monkeypatch, capsys):
    weights = str(drawn("x3d_xs", training=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ptv-hub", *map(str, words), "--weights", weights])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2, said.err
    assert said.err
    assert said.out == ""


def test_features_from_the_command_line(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b/a.mp4"):
        target = tmp_path / "in" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(SHORT.read_bytes())
    out = tmp_path / "out"
    sources = (tmp_path / "in" / "a.mp4", tmp_path / "in" / "b")
    done = run("features", "x3d_xs", *sources, "-o", out, "--views", "2x1", "--json")
    assert done.exit_code == 0, done.output
    assert [Path(one["file"]).name for one in json.loads(done.stdout)] == ["a.npz", "a-2.npz"]
    again = run("features", "x3d_xs", *sources[::-1], "-o", out, "--views", "2x1", "--json")
    assert json.loads(again.stdout) == []  # all done
    refused = run("features", "x3d_xs", *sources, "-o", out, "--views", "1x1")
    assert refused.exit_code == 1
    assert "different are: views" in str(refused.exception or refused.output)
    assert np.load(out / "a-2.npz")["features"].shape == (2, 2048)
    maps = tmp_path / "maps"
    words = ("features", "x3d_xs", sources[0], "-o", maps, "--stage", "stem", "--maps")
    done = run(*words, "--views", "1x1", "--format", "safetensors")
    assert load_file(maps / "a.safetensors")["features"].shape == (1, 1, 24, 4, 91, 91)
    assert "1 x 1 x 24 x 4 x 91 x 91" in done.stdout
    modes = {path.stat().st_mode & 0o777 for path in (maps / "a.safetensors", out / "a-2.npz")}
    assert modes == {(tmp_path / "in" / "a.mp4").stat().st_mode & 0o777}


def test_features_files_have_one_spelling(x3d, tmp_path):
    """The header in order, so that the same features are the same bytes."""
    found = features(x3d, SHORT, views="1x1")
    save_features(found, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    words = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert list(words) == sorted(words)
    assert words["model"] == "x3d_xs"


def test_the_stages_of_a_model(run):
    done = run("features", "slowfast_r50", "--stages", weights=None)
    assert done.exit_code == 0
    assert "stage4.fast" in done.stdout
    listed = json.loads(run("features", "x3d_xs", "--stages", "--json", weights=None).stdout)
    assert [one["channels"] for one in listed] == [24, 24, 48, 96, 192]


# -- what it costs -----------------------------------------------------------------------

MEMORY = """
import pathlib, sys
import ptv_hub
found = ptv_hub.predict(sys.argv[1], sys.argv[2], weights=sys.argv[3])
assert found.duration == 60
status = pathlib.Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
@pytest.mark.parametrize("name", ["x3d_m", "slowfast_r50"])
def test_a_minute_of_1080p_stays_under_a_gigabyte_and_a_half(drawn, tmp_path, name):
    file = str(tmp_path / "long.mp4")
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (135, 240, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(file, "w") as container:
        options = {"preset": "ultrafast", "crf": "30"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for index in range(1800):
            image = np.roll(still, 4 * index, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    command = [sys.executable, "-c", MEMORY, name, file, str(drawn(name, training=False))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.5 * 1024**2  # kilobytes


def test_entry_of_the_golden_scores_is_the_manifests():
    assert entry("slowfast_4x16_r50").input.slowfast_alpha == 8
