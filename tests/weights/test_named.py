"""What stands where a model is named: the same is understood everywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ptv_hub
from ptv_hub.errors import CheckpointError, UnknownName, UnreadableFile, UsageError
from ptv_hub.weights.named import named, weights_file
from ptv_hub.weights.repository import write_repository
from ptv_hub.zoo.repository import Provenance
from tests.command import ptv_hub as run
from tools import draw


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")


@pytest.fixture
def repository(tmp_path) -> Path:
    """A folder as ``push`` leaves it, under the name of another model of the zoo."""
    item = ptv_hub.entry("x3d_xs").model_copy(update={"name": "mine"})
    tensors = draw.state_dict("x3d_xs", layout="official")
    why = Provenance(
        source="a", sha256="0" * 64, vouched_by=None, evidence="drawn", converted_by="a test"
    )
    write_repository(tmp_path / "x3d_s", item, tensors, why)
    return tmp_path / "x3d_s"


def test_a_file_that_is_there_comes_before_the_models_name(drawn):
    shutil.copy(drawn("x3d_xs"), "X3D_S.pyth")
    found = named("X3D_S.pyth")
    assert (found.entry.name, found.file) == ("x3d_xs", Path("X3D_S.pyth"))
    model = ptv_hub.load("X3D_S.pyth")
    assert model.entry == ptv_hub.entry("X3D_S.pyth") == ptv_hub.entry("x3d_xs")
    assert ptv_hub.transform(Path("X3D_S.pyth")).spec == model.entry.input


def test_a_file_that_only_one_model_can_be_needs_no_name(drawn):
    assert named(drawn("x3d_l", training=False)).entry.name == "x3d_l"
    with pytest.raises(CheckpointError, match=r"does not say which model(.|\n)*x3d_xs or x3d_s"):
        named(drawn("x3d_m", training=False))


@pytest.mark.parametrize("name", ["X3D_M.pyth", "x3d_m.safetensors", "runs/best.pyth"])
def test_a_file_that_is_not_there_is_not_looked_for_elsewhere(name):
    for ask in (ptv_hub.load, ptv_hub.entry, named):
        with pytest.raises(UnreadableFile, match="no such file"):
            ask(name)


def test_a_folder_with_a_model_comes_first_and_others_do_not_hide_the_zoo(repository, tmp_path):
    for word in ("x3d_s", repository, f"local-dir:{repository}", "x3d_s/model.safetensors"):
        assert ptv_hub.entry(word).name == "mine"
    assert ptv_hub.load("x3d_s").entry.name == "mine"
    assert ptv_hub.fetch(str(repository)).path == repository / "model.safetensors"
    (tmp_path / "x3d_m").mkdir()
    (tmp_path / "x3d_m" / "report.md").touch()
    assert ptv_hub.entry("x3d_m").name == "x3d_m"
    with pytest.raises(UnknownName, match="in the folder"):
        ptv_hub.entry(tmp_path)


def test_a_run_is_named_by_its_folder(repository, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.move(repository, tmp_path / "run" / "model")
    assert ptv_hub.load("run").entry.name == "mine"
    assert weights_file("run") == Path("run/model/model.safetensors")
    assert run("show", "run", "--json").code == 0


def test_weights_may_be_named_in_every_way(repository):
    expected = repository / "model.safetensors"
    words = (expected, repository, f"local-dir:{repository}")
    assert [weights_file(word) for word in words] == [expected] * 3
    with pytest.raises(UnknownName, match=r"file or model 'x3d_mm'(.|\n)*local-dir:PATH"):
        weights_file("x3d_mm")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("command", ["predict", "features", "eval", "verify", "export"])
def test_a_video_in_place_of_the_model_is_told(command, there):
    if there:
        Path("clip.mp4").touch()
    more = {"eval": ("--data", "."), "export": ("--to", "torch-export"), "features": ("-o", "out")}
    ran = run(command, "clip.mp4", *more.get(command, ()))
    assert ran.code == 2
    assert "NAME before the videos" in ran.err


def test_a_config_in_place_of_the_model_is_told():
    Path("X3D_M.yaml").write_text("MODEL: {NUM_CLASSES: 7}")
    with pytest.raises(UsageError, match=r"--config X3D_M\.yaml"):
        ptv_hub.load("X3D_M.yaml")
    Path("X3D_M.yaml").unlink()
    assert ptv_hub.entry("X3D_M.yaml").name == "x3d_m"


def test_the_public_names_are_those_of_the_commands():
    names = {"bench", "convert", "digest", "evaluate", "export", "features", "fetch", "finetune"}
    names |= {"identify", "load", "predict", "push", "verify"}
    assert names <= set(dir(ptv_hub))
    assert all(callable(getattr(ptv_hub, name)) for name in names)
    assert set(dir(ptv_hub)) == set(ptv_hub.__all__)
