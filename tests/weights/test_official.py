"""The keys of PyTorchVideo's kinds of networks, and of PySlowFast's wrapper around them."""

from __future__ import annotations

import pytest
import torch

from ptv_hub.errors import LayoutError
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build, shapes
from ptv_hub.weights import layouts
from ptv_hub.weights.identify import identify
from ptv_hub.weights.official import classifier_of
from ptv_hub.zoo.manifest import of_zoo

NAMES = [item.name for item in of_zoo("pytorchvideo")]
WRAPPED = [name for name in NAMES if not name.startswith("efficient")]


def hollow(name: str) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes(entry(name)).items()}


@pytest.mark.parametrize("name", [*NAMES, "slow_r50", "x3d_m"])
def test_official_keys_are_official(name):
    assert layouts.detect(hollow(name)) == "official"
    assert layouts.to_official(hollow(name)).keys() == hollow(name).keys()


@pytest.mark.parametrize("name", [*WRAPPED, "slow_r50"])
def test_the_wrapper_is_told_from_a_head_for_boxes(name):
    own = hollow(name)
    there = layouts.convert(own, "official", "pyslowfast")
    assert set(there) == {f"model.{key}" for key in own}
    assert layouts.detect(there) == "pyslowfast"
    assert layouts.to_official(there).keys() == own.keys()


def test_a_body_for_boxes_without_its_head_is_the_wrappers():
    body = [key for key in hollow("slow_r50_detection") if not key.startswith("detection_head")]
    assert layouts.detect(body) == "pyslowfast"


@pytest.mark.parametrize("name", NAMES)
def test_half_of_the_keys_in_another_layout_are_refused(name):
    keys = list(hollow(name))
    mixed = [f"model.{key}" if number % 2 else key for number, key in enumerate(keys)]
    with pytest.raises(LayoutError):
        layouts.detect(mixed)


def test_the_wrapper_has_no_network_for_mobile_processors():
    with pytest.raises(LayoutError, match="no such network"):
        layouts.scheme_for(hollow("efficient_x3d_s"), "pyslowfast")


@pytest.mark.parametrize("name", [*NAMES, "slow_r50", "x3d_m", "slowfast_r50"])
def test_the_classifier_is_found_by_its_key(name):
    assert classifier_of(hollow(name)) == build(entry(name), device="meta").classifier
    assert classifier_of([key for key in hollow(name) if "proj" not in key]) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mvit_base_16x4", {"mvit_base_16x4"}),
        ("slow_r50_detection", {"slow_r50_detection"}),
        ("efficient_x3d_s", {"efficient_x3d_xs", "efficient_x3d_s"}),
    ],
)
def test_a_stray_file_is_known(name, wanted, tmp_path):
    tensors = {key: torch.zeros(shape) for key, shape in shapes(entry(name)).items()}
    torch.save({"model_state": tensors}, tmp_path / "stray.pyth")
    found = identify(tmp_path / "stray.pyth")
    assert {one.name for one in found.candidates} == wanted
    assert found.num_classes == entry(name).num_classes
