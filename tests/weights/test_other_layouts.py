"""PySlowFast's own networks and MMAction2's: their keys, their scores, there and back.

The scores were computed by these projects' own code (PySlowFast 287ec007, MMAction2 4d6c9347)
from what tools/draw_other.py draws. 1e-5 is what is promised; float32's sums of another order
stay a hundred times below it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from ptv_hub.errors import (
    CheckpointError,
    Inexpressible,
    KeyMismatch,
    LayoutError,
    OtherWeights,
    Undecided,
    UsageError,
)
from ptv_hub.models.builders import shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts, transformations
from ptv_hub.weights.convert import convert
from ptv_hub.weights.identify import identify
from ptv_hub.weights.load import load
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.manifest import all_entries, find
from tests import DATA
from tools import draw_other as other
from tools.draw import clip

NATIVE = {
    "Kinetics/C2D_8x8_R50": "c2d_r50",
    "Kinetics/C2D_NOPOOL_8x8_R50": "c2d_nopool_r50",
    "Kinetics/I3D_8x8_R50": "i3d_r50",
    "Kinetics/I3D_8x8_R101": "i3d_r101",
    "Kinetics/SLOW_4x16_R50": "slow_4x16_r50",
    "Kinetics/SLOW_8x8_R50": "slow_r50",
    "Kinetics/SLOWFAST_4x16_R50": "slowfast_4x16_r50",
    "Kinetics/SLOWFAST_8x8_R50": "slowfast_r50",
    "Kinetics/SLOWFAST_8x8_R101": "slowfast_r101",
    "Kinetics/SLOWFAST_8x8_R101_50_50": "slowfast_8x8_r101_50_50",
    "Kinetics/SLOWFAST_16x8_R101_50_50": "slowfast_16x8_r101_50_50",
    "Kinetics/X3D_XS": "x3d_xs",
    "Kinetics/X3D_S": "x3d_s",
    "Kinetics/X3D_M": "x3d_m",
    "Kinetics/X3D_L": "x3d_l",
    "SSv2/SLOW_8x8_R50": "slow_r50_ssv2",
    "SSv2/SLOWFAST_8x8_R50": "slowfast_r50_ssv2",
    "SSv2/SLOWFAST_16x8_R50": "slowfast_16x8_r50_ssv2",
    "Charades/SLOW_8x8_R50": "slow_r50_charades",
    "Charades/SLOWFAST_8x8_R50": "slowfast_r50_charades",
    "Charades/SLOWFAST_16x8_R50": "slowfast_16x8_r50_charades",
    "ImageNet/RES_R50": "res_r50_imagenet",
}
MMACTION2 = (
    *("slowonly_r50_4x16", "slowonly_r50_8x8", "slowonly_r101_8x8", "slowfast_r50_8x8_steplr"),
    *("i3d_r50_32x2", "i3d_r50_heavy_32x2", "c2d_r50_nopool_8x8", "ircsn_r50_32x2"),
    *("ircsn_r152_32x2", "x3d_s_13x6", "x3d_m_16x5"),
)
NOT_SERVED = ("slowfast_r50_8x8", "slowfast_r50_4x16", "slowfast_r101_8x8", "c2d_r50_8x8")
QUICK = {
    *("Kinetics/SLOW_4x16_R50", "Kinetics/X3D_XS", "slowfast_r50_8x8_steplr"),
    *("c2d_r50_nopool_8x8", "x3d_s_13x6"),
}
"""One of each step; the others are slow."""
TOLERANCE = 1e-5


def cases(layout: str, names: list[tuple[str, str]]) -> list[object]:
    return [
        pytest.param(layout, name, ours, marks=() if name in QUICK else pytest.mark.slow, id=name)
        for name, ours in names
    ]


CASES = [
    *cases("native", list(NATIVE.items())),
    *cases("mmaction2", [(name, name) for name in MMACTION2]),
]
ALL = [("native", n, o) for n, o in NATIVE.items()] + [("mmaction2", n, n) for n in MMACTION2]


@cache
def golden(layout: str) -> dict[str, np.ndarray]:
    with np.load(DATA / f"forward_{layout}.npz") as file:
        return dict(file)


def write(layout: str, name: str, path: Path, seed: int = 0, *, bare: bool = False) -> Path:
    make = other.native_checkpoint if layout == "native" else other.mmaction2_checkpoint
    torch.save(make(name, seed, **{"training" if layout == "native" else "meta": not bare}), path)
    return path


def hollow(layout: str, name: str) -> dict[str, torch.Tensor]:
    """The owner's keys and shapes, without numbers."""
    known = other.facts(layout, name)
    rows = other.tables()[layout]["layouts"][known["layout"]]
    return {row[0]: torch.empty(row[2], device="meta") for row in rows}


