"""Level ``numbers``: what the loaded model computes, against outputs known for these weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptv_hub.models.boxes import whole_frames
from ptv_hub.models.builders import VideoModel, activated
from ptv_hub.verification import goldens
from ptv_hub.verification.goldens import Golden
from ptv_hub.verification.records import Check, Verdict

TOLERANCE = 1e-4
"""Largest difference of a logit or a score, float32 on a CPU. Logits reach some 10; one thread
or two, SSE4.1, AVX2 or AVX-512 gave differences up to 1.5e-6."""


@dataclass(frozen=True)
class Outputs:
    logits: Tensor
    """(B, num_classes), the mean over positions."""
    scores: Tensor
    """(B, num_classes), the protocol's activation at each position, then the mean."""


def outputs(model: VideoModel, clip: Tensor) -> Outputs:
    """Logits and scores of a clip from one pass; only the head runs twice.

    Of a model that takes boxes: of one box in each clip, that is all of it.
    """
    boxes = whole_frames(clip) if model.entry.head.takes_boxes else None
    with torch.inference_mode():
        features = model.before_head(model.pathways(clip))
        with activated(model, None):
            logits = model.through_head(features, boxes)
        with activated(model, model.entry.protocol.activation):
            return Outputs(logits, model.through_head(features, boxes))


def check_numbers(model: VideoModel, found: Outputs, digest: str, *, keep: bool) -> Check:
    """Whether the outputs for the drawn clip of seed 0 are those known for these weights.

    ``keep`` records them for the next time, where none are known.
    """
    golden = goldens.shipped().get(digest)
    if golden is not None:
        return _compared(model, found, golden, "holds", golden.weights)
    golden = goldens.kept().get(digest)
    if golden is not None:
        return _compared(model, found, golden, "as recorded here", "no proof that they are right")
    if keep:
        goldens.keep(golden_of(model, found, digest, weights="a file of this machine"))
        note = "nobody has stated outputs for these weights; recorded now, for the next time"
    else:
        note = "nobody has stated outputs for these weights; --record keeps those of this machine"
    return _check("unknown", found="outputs for a drawn clip", note=note)


def _check(verdict: Verdict, **facts: str) -> Check:
    return Check(level="numbers", name="golden outputs", verdict=verdict, **facts)


def _compared(
    model: VideoModel, found: Outputs, golden: Golden, agreeing: Verdict, remark: str
) -> Check:
    spec = model.entry.input
    here = (spec.num_frames, spec.crop_size, model.entry.protocol.activation)
    there = (golden.num_frames, golden.crop_size, golden.activation)
    if here != there:
        told = f"known for other input: {there[0]} frames of {there[1]} pixels, {there[2]}"
        return _check("not checked", note=f"{told} ({golden.entry})")
    pairs = ((found.logits, golden.logits), (found.scores, golden.scores))
    off = [float((f[0] - torch.tensor(known)).abs().max()) for f, known in pairs]
    # Not "any(d > TOLERANCE)": a NaN is not greater than anything.
    agrees = all(difference <= TOLERANCE for difference in off)
    return _check(
        agreeing if agrees else "fails",
        expected=golden.computed_by,
        found=f"logits within {off[0]:.1e}, scores within {off[1]:.1e}",
        note=f"{remark}; tolerance {TOLERANCE:g}",
    )


def golden_of(model: VideoModel, found: Outputs, digest: str, *, weights: str) -> Golden:
    """What this machine computed for the drawn clip of seed 0; ``weights`` says of which."""
    spec = model.entry.input
    return Golden(
        digest=digest,
        entry=model.entry.name,
        weights=weights,
        computed_by=f"this machine, torch {torch.__version__}",
        num_frames=spec.num_frames,
        crop_size=spec.crop_size,
        activation=model.entry.protocol.activation,
        logits=tuple(found.logits[0].tolist()),
        scores=tuple(found.scores[0].tolist()),
    )
