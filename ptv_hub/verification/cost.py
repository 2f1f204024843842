"""What a model costs, counted on the meta device: no memory for weights, no arithmetic.

``torch.utils.flop_counter`` counts two operations for a multiply-add of a convolution or a
matrix product. The zoo's table counts one for a multiply-add, and 5 for each element that
goes into a batch norm (as fvcore did in 2021, and does today for a model in training mode);
in eval mode fvcore counts 2 for each. Both countings are given. An element that goes into a
transformer's layer norm is 5 in either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ptv_hub.models.boxes import whole_frames
from ptv_hub.models.builders import build
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.records import Record

_AS_PUBLISHED, _IN_EVAL = 5, 2
_LAYER_NORM = 5


class Cost(Record):
    """Of one view at test size, batch 1."""

    params: int
    multiply_adds: int
    """Of convolutions and matrix products."""
    batch_norm_elements: int
    """Elements that go into batch norms."""
    layer_norm_elements: int = 0
    """Elements that go into layer norms."""

    @property
    def gflops_published(self) -> float:
        """1e9, as the zoo's table counts: multiply-adds + 5 per batch-norm element."""
        return (self._without_batch_norms + _AS_PUBLISHED * self.batch_norm_elements) / 1e9

    @property
    def gflops_eval(self) -> float:
        """1e9, as fvcore counts a model in eval mode: multiply-adds + 2 per batch-norm element."""
        return (self._without_batch_norms + _IN_EVAL * self.batch_norm_elements) / 1e9

    @property
    def _without_batch_norms(self) -> int:
        return self.multiply_adds + _LAYER_NORM * self.layer_norm_elements


_BATCH_NORM: type[nn.Module] = nn.modules.batchnorm._BatchNorm
_NORMS: tuple[type[nn.Module], ...] = (_BATCH_NORM, nn.LayerNorm)


COUNTED: dict[tuple[object, ...], Cost] = {}
"""What was counted, by all that it depends on: a quarter of the entries share their network."""


def count(entry: Entry) -> Cost:
    """Parameters and operations of one view of ``crop_size`` x ``crop_size``; some 0.2 seconds."""
    key = (entry.builder, entry.head, entry.num_classes, entry.input)
    if key not in COUNTED:
        COUNTED[key] = _counted(entry)
    return COUNTED[key]


def _counted(entry: Entry) -> Cost:
    model = build(entry, device="meta").eval()
    elements: Counter[type[nn.Module]] = Counter()

    def counted(kind: type[nn.Module]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            elements[kind] += inputs[0].numel()

        return add

    for module in model.modules():
        for kind in _NORMS:
            if isinstance(module, kind):
                module.register_forward_pre_hook(counted(kind))
    spec = entry.input
    clip = torch.empty(1, 3, spec.num_frames, spec.crop_size, spec.crop_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clip, whole_frames(clip) if entry.head.takes_boxes else None)
    return Cost(
        params=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        batch_norm_elements=elements[_BATCH_NORM],
        layer_norm_elements=elements[nn.LayerNorm],
    )
