"""Values on their way to a GPU and back, so that neither side waits for more than it must."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """Values in the memory of a device; to a GPU from pinned memory, without waiting."""
    if device.type == "cuda" and values.device.type == "cpu":
        # The copy runs beside the model's work on the last batch.
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


class Returning:
    """Values on their way to the host's memory.

    Of a GPU the copy begins right behind what computes them, and not where they are asked for:
    there it would wait for all that was begun in the meantime.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._values = {name: _on_its_way(one) for name, one in values.items()}
        self._done: torch.cuda.Event | None = None
        if any(one.device.type == "cuda" for one in values.values()):
            self._done = torch.cuda.Event()
            self._done.record()

    def arrived(self) -> Mapping[str, Tensor]:
        """Them, waiting for them alone."""
        if self._done is not None:
            self._done.synchronize()
        return self._values


def _on_its_way(values: Tensor) -> Tensor:
    if values.device.type != "cuda":
        return values.cpu()
    there = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return there.copy_(values, non_blocking=True)
