"""What makes rare classes count as much as frequent ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptv_hub.datasets.listing import Item


def class_weights(items: Sequence[Item], num_classes: int) -> Tensor:
    """Weight of each class in the loss, (C,): the inverse of its number of videos, 1 in the mean
    over videos (scikit-learn's "balanced", of the classes that occur); 0 of one that does not."""
    counts = np.bincount([item.labels[0] for item in items], minlength=num_classes)
    there = counts > 0
    weights = np.zeros(num_classes)
    weights[there] = len(items) / (there.sum() * counts[there])
    return torch.tensor(weights, dtype=torch.float32)


def chances(items: Sequence[Item]) -> NDArray[np.float64]:
    """Of each item to be drawn, so that every class is as often; of several labels the rarest."""
    counts = Counter(label for item in items for label in item.labels)
    classes = [min(item.labels, key=lambda c: (counts[c], c), default=-1) for item in items]
    sizes = Counter(classes)
    found = np.array([1 / (len(sizes) * sizes[c]) for c in classes])
    shares: NDArray[np.float64] = found / found.sum()  # to 1, to the last digit
    return shares
