"""All eighteen models against scores that PySlowFast computed, and the road's promises."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from ptv_hub.errors import KeyMismatch, UnknownName, UsageError, WrongInput
from ptv_hub.fetching.hub import entry
from ptv_hub.models import inputs
from ptv_hub.models.builders import activated, build, slow_frames
from ptv_hub.weights.convert import convert
from ptv_hub.weights.load import load
from ptv_hub.zoo.manifest import entries
from tests import DATA
from tools import draw

GOLDEN = np.load(DATA / "forward.npz")
NAMES = [item.name for item in entries()]
DEEP = ("slowfast_r101", "slowfast_16x8_r101_50_50")
"""Of the families that shallower ones stand for: whole forward passes are for the slow run."""
OTHER_HEADS = ("slowfast_r50_ssv2", "slowfast_r50_charades", "slow_r50_ssv2", "slow_r50_charades")
"""The same keys as a model of Kinetics, and another number of classes: files for the slow run."""

TOLERANCE = 1e-4
"""float32 on other CPUs and kernels; on the machine of the golden numbers they agree to 1e-6."""


def but(*slow: str) -> list[object]:
    """All names, some of them for the slow run alone."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in NAMES]


def golden_clip(item) -> torch.Tensor:
    return draw.clip(item.input.num_frames, item.input.crop_size)