def scheme_of(tensors: dict[str, torch.Tensor], ours: str) -> layouts.Scheme:
    wanted = shapes(find(ours)).keys()
    found = [
        s
        for s in layouts.schemes(tensors)
        if layouts.officially({k: t.to("meta") for k, t in tensors.items()}, s).tensors.keys()
        == wanted
    ]
    (scheme,) = found
    return scheme


# ---------------------------------------------------------------------------- keys


@pytest.mark.parametrize(("layout", "name", "ours"), ALL, ids=[name for _, name, _ in ALL])
def test_every_key_of_its_owner_has_the_official_name_that_was_proven(layout, name, ours):
    known = other.facts(layout, name)
    rows = other.tables()[layout]["layouts"][known["layout"]]
    tensors = hollow(layout, name)
    scheme = scheme_of(tensors, ours)
    proven = {row[0]: row[1] for row in rows if row[1] is not None}
    assert {key: scheme.to_official(key) for key in proven} == proven
    assert {key: scheme.from_official(new) for key, new in proven.items()} == {k: k for k in proven}
    if known.get("num_classes", 400) == find(ours).num_classes:
        converted = layouts.officially(tensors, scheme).tensors
        assert {k: tuple(t.shape) for k, t in converted.items()} == shapes(find(ours))


@pytest.mark.parametrize("name", NOT_SERVED)
def test_networks_that_cannot_be_expressed_are_named_and_refused(name, tmp_path):
    tensors = hollow("mmaction2", name)
    if name == "c2d_r50_8x8":  # of the keys and shapes of the one without a pool, which is served
        assert [s.refusal is None for s in layouts.schemes(tensors)] == [True, False]
        return
    with pytest.raises(Inexpressible, match="SlowFast without lateral_norm of MMAction2") as caught:
        layouts.schemes(tensors)
    assert "ReLU" in str(caught.value)


# ---------------------------------------------------------------------------- scores


@pytest.mark.parametrize(("layout", "name", "ours"), CASES)
def test_a_converted_file_gives_its_owners_scores(layout, name, ours, tmp_path):
    known, item = other.facts(layout, name), find(ours)
    source = write(layout, name, tmp_path / "source.pyth")
    done = convert(source, tmp_path / "official.safetensors", to="official", as_name=ours)
    assert (done.source_layout, done.models) == (layout, (ours,))
    model = load(ours, weights=done.target, activation=item.protocol.activation)
    side = known.get("test_crop") if layout == "native" else known["crop"]
    with torch.no_grad():
        scores = model(clip(known["num_frames"], side)).numpy()
    off = np.abs(scores - golden(layout)[f"{name}/scores"]).max()
    assert off < TOLERANCE
    assert digest(load(ours, weights=source).state_dict()) == done.digest


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["Kinetics/X3D_XS", "Kinetics/SLOWFAST_4x16_R50"])
def test_to_native_and_back_is_the_same_bit_for_bit(name, seed):
    ours = NATIVE[name]
    official = layouts.to_official(other.state_dict("native", name, seed))
    there = layouts.written(official, layouts.scheme_for(official, "native"))
    assert there.tensors.keys() == other.state_dict("native", name, seed).keys()
    back = layouts.officially(there.tensors, scheme_of(there.tensors, ours)).tensors
    assert digest(back) == digest(official)
    assert digest(back) == digest(layouts.to_official(there.tensors))


