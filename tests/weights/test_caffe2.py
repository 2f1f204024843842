"""Caffe2's blobs: read as data by a closed unpickler, and named as PySlowFast's converter does."""

from __future__ import annotations

import os
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from ptv_hub.errors import CheckpointError, LayoutError, UnreadableFile, UnsafeFile
from ptv_hub.weights import caffe2, checkpoint
from ptv_hub.weights.identify import identify
from tools import draw_other as other

NETWORKS = [
    name
    for name, known in other.tables()["native"]["entries"].items()
    if known["model"] in ("ResNet", "SlowFast")
]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_blob_has_its_native_key(name):
    known = other.facts("native", name)
    keys = [row[0] for row in other.tables()["native"]["layouts"][known["layout"]]]
    last: dict[int, int] = {}
    for key in keys:
        if found := re.match(r"s(\d)\.pathway0_res(\d+)\.", key):
            last[int(found[1])] = max(int(found[2]), last.get(int(found[1]), 0))
    blobs = {key: other.blob(key, last) for key in keys}
    named = {key: blob for key, blob in blobs.items() if blob is not None}
    assert len(set(named.values())) == len(named)
    assert {blob: caffe2.native_key(blob) for blob in named.values()} == {
        blob: key for key, blob in named.items()
    }


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


SOUND = {
    "conv1_w": np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1, 1),
    "res_conv1_bn_riv": np.array([4.0, 9.0], np.float32),
    "pred_b": np.ones(3, np.float64),
    "conv1_w_momentum": np.zeros(6, np.float32),
    "lr": np.zeros(1, np.float32),
    "model_iter": 1001,
}


@pytest.mark.parametrize("dialect", ["python 2", "protocol 4", "by column, the other way round"])
def test_a_sound_file_is_its_tensors(dialect, tmp_path):
    path = tmp_path / "file.pkl"
    if dialect == "python 2":
        with path.open("wb") as file:
            other._Python2Pickler(file, protocol=2).dump({"blobs": SOUND})
        assert b"numpy.core.multiarray" in path.read_bytes()
    elif dialect == "protocol 4":
        write(path, {"blobs": SOUND})
    else:
        odd = {k: np.asfortranarray(v.astype(">f4")) for k, v in SOUND.items() if k == "conv1_w"}
        write(path, {"blobs": {**SOUND, **odd}})
    file = checkpoint.read(path)
    assert (file.format, file.container, file.training) == ("caffe2", "blobs", {})
    stem = "s1.pathway0_stem."
    assert list(file.tensors) == [
        f"{stem}conv.weight",
        f"{stem}bn.running_var",
        f"{stem}bn.num_batches_tracked",
        "head.projection.bias",
    ]
    assert file.tensors[f"{stem}conv.weight"].tolist() == SOUND["conv1_w"].tolist()
    # A variance in spite of its name: neither inverted nor squared.
    assert file.tensors[f"{stem}bn.running_var"].tolist() == [4.0, 9.0]
    assert file.tensors[f"{stem}bn.num_batches_tracked"] == torch.tensor(0)
    assert file.tensors["head.projection.bias"].dtype == torch.float64


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch EXECUTED",)


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ({"blobs": {"conv1_w": _Evil()}}, UnsafeFile, "system"),
        ({"blobs": {"conv1_w": np.array([{}], dtype=object)}}, UnsafeFile, "'O8'"),
        ({"blobs": {"conv1_w": np.array(["text"])}}, UnsafeFile, "'U4'"),
        ({"blobs": {"conv1_w": np.zeros(2, [("a", "f4")])}}, UnsafeFile, "'V4'"),
        ({"blobs": {"conv1_w": np.zeros(2, complex)}}, UnsafeFile, "'c16'"),
        ({"blobs": {"conv1_w": np.float32(1)}}, UnsafeFile, "scalar"),
        ({"blobs": {"conv1_w": torch.float32}}, UnsafeFile, "torch"),
        ({"blobs": {"conv1_w": [1.0]}}, CheckpointError, "conv1_w: list"),
        ({"blobs": {"conv1_w": 1}}, CheckpointError, "conv1_w: int"),
        ({"blobs": {}}, CheckpointError, "no blobs"),
        ({"blobs": [1]}, CheckpointError, "no blobs"),
        ({"blobs": {"fc7_w": SOUND["pred_b"]}}, LayoutError, "fc7_w"),
        ({"blobs": {"x\u00e9_w": SOUND["pred_b"]}}, CheckpointError, "without a name"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_all_else_is_refused_and_nothing_of_it_is_run(content, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(says)):
        checkpoint.read(write(tmp_path / "file.pkl", content))
    assert not (tmp_path / "EXECUTED").exists()


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\x80\x02}q\x00U\x05blobsq\x01}q\x02(U\x05", UnreadableFile),
        (b"\x80\x04}\x8c\x05blobs\x8e\xff\xff\xff\xff\xff\xff\xff\x0fs.", UnreadableFile),
        (b"\x80\x02}U\x05blobscnumpy\nndarray\nN}U\x01aK\x01s\x86bs.", UnsafeFile),
        (b"\x80\x02}U\x05blobs\x82\x01s.", UnreadableFile),
        (b"\x80\x02}U\x05blobsU\x01aQs.", UnsafeFile),
        # A place in the memo that an unpickler in C would make 64 GB of room for.
        (b"\x80\x02}q\x00U\x05blobsr\xff\xff\xff\x7f}s.", CheckpointError),
    ],
    ids=["cut off", "longer than itself", "changes a class", "extension", "elsewhere", "memo"],
)
def test_what_a_pickle_says_of_itself_is_not_believed(raw, error, tmp_path):
    (tmp_path / "file.pkl").write_bytes(raw)
    with pytest.raises(error):
        checkpoint.read(tmp_path / "file.pkl")


def test_two_blobs_that_would_become_one_are_refused(tmp_path):
    blobs = {f"t_res2_{n}_branch2c_bn_subsample_w": np.ones(2, np.float32) for n in (1, 2)}
    with pytest.raises(LayoutError, match="two blobs would become one"):
        checkpoint.read(write(tmp_path / "file.pkl", {"blobs": blobs}))


def test_a_non_local_network_is_named(tmp_path):
    blobs = {**SOUND, "nonlocal_conv3_1_theta_w": np.ones((1, 1, 1, 1, 1), np.float32)}
    found = identify(write(tmp_path / "I3D_NLN_8x8_R50.pkl", {"blobs": blobs}))
    assert (found.format, found.layout) == ("caffe2", "native")
    assert "a non-local network of PySlowFast" in (found.problem or "")


def test_a_file_of_mmengines_objects_is_refused_with_the_remedy(tmp_path, monkeypatch):
    name = "mmengine.config.config"
    for package in ("mmengine", "mmengine.config", name):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    kind = type("ConfigDict", (dict,), {"__module__": name})
    monkeypatch.setattr(sys.modules[name], "ConfigDict", kind, raising=False)
    content = {"meta": {"cfg": kind(a=1)}, "state_dict": {"backbone.a": torch.ones(1)}}
    torch.save(content, tmp_path / "file.pth")
    monkeypatch.undo()
    with pytest.raises(UnsafeFile, match=r"mmengine\.config") as caught:
        checkpoint.read(tmp_path / "file.pth")
    assert "save the weights alone" in (caught.value.fix or "")
