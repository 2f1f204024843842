"""Level ``behaviour``: the loaded model gives one answer, however it is asked and stored."""

from __future__ import annotations

import torch
from torch import Tensor

from ptv_hub.files import scratch_folder
from ptv_hub.models.builders import VideoModel
from ptv_hub.models.digest import digest
from ptv_hub.verification.goldens import drawn_clip
from ptv_hub.verification.numbers import Outputs, outputs
from ptv_hub.verification.records import Check
from ptv_hub.weights import checkpoint, layouts
from ptv_hub.weights.load import load

BATCH_TOLERANCE = 1e-5
"""Largest difference of a logit alone and in a batch, as a share of the largest logit. Libraries
sum in another order for another batch; that moved logits by 2e-7 of the largest at most."""


def check_behaviour(model: VideoModel, first: Outputs) -> list[Check]:
    """The checks; ``first`` is what the model gave for the drawn clip of seed 0."""
    return [_deterministic(model, first), _batch(model, first), *_stored(model)]


def _check(name: str, holds: bool, expected: str, found: str) -> Check:
    verdict = "holds" if holds else "fails"
    return Check(level="behaviour", name=name, verdict=verdict, expected=expected, found=found)


def _deterministic(model: VideoModel, first: Outputs) -> Check:
    spec = model.entry.input
    again = outputs(model, drawn_clip(spec.num_frames, spec.crop_size))
    same = _same_bits(again.logits, first.logits) and _same_bits(again.scores, first.scores)
    found = "the same bits" if same else f"off by {_off(again, first):.1e}"
    return _check("deterministic", same, "the same bits twice", found)


def _batch(model: VideoModel, first: Outputs) -> Check:
    spec = model.entry.input
    clips = [drawn_clip(spec.num_frames, spec.crop_size, seed) for seed in (1, 0)]
    both = outputs(model, torch.cat(clips))
    off = float((both.logits[1:] - first.logits).abs().max() / first.logits.abs().max())
    expected = f"within {BATCH_TOLERANCE:g} of the largest logit"
    return _check("alone and in a batch", off <= BATCH_TOLERANCE, expected, f"within {off:.1e}")


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # As integers: a NaN is not equal to itself.
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def _off(one: Outputs, other: Outputs) -> float:
    return float((one.logits - other.logits).abs().max())


def _stored(model: VideoModel) -> list[Check]:
    """Layouts there and back, and both file formats by way of ``load``: the same tensors."""
    official = model.state_dict()
    wanted = digest(official)
    checks = []
    others = [n for n, kind in layouts.LAYOUTS.items() if kind.wraps and kind.writes(official)]
    for name in others:
        there = layouts.convert(official, layouts.OFFICIAL, name)
        back = digest(layouts.convert(there, name, layouts.OFFICIAL))
        checks.append(_bits(f"to {name} and back", back == wanted))
    with scratch_folder() as folder:
        for suffix in (".pyth", ".safetensors"):
            path = folder / f"weights{suffix}"
            checkpoint.write(path, official)
            loaded = digest(load(model.entry, weights=path).state_dict())
            checks.append(_bits(f"from {suffix}", loaded == wanted))
            path.unlink()
    return checks


def _bits(name: str, same: bool) -> Check:
    return _check(name, same, "the same tensors", "bit for bit" if same else "other bits")
