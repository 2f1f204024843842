"""What pytorchvideo leaves in a network that nobody can hand on, made plain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ptv_hub.errors import UsageError


def make_plain(net: nn.Module) -> None:
    """Numbers that are Python's, and functions that have a name; the network computes the same.

    With a lambda (X3D's residual blocks) it could not be pickled: not saved whole, not sent to a
    process or another machine.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv3d):
            # 0.1.5 leaves numpy integers here, which TorchScript and mkldnn do not take.
            module.stride = tuple(int(n) for n in module.stride)
        elif isinstance(module, nn.AvgPool3d) and isinstance(module.kernel_size, Sequence):
            time, height, width = module.kernel_size  # nor does torch.compile take them
            module.kernel_size = (int(time), int(height), int(width))
        fusion = getattr(module, "branch_fusion", None)
        if getattr(fusion, "__name__", "") == "<lambda>":
            vars(module)["branch_fusion"] = add


def add(shortcut: Tensor, branch: Tensor) -> Tensor:
    """What every residual block of pytorchvideo does with its branches."""
    return shortcut + branch


class FullPrecision(nn.Module):
    """A module whose weights stay in 32 bits on a CPU, where half as many are slow, and differ."""

    def half(self) -> Self:
        """Raises UsageError on a CPU."""
        return self.to(torch.float16)

    def bfloat16(self) -> Self:
        """Raises UsageError on a CPU."""
        return self.to(torch.bfloat16)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """As torch's. Raises UsageError for 16 bits on a CPU."""
        given = [*args, *kwargs.values()]
        # A tensor in their place stands for both.
        tensors = [value for value in given if isinstance(value, Tensor)]
        dtypes = [value for value in given if isinstance(value, torch.dtype)]
        devices = [torch.device(v) for v in given if isinstance(v, (str, torch.device))]
        dtypes += [tensor.dtype for tensor in tensors]
        devices += [tensor.device for tensor in tensors]
        here = next(iter([*devices, *(p.device for p in self.parameters())]), torch.device("cpu"))
        if here.type == "cpu" and dtypes and dtypes[0] in (torch.float16, torch.bfloat16):
            _refuse(dtypes[0])
        return super().to(*args, **kwargs)


def _refuse(dtype: torch.dtype) -> NoReturn:
    short = {torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]
    raise UsageError(
        "a model on a CPU keeps its weights in 32 bits",
        expected="torch.autocast around the calls, or a model of ptv_hub.optimize",
        found=str(dtype),
        fix="use autocast ('with torch.autocast(\"cpu\", dtype=torch.bfloat16):') or "
        'optimize(dtype="bf16"); '
        + ("fp16 is for GPUs: " if short == "fp16" else "on a GPU: ")
        + f'model.to("cuda", {dtype})',
    )
