"""Blocks whose intermediate values are computed again for the gradients, in place of being kept.

As ``torch.utils.checkpoint``, a residual block at a time; the statistics of batch norms move once
a step all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Run = Callable[..., Any]
"""(part of a network, what it takes) -> what it gives."""


def plainly(part: nn.Module, *given: Any) -> Any:
    return part(*given)


def recomputing(part: nn.Module, *given: Any) -> Any:
    """What the part gives; all within it is computed anew when gradients are.

    Where no gradients are computed, and while a graph is compiled (whose compiler decides what is
    kept), as ``plainly``.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return part(*given)
    pathways = getattr(part, "multipathway_blocks", None)
    if pathways is not None:
        # Beside each other, then fused; never into the list that was given, which is read again.
        found = [recomputing(block, x) for block, x in zip(pathways, given[0], strict=True)]
        fusion: Any = part.multipathway_fusion
        return found if fusion is None else fusion(found)
    blocks = part if isinstance(part, nn.Sequential) else getattr(part, "res_blocks", None)
    if blocks is not None:
        (x,) = given
        for block in blocks:
            x = recomputing(block, x)
        return x
    if not any(True for _ in part.parameters()):
        return part(*given)  # pools: nothing to be gained

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _StatisticsKept(part)

    return checkpoint(part, *given, use_reentrant=False, context_fn=contexts)


class _StatisticsKept(AbstractContextManager[None]):
    """Within it the statistics of a part's norms are copies: the second pass moves none."""

    def __init__(self, part: nn.Module) -> None:
        norms = nn.modules.batchnorm._NormBase
        self._norms = [one for one in part.modules() if isinstance(one, norms)]
        self._before: list[dict[str, Tensor | None]] = []

    def __enter__(self) -> None:
        self._before = [dict(norm._buffers) for norm in self._norms]
        for norm in self._norms:
            copies = {name: None if b is None else b.clone() for name, b in norm._buffers.items()}
            norm._buffers.update(copies)

    def __exit__(self, *_: object) -> None:
        for norm, before in zip(self._norms, self._before, strict=True):
            norm._buffers.update(before)
