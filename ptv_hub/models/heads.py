"""What a network's head does otherwise than pytorchvideo's builders make it."""

from __future__ import annotations

from torch import Tensor, nn


def pool_globally(blocks: nn.ModuleList) -> None:
    """Let the head's averages go over the whole of the last map, whatever its size.

    The builders size them for the training crop; at another crop there are then several
    positions, whose scores are averaged, and in X3D the average comes before a ReLU.
    """
    for module in blocks[-2:].modules():
        for name, part in list(module.named_children()):
            if isinstance(part, nn.AvgPool3d):
                setattr(module, name, nn.AdaptiveAvgPool3d(1))


def new_classifier(num_classes: int, width: int, like: Tensor) -> nn.Module:
    """A layer of one score a class, on the device and of the type of ``like``; of 0 classes none.

    Initialised as pytorchvideo does: normal, std 0.01, and no bias.
    """
    if not num_classes:
        return nn.Identity()
    layer = nn.Linear(width, num_classes, device="meta")  # torch's own initialisation draws too
    weight = like.new_empty(num_classes, width).normal_(0.0, 0.01)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(like.new_zeros(num_classes))
    return layer
