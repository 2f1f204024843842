"""Whose weights may be used as whose: asked where a file is loaded, by every command."""

from __future__ import annotations

import pytest
import torch

from ptv_hub.errors import KeyMismatch, OtherWeights
from ptv_hub.fetching.hub import entry
from ptv_hub.weights import checkpoint
from ptv_hub.weights.admission import admitted
from ptv_hub.weights.convert import convert
from ptv_hub.weights.load import load
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.origin import Origin
from tests.command import ptv_hub as run
from tools import draw


def asked(name: str, path: object, **options: bool) -> Origin:
    return admitted(entry(name), OpenedWeights(path), **options)


@pytest.mark.parametrize(
    ("of", "taken_for"),
    [("x3d_xs", "x3d_m"), ("x3d_s", "x3d_xs"), ("slow_4x16_r50", "slow_r50")],
)
@pytest.mark.parametrize("form", ["cfg", "a.pyth", "a.safetensors"])
def test_a_file_that_says_it_is_another_model_is_refused(of, taken_for, form, drawn, tmp_path):
    path = drawn(of)
    if form != "cfg":
        convert(path, tmp_path / form, to="official", progress=False)
        path = tmp_path / form
    with pytest.raises(OtherWeights, match=rf"{of}(.|\n)*any_weights=True") as refused:
        asked(taken_for, path)
    assert str(path) in str(refused.value)
    found = asked(taken_for, path, any_weights=True)
    assert (found.published, of in found.told) == (False, True)
    assert asked(of, path).says is None


def test_a_file_that_says_nothing_is_taken_and_every_result_says_so(drawn):
    path = drawn("x3d_s", training=False)
    for name in ("x3d_xs", "x3d_s", "x3d_m"):
        told = asked(name, path).told
        assert told == f"weights: {path}, not known to be the published ones"


def test_bytes_that_are_known_are_believed_whatever_they_say(drawn, tmp_path, monkeypatch):
    """A pin of this machine ties them to a model: to the right one, and against the others."""
    folder = tmp_path / "mirror"
    item = entry("x3d_s")
    (folder / item.artifacts[0].path).parent.mkdir(parents=True)
    draw.write("x3d_s", folder / item.artifacts[0].path, training=False)
    monkeypatch.setenv("PTV_HUB_MIRROR", str(folder))
    fetched = load("x3d_s", progress=False)
    assert fetched.origin.published
    path = folder / item.artifacts[0].path
    assert load("x3d_s", weights=path).origin.published
    with pytest.raises(OtherWeights, match="x3d_s, by sha256"):
        load("x3d_m", weights=path)
    with pytest.raises(OtherWeights, match="x3d_s, by sha256"):
        load("x3d_m", weights="x3d_s", progress=False)
    assert load("x3d_m", weights=path, any_weights=True).origin.doubt is not None


def test_another_architecture_is_a_mismatch_even_if_any_weights_will_do(drawn):
    with pytest.raises(KeyMismatch):
        load("c2d_r50", weights=drawn("x3d_s"), any_weights=True)


def test_a_config_of_ones_own_may_want_other_input(drawn):
    spec = entry("x3d_s").input.model_copy(update={"num_frames": 8})
    mine = entry("x3d_s").model_copy(update={"name": "mine", "input": spec, "artifacts": ()})
    assert load(mine, weights=drawn("x3d_s")).origin.says is None


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "x3d_m", "clip.mp4"),
        ("features", "x3d_m", "clip.mp4", "-o", "out"),
        ("export", "x3d_m", "--to", "torch-export", "-o", "x.pt2"),
        ("bench", "x3d_m", "--backend", "torch"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_asks(words, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    ran = run(*words, "--weights", drawn("x3d_xs"))
    assert ran.code == 1, ran.err
    assert "the weights are another model's than x3d_m" in ran.err
    assert "--any-weights" in ran.err
    assert list(tmp_path.glob("*.pt2")) == []


def test_weights_that_were_trained_on_are_no_longer_the_published_ones(drawn, tmp_path):
    from ptv_hub.datasets.listing import Listing
    from ptv_hub.evaluation.doubts import TRAINED_ON, UNKNOWN_LIST, UNKNOWN_WEIGHTS, doubts
    from ptv_hub.models.digest import digest

    model = load("x3d_xs", weights=drawn("x3d_xs"))
    path = str(drawn("x3d_xs"))
    model.origin = Origin(source=path, file=path, grounds="sha256 (a test)")

    def found() -> dict[str, str | None]:
        tensors = digest(model.state_dict())
        return doubts(model, model.entry, Listing("", (), ()), tensors, validation_set=True)

    assert found() == {UNKNOWN_LIST: None, UNKNOWN_WEIGHTS: None, TRAINED_ON: None}
    with torch.no_grad():
        model.blocks[-1].proj.bias += 1
    assert "no longer those it was loaded with" in found()[UNKNOWN_WEIGHTS]


def test_half_of_the_evidence_is_read_without_a_reader_of_yaml(drawn, tmp_path):
    file = checkpoint.read(drawn("x3d_s"))
    text = "DATA: {NUM_FRAMES: 13, SAMPLING_RATE: 6, TRAIN_CROP_SIZE: 160, TEST_CROP_SIZE: 182}"
    checkpoint.write(tmp_path / "a.pyth", file.tensors, training={"cfg": text})
    word = OpenedWeights(tmp_path / "a.pyth").own_word
    assert dict(word.claims) == {
        "num_frames": 13,
        "sampling_rate": 6,
        "train_crop_size": 160,
        "crop_size": 182,
    }
