"""What a config for a classifier of one's own keeps of the model that it begins from."""

from __future__ import annotations

import logging

from ptv_hub.fetching.hub import entry
from ptv_hub.training.finetuning import finetuning


def scaled(name, side):
    """An entry whose frames are scaled to another short side."""
    item = entry(name)
    return item.model_copy(update={"input": item.input.model_copy(update={"short_side": side})})


def test_the_short_side_stays_and_what_the_config_cannot_say_is_said(caplog):
    item = scaled("slow_r50_ssv2", 288)
    with caplog.at_level(logging.WARNING, logger="ptv_hub"):
        config = finetuning(item, opts=["SOLVER.MAX_EPOCH", 2])
    assert config.entry.input == item.input
    assert config.recipe.epochs == 2
    assert "short side to 288" in caplog.text


def test_other_sizes_are_taken_as_asked(caplog):
    item = scaled("slow_r50_ssv2", 288)
    sizes = ["DATA.TRAIN_CROP_SIZE", 64, "DATA.TEST_CROP_SIZE", 64]
    config = finetuning(item, opts=[*sizes, "DATA.TRAIN_JITTER_SCALES", "[64, 80]"])
    assert (config.entry.input.short_side, config.entry.input.crop_size) == (64, 64)
    assert not caplog.records


def test_published_models_need_no_word_about_it(caplog):
    for name in ("x3d_xs", "slow_r50", "slow_r50_ssv2", "slow_r50_charades"):
        assert finetuning(entry(name)).entry.input == entry(name).input
    assert not caplog.records
