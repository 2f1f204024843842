"""A model as timm's users handle theirs; rates and layers against numbers of timm itself."""

from __future__ import annotations

import copy
import gzip
import json
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

import ptv_hub
from ptv_hub.errors import UsageError, WrongInput
from ptv_hub.models.boxes import whole_frames
from ptv_hub.models.builders import VideoModel, build
from ptv_hub.models.stage_model import StageModel
from ptv_hub.models.stages import stages
from ptv_hub.weights.load import load
from ptv_hub.zoo.builder_specs import HeadSpec
from ptv_hub.zoo.manifest import entries, find, of_zoo
from tests import DATA

TIMM = json.loads(gzip.decompress((DATA / "timm_layer_decay.json.gz").read_bytes()))
SHALLOW = ("c2d_r50", "r2plus1d_r50", "slowfast_4x16_r50", "x3d_xs", "slowfast_r50_detection")
NAMES = [
    pytest.param(item.name, marks=() if item.name in SHALLOW else pytest.mark.slow)
    for item in (*entries(), *of_zoo("pytorchvideo"))
]
KINDS = (
    *("motion_x3d", "slow_4x16_r50", "slowfast_4x16_r50", "efficient_x3d_xs", "slow_r50_detection"),
    pytest.param("mvit_base_16x4", marks=pytest.mark.slow),
)
"""One of each kind of network."""
SIDE = 32
"""Of small clips, in pixels."""


def clip_of(model: VideoModel, count: int = 1, device: str = "cpu") -> torch.Tensor:
    spec = model.entry.input
    small = device == "cpu" and model.entry.head.pooling in ("global", "boxes")
    side = SIDE if small else spec.crop_size
    torch.manual_seed(3)
    return torch.randn(count, 3, spec.num_frames, side, side, device=device)


def made(name: str) -> VideoModel:
    """With numbers, and a head that takes clips of any size where it can have one."""
    torch.manual_seed(0)
    item = find(name)
    if name.startswith("slow") and item.head.pooling == "windowed":
        item = item.model_copy(update={"head": HeadSpec(pooling="global")})
    model = build(item)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.weight.uniform_(0.5, 1.0)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_its_sizes(name):
    model = build(find(name), device="meta").eval()
    clip = clip_of(model, device="meta")
    boxes = {"boxes": whole_frames(clip)} if "detection" in name else {}
    features = model.forward_features(clip)
    channels = features.shape[2 if "mvit" in name else 1]
    assert channels == model.num_features
    seen = model.forward_head(features, pre_logits=True, **boxes)
    assert tuple(seen.shape) == (1, model.head_hidden_size)
    classifier = model.get_classifier()
    assert isinstance(classifier, nn.Linear)
    assert (classifier.in_features, model.num_classes) == (
        model.head_hidden_size,
        classifier.out_features,
    )
    assert len({group["lr_scale"] for group in model.param_groups(0.05, 0.75)}) > 5
    if name.startswith(("mvit", "efficient")) or boxes:
        with pytest.raises(UsageError, match="has no stages"):
            _ = model.feature_info
    else:
        assert model.feature_info.channels()[-1] == model.feature_info[-1]["num_chs"]


@pytest.mark.parametrize("name", KINDS)
def test_forward_is_its_two_halves_and_a_new_classifier_keeps_the_first(name):
    model = made(name).eval()
    clip = clip_of(model)
    boxes = (whole_frames(clip),) if "detection" in name else ()
    with torch.inference_mode():
        whole = model(clip, *boxes)
        features = model.forward_features(clip)
        assert torch.equal(model.forward_head(features, boxes=boxes[0] if boxes else None), whole)
        seen = model.forward_head(features, True, *boxes)
        model.reset_classifier(0)
        assert isinstance(model.get_classifier(), nn.Identity)
        assert torch.equal(model(clip, *boxes), seen)
        model.reset_classifier(7, labels=list("abcdefg"))
        assert (model.num_classes, model.entry.labels[2]) == (7, "c")
        assert model(clip, *boxes).shape == (1, 7)
        assert model.get_classifier().weight.std() == pytest.approx(0.01, rel=0.1)
    if boxes:
        with pytest.raises(WrongInput, match="scores boxes"):
            model.forward_head(features)


