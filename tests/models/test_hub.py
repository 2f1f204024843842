"""Every name of PyTorchVideo's hub gives what its own model gives with the same tensors."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import pytest
import torch

from ptv_hub.errors import NotServed, UsageError, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.models.boxes import whole_frames
from ptv_hub.models.builders import build
from ptv_hub.models.stages import stages
from ptv_hub.weights.load import load
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import all_entries, find, of_zoo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorchvideo.models import hub

HUB = sorted(n for n, f in vars(hub).items() if inspect.isfunction(f))
IMAGES = "mvit_base_16"
QUICK = ("slow_r50_detection", "slowfast_r50_detection", "efficient_x3d_xs", "efficient_x3d_s")
SIZES = {"slow_r50_detection": 96, "slowfast_r50_detection": 96}
"""Side of the clip in pixels where the test crop would take long."""
BOXES = torch.tensor(
    [[0, 3.0, 7.5, 60.0, 90.0], [1, 0.0, 0.0, 96.0, 96.0], [0, 40.2, 11.1, 44.4, 33.3]]
)


def named(name: str) -> object:
    slow = name not in QUICK
    return pytest.param(name, marks=pytest.mark.slow) if slow else name


def theirs(name: str, seed: int, **options: object) -> torch.nn.Module:
    """Their model in eval mode, its norms far from the identity, giving logits."""
    torch.manual_seed(seed)
    model = getattr(hub, name)(**options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.weight.data.uniform_(0.4, 0.8)
            module.bias.data.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
        elif isinstance(module, torch.nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
        elif isinstance(module, torch.nn.Linear):
            module.bias.data.normal_(0, 0.2)
    for module in model.modules():
        if getattr(module, "proj", None) is not None and hasattr(module, "activation"):
            module.activation = None
    return model.eval()


@pytest.mark.parametrize("name", [named(name) for name in HUB if name != IMAGES])
def test_a_hub_name_is_their_model(name, tmp_path):
    item = entry(name)
    other = theirs(name, seed=len(name))
    path = tmp_path / "theirs.pyth"
    compare(item, other, path)


def compare(item: Entry, other: torch.nn.Module, path: Path) -> None:
    """Their tensors in a file, loaded here: the same numbers, keys and all."""
    name, own = item.name, other.state_dict()
    torch.save(own if name.startswith("efficient") else {"model_state": own}, path)
    model = load(item, weights=path)
    side = SIZES.get(name, item.input.crop_size)
    with torch.inference_mode():
        clip = torch.randn(2 if name in QUICK else 1, 3, item.input.num_frames, side, side)
        packed = model.pathways(clip)
        boxes = (BOXES,) if item.head.takes_boxes else ()
        ours = model(clip, *boxes)
        want = other(packed if torch.is_tensor(packed) else list(packed), *boxes)
    assert ours.shape == (len(BOXES) if boxes else len(clip), item.num_classes)
    assert float(want.std()) > 0.005
    assert float((ours - want).abs().max()) <= 1e-6
    assert model.state_dict().keys() == own.keys()
    other.load_state_dict(model.state_dict())


@pytest.mark.parametrize("name", ["mvit_base_16x4", "mvit_base_32x3"])
def test_a_transformer_of_small_crops_is_their_model(name, tmp_path):
    item = entry(name)
    sizes = {"short_side": 64, "crop_size": 64, "train_crop_size": 64}
    small = item.model_copy(update={"input": item.input.model_copy(update=sizes)})
    compare(small, theirs(name, seed=3, spatial_size=64), tmp_path / "theirs.pyth")


def test_every_video_name_of_the_hub_is_an_entry():
    assert {name for name in HUB if name != IMAGES} <= {item.name for item in all_entries()}
    assert len(of_zoo("pytorchvideo")) == 6
    with pytest.raises(NotServed, match="images"):
        find(IMAGES)


@pytest.mark.parametrize("aligned", [False, True])
def test_the_alignment_is_the_entrys(aligned):
    item = entry("slow_r50_detection")
    head = item.head.model_copy(update={"aligned": aligned})
    model = build(item.model_copy(update={"head": head}), device="meta")
    assert model.detection_head.roi_layer.aligned is aligned
    assert entry("slow_r50_detection").head.aligned is False  # as the hub builds it


def test_scores_of_boxes_are_sigmoids_of_logits():
    model = load("slow_r50_detection", pretrained=False)
    clip = torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model(clip, BOXES)
        model.activation = "sigmoid"
        assert torch.equal(model(clip, BOXES), logits.sigmoid())
        listed = [BOXES[BOXES[:, 0] == number, 1:] for number in (0, 1)]
        assert torch.equal(model(clip, listed), logits[[0, 2, 1]].sigmoid())
        assert model(clip, BOXES[:0]).shape == (0, 80)


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        (None, "a clip alone"),
        (BOXES[:, 1:], "shape"),
        (BOXES.long(), "int64"),
        (BOXES * torch.tensor([2.0, 1, 1, 1, 1]), "clip 2 in a batch of 2"),
        (BOXES * torch.tensor([1.0, -1, 1, -1, 1]), "second corner"),
        (BOXES + torch.tensor([0.0, 0, torch.nan, 0, 0]), "no number"),
        ([BOXES[:, 1:]], r"\(3, 4\)"),
    ],
)
def test_boxes_that_cannot_be_scored_are_refused(boxes, told):
    model = load("slow_r50_detection", pretrained=False)
    with pytest.raises(WrongInput, match=told):
        model(torch.zeros(2, 3, 4, 64, 64), boxes)


def test_boxes_are_for_detection_alone():
    model = load("efficient_x3d_xs", pretrained=False)
    clip = torch.zeros(1, 3, 4, 160, 160)
    with pytest.raises(WrongInput, match="takes no boxes"):
        model(clip, whole_frames(clip))


@pytest.mark.parametrize("side", [223, 225, 256])
def test_a_transformer_takes_one_size_of_crop(side):
    model = build(entry("mvit_base_16x4"), device="meta")
    with pytest.raises(WrongInput, match="224, 224"):
        model(torch.zeros(1, 3, 16, side, side))


@pytest.mark.parametrize("name", [*QUICK, "mvit_base_16x4"])
def test_networks_without_stages_say_so(name):
    with pytest.raises(UsageError, match="no stages"):
        stages(entry(name))


@pytest.mark.parametrize(("name", "width"), [("mvit_base_16x4", 768), ("efficient_x3d_s", 2048)])
def test_what_the_classifier_would_see(name, width):
    model = build(entry(name), device="meta").eval()
    spec = model.entry.input
    clip = torch.empty(1, 3, spec.num_frames, spec.crop_size, spec.crop_size, device="meta")
    assert model.get_submodule(model.classifier).in_features == width
    assert load(name, pretrained=False, num_classes=7).state_dict()[
        f"{model.classifier}.weight"
    ].shape == (7, width)
    assert model(clip).shape == (1, 400)