@pytest.mark.parametrize("name", ["slowonly_r50_4x16", "slowfast_r50_8x8_steplr", "i3d_r50_32x2"])
def test_to_mmaction2_and_back_is_the_same_bit_for_bit(name, tmp_path):
    source = other.state_dict("mmaction2", name, 1)
    official = layouts.to_official(source)
    there = layouts.written(official, layouts.scheme_for(official, "mmaction2"))
    assert all(torch.equal(there.tensors[key], tensor) for key, tensor in source.items())
    assert digest(layouts.to_official(there.tensors)) == digest(official)


def test_csn_has_no_way_back_to_mmaction2():
    official = layouts.to_official(other.state_dict("mmaction2", "ircsn_r50_32x2"))
    with pytest.raises(LayoutError, match="no way back") as caught:
        layouts.written(official, layouts.scheme_for(official, "mmaction2"))
    assert "add_epsilon" in str(caught.value)
    with pytest.raises(LayoutError, match="native layout has no such network"):
        layouts.scheme_for(official, "native")


# ---------------------------------------------------------------------------- transformations


def test_the_fold_is_that_of_a_batch_norm_in_front_of_a_sum():
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d(24, 24, 1, bias=False).double()
    norm, behind = (
        torch.nn.BatchNorm3d(24).double().eval(),
        torch.nn.BatchNorm3d(24).double().eval(),
    )
    for one in (norm, behind):
        torch.nn.init.normal_(one.weight)
        torch.nn.init.normal_(one.bias)
        one.running_mean.normal_(std=5)
        one.running_var.uniform_(0.01, 30)
    block = "blocks.1.res_blocks.0."
    tensors = {f"{block}branch1_conv.weight": convolution.weight.detach()}
    tensors |= {f"{block}branch1_norm.{k}": v for k, v in norm.state_dict().items()}
    tensors |= {f"{block}branch2.norm_c.{k}": v for k, v in behind.state_dict().items()}
    x, y = torch.randn(2, 1, 24, 2, 3, 3, dtype=torch.float64)
    expected = norm(convolution(x)) + behind(y)
    folded = transformations.FOLD_SHORTCUT_NORM.forward(tensors)
    convolution.weight.data = folded[f"{block}branch1_conv.weight"]
    behind.bias.data = folded[f"{block}branch2.norm_c.bias"]
    found = convolution(x) + behind(y)
    assert float((found - expected).detach().abs().max()) < 1e-12
    assert len(folded) == len(tensors) - 5


def test_a_fold_is_said_recorded_and_has_a_digest_of_its_own(tmp_path):
    source = write("native", "Kinetics/X3D_XS", tmp_path / "x.pyth")
    for suffix in (".safetensors", ".pyth"):
        done = convert(source, tmp_path / f"official{suffix}", to="official")
        assert [step.split(":")[0] for step in done.transformations] == ["fold_shortcut_norm"]
        assert "cannot be had back" in done.lost[0]
        assert done.num_tensors == 563
        metadata = checkpoint.read(done.target).metadata
        assert metadata["transformations"] == "; ".join(done.transformations)
        assert metadata["lost"] == done.lost[0]
        assert metadata["entry"] == "x3d_xs"
        again = convert(done.target, tmp_path / f"native{suffix}", to="native")
        assert "changes nothing" in again.transformations[0]
        assert "fold_shortcut_norm" in checkpoint.read(again.target).metadata["transformations"]
        assert "lost" in checkpoint.read(again.target).metadata
        assert again.digest == done.digest
    unfolded = {
        k: v
        for k, v in layouts.rename(
            checkpoint.read(source).tensors, layouts.LAYOUTS["native"].schemes[3]
        ).items()
        if "res_blocks.0.branch1_norm" not in k or not k.startswith("blocks.1.")
    }
    assert digest(unfolded) != done.digest