@pytest.mark.parametrize("name", but(*DEEP, *OTHER_HEADS[:2]))
def test_logits_and_scores_are_pyslowfasts(name, drawn):
    item = entry(name)
    model = load(name, weights=drawn(name, training=False))
    assert not model.training
    assert model.entry == item
    seen: list[torch.Tensor] = []
    model.blocks[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        logits = model(golden_clip(item))
        model.activation = item.protocol.activation
        scores = model.blocks[-1](seen[0])  # the head alone: the rest of the way is the same
    key = draw.config_key(item)
    np.testing.assert_allclose(logits, GOLDEN[f"{key}/logits"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(scores, GOLDEN[f"{key}/scores"], rtol=0, atol=TOLERANCE)


def upstream(item) -> torch.nn.Module:
    """The model that pytorchvideo itself builds: its hub's own, else its constructor's."""
    import pytorchvideo.models.hub as hub
    from pytorchvideo.models.resnet import create_resnet
    from pytorchvideo.models.slowfast import create_slowfast

    if item.name == "slow_4x16_r50":
        return create_resnet(stem_conv_kernel_size=(1, 7, 7), head_pool_kernel_size=(4, 7, 7))
    if item.name == "slowfast_4x16_r50":
        return create_slowfast(
            slowfast_fusion_conv_kernel_size=(5, 1, 1),
            slowfast_fusion_conv_stride=(8, 1, 1),
            head_pool_kernel_sizes=((4, 7, 7), (32, 7, 7)),
        )
    name = item.name.removesuffix("_ssv2").removesuffix("_charades")
    return getattr(hub, name)(model_num_class=item.num_classes)


@pytest.mark.parametrize("name", but(*DEEP, *OTHER_HEADS))
def test_round_trip_is_bit_for_bit_and_both_ends_load_it(name, drawn, tmp_path):
    """PySlowFast -> official -> safetensors -> PySlowFast; the official file loads upstream."""
    source = drawn(name, training=False)
    official, tensors, back = tmp_path / "a.pyth", tmp_path / "b.safetensors", tmp_path / "c.pyth"
    digests = {
        convert(source, official, to="official").digest,
        convert(official, tensors, to="official").digest,
        convert(tensors, back, to="pyslowfast").digest,
    }
    assert len(digests) == 1
    before = torch.load(source, weights_only=True)["model_state"]
    after = torch.load(back, weights_only=True)
    # What was converted stands in a key of its own, which other loaders pass by.
    assert set(after) == {"model_state", "ptv_hub_conversion"}
    assert after["model_state"].keys() == before.keys()
    assert all(torch.equal(after["model_state"][key], before[key]) for key in before)
    upstream(entry(name)).load_state_dict(
        torch.load(official, weights_only=True)["model_state"], strict=True
    )


def test_training_state_is_kept_on_request_as_it_was(drawn, tmp_path):
    source, out = drawn("x3d_s"), tmp_path / "a.pyth"
    done = convert(source, out, to="official", keep_training=True)
    assert done.kept == ("epoch", "optimizer_state", "cfg")
    before, after = (torch.load(p, weights_only=True) for p in (source, out))
    assert set(after) == {*before, "ptv_hub_conversion"}
    assert (after["epoch"], after["cfg"]) == (before["epoch"], before["cfg"])
    momentum = [c["optimizer_state"]["state"] for c in (before, after)]
    assert momentum[0].keys() == momentum[1].keys()
    for index, state in momentum[0].items():
        assert torch.equal(state["momentum_buffer"], momentum[1][index]["momentum_buffer"])


# What a model promises


@pytest.fixture(scope="module")
def x3d(tmp_path_factory):
    path = draw.write("x3d_xs", tmp_path_factory.mktemp("w") / "x3d_xs.pyth", training=False)
    return load("x3d_xs", weights=path)


def test_every_layout_format_and_container_gives_the_same_model(drawn, tmp_path):
    tensors = draw.state_dict("x3d_xs", layout="official")
    files = [
        drawn("x3d_xs"),
        drawn("x3d_xs", legacy=True),
        drawn("x3d_xs", layout="official"),
    ]
    torch.save({f"module.{k}": v for k, v in tensors.items()}, tmp_path / "wrapped.pt")
    convert(files[0], tmp_path / "a.safetensors", to="pyslowfast")
    for path in [*files, tmp_path / "wrapped.pt", tmp_path / "a.safetensors"]:
        state = load("X3D_XS", weights=path).state_dict()
        assert list(state) == list(tensors)
        assert all(torch.equal(state[key], tensors[key]) for key in tensors)


def test_an_empty_model_is_initialised_as_pytorchvideo_does():
    torch.manual_seed(0)
    model = load("x3d_xs", pretrained=False)
    torch.manual_seed(0)
    theirs = upstream(entry("x3d_xs"))
    assert not model.training
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key


def test_heads_return_logits_whatever_the_release(x3d):
    """0.1.5 ends X3D and R(2+1)D in softmax, later commits only R(2+1)D; here none does."""
    for name in ("x3d_xs", "r2plus1d_r50", "slow_r50", "csn_r101"):
        assert build(entry(name), device="meta").blocks[-1].activation is None
    with torch.inference_mode():
        logits = x3d(golden_clip(x3d.entry))
    assert logits.sum().item() != pytest.approx(1.0, abs=0.1)


def test_scores_are_the_mean_of_positions_after_the_activation(x3d):
    clip = golden_clip(x3d.entry)
    head = x3d.blocks[-1]
    try:
        with torch.inference_mode():
            head.output_pool, pool = None, head.output_pool
            positions = x3d(clip)  # (1, 400, 1, 2, 2)
            head.output_pool = pool
            x3d.activation = "softmax"
            scores = x3d(clip)
    finally:
        head.output_pool, x3d.activation = pool, None
    assert positions.shape == (1, 400, 1, 2, 2)
    torch.testing.assert_close(scores, positions.softmax(dim=1).mean(dim=(2, 3, 4)))


def test_an_unknown_activation_is_refused(x3d):
    with pytest.raises(UnknownName, match="relu"):
        x3d.activation = "relu"
    assert x3d.activation is None


def test_another_number_of_classes_gives_a_new_head_and_says_so(drawn, caplog):
    with caplog.at_level(logging.WARNING, logger="ptv_hub"):
        model = load("x3d_xs", weights=drawn("x3d_xs"), num_classes=7)
    assert "new classifier for 7 classes" in caplog.text
    assert (model.entry.num_classes, model.entry.labels) == (7, ())
    assert model(golden_clip(model.entry)).shape == (1, 7)
    tensors = draw.state_dict("x3d_xs", layout="official")
    for key, tensor in model.state_dict().items():
        if ".proj." not in key:
            assert torch.equal(tensor, tensors[key])
    weight = model.state_dict()["blocks.5.proj.weight"]
    assert weight.shape == (7, 2048)
    assert 0.008 < weight.std() < 0.012


def test_a_file_with_a_head_of_the_wanted_size_keeps_it(tmp_path):
    tensors = draw.state_dict("x3d_xs", layout="official")
    tensors["blocks.5.proj.weight"] = torch.full((7, 2048), 0.5)
    tensors["blocks.5.proj.bias"] = torch.ones(7)
    torch.save(tensors, tmp_path / "seven.pyth")
    model = load("x3d_xs", weights=tmp_path / "seven.pyth", num_classes=7)
    assert torch.equal(model.state_dict()["blocks.5.proj.bias"], torch.ones(7))


def test_half_precision_files_load_as_float32_and_say_so(tmp_path, caplog):
    tensors = draw.state_dict("x3d_xs", layout="official")
    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    torch.save(half, tmp_path / "half.pyth")
    model = load("x3d_xs", weights=tmp_path / "half.pyth")
    assert "float16" in caplog.text
    assert {t.dtype for t in model.parameters()} == {torch.float32}


# Two pathways


def test_slow_frames_are_those_of_pack_pathway_output():
    for frames, alpha in ((32, 4), (32, 8), (64, 4)):
        expected = torch.linspace(0, frames - 1, frames // alpha).long().tolist()
        assert slow_frames(frames, alpha) == expected
    assert slow_frames(32, 8) == [0, 10, 20, 31]


def test_two_pathways_take_a_list_or_a_clip_and_leave_the_list_alone(drawn):
    model = load("slowfast_4x16_r50", weights=drawn("slowfast_4x16_r50", training=False))
    fast = draw.clip(32, 224)
    slow = fast[:, :, slow_frames(32, 8)]
    given = [slow, fast]
    with torch.inference_mode():
        from_list, again, from_tuple, from_clip = (
            model(given),
            model(given),
            model((slow, fast)),
            model(fast),
        )
    assert given[0] is slow
    assert given[1] is fast
    for other in (again, from_tuple, from_clip):
        assert torch.equal(from_list, other)


# Wrong input


@pytest.mark.parametrize(
    ("clip", "found"),
    [
        (torch.zeros(1, 3, 5, 182, 182), "(1, 3, 5, 182, 182)"),
        (torch.zeros(1, 1, 4, 182, 182), "(1, 1, 4, 182, 182)"),
        (torch.zeros(3, 4, 182, 182), "(3, 4, 182, 182)"),
        (torch.zeros(1, 3, 4, 128, 182), "(1, 3, 4, 128, 182)"),
        (torch.zeros(1, 3, 4, 182, 182, dtype=torch.uint8), "uint8"),
        ([torch.zeros(1, 3, 4, 182, 182)], "a list of 1"),
    ],
)
def test_a_wrong_input_is_told_what_the_model_wants(x3d, clip, found):
    with pytest.raises(WrongInput) as caught:
        x3d(clip)
    assert found in str(caught.value)
    assert "(B, 3, 4, 182, 182)" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_slowfast_says_both_pathways():
    model = build(entry("slowfast_r50"), device="meta")
    for wrong in ([torch.zeros(1, 3, 32, 256, 256)] * 2, [torch.zeros(1)] * 3):
        with pytest.raises(WrongInput, match=r"\(B, 3, 8, 256, 256\).*\(B, 3, 32, 256, 256\)"):
            model(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_side_is_the_smallest_that_works(name):
    """What the error promises, on the meta device: one pixel less leaves the head no position."""
    item = entry(name)
    model = build(item, device="meta")
    side = inputs._smallest_side(item.input)
    frames = item.input.num_frames
    assert model(torch.zeros(1, 3, frames, side, side, device="meta")).shape == (
        1,
        item.num_classes,
    )
    x = torch.zeros(1, 3, frames, side - 1, side - 1, device="meta")
    if item.input.slowfast_alpha:
        x = [x[:, :, slow_frames(frames, item.input.slowfast_alpha)], x]
    # Past our own check: the last pool is in the head, of a SlowFast in the block before it.
    pool = len(model.blocks) - (2 if item.builder.name == "slowfast" else 1)
    for block in model.blocks[:pool]:
        x = block(x)
    with pytest.raises(RuntimeError):
        model.blocks[pool](x)


# Never half a model


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        (lambda t: t.pop("blocks.0.conv.conv_t.weight"), "missing"),
        (lambda t: t.update({"blocks.9.extra": torch.ones(1)}), "unexpected"),
        (lambda t: t.update({"blocks.5.proj.bias": torch.ones(7)}), "mismatched"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path, change, attribute):
    tensors = draw.state_dict("x3d_xs", layout="official")
    change(tensors)
    torch.save(tensors, tmp_path / "wrong.pyth")
    with pytest.raises(KeyMismatch) as caught:
        load("x3d_xs", weights=tmp_path / "wrong.pyth")
    (key,) = getattr(caught.value, attribute)
    assert key in str(caught.value)
    assert "identify" in str(caught.value)


def test_the_weights_of_another_model_are_refused(drawn):
    with pytest.raises(KeyMismatch, match="not those of slow_r50"):
        load("slow_r50", weights=drawn("x3d_xs"))


def test_contradicting_arguments_are_refused(drawn):
    with pytest.raises(UsageError, match="contradict"):
        load("x3d_xs", pretrained=False, weights=drawn("x3d_xs"))


def test_the_package_offers_the_functions_not_their_rooms():
    import ptv_hub.models.digest
    import ptv_hub.weights.load

    for name in ("load", "convert", "digest", "identify", "entry", "list_models"):
        assert callable(getattr(ptv_hub, name))
        assert name in dir(ptv_hub)
    with pytest.raises(AttributeError, match="no_such"):
        ptv_hub.no_such  # noqa: B018


def test_an_activation_is_put_back_even_after_an_error(x3d):
    seen = []

    def fail() -> None:
        with activated(x3d, "sigmoid"):
            seen.append(x3d.activation)
            x3d("no clip")

    with pytest.raises(WrongInput):
        fail()
    assert seen == ["sigmoid"]
    assert x3d.activation is None
