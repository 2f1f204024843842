"""Every family and step of the other layouts at seeds that no other test has, and small clips.

The logits (every eighth) were computed in float64 by PySlowFast's own code (287ec007) and
MMAction2's (4d6c9347) from what tools/draw_other.py draws with ``wild``: batch norms far from doing
nothing, so that a step that forgets one of their numbers is seen. PySlowFast's networks were built
for crops of 32 pixels and shown 64, which gives their heads several windows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from ptv_hub.models.builders import build
from ptv_hub.weights import layouts
from ptv_hub.weights.load import load_weights
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import find
from tests import DATA
from tools import draw_other as other
from tools.draw import clip

CASES = (
    ("native", "Kinetics/X3D_XS", "x3d_xs"),
    ("native", "Kinetics/SLOW_4x16_R50", "slow_4x16_r50"),
    ("native", "Kinetics/I3D_8x8_R50", "i3d_r50"),
    ("native", "Kinetics/SLOWFAST_4x16_R50", "slowfast_4x16_r50"),
    ("mmaction2", "x3d_s_13x6", "x3d_s_13x6"),
    ("mmaction2", "ircsn_r50_32x2", "ircsn_r50_32x2"),
    ("mmaction2", "slowonly_r50_4x16", "slowonly_r50_4x16"),
    ("mmaction2", "slowfast_r50_8x8_steplr", "slowfast_r50_8x8_steplr"),
)
TOLERANCE = 1e-9
"""In standard deviations of the logits: what float64's sums of another order make of it."""


@cache
def golden() -> dict[str, np.ndarray]:
    with np.load(DATA / "forward_seeds.npz") as file:
        return dict(file)


def small(layout: str, ours: str) -> Entry:
    """The entry as its owner's network was built."""
    item = find(ours)
    if layout == "mmaction2":  # its heads pool over any map
        return item
    crop = item.input.model_copy(update={"train_crop_size": 32})
    return item.model_copy(update={"input": crop})


def exact(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


QUICK = {"Kinetics/X3D_XS", "x3d_s_13x6", "ircsn_r50_32x2"}
"""Small networks, whose steps change numbers: at every seed. Of the others two seeds are slow."""


def _at_seeds() -> list[object]:
    return [
        pytest.param(
            *(*case, seed),
            marks=() if seed == 1 or case[1] in QUICK else pytest.mark.slow,
            id=f"{case[1]}-{seed}",
        )
        for case in CASES
        for seed in (1, 2, 3)
    ]


@pytest.mark.parametrize(("layout", "name", "ours", "seed"), _at_seeds())
def test_converted_weights_give_their_owners_logits(layout, name, ours, seed):
    item = small(layout, ours)
    model = build(item, device="meta").double()
    drawn = other.state_dict(layout, name, seed, wild=True)
    tensors = layouts.to_official({key: exact(tensor) for key, tensor in drawn.items()})
    load_weights(model, tensors, where=name)
    with torch.no_grad():
        found = model.eval()(clip(item.input.num_frames, 64, seed).double()).numpy()
    expected = golden()[f"{name}/{seed}"]
    assert np.abs(found[:, ::8] - expected).max() < TOLERANCE * expected.std()