def test_a_step_whose_tensors_are_not_there_or_misshapen_is_an_error():
    tensors = other.state_dict("native", "Kinetics/X3D_XS")
    short = {k: v for k, v in tensors.items() if k != "s2.pathway0_res0.branch1_bn.bias"}
    with pytest.raises(LayoutError, match="a tensor is missing"):
        layouts.to_official(short)
    odd = tensors | {"s2.pathway0_res0.branch1_bn.bias": torch.zeros(7)}
    with pytest.raises(LayoutError, match="other shapes"):
        layouts.to_official(odd)
    wide = other.state_dict("mmaction2", "slowfast_r50_8x8_steplr")
    wide["cls_head.fc_cls.weight"] = torch.zeros(400, 12)
    with pytest.raises(LayoutError, match="two pathways"):
        layouts.to_official(wide)


# ---------------------------------------------------------------------------- look-alikes


def names(path: Path) -> list[str]:
    return [candidate.name for candidate in identify(path).candidates]


@pytest.mark.parametrize(
    ("name", "told", "alike"),
    [
        ("Kinetics/C2D_8x8_R50", "c2d_r50", ["c2d_r50", "c2d_nopool_r50"]),
        ("Kinetics/C2D_NOPOOL_8x8_R50", "c2d_nopool_r50", ["c2d_r50", "c2d_nopool_r50"]),
        ("Kinetics/I3D_8x8_R50", "i3d_r50", ["i3d_r50"]),
        ("Kinetics/SLOW_4x16_R50", "slow_4x16_r50", ["slow_4x16_r50", "slow_r50"]),
        ("Kinetics/X3D_S", "x3d_s", ["x3d_xs", "x3d_s", "x3d_m"]),
        (
            "SSv2/SLOWFAST_16x8_R50",
            "slowfast_16x8_r50_ssv2",
            ["slowfast_r50_ssv2", "slowfast_16x8_r50_ssv2", "slowfast_16x8_r50_ssv2_multigrid"],
        ),
    ],
)
def test_look_alikes_are_told_by_the_config_and_all_named_without(name, told, alike, tmp_path):
    sure = write("native", name, tmp_path / "sure.pyth")
    bare = write("native", name, tmp_path / "bare.pyth", bare=True)
    assert names(sure) == [told]
    assert names(bare) == alike
    assert identify(sure).problem is None


def test_a_c2d_is_never_guessed(tmp_path):
    bare = write("native", "Kinetics/C2D_8x8_R50", tmp_path / "bare.pyth", bare=True)
    found = identify(bare)
    assert (found.layout, found.digest, found.num_classes) == ("native", None, 400)
    assert "--as NAME" in (found.problem or "")
    with pytest.raises(Undecided, match="several networks"):
        convert(bare, tmp_path / "out.pyth", to="official")
    assert not (tmp_path / "out.pyth").exists()
    pooled = convert(bare, tmp_path / "c2d.pyth", to="official", as_name="c2d_r50")
    plain = convert(bare, tmp_path / "nopool.pyth", to="official", as_name="c2d_nopool_r50")
    assert pooled.digest != plain.digest
    with pytest.raises(KeyMismatch, match="not those of slow_r50"):
        convert(bare, tmp_path / "out.pyth", to="official", as_name="slow_r50")
    assert digest(load("c2d_r50", weights=bare).state_dict()) == pooled.digest
    assert digest(load("c2d_nopool_r50", weights=bare).state_dict()) == plain.digest


