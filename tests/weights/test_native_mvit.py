"""PySlowFast's own MViT: its keys and scores, there and back.

The scores were computed by PySlowFast's own code at 287ec007 from what tools/draw_other.py draws:
of its two configs as they are, and of both made small (5 blocks, 4 frames, 64 pixels).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ptv_hub.errors import Inexpressible, KeyMismatch, LayoutError
from ptv_hub.models.builders import build, shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.convert import convert
from ptv_hub.weights.identify import identify
from ptv_hub.weights.load import load, load_weights
from ptv_hub.weights.other_code import notes
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import find
from tests import DATA
from tools import draw_other as other
from tools.draw import clip

B16, B32 = "Kinetics/MVIT_B_16x4_CONV", "Kinetics/MVIT_B_32x3_CONV"
OURS = {B16: "mvit_base_16x4_native", B32: "mvit_base_24_32x3_native"}
SMALL = {"small/MVIT_16x4": (B16, (1, 3)), "small/MVIT_32x3": (B32, (2, 4))}
TOLERANCE = 5e-6
"""Of logits, whose standard deviation is 2: float32's sums of another order."""


def small(name: str) -> Entry:
    """The entry of a config that was made small."""
    known = other.facts("native", name)
    config, widening = SMALL[name]
    item = find(OURS[config])
    side = {"crop_size": 64, "train_crop_size": 64, "num_frames": known["num_frames"]}
    blocks = {"depth": known["depth"], "widening_blocks": widening}
    return item.model_copy(
        update={
            "builder": item.builder.model_copy(update=blocks),
            "input": item.input.model_copy(update=side),
            "num_classes": known["num_classes"],
            "labels": (),
        }
    )


def golden(name: str, seed: int, what: str = "logits") -> np.ndarray:
    with np.load(DATA / "forward_native_mvit.npz") as file:
        found: np.ndarray = file[f"{name}/{seed}/{what}"]
    return found


def hollow(name: str) -> dict[str, torch.Tensor]:
    rows = other.tables()["native"]["layouts"][name]
    return {row[0]: torch.empty(row[2], device="meta") for row in rows}


def off_by(model: torch.nn.Module, item: Entry, expected: np.ndarray) -> float:
    with torch.no_grad():
        found = model(clip(item.input.num_frames, item.input.crop_size)).numpy()
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_a_small_mvit_gives_its_owners_logits_and_returns_bit_for_bit(name, seed):
    item, source = small(name), other.state_dict("native", name, seed)
    official = layouts.to_official(source)
    model = build(item, device="meta")
    load_weights(model, official, where=name)
    expected = golden(name, seed)
    assert off_by(model.eval(), item, expected) < TOLERANCE
    back = layouts.written(official, layouts.scheme_for(official, "native")).tensors
    assert list(back) == list(source)
    assert all(torch.equal(back[key], tensor) for key, tensor in source.items())


def test_the_epsilon_of_attention_is_the_entrys():
    """Of PyTorchVideo's own epsilon the logits are off by more than rounding makes them."""
    item = small("small/MVIT_16x4")
    theirs = item.builder.model_copy(update={"attention_norm_eps": 1e-5})
    model = build(item.model_copy(update={"builder": theirs}), device="meta")
    load_weights(
        model, layouts.to_official(other.state_dict("native", "small/MVIT_16x4")), where=""
    )
    expected = golden("small/MVIT_16x4", 0)
    assert off_by(model.eval(), item, expected) > TOLERANCE


