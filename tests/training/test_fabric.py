"""Training runs where it is told to, by the words that every command takes."""

from __future__ import annotations

import pytest
import torch

from ptv_hub.errors import UsageError
from ptv_hub.training import fabric
from ptv_hub.zoo.manifest import find
from ptv_hub.zoo.recipe import recipe_of


@pytest.fixture
def recipe():
    return recipe_of(find("x3d_xs"))


@pytest.mark.parametrize("word", ["auto", "gpu", "mps", "cpu", "cuda"])
def test_a_device_is_asked_for_as_everywhere(word, recipe, monkeypatch):
    asked = []

    def here(name: str) -> torch.device:
        asked.append(name)
        return torch.device("cpu")

    monkeypatch.setattr(fabric, "usable_device", here)
    assert fabric.make_fabric(word, recipe).device == torch.device("cpu")
    assert asked == [word]


@pytest.mark.parametrize("word", ["warp", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_words(word, recipe):
    with pytest.raises(UsageError, match="cannot be used"):
        fabric.make_fabric(word, recipe)