def test_training_state_stays_with_the_code_that_wrote_it(tmp_path):
    content = other.native_checkpoint("Kinetics/X3D_XS")
    momentum = {"state": {0: {"momentum_buffer": torch.arange(3.0)}}, "param_groups": []}
    torch.save({**content, "optimizer_state": momentum}, tmp_path / "native.pyth")
    theirs = write("mmaction2", "x3d_s_13x6", tmp_path / "theirs.pth")
    for source, layout, told, kept in (
        ("native.pyth", "native", "optimizer_state: its parameters", ["epoch", "cfg"]),
        ("theirs.pth", "mmaction2", "meta: other code does not read it", ["meta"]),
    ):
        source, out = tmp_path / source, tmp_path / "out.pyth"
        with pytest.raises(UsageError, match="the code that wrote it") as caught:
            convert(source, out, to="official", keep_training=True)
        assert told in str(caught.value)
        assert not out.exists()
        done = convert(source, out, to=layout, keep_training=True, overwrite=True)
        assert [key for key in done.kept if key != "optimizer_state"] == kept
        before, after = checkpoint.read(source).training, checkpoint.read(out).training
        assert {key: before[key] for key in kept} == {key: after[key] for key in kept}
        out.unlink()
    assert theirs.exists()
    done = convert(tmp_path / "native.pyth", tmp_path / "o.pyth", to="native", keep_training=True)
    state = checkpoint.read(done.target).training["optimizer_state"]
    assert torch.equal(state["state"][0]["momentum_buffer"], torch.arange(3.0))
    left = convert(tmp_path / "native.pyth", tmp_path / "p.pyth", to="official")
    assert set(left.dropped) == {"epoch", "cfg", "optimizer_state"}


def test_mmaction2s_c2d_with_a_pool_is_told_by_its_config_or_not_at_all(tmp_path):
    for name, backbone in (("c2d_r50_8x8", "C2D"), ("c2d_r50_nopool_8x8", "ResNet")):
        content = other.mmaction2_checkpoint(name)
        torch.save(content, tmp_path / "bare.pth")
        assert names(tmp_path / "bare.pth") == ["c2d_r50_nopool_8x8"]
        with pytest.raises(Undecided):
            convert(tmp_path / "bare.pth", tmp_path / "out.pyth", to="official")
        said = f"model = dict(\n    backbone=dict(\n        depth=50, type='{backbone}'))"
        torch.save({**content, "meta": {"cfg": said}}, tmp_path / "told.pth")
        if backbone == "C2D":
            with pytest.raises(Inexpressible, match="no padding"):
                convert(tmp_path / "told.pth", tmp_path / "out.pyth", to="official")
        else:
            done = convert(tmp_path / "told.pth", tmp_path / "out.pyth", to="official")
            assert done.models == ("c2d_r50_nopool_8x8",)


def test_a_file_of_mmaction2_is_its_own_models_and_no_other(tmp_path, caplog):
    source = write("mmaction2", "slowonly_r50_4x16", tmp_path / "slowonly.pth")
    assert names(source) == ["slowonly_r50_4x16", "slowonly_r50_8x8"]
    content = other.mmaction2_checkpoint("slowonly_r50_4x16")
    text = "dict(clip_len=4, frame_interval=16), dict(clip_len=4, frame_interval=16)"
    torch.save({**content, "meta": {"cfg": text}}, source)
    assert names(source) == ["slowonly_r50_4x16"]
    load("slow_4x16_r50", weights=source)
    assert "is MMAction2's" in caplog.text
    caplog.clear()
    done = convert(source, tmp_path / "official.pyth", to="official")
    with pytest.raises(OtherWeights, match="the file says it is of slowonly_r50_4x16"):
        load("slow_4x16_r50", weights=done.target)
    caplog.clear()
    load("slowonly_r50_4x16", weights=done.target)
    assert not caplog.text
    assert "windows" in convert(source, tmp_path / "n.pyth", to="native").notes[0]


@pytest.mark.parametrize(("name", "to"), [("x3d_xs", "mmaction2"), ("x3d_s_13x6", "native")])
def test_a_file_in_a_layout_that_is_not_its_owners_is_still_its_entrys(name, to, tmp_path, caplog):
    tensors = {key: torch.ones(shape) for key, shape in shapes(find(name)).items()}
    torch.save({"model_state": tensors}, tmp_path / "official.pyth")
    done = convert(tmp_path / "official.pyth", tmp_path / "there.pth", to=to, as_name=name)
    (candidate,) = identify(done.target).candidates
    assert candidate.name == name
    assert load(done.target).entry.name == name
    assert "are the scores" not in caplog.text


