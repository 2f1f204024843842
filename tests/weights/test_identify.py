"""What a stray file is, on what evidence; and what convert writes about it."""

from __future__ import annotations

import hashlib

import pytest
import torch

from ptv_hub.errors import CheckpointError, LayoutError, UnknownName, UsageError, WriteError
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint
from ptv_hub.weights.convert import convert
from ptv_hub.weights.identify import identify
from tools import draw


def names(identity) -> list[str]:
    return [candidate.name for candidate in identity.candidates]


def test_a_file_with_its_config_is_one_model(drawn):
    path = drawn("x3d_s")
    found = identify(path)
    assert names(found) == ["x3d_s"]
    assert found.candidates[0].evidence == "keys, shapes and the file's own word"
    assert (found.layout, found.container, found.format) == ("pyslowfast", "model_state", "zip")
    assert (found.num_classes, found.datasets) == (400, ("kinetics400",))
    assert found.training == ("epoch", "optimizer_state", "cfg")
    assert found.training_bytes == 4 * 3_794_274
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.digest == digest(draw.state_dict("x3d_s", layout="official"))


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("x3d_s", ["x3d_xs", "x3d_s", "x3d_m"]),
        ("slow_4x16_r50", ["slow_4x16_r50", "slow_r50"]),
        ("slow_r50_charades", ["slow_r50_charades"]),
    ],
)
def test_models_of_equal_keys_and_shapes_are_all_named(drawn, name, alike):
    found = identify(drawn(name, training=False))
    assert names(found) == alike
    assert {c.evidence for c in found.candidates} == {"keys and shapes"}


def test_a_digest_in_a_manifest_is_proof(drawn, tmp_path, monkeypatch):
    import json

    from ptv_hub.fetching.hub import entry

    item = entry("x3d_s").model_dump(
        mode="json", exclude={"labels", "dataset", "license", "source"}
    )
    for artifact in item["artifacts"]:
        del artifact["base_url"]
    item |= {"name": "proven", "digest": digest(draw.state_dict("x3d_s", layout="official"))}
    manifest = {
        "schema_version": 1,
        "dataset": "mine",
        "title": "Mine",
        "base_url": "https://example.org/zoo",
        "source": "test",
        "license": {"code": "MIT"},
        "entries": [item],
    }
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("PTV_HUB_MANIFESTS", str(tmp_path))
    found = identify(drawn("x3d_s"))
    assert [(c.name, c.evidence) for c in found.candidates] == [("proven", "digest")]


def test_another_head_is_recognised_by_the_rest(tmp_path):
    tensors = draw.state_dict("csn_r101", layout="official")
    tensors["blocks.5.proj.weight"] = torch.zeros(5, 2048)
    tensors["blocks.5.proj.bias"] = torch.zeros(5)
    torch.save(tensors, tmp_path / "five.pyth")
    found = identify(tmp_path / "five.pyth")
    assert names(found) == ["csn_r101"]
    assert found.candidates[0].evidence == "keys and shapes but for the head"
    assert (found.num_classes, found.datasets) == (5, ())


def test_keys_of_no_layout_are_a_finding_not_a_failure(tmp_path):
    torch.save({"conv1.weight": torch.ones(2)}, tmp_path / "resnet.pth")
    found = identify(tmp_path / "resnet.pth")
    assert found.layout is None
    assert "conv1.weight" in (found.problem or "")
    assert found.candidates == ()


def test_safetensors_say_what_they_are(drawn, tmp_path):
    path = tmp_path / "a.safetensors"
    done = convert(drawn("x3d_s"), path, to="official")
    assert done.dropped == ("epoch", "optimizer_state", "cfg")
    metadata = checkpoint.read(path).metadata
    assert metadata["entry"] == "x3d_s"
    assert metadata["layout"] == "official"
    assert metadata["digest"] == done.digest
    assert metadata["source"] == drawn("x3d_s").name
    assert names(identify(path)) == ["x3d_s"]
    unsure = tmp_path / "b.safetensors"
    convert(drawn("x3d_s", training=False), unsure, to="official")
    metadata = checkpoint.read(unsure).metadata
    assert "entry" not in metadata
    assert metadata["candidates"] == "x3d_xs, x3d_s, x3d_m"


# Convert's refusals: one error, no file


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"blocks.0.a": torch.ones(1), "model.blocks.0.b": torch.ones(1)}, "two layouts"),
        ({"blocks.0.a": torch.ones(1), "fc.weight": torch.ones(1)}, "no layout"),
    ],
)
def test_convert_of_a_mixed_or_unknown_layout_leaves_no_file(tmp_path, tensors, says):
    torch.save(tensors, tmp_path / "in.pyth")
    with pytest.raises(LayoutError, match=says):
        convert(tmp_path / "in.pyth", tmp_path / "out.pyth", to="official")
    assert not (tmp_path / "out.pyth").exists()


def test_convert_says_what_is_wrong_with_the_call(drawn, tmp_path):
    source = drawn("x3d_s")
    with pytest.raises(UnknownName, match="caffe2"):
        convert(source, tmp_path / "a.pyth", to="caffe2")
    with pytest.raises(UsageError, match="says no format"):
        convert(source, tmp_path / "a.npz", to="official")
    with pytest.raises(UnknownName, match=r"file or model 'x3d_mm'(.|\n)*x3d_m"):
        convert("x3d_mm", tmp_path / "a.pyth", to="official")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        convert("gone.pyth", tmp_path / "a.pyth", to="official")
    with pytest.raises(CheckpointError, match="no training state"):
        convert(source, tmp_path / "a.safetensors", to="official", keep_training=True)
    (tmp_path / "folder.pyth").mkdir()
    with pytest.raises(WriteError, match="folder"):
        convert(source, tmp_path / "folder.pyth", to="official")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.pyth"]


def test_convert_leaves_its_source_and_what_is_there(tmp_path):
    """A checkpoint's training state cannot be had again."""
    path = draw.write("x3d_xs", tmp_path / "a.pyth")
    other = tmp_path / "other.pyth"
    other.symlink_to(path)
    before = path.read_bytes()
    for target in (path, other):
        with pytest.raises(WriteError, match="its own source"):
            convert(path, target, to="official", overwrite=True)
    (tmp_path / "b.pyth").write_bytes(b"mine")
    with pytest.raises(WriteError, match=r"there is such a file(.|\n)*--overwrite"):
        convert(path, tmp_path / "b.pyth", to="official")
    assert (path.read_bytes(), (tmp_path / "b.pyth").read_bytes()) == (before, b"mine")
    done = convert(path, tmp_path / "b.pyth", to="official", overwrite=True)
    assert identify(tmp_path / "b.pyth").digest == done.digest


def test_a_converted_file_says_what_it_is_where_other_loaders_do_not_look(tmp_path):
    path = draw.write("x3d_m", tmp_path / "X3D_M.pyth")
    for out, to in (("a.pyth", "official"), ("b.pth", "pyslowfast"), ("c.safetensors", "official")):
        convert(path, tmp_path / out, to=to)
        (found,) = identify(tmp_path / out).candidates
        assert (found.name, found.evidence) == ("x3d_m", "keys, shapes and the file's own word")
        assert identify(tmp_path / out).training == ()
    content = torch.load(tmp_path / "a.pyth", weights_only=True)
    # PyTorchVideo's hub takes content["model_state"]; PySlowFast looks for the other three.
    assert set(content) & {"model_state", "epoch", "optimizer_state", "scaler_state"} == {
        "model_state"
    }
    again = convert(tmp_path / "a.pyth", tmp_path / "d.safetensors", to="pyslowfast")
    assert again.models == ("x3d_m",)
