"""A model -> a copy that compilers and exporters can follow, with the same numbers.

What stands in their way in pytorchvideo 0.1.5: X3D's Swish is an autograd function of its
own, which is no operation of any file format, and pools have no kernel for half precision on
CPUs.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ptv_hub.builders import VideoModel

__all__ = ["traceable"]


def traceable(model: VideoModel, *, dtype: torch.dtype = torch.float32) -> VideoModel:
    """A copy in eval mode of plain operations only; ``model`` is not changed.

    In float32 the tensors are shared with ``model``. In another type they are converted, and
    the copy computes in it but for its pools, which stay in float32.
    """
    kept: dict[int, Any] = {id(model.entry): model.entry}
    if dtype is torch.float32:
        kept |= {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    net = copy.deepcopy(model, kept).eval()
    for parent in list(net.modules()):
        for name, module in parent.named_children():
            if type(module).__name__ == "Swish":
                setattr(parent, name, nn.SiLU())
            elif dtype is not torch.float32 and isinstance(module, _POOLS):
                setattr(parent, name, _InFloat32(module))
    return net if dtype is torch.float32 else net.to(dtype)


_POOLS = (nn.AvgPool3d, nn.MaxPool3d, nn.AdaptiveAvgPool3d)


class _InFloat32(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.float()).to(x.dtype)  # type: ignore[no-any-return]
