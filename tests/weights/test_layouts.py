"""Layouts there and back, and the digest that they share."""

from __future__ import annotations

import gzip
import json

import pytest
import torch

from ptv_hub.errors import LayoutError, UnknownName
from ptv_hub.models.builders import shapes
from ptv_hub.models.digest import digest
from ptv_hub.weights import layouts
from ptv_hub.weights.rules import Rule
from ptv_hub.zoo.manifest import entries
from tests import DATA
from tools.draw import config_key


@pytest.fixture(scope="module")
def pyslowfast_keys() -> dict[str, dict[str, list[int]]]:
    """Config -> key -> shape, read off models that PySlowFast built."""
    with gzip.open(DATA / "pyslowfast_layout.json.gz") as file:
        return json.load(file)


@pytest.mark.parametrize("item", entries(), ids=lambda item: item.name)
def test_keys_shapes_and_order_are_those_that_pyslowfast_built(item, pyslowfast_keys):
    theirs = {k: tuple(shape) for k, shape in pyslowfast_keys[config_key(item)].items()}
    ours = layouts.convert(shapes(item), "official", "pyslowfast")
    assert list(ours.items()) == list(theirs.items())
    assert layouts.detect(theirs) == "pyslowfast"
    assert layouts.to_official(theirs) == layouts.to_official(shapes(item)) == shapes(item)


def test_number_of_parameters_is_recorded():
    for item in entries():
        trained = (
            s for k, s in shapes(item).items() if "running_" not in k and "num_batch" not in k
        )
        assert sum(torch.Size(shape).numel() for shape in trained) == item.num_params


def test_mixed_keys_are_named():
    with pytest.raises(LayoutError) as caught:
        layouts.detect(["blocks.0.a", "blocks.0.b", "model.blocks.1.a"])
    assert caught.value.keys == ("model.blocks.1.a",)
    assert "2 official" in str(caught.value)


def test_unknown_keys_are_named():
    with pytest.raises(LayoutError) as caught:
        layouts.detect(["blocks.0.a", "backbone.conv"])
    assert caught.value.keys == ("backbone.conv",)
    with pytest.raises(LayoutError, match="without a tensor"):
        layouts.detect([])


def test_convert_refuses_what_no_rule_names():
    with pytest.raises(LayoutError) as caught:
        layouts.convert({"model.blocks.0.a": 1, "head.a": 2}, "pyslowfast", "official")
    assert caught.value.keys == ("head.a",)
    with pytest.raises(UnknownName, match="caffe2"):
        layouts.convert({}, "official", "caffe2")


def test_two_keys_that_would_become_one_are_refused(monkeypatch):
    rules = (Rule("a.", "blocks."), Rule("b.", "blocks."))
    table = layouts.Scheme("greedy", "a model of two halves", rules, whole=True)
    monkeypatch.setitem(layouts.LAYOUTS, "greedy", layouts.Layout("greedy", (table,)))
    with pytest.raises(LayoutError) as caught:
        layouts.convert({"a.x": 1, "b.x": 2}, "greedy", "official")
    assert caught.value.keys == ("a.x", "b.x")


# The digest


def tensors() -> dict[str, torch.Tensor]:
    return {
        "blocks.1.weight": torch.arange(6.0).reshape(2, 3),
        "blocks.0.bias": torch.tensor([1.0, -0.0]),
        "blocks.0.num_batches_tracked": torch.tensor(7),
    }


def test_digest_is_what_its_definition_says():
    import hashlib

    sha = hashlib.sha256()
    sha.update(b"blocks.0.bias float32 2\n" + bytes.fromhex("0000803f00000080"))
    sha.update(b"blocks.0.num_batches_tracked int64 \n" + (7).to_bytes(8, "little"))
    sha.update(b"blocks.1.weight float32 2,3\n")
    sha.update(b"".join(bytes.fromhex(h) for h in ["00000000", "0000803f", "00000040"]))
    sha.update(b"".join(bytes.fromhex(h) for h in ["00004040", "00008040", "0000a040"]))
    assert digest(tensors()) == sha.hexdigest()


def test_digest_ignores_order_and_memory_format():
    ours = tensors()
    shuffled = dict(reversed(ours.items()))
    shuffled["blocks.1.weight"] = ours["blocks.1.weight"].t().contiguous().t()
    assert digest(shuffled) == digest(ours)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"blocks.0.bias": torch.tensor([1.0, 0.0])},
        lambda t: t | {"blocks.0.bias": t["blocks.0.bias"].double()},
        lambda t: t | {"blocks.1.weight": t["blocks.1.weight"].reshape(3, 2)},
        lambda t: t | {"blocks.2.bias": torch.zeros(0)},
        lambda t: {k.replace("1", "2"): v for k, v in t.items()},
    ],
    ids=["sign of zero", "dtype", "shape", "one more", "name"],
)
def test_digest_sees_every_change(change):
    assert digest(change(tensors())) != digest(tensors())


def test_digest_takes_every_dtype():
    for dtype in (torch.bfloat16, torch.float16, torch.bool, torch.uint8, torch.int32):
        assert len(digest({"blocks.0.a": torch.ones(3, 2).to(dtype)})) == 64
