"""A model from the Hub and there again, as users of Hugging Face libraries write it."""

from __future__ import annotations

import json

import pytest
import torch

import ptv_hub
from ptv_hub.errors import UsageError
from ptv_hub.models.builders import build
from ptv_hub.zoo.manifest import find
from ptv_hub.zoo.repository import MODELING_FILE, PROCESSOR_FILE
from tests import hub_server

NAME = "org/motions"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with hub_server.in_this_process(monkeypatch, tmp_path / "hf") as running:
        yield running


def fine_tuned() -> ptv_hub.VideoModel:
    """motion_x3d with three classes of its own, and other numbers throughout."""
    model = ptv_hub.VideoModel.from_pretrained("motion_x3d")
    model.reset_classifier(3, labels=["near", "far", "gone"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return model


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_a_fine_tuned_model_goes_there_and_back_as_itself(server, tmp_path):
    model = fine_tuned()
    done = model.push_to_hub(NAME, private=True)
    assert done.repo_id == NAME
    assert server.repositories[NAME].private
    for again in (
        ptv_hub.VideoModel.from_pretrained(NAME),
        ptv_hub.VideoModel.from_pretrained(NAME, revision=done.commit),
        ptv_hub.load(f"hf-hub:{NAME}"),
    ):
        assert same(model, again)
        assert again.entry.labels == ("near", "far", "gone")
        assert again.entry.name == "motions"
        assert again.entry.published is None  # what was measured of motion_x3d is not its
        assert "fine-tuned from motion_x3d" in again.entry.source
    card = server.repositories[NAME].commits[done.commit]["README.md"].decode()
    assert "88.83" not in card
    assert not model.push_to_hub(NAME, private=True).created


def test_one_that_was_only_loaded_stays_what_it_is(server, tmp_path):
    model = ptv_hub.load("motion_x3d")
    done = model.push_to_hub(NAME)
    again = ptv_hub.VideoModel.from_pretrained(NAME)
    assert same(model, again)
    assert again.entry.name == "motion_x3d"
    assert b"88.83" in server.repositories[NAME].commits[done.commit]["README.md"]


def test_a_folder_holds_what_load_and_transformers_need(tmp_path):
    folder = tmp_path / "My motions"
    model = fine_tuned()
    model.save_pretrained(folder)
    assert same(model, ptv_hub.VideoModel.from_pretrained(folder))
    assert ptv_hub.load(str(folder), num_classes=0).num_classes == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["entry"]["name"].startswith("My_motions")
    assert config["provenance"]["source"].startswith("a model in memory, begun from local file ")
    assert config["id2label"] == {"0": "near", "1": "far", "2": "gone"}
    assert config["auto_map"]["AutoVideoProcessor"] == "modeling_ptv_hub.PtvHubVideoProcessor"
    assert (folder / MODELING_FILE).is_file()
    assert json.loads((folder / PROCESSOR_FILE).read_text())["num_frames"] == 8
    model.save_pretrained(folder, name="motions")  # over itself
    assert ptv_hub.entry(folder).name == "motions"


def test_transformers_words_are_understood():
    read = ptv_hub.VideoModel.from_pretrained
    model = read("motion_x3d", num_labels=3, ignore_mismatched_sizes=True, device_map="cpu")
    assert model.num_classes == 3
    labels = {"0": "near", "1": "far"}
    model = read("motion_x3d", id2label=labels, label2id={"near": 0, "far": 1})
    assert (model.num_classes, model.entry.labels) == (2, ("near", "far"))
    with pytest.raises(UsageError, match="from 0"):
        read("motion_x3d", id2label={1: "near", 2: "far"})
    with pytest.raises(UsageError, match="as many labels as classes"):
        read("motion_x3d", id2label=labels, num_labels=3)


def test_initial_weights_are_said_to_be_such(tmp_path):
    model = ptv_hub.load("motion_x3d", pretrained=False)
    model.save_pretrained(tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["provenance"]["sha256"] == config["weights"]["sha256"]
    assert "initial weights" in config["provenance"]["source"]
    assert same(model, ptv_hub.load(tmp_path / "new"))


def test_what_cannot_be_saved_is_refused(tmp_path):
    model = ptv_hub.load("motion_x3d", num_classes=0)
    with pytest.raises(UsageError, match="whole model"):
        model.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="whole model"):
        build(find("motion_x3d"), device="meta").save_pretrained(tmp_path)
    for name in ("motion_x3d", tmp_path):
        with pytest.raises(UsageError, match="has revisions"):
            ptv_hub.VideoModel.from_pretrained(name, revision="main")
