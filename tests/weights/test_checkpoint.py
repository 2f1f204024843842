"""Reading is data only: what is understood, what is refused, and how that is said."""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ptv_hub.errors import CheckpointError, LayoutError, UnreadableFile, UnsafeFile, WriteError
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint
from ptv_hub.weights.load import load


def weights() -> dict[str, torch.Tensor]:
    return {
        "blocks.0.weight": torch.randn(3, 4),
        "blocks.0.bias": torch.tensor([float("nan"), 1.0, -0.0, 2.0]),
        "blocks.0.num_batches_tracked": torch.tensor(5),
    }


def save(path: Path, content: object, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(
        checkpoint.same_bits(one[key], other[key]) for key in one
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("container", [*checkpoint.CONTAINERS, "bare"])
def test_formats_and_containers(tmp_path, container, legacy):
    tensors = weights()
    content = tensors if container == "bare" else {"epoch": 3, container: tensors, "cfg": "A: 1"}
    file = checkpoint.read(save(tmp_path / "a.pyth", content, legacy))
    assert (file.container, file.format) == (container, "legacy" if legacy else "zip")
    assert same(file.tensors, tensors)
    assert file.training == ({} if container == "bare" else {"epoch": 3, "cfg": "A: 1"})


def test_safetensors_keep_order_and_metadata(tmp_path):
    path = tmp_path / "a.bin"  # the suffix is not believed
    save_file(weights(), path, {"entry": "x3d_m"})
    file = checkpoint.read(path)
    assert (file.format, file.container) == ("safetensors", "bare")
    assert file.metadata == {"entry": "x3d_m"}
    assert set(file.tensors) == set(weights())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_wrappers_are_taken_off_by_rule(tmp_path, prefix):
    tensors = weights()
    wrapped = {prefix + key: value for key, value in tensors.items()}
    file = checkpoint.read(save(tmp_path / "a.pyth", {"state_dict": wrapped}))
    assert file.prefix == prefix
    assert same(file.tensors, tensors)


def test_a_wrapper_around_some_keys_only_is_refused(tmp_path):
    tensors = weights()
    tensors["module.blocks.1.bias"] = torch.ones(1)
    with pytest.raises(LayoutError, match="only some keys") as caught:
        checkpoint.read(save(tmp_path / "a.pyth", tensors))
    assert "blocks.0.weight" in caught.value.keys


def test_the_drawn_file_is_read_as_pyslowfast_writes_it(drawn):
    file = checkpoint.read(drawn("x3d_xs"))
    assert (file.container, file.format) == ("model_state", "zip")
    assert list(file.training) == ["epoch", "optimizer_state", "cfg"]
    momentum = file.training["optimizer_state"]["state"]
    assert sum(s["momentum_buffer"].numel() for s in momentum.values()) == 3_794_274


class Evil:
    """Pickles to an instruction that makes a file when it is run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("how", ["zip", "legacy", "plain pickle", "protocol 4"])
@pytest.mark.parametrize("place", ["beside", "inside", "instead"])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(tmp_path, how, place):
    marker, path = tmp_path / "ran", tmp_path / "evil.pyth"
    evil = Evil(marker)
    content: object = {
        "beside": {"model_state": weights(), "epoch": evil},
        "inside": {"model_state": {**weights(), "blocks.9": evil}},
        "instead": evil,
    }[place]
    if how in ("zip", "legacy"):
        save(path, content, legacy=how == "legacy")
    else:
        path.write_bytes(pickle.dumps(content, protocol=2 if how == "plain pickle" else 4))
    with pytest.raises(UnsafeFile) as caught:
        checkpoint.read(path)
    assert "nothing of it was run" in str(caught.value)
    assert str(path) in str(caught.value)
    assert not marker.exists()


def test_the_refused_name_is_said(tmp_path):
    path = save(tmp_path / "evil.pyth", {"model_state": weights(), "x": Evil(tmp_path / "ran")})
    with pytest.raises(UnsafeFile, match="system"):
        checkpoint.read(path)


def test_a_whole_pickled_model_is_refused(tmp_path):
    with pytest.raises(UnsafeFile, match=r"torch\.nn"):
        checkpoint.read(save(tmp_path / "model.pt", torch.nn.Linear(2, 2)))


def damaged(tmp_path: Path) -> dict[str, Path]:
    """Files that are no checkpoints, by what is wrong with them."""
    whole = save(tmp_path / "whole.pyth", {"model_state": weights()}).read_bytes()
    legacy = save(tmp_path / "legacy.pyth", {"model_state": weights()}, legacy=True).read_bytes()
    save_file(weights(), tmp_path / "whole.safetensors")
    tensors = (tmp_path / "whole.safetensors").read_bytes()
    contents = {
        "empty": b"",
        "html": b"\n<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        "text": b"hello, these are no weights at all",
        "zip_cut": whole[: len(whole) // 2],
        "legacy_cut": legacy[: len(legacy) // 2],
        "legacy_head": legacy[:3],
        "safetensors_cut": tensors[:-5],
        "safetensors_head": tensors[:20],
        "safetensors_header": tensors[:8] + b"{" + b"x" * (len(tensors) - 9),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "other_zip", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    (tmp_path / "folder").mkdir()
    return {n: tmp_path / n for n in (*contents, "other_zip", "folder", "missing")}


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("empty", "is empty"),
        ("html", "web page"),
        ("text", "not a weights file"),
        ("zip_cut", "truncated"),
        ("legacy_cut", "truncated"),
        ("legacy_head", "truncated"),
        ("safetensors_cut", "damaged"),
        ("safetensors_head", "truncated"),
        ("safetensors_header", "damaged"),
        ("other_zip", "truncated or damaged"),
        ("folder", "folder"),
        ("missing", "cannot be opened"),
    ],
)
def test_what_is_no_checkpoint_gets_one_clear_error(tmp_path, what, says):
    path = damaged(tmp_path)[what]
    with pytest.raises(UnreadableFile, match=says) as caught:
        checkpoint.read(path)
    assert str(path) in str(caught.value)


def test_every_truncation_of_a_file_is_an_error_of_ours(tmp_path):
    """Cut at many lengths, no file gives a traceback of somebody else's, or half a state dict."""
    for legacy in (False, True):
        whole = save(tmp_path / "w.pyth", {"model_state": weights()}, legacy=legacy).read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 60)):
            path = tmp_path / "cut.pyth"
            path.write_bytes(whole[:length])
            with pytest.raises(CheckpointError):
                checkpoint.read(path)


