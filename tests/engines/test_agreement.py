"""How near eight bits are to float32: counted on scores whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptv_hub.engines.agreement import agreement, require
from ptv_hub.engines.kept import KEPT, ROLES
from ptv_hub.errors import QuantizationError
from ptv_hub.zoo.manifest import entries

SCORES = torch.tensor([[0.6, 0.3, 0.1], [0.36, 0.34, 0.3], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
"""The second has a margin of 0.02: it does not tell."""


def beside(found: Tensor, wanted: Tensor = SCORES, views: int = 4):
    rows = iter(range(views)), iter(range(views))
    return agreement(
        lambda _: wanted[next(rows[0])][None],
        lambda _: found[next(rows[1])][None],
        [torch.zeros(1)] * views,
    )


def test_the_same_scores_agree():
    near = beside(SCORES)
    assert (near.views, near.telling) == (4, 3)
    assert (near.same_top1, near.same_top1_telling) == (100, 100)
    assert near.max_difference == near.divergence == 0
    require(near, "x3d_m")


def test_a_view_that_does_not_tell_may_flip_and_one_that_tells_may_not():
    flipped = SCORES.clone()
    flipped[1] = torch.tensor([0.34, 0.36, 0.3])
    near = beside(flipped)
    assert (near.same_top1, near.same_top1_telling) == (75, 100)
    assert near.max_difference == pytest.approx(0.02)
    p, q = 0.36, 0.34
    assert near.divergence == pytest.approx((p - q) * math.log(p / q) / 4, rel=1e-4)
    require(near, "x3d_m")
    flipped[3] = torch.tensor([0.8, 0.1, 0.1])
    with pytest.raises(QuantizationError, match=r"99 % of the views(.|\n)*66.67 % of 3"):
        require(beside(flipped), "x3d_m")


def test_scores_of_several_labels_have_a_divergence_too():
    wanted = torch.tensor([[0.9, 0.8], [0.1, 0.6]])
    near = beside(wanted.flip(0), wanted, views=2)
    assert near.divergence > 0.5
    assert beside(wanted, wanted, views=2).divergence == 0


def test_nothing_compared_and_no_numbers_are_failures():
    with pytest.raises(QuantizationError, match="no view"):
        beside(SCORES, views=0)
    with pytest.raises(QuantizationError, match="not finite"):
        beside(torch.full_like(SCORES, math.nan))


def test_what_stays_in_float32_is_said_of_architectures_that_there_are():
    assert set(KEPT) <= {item.arch for item in entries()}
    assert set().union(*KEPT.values()) <= set(ROLES)