@pytest.mark.parametrize("name", OURS)
def test_every_key_of_its_owner_has_the_official_name_that_was_proven(name):
    rows = other.tables()["native"]["layouts"][name]
    (scheme,) = layouts.schemes(hollow(name))
    proven = {row[0]: row[1] for row in rows if row[1] is not None}
    assert {key: scheme.to_official(key) for key in proven} == proven
    assert {key: scheme.from_official(new) for key, new in proven.items()} == {k: k for k in proven}
    read = layouts.officially(hollow(name), scheme).tensors
    assert {k: tuple(t.shape) for k, t in read.items()} == shapes(find(OURS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_a_converted_mvit_gives_its_owners_scores(name, tmp_path, caplog):
    torch.save(other.native_checkpoint(name), tmp_path / "source.pyth")
    (candidate,) = identify(tmp_path / "source.pyth").candidates
    assert candidate.name == OURS[name]
    done = convert(tmp_path / "source.pyth", tmp_path / "o.safetensors", to="official")
    assert [step.split(":")[0] for step in done.transformations] == ["split_qkv"]
    assert (done.models, done.lost) == ((OURS[name],), ())
    item = find(OURS[name])
    model = load(item, weights=done.target, activation="softmax")
    assert off_by(model, item, golden(name, 0, "scores")) < TOLERANCE
    back = convert(done.target, tmp_path / "native.pyth", to="native")
    there, tensors = checkpoint.read(back.target).tensors, other.state_dict("native", name)
    assert all(torch.equal(there[key], tensor) for key, tensor in tensors.items())
    assert digest(load(item, weights=back.target).state_dict()) == done.digest
    assert not caplog.text


def empty(path: Path, name: str = B16, **config: object) -> Path:
    """A file of zeros, with or without a config."""
    content: dict[str, object] = {"model_state": other.zeros("native", name)}
    if config:
        content["cfg"] = json.dumps({**other.native_config(name), **config})
    torch.save(content, path)
    return path


def test_look_alikes_are_told_by_their_shapes_and_layouts(tmp_path, caplog):
    bare = empty(tmp_path / "bare.pyth")
    assert [c.name for c in identify(bare).candidates] == ["mvit_base_16x4_native"]
    load("mvit_base_16x4", weights=bare)
    assert "layer norms within attention have epsilon 1e-06 in PySlowFast" in caplog.text
    (told,) = notes(("mvit_base_16x4",), "native")
    assert "epsilon 1e-06 in PySlowFast, the model's 1e-05" in told
    for to in ("official", "pyslowfast"):
        (told,) = notes((OURS[B16],), to)
        assert "epsilon 1e-05 in PyTorchVideo 0.1.5, the model's 1e-06" in told
        assert notes(("mvit_base_16x4",), to) == notes((OURS[B16],), "native") == ()
    tensors = other.zeros("native", B16)
    torch.save({"model_state": layouts.to_official(tensors)}, tmp_path / "hub.pyth")
    assert [c.name for c in identify(tmp_path / "hub.pyth").candidates] == ["mvit_base_16x4"]


def test_blocks_and_frames_of_two_networks_are_of_neither(tmp_path):
    """16 blocks and 32 frames: the hub's mvit_base_32x3, while PySlowFast's config has 24."""
    longer = {**other.zeros("native", B16), "pos_embed_temporal": torch.zeros(1, 16, 96)}
    torch.save({"model_state": longer}, tmp_path / "longer.pyth")
    for name in ("mvit_base_16x4", "mvit_base_24_32x3_native"):
        with pytest.raises(KeyMismatch, match=f"not those of {name}"):
            convert(tmp_path / "longer.pyth", tmp_path / "x.pyth", to="official", as_name=name)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"MVIT": {"RESIDUAL_POOLING": True}}, "RESIDUAL_POOLING in its config adds"),
        ({"MVIT": {"USE_MEAN_POOLING": True}}, "mean of the tokens"),
        ({"DETECTION": {"ENABLE": True}}, "a detector of PySlowFast on a multiscale vision"),
    ],
)
def test_what_only_a_config_tells_of_another_function_is_refused(section, says, tmp_path):
    source = empty(tmp_path / "x.pyth", "small/MVIT_16x4", **section)
    with pytest.raises(Inexpressible, match=says):
        convert(source, tmp_path / "out.pyth", to="official")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("blocks.0.attn.q.weight", "SEPARATE_QKV and POOL_FIRST"),
        ("pos_embed", "places are learned together"),
        ("norm_stem.weight", "NORM_STEM"),
    ],
)
def test_inexpressible_transformers_are_named_with_the_reason(key, says):
    theirs = ("patch_embed.proj.weight", "head.projection.weight", key)
    with pytest.raises(Inexpressible, match=says):
        layouts.detect(theirs)


def test_queries_keys_and_values_that_are_not_three_are_an_error():
    tensors = other.state_dict("native", "small/MVIT_16x4")
    tensors["blocks.0.attn.qkv.bias"] = torch.zeros(7)
    with pytest.raises(LayoutError, match="not three parts"):
        layouts.to_official(tensors)


def with_aliases(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As PyTorchVideo's head (f3142bb0) writes it: the pools of attention under a second name."""
    result = {}
    for key, value in tensors.items():
        result[key] = value
        second = re.sub(r"attn\.(pool|norm)_([qkv])", r"attn._attention_pool_\2.\1", key)
        result[second] = value
    return result


def test_a_file_of_pytorchvideos_head_names_layers_twice(tmp_path, caplog):
    """Its layer norms within attention have PySlowFast's epsilon, 0.1.5's another."""
    item = find("mvit_base_16x4")
    plain = {key: torch.zeros(shape) for key, shape in shapes(item).items()}
    twice = with_aliases(plain)
    assert (len(plain), len(twice)) == (377, 482)  # as counted of their own model
    torch.save({"model_state": twice}, tmp_path / "head.pyth")
    found = identify(tmp_path / "head.pyth")
    assert [c.name for c in found.candidates] == ["mvit_base_16x4_native"]
    assert [step.split(":")[0] for step in found.transformations] == ["join_aliases"]
    load(item, weights=tmp_path / "head.pyth", any_weights=True)
    assert "epsilon 1e-06 in PyTorchVideo at its head, 1e-05 in mvit_base_16x4" in caplog.text
    done = convert(tmp_path / "head.pyth", tmp_path / "o.pyth", to="official")
    assert (done.num_tensors, done.digest, done.lost) == (377, digest(plain), ())
    assert done.transformations == found.transformations
    assert [c.name for c in identify(done.target).candidates] == ["mvit_base_16x4_native"]


@pytest.mark.parametrize("layout", ["official", "pyslowfast"])
def test_layers_of_two_names_are_taken_once(layout):
    item = small("small/MVIT_16x4")
    plain = layouts.to_official(other.state_dict("native", "small/MVIT_16x4"))
    prefix = "model." if layout == "pyslowfast" else ""
    twice = {prefix + key: value for key, value in with_aliases(plain).items()}
    read = layouts.to_official(twice)
    assert list(read) == list(plain)
    assert digest(read) == digest(plain)
    # safetensors' save_model keeps one name of each tensor: the first in the alphabet.
    once = {k: v for k, v in twice.items() if not re.search(r"attn\.(pool|norm)_", k)}
    assert digest(layouts.to_official(once)) == digest(plain)
    other_name = next(key for key in twice if "_attention_pool_" in key)
    with pytest.raises(LayoutError, match="two names of one layer stand for two tensors"):
        layouts.to_official({**twice, other_name: twice[other_name] + 1})
    assert shapes(item).keys() == read.keys()
