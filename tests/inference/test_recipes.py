"""Recipes: frames and numbers of vectors as the owners count them, their arithmetic in our words.

Each function below says again what the cited file does; none of its code is here.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from ptv_hub.errors import ConfigError, UnknownName, UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.inference.features import asked_features
from ptv_hub.inference.recipes import RECIPES, recipe_of
from ptv_hub.inference.timestamps import Timestamps
from ptv_hub.inference.views import resample
from ptv_hub.inference.windows import plan_windows

SLOWFAST = entry("slowfast_r50").input
DURATIONS = [Fraction(7, 10), Fraction(39, 30), 4, Fraction(1003, 100), 61]
RATES = [24, 25, Fraction(30000, 1001), 30, 60]


def video(duration, rate) -> Timestamps:
    """As an MP4 states it: frames stamped at a rate, and when the last one ends."""
    count = max(1, round(duration * rate))
    base = 1 / (Fraction(rate) * 512)
    return Timestamps(tuple(range(0, 512 * count, 512)), base, 0, count / Fraction(rate))


def rows(name: str, stamps: Timestamps) -> list[tuple[int, ...]]:
    recipe = RECIPES[name]
    spec = entry(recipe.model).input
    return [clip.frames for clip in plan_windows(stamps, spec, recipe.windows).clips]


def evenly(count: int, samples: int) -> list[int]:
    return torch.linspace(0, count - 1, samples).long().tolist()


def at_30(stamps: Timestamps) -> list[int]:
    """FFmpeg's fps filter; it ends with the tick that is nearest to the video's end."""
    return list(resample(stamps, 30)[: max(1, math.floor(stamps.duration * 30 + Fraction(1, 2)))])


def ego4d(stamps: Timestamps) -> list[tuple[int, ...]]:
    """UniformClipSampler of pytorchvideo/data/clip_sampling.py with backpad_last: a clip begins
    where the last one did, and a stride; one that reaches beyond the end is moved back; the last
    is the one whose successor ends where it does. Frames: those in the clip, 32 of them evenly.
    """
    length, stride = Fraction(32, 30), Fraction(16, 30)
    seconds = [pts * stamps.time_base for pts in stamps.pts]

    def span(start: Fraction) -> tuple[Fraction, Fraction]:
        start = max(start - max(0, start + length - stamps.duration), Fraction(0))
        return start, start + length

    found = []
    start, end = span(Fraction(0))
    while True:
        inside = [i for i, at in enumerate(seconds) if start <= at < end]
        found.append(tuple(inside[i] for i in evenly(len(inside), 32)))
        following = span(end - (length - stride))
        if abs(following[1] - end) < 1e-6:
            return found
        start, end = following


def actionformer(stamps: Timestamps) -> list[tuple[int, ...]]:
    """README.md and libs/datasets/epic_kitchens.py: frame i of the features stands for frames
    16 i to 16 i + 32 of the video at 30 a second; the end is covered."""
    shown = at_30(stamps)
    found, start = [], 0
    while not found or start + 16 < len(shown):  # the one before ends at start + 16
        window = [shown[min(i, len(shown) - 1)] for i in range(start, start + 32)]
        found.append(tuple(window))
        start += 16
    return found


def moment_detr(stamps: Timestamps) -> list[tuple[int, ...]]:
    """slowfast/extract_feature/preprocessing.py: frames at 30 are filled up to whole seconds, and
    these to clips of two, with the last; no more clips than the duration has begun; in a clip
    linspace over 64 frames of the source's rate, rounded down, within the clip."""
    shown = at_30(stamps)
    shown += [shown[-1]] * (-len(shown) % 60)
    clips = [shown[i : i + 60] for i in range(0, len(shown), 60)]
    clips = clips[: math.ceil(stamps.duration / 2)]
    rate = math.floor(len(stamps.pts) / stamps.duration)
    places = torch.linspace(0, 32 * 2 * rate / 30 - 1, 32).clamp(0, 59).long().tolist()
    return [tuple(clip[i] for i in places) for clip in clips]


def simplevqa(stamps: Timestamps) -> list[tuple[int, ...]]:
    """data_loader.py, VideoDataset_NR_SlowFast_feature: from each whole second of round(fps)
    frames 32 frames, the video's last repeated; the last clip repeated up to 8."""
    count = len(stamps.pts)
    rate = round(float(count / stamps.duration))
    # Of less than a second the owners' code makes none, and ends with an error.
    found = [
        tuple(min(second * rate + i, count - 1) for i in range(32))
        for second in range(max(1, count // rate))
    ]
    return found + [found[-1]] * (8 - len(found))


OWNERS = {
    "ego4d": ego4d,
    "actionformer": actionformer,
    "moment-detr": moment_detr,
    "simplevqa": simplevqa,
}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize("name", OWNERS)
def test_frames_are_the_owners(name, duration, rate):
    stamps = video(duration, rate)
    assert rows(name, stamps) == OWNERS[name](stamps)


def test_numbers_of_vectors_that_the_owners_tell():
    # ego4d-data.org/docs/data/features: 39 frames -> [0, 31], [7, 38]
    first, second = rows("ego4d", video(Fraction(39, 30), 30))
    assert (first[0], first[-1], second[0], second[-1]) == (0, 31, 7, 38)
    # TriDet#14: P01_01.MP4 of EPIC-Kitchens, 1652.152817 s, 3097 vectors
    long = Timestamps.regular(round(1652.152817 * 30), 30)
    assert len(rows("actionformer", long)) == 3097
    # QVHighlights: 150 s, 75 clips
    assert len(rows("moment-detr", video(150, 30))) == 75


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_is_one_that_its_model_can_do(recipe):
    item = entry(recipe.model)
    wish = asked_features(item, recipe.take, recipe.windows, recipe.crops)
    assert wish.outputs == recipe.take
    assert recipe.sources
    assert recipe.differs
    assert recipe_of(recipe.name.upper().replace("-", "_")) is recipe


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('window = 24\nstride = "0.5s"\nfps = 25\ntake = ["slow"]\nkey = "feats"\n')
    mine = recipe_of(path)
    assert (mine.name, mine.key, mine.take) == ("mine", "feats", ("slow",))
    assert (mine.windows.window, mine.windows.stride, mine.windows.fps) == ("24", "0.5s", 25)
    with pytest.raises(UnknownName, match="ego4"):
        recipe_of("ego4")
    for wrong in ("window = ", 'windo = "3"', 'window = "soon"', 'last = "left"', "[[["):
        path.write_text(wrong)
        with pytest.raises((ConfigError, UsageError), match=r"recipe|window"):
            recipe_of(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        recipe_of(tmp_path / "none.toml")
