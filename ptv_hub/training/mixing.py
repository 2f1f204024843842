"""Mixup, cutmix and label smoothing, number for number as PySlowFast draws and computes them.

A batch is mixed with itself in reverse order. Source: ``slowfast/datasets/mixup.py`` upstream;
the numbers are held to what it computed (``tests/data/mixup.npz``).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ptv_hub.zoo.recipe import Mixing


def mix(
    clips: Tensor, labels: Tensor, mixing: Mixing, num_classes: int, dice: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """A batch mixed with its reverse, and the shares of its labels.

    Args:
        clips: (B, 3, T, S, S) float; left as they are.
        labels: (B,) int64.
        dice: what is drawn from, in PySlowFast's order; numpy's old generator, which it uses.

    Returns:
        Clips as they came in shape, and targets (B, num_classes) float32, each of sum 1.
    """
    share, cut = _drawn(mixing, dice) if mixing.prob > 0 else (1.0, False)
    if share != 1.0:
        if cut:
            clips, share = _cut(clips, share, dice)
        else:
            clips = clips * share + clips.flip(0) * (1.0 - share)
    return clips, _targets(labels, num_classes, share, mixing.label_smoothing)


def _drawn(mixing: Mixing, dice: np.random.RandomState) -> tuple[float, bool]:
    """The share that a clip keeps, and whether the rest is a box of the other one."""
    if dice.rand() >= mixing.prob or not (mixing.alpha or mixing.cutmix_alpha):
        return 1.0, False
    both = mixing.alpha > 0 and mixing.cutmix_alpha > 0
    cut = bool(dice.rand() < mixing.switch_prob) if both else mixing.cutmix_alpha > 0
    alpha = mixing.cutmix_alpha if cut else mixing.alpha
    return float(dice.beta(alpha, alpha)), cut


def _cut(clips: Tensor, share: float, dice: np.random.RandomState) -> tuple[Tensor, float]:
    """A box of the reversed batch put into the batch, and the share that is left outside it."""
    height, width = clips.shape[-2:]
    side = np.sqrt(1 - share)
    tall, wide = int(height * side), int(width * side)
    y, x = dice.randint(0, height), dice.randint(0, width)
    top, bottom = (int(np.clip(y + way * (tall // 2), 0, height)) for way in (-1, 1))
    left, right = (int(np.clip(x + way * (wide // 2), 0, width)) for way in (-1, 1))
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = clips.flip(0)[..., top:bottom, left:right]
    return mixed, 1.0 - (bottom - top) * (right - left) / float(height * width)


def _targets(labels: Tensor, num_classes: int, share: float, smoothing: float) -> Tensor:
    off = smoothing / num_classes
    hot = torch.full((len(labels), num_classes), off, device=labels.device)
    hot.scatter_(1, labels[:, None], 1.0 - smoothing + off)
    return hot * share + hot.flip(0) * (1.0 - share)