def test_a_new_classifier_must_make_sense(drawn):
    model = build(find("motion_x3d"), device="meta")
    for wrong in ((-1,), (3, ["a"])):
        with pytest.raises(UsageError, match="as many labels as classes"):
            model.reset_classifier(*wrong)
    with pytest.raises(UsageError, match="a list of names"):
        model.reset_classifier(3, "avg")


# ------------------------------------------------------------------------ gradients


def step(model: VideoModel, clip: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)  # of dropout
    scores = model(clip, *((whole_frames(clip),) if model.entry.head.takes_boxes else ()))
    functional.cross_entropy(scores, torch.tensor([0, 1])).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "name",
    [
        *("motion_x3d", "slowfast_4x16_r50"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("efficient_x3d_xs", "mvit_base_16x4")),
    ],
)
def test_checkpointing_changes_neither_gradients_nor_statistics(name):
    plain = made(name).train()
    other = copy.deepcopy(plain)
    other.set_grad_checkpointing()
    assert other.grad_checkpointing
    kept: list[int] = []
    clip = clip_of(plain, 2)
    expected = step(plain, clip)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        found = step(other, clip)
    assert expected.keys() == found.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=0, atol=1e-6, msg=key)
    for (key, one), two in zip(plain.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(one, two), key
    other.set_grad_checkpointing(False)
    assert not other.grad_checkpointing
    assert len(kept) < len(list(plain.modules()))  # what is kept: the blocks' inputs


# ------------------------------------------------------------------------ layers and rates


def layer_in_timm(name: str) -> str:
    """Of a parameter of C2D or CSN the layer of timm's ResNet: ``conv1``, ``layer2.3``, ``fc``."""
    if name.startswith("blocks.0."):
        return "conv1"
    found = re.match(r"blocks\.(\d+)\.res_blocks\.(\d+)\.", name)
    return "fc" if found is None else f"{found[1]}.{found[2]}"


@pytest.mark.parametrize(("name", "theirs"), [("slow_r50", "resnet50"), ("csn_r101", "resnet101")])
def test_rates_are_those_of_timms_model_with_the_same_stages(name, theirs):
    scales = {}
    for key, (scale, _) in TIMM["theirs"][theirs].items():
        layer = re.sub(r"^(?:bn1\..*|conv1\..*)", "conv1", key)
        scales[re.sub(r"^layer(\d+\.\d+)\..*|^fc\..*", lambda m: m[1] or "fc", layer)] = scale
    model = build(find(name), device="meta")
    names = {id(p): key for key, p in model.named_parameters()}
    groups = model.param_groups(TIMM["weight_decay"], TIMM["layer_decay"], lr=0.1)
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for parameter in group["params"]:
            key = names[id(parameter)]
            assert group["lr_scale"] == pytest.approx(scales[layer_in_timm(key)], abs=1e-12), key
            assert group["lr"] == pytest.approx(0.1 * group["lr_scale"])
            assert group["weight_decay"] == (0.05 if parameter.dim() > 1 else 0.0)


def test_a_transformers_rates_are_those_of_timms_with_as_many_blocks():
    theirs = {
        key.split(".")[1]: scale
        for key, (scale, _) in TIMM["theirs"]["vit of 16 blocks"].items()
        if key.startswith("blocks.")
    }
    ours = TIMM["ours"]["mvit_base_16x4"]
    for key, (scale, _) in ours.items():
        if key.startswith("blocks."):
            assert scale == pytest.approx(theirs[key.split(".")[1]], abs=1e-12), key
    assert ours["cls_positional_encoding.pos_embed_spatial"][1] == 0.0


@pytest.mark.parametrize("name", TIMM["ours"])
def test_groups_are_those_that_timm_makes_of_our_model(name):
    model = build(find(name), device="meta")
    names = {id(p): key for key, p in model.named_parameters()}
    found = {
        names[id(p)]: [group["lr_scale"], group["weight_decay"]]
        for group in model.param_groups(TIMM["weight_decay"], TIMM["layer_decay"])
        for p in group["params"]
    }
    assert found.keys() == TIMM["ours"][name].keys()
    for key, (scale, decay) in TIMM["ours"][name].items():
        assert found[key] == [pytest.approx(scale, abs=1e-12), decay], key


def test_without_layer_decay_there_are_two_groups():
    groups = build(find("motion_x3d"), device="meta").param_groups(1e-4)
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 1e-4]
    assert all("lr_scale" not in group and "lr" not in group for group in groups)