def test_flipped_bits_are_an_error_of_ours_or_data(tmp_path):
    """A flip may hit a number and go unseen here (the digest sees it), but never the reader."""
    rng = random.Random(0)
    for legacy in (False, True):
        whole = save(tmp_path / "w.pyth", {"model_state": weights()}, legacy=legacy).read_bytes()
        refused = 0
        for _ in range(300):
            flipped = bytearray(whole)
            for _ in range(3):
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            path = tmp_path / "flipped.pyth"
            path.write_bytes(flipped)
            try:
                assert isinstance(checkpoint.read(path), checkpoint.Checkpoint)
            except CheckpointError:
                refused += 1
        assert 30 < refused < 300


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2, 3], "no state dict"),
        ({"model_state": {}}, "no tensor"),
        ({}, "no tensor"),
        ({"model_state": {"blocks.0.a": [1.0]}}, "other things than tensors"),
        ({"epoch": 3, "cfg": "x"}, "other things than tensors"),
        ({"model": {"a": torch.ones(1)}, "state_dict": {"a": torch.ones(1)}}, "more than one"),
    ],
)
def test_contents_that_are_no_state_dict_are_said(tmp_path, content, says):
    with pytest.raises(CheckpointError, match=says):
        checkpoint.read(save(tmp_path / "a.pyth", content))


def test_a_torchscript_program_is_told_apart(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)
    with pytest.raises(CheckpointError, match="TorchScript"):
        checkpoint.read(path)


@pytest.mark.parametrize("suffix", [".pyth", ".safetensors"])
def test_write_reads_back_what_it_wrote(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    tensors = weights()
    checkpoint.write(path, tensors, metadata={"layout": "official"})
    assert {k: v.shape for k, v in checkpoint.read(path).tensors.items()}.keys() == tensors.keys()
    assert all(
        checkpoint.same_bits(tensors[k], v) for k, v in checkpoint.read(path).tensors.items()
    )
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_write_that_comes_back_different_leaves_nothing(tmp_path, monkeypatch):
    real = torch.save

    def save_wrong(content, path, **options):
        real(
            {"model_state": {k: v + 1 for k, v in content["model_state"].items()}}, path, **options
        )

    monkeypatch.setattr(torch, "save", save_wrong)
    with pytest.raises(WriteError, match="came back different"):
        checkpoint.write(tmp_path / "a.pyth", {"blocks.0.a": torch.ones(2)})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WriteError) as caught:
        checkpoint.write(tmp_path / "no" / "a.pyth", weights())
    assert str(tmp_path / "no" / "a.pyth") in str(caught.value)


def test_training_state_has_no_place_in_safetensors(tmp_path):
    with pytest.raises(CheckpointError, match="no training state"):
        checkpoint.write(tmp_path / "a.safetensors", weights(), training={"epoch": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_safetensors_header_whose_length_begins_like_a_pickle_is_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    for padding in range(0, 300, 8):  # one of 32 lengths has the byte of a pickle's protocol
        checkpoint.write(path, {"blocks.0.x": torch.zeros(2)}, metadata={"note": "x" * padding})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert checkpoint.read(path).format == "safetensors"


def test_lightnings_module_may_call_its_network_what_it_likes(tmp_path):
    tensors = {f"net.{key}": value for key, value in load("motion_x3d").state_dict().items()}
    content = {"pytorch-lightning_version": "2.6.6", "state_dict": tensors}
    torch.save(content, tmp_path / "last.ckpt")
    assert checkpoint.read(tmp_path / "last.ckpt").prefix == "net."
    again = load("motion_x3d", weights=tmp_path / "last.ckpt")
    assert digest(again.state_dict()) == digest(load("motion_x3d").state_dict())