def test_the_first_digits_of_a_hash_tell_a_published_file(tmp_path, monkeypatch):
    source = write("mmaction2", "slowonly_r50_4x16", tmp_path / "slowonly.pth")
    entry = find("slowonly_r50_4x16_in1k")
    row = entry.artifacts[0].model_copy(update={"sha256_begins": OpenedWeights(source).sha256[:8]})
    theirs = entry.model_copy(update={"artifacts": (row,)})
    others = tuple(theirs if e.name == entry.name else e for e in all_entries())
    monkeypatch.setattr("ptv_hub.weights.identify.known", lambda: others)
    (candidate,) = identify(source).candidates
    assert (candidate.name, candidate.evidence) == (entry.name, "the hash in the file's name")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("s3.pathway0_nonlocal1.conv_theta.weight", "a non-local network of PySlowFast"),
        ("backbone.s1.pathway0_stem.conv.weight", "a contrastive model of PySlowFast"),
        ("s2.pathway0_res0.branch2.a_bn.split_bn.running_mean", "split batch norms"),
        (
            "blocks.0.attn.rel_pos_h patch_embed.proj.weight head.projection.weight",
            "an MViTv2 of PySlowFast",
        ),
        ("backbone.layer2.1.non_local_block.g.conv.weight", "a non-local network of MMAction2"),
        ("backbone.layer1.0.conv2.1.conv.weight", "interaction-preserved CSN"),
        ("backbone.layer1.0.conv1.conv.conv_s.weight", "R(2+1)D R34"),
        ("roi_head.bbox_head.fc_cls.weight", "a detector of MMAction2"),
    ],
)
def test_inexpressible_networks_are_named_with_the_reason(key, says, tmp_path):
    torch.save({name: torch.ones(2) for name in key.split()}, tmp_path / "file.pyth")
    found = identify(tmp_path / "file.pyth")
    assert says in (found.problem or "")
    assert found.layout in ("native", "mmaction2")
    assert found.candidates == ()
    with pytest.raises(Inexpressible):
        convert(tmp_path / "file.pyth", tmp_path / "out.pyth", to="official")
    with pytest.raises(CheckpointError):
        load("x3d_xs", weights=tmp_path / "file.pyth")


def test_a_transformer_of_others_is_not_named_as_pyslowfasts(tmp_path):
    """torchvision's MViTv2, and whatever else has places relative to each other (ViTDet, SAM)."""
    with torch.device("meta"):
        keys = list(torchvision.models.video.mvit_v2_s().state_dict())
    for name, others in (("file", keys), ("sam", [f"image_encoder.{key}" for key in keys])):
        torch.save({key: torch.ones(2) for key in others}, tmp_path / f"{name}.pth")
        found = identify(tmp_path / f"{name}.pth")
        assert (found.layout, found.candidates) == (None, ())
        assert "belong to no layout" in (found.problem or "")


def test_two_depths_are_named_by_the_blocks_that_one_pathway_has(tmp_path):
    tensors = other.state_dict("mmaction2", "slowfast_r50_8x8_steplr")
    key = "backbone.slow_path.layer3.5.conv1.conv.weight"
    tensors["backbone.slow_path.layer3.6.conv1.conv.weight"] = tensors[key]
    with pytest.raises(Inexpressible, match="two depths"):
        layouts.detect(tensors)


def test_a_file_of_pyslowfast_is_no_model_of_mmaction2s(tmp_path, caplog):
    """X3D_M of both has the same keys, shapes, frames and sizes; heads and colours differ."""
    source = tmp_path / "X3D_M.pyth"
    torch.save(other.native_checkpoint("Kinetics/X3D_M"), source)
    with pytest.raises(OtherWeights, match="its head pools in windows"):
        load("x3d_m_16x5", weights=source)
    write("native", "Kinetics/X3D_M", source, bare=True)
    load("x3d_m_16x5", weights=source)
    assert "is PySlowFast's" in caplog.text
    cfg = other.native_config("Kinetics/X3D_M") | {"MULTIGRID": {"SHORT_CYCLE": True}}
    content = other.native_checkpoint("Kinetics/X3D_M", training=False)
    torch.save({**content, "cfg": json.dumps(cfg)}, source)
    with pytest.raises(OtherWeights, match="over the whole map"):
        load("x3d_m", weights=source)