# ------------------------------------------------------------------------ freezing


def test_frozen_stages_stay_frozen_with_their_statistics():
    model = made("motion_x3d").train()
    model.freeze_stages(2)
    before = copy.deepcopy(model.state_dict())
    model.train()
    optimizer = torch.optim.SGD(model.param_groups(0.0), lr=1.0)
    step(model, clip_of(model, 2))
    optimizer.step()
    for key, tensor in model.state_dict().items():
        frozen = key.startswith(("blocks.0.", "blocks.1."))
        assert torch.equal(tensor, before[key]) == frozen, key
    model.freeze_stages(0)
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())
    with pytest.raises(UsageError, match="0 to 5"):
        model.freeze_stages(6)


# ------------------------------------------------------------------------ features, names


def test_out_indices_choose_stages(drawn):
    model = StageModel(build(find("slowfast_r50"), device="meta"), out_indices=(1, -1))
    assert [s.name for s in model.feature_info] == [
        *("stage1.slow", "stage1.fast"),
        *("stage4.slow", "stage4.fast"),
    ]
    assert model.feature_info.channels() == [320, 32, 2048, 256]
    assert model.feature_info.reduction() == [4, 4, 32, 32]
    assert model.feature_info.module_name() == ["blocks.1", "blocks.1", "blocks.4", "blocks.4"]
    assert model.feature_info.get_dicts()[0] == {
        "num_chs": 320, "reduction": 4, "module": "blocks.1", "index": 1
    }  # fmt: skip
    assert model.feature_info.out_indices == [1, 4]
    small = load("motion_x3d", features_only=True, out_indices=(2, 0))
    maps = small(clip_of(small))
    assert [m.shape[1] for m in maps] == small.feature_info.channels()
    assert [s.index for s in stages(small.entry)] == [0, 1, 2, 3, 4]
    for wrong in ((5,), (-6,), ()):
        with pytest.raises(UsageError, match="no such stages"):
            load("motion_x3d", features_only=True, out_indices=wrong)
    with pytest.raises(UsageError, match="features_only=True"):
        load("motion_x3d", out_indices=(1,))


def test_models_are_listed_by_parts_globs_and_families():
    assert ptv_hub.list_models("X3D") == ["x3d_xs", "x3d_s", "x3d_m", "x3d_l"]
    assert ptv_hub.list_models(["x3d_?", "c2d"], exclude="*_l") == ["c2d_r50", "x3d_s", "x3d_m"]
    assert ptv_hub.list_models("SlowFast", exclude=["charades", "r101"], dataset="k400") == [
        *("slowfast_4x16_r50", "slowfast_r50")
    ]
    assert ptv_hub.list_models("nothing") == []
    assert ptv_hub.list_models("*x3d*", pretrained=True) == ptv_hub.list_models("X3D")
    served, brought = "mvit_base_16x4", "mvit_base_16x4_native"  # of the second no file is served
    assert {served, brought} <= set(ptv_hub.list_models("mvit", zoo="all"))
    assert brought not in ptv_hub.list_models("mvit", zoo="all", pretrained=True)


def test_names_are_offered_for_completion():
    names = ptv_hub.ModelName.__args__
    assert {"x3d_m", "motion_x3d", "mvit_base_16x4"} <= set(names)
    assert set(ptv_hub.list_models()) <= set(names)
