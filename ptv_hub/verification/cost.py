"""What a model costs, counted on the meta device: no memory for weights, no arithmetic.

``torch.utils.flop_counter`` counts two operations for a multiply-add of a convolution or a
matrix product. The zoo's table counts one for a multiply-add, and 5 for each element that
goes into a batch norm (as fvcore did in 2021, and does today for a model in training mode);
in eval mode fvcore counts 2 for each. Both countings are given.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ptv_hub.models.builders import build
from ptv_hub.zoo.entry import Entry, Record

_AS_PUBLISHED, _IN_EVAL = 5, 2


class Cost(Record):
    """Of one view at test size, batch 1."""

    params: int
    multiply_adds: int
    """Of convolutions and matrix products."""
    batch_norm_elements: int
    """Elements that go into batch norms."""

    @property
    def gflops_published(self) -> float:
        """1e9, as the zoo's table counts: multiply-adds + 5 per batch-norm element."""
        return (self.multiply_adds + _AS_PUBLISHED * self.batch_norm_elements) / 1e9

    @property
    def gflops_eval(self) -> float:
        """1e9, as fvcore counts a model in eval mode: multiply-adds + 2 per batch-norm element."""
        return (self.multiply_adds + _IN_EVAL * self.batch_norm_elements) / 1e9


@cache
def count(entry: Entry) -> Cost:
    """Parameters and operations of one view of ``crop_size`` x ``crop_size``; some 0.2 seconds."""
    model = build(entry, device="meta").eval()
    elements = 0

    def add(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal elements
        elements += inputs[0].numel()

    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(add)
    spec = entry.input
    clip = torch.empty(1, 3, spec.num_frames, spec.crop_size, spec.crop_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clip)
    return Cost(
        params=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        batch_norm_elements=elements,
    )
