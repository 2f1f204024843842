"""Mixup, cutmix and label smoothing against what PySlowFast's own code computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptv_hub.errors import ConfigError
from ptv_hub.fetching.hub import entry
from ptv_hub.training.mixing import mix
from ptv_hub.zoo.pyslowfast import Config, Paths, changed
from ptv_hub.zoo.pyslowfast.writing import to_values
from ptv_hub.zoo.recipe import Mixing, recipe_of
from tests import ROOT

GOLDEN = np.load(ROOT / "tests" / "data" / "mixup.npz")
CASES = sorted(
    name.removesuffix("/settings")
    for name in GOLDEN.files
    # Without the correction of the share, which none of PySlowFast's keys turns off.
    if name.endswith("/settings") and GOLDEN[name][5]
)


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_pyslowfasts(case):
    alpha, cutmix, prob, switch, smoothing, _, classes = GOLDEN[f"{case}/settings"]
    mixing = Mixing(
        alpha=alpha,
        cutmix_alpha=cutmix,
        prob=prob,
        switch_prob=switch,
        label_smoothing=smoothing,
    )
    dice = np.random.RandomState(int(case.split("/")[1]))
    clips, labels = (torch.from_numpy(GOLDEN[f"{case}/{name}"]) for name in ("input", "labels"))
    mixed, targets = mix(clips, labels, mixing, int(classes), dice)
    assert torch.equal(mixed, torch.from_numpy(GOLDEN[f"{case}/mixed"]))
    assert torch.equal(targets, torch.from_numpy(GOLDEN[f"{case}/targets"]))


def test_keys_are_read_and_written():
    item = entry("x3d_xs")
    before = Config(entry=item, recipe=recipe_of(item), paths=Paths())
    asked = ["MIXUP.ENABLE", True, "MIXUP.ALPHA", 0.5, "MODEL.LOSS_FUNC", "soft_cross_entropy"]
    after = changed(before, [*asked, "AUG.NUM_SAMPLE", 2])
    assert before.recipe.mixing is None
    assert after.recipe.mixing == Mixing(alpha=0.5)
    assert (after.recipe.loss, after.recipe.clips_per_video) == ("soft_cross_entropy", 2)
    values = to_values(after)
    assert (values["MIXUP.ENABLE"], values["MIXUP.ALPHA"], values["AUG.NUM_SAMPLE"]) == (
        True,
        0.5,
        2,
    )
    assert (
        changed(after, ["MIXUP.ENABLE", False, "MODEL.LOSS_FUNC", "cross_entropy"]).recipe.mixing
        is None
    )


def test_mixing_of_several_labels_is_refused():
    item = entry("slow_r50_charades")
    with pytest.raises(ConfigError, match="do not fit together"):
        changed(Config(entry=item, recipe=recipe_of(item), paths=Paths()), ["MIXUP.ENABLE", True])
