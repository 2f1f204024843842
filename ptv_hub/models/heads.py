"""What a network's head does otherwise than pytorchvideo's builders make it."""

from __future__ import annotations

from torch import nn


def pool_globally(blocks: nn.ModuleList) -> None:
    """Let the head's averages go over the whole of the last map, whatever its size.

    The builders size them for the training crop; at another crop there are then several
    positions, whose scores are averaged, and in X3D the average comes before a ReLU.
    """
    for module in blocks[-2:].modules():
        for name, part in list(module.named_children()):
            if isinstance(part, nn.AvgPool3d):
                setattr(module, name, nn.AdaptiveAvgPool3d(1))
