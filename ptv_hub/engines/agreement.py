"""How near a quantized model's scores are to those of the float32 model, on views of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ptv_hub.errors import QuantizationError
from ptv_hub.zoo.records import Record

MARGIN = 0.05
"""From the best score in float32 to the second: views above it are those that tell."""

LEAST = 99.0
"""Percent of the views that tell which must keep their best class."""

_TINY = 1e-12


class Agreement(Record):
    """Scores beside scores, over views that nothing was calibrated on."""

    views: int
    same_top1: float
    """Percent of all views whose best class is float32's."""
    telling: int
    """Views whose float32 margin is over 0.05."""
    same_top1_telling: float | None
    """Percent of those; ``None`` where there is none."""
    max_difference: float
    """Of a score."""
    divergence: float
    """Kullback-Leibler, of float32 from the other, nats; the mean over views."""

    @property
    def holds(self) -> bool:
        """Whether enough of the views that tell keep their best class; so it is if none tells."""
        return self.same_top1_telling is None or self.same_top1_telling >= LEAST

    @property
    def told(self) -> str:
        """In words, for reports."""
        telling = "no view has a float32 margin over 5 %, so that it tells little"
        if self.same_top1_telling is not None:
            telling = f"{self.same_top1_telling:.1f} % of the {self.telling} with a margin over 5 %"
        return (
            f"same top-1 as float32 in {self.same_top1:.1f} % of {self.views} held-out views "
            f"({telling}), largest difference {self.max_difference:.1e}, "
            f"KL {self.divergence:.1e}"
        )


@dataclass
class _Sums:
    views: int = 0
    same: int = 0
    telling: int = 0
    same_telling: int = 0
    largest: float = 0.0
    divergence: float = 0.0
    finite: bool = field(default=True)

    def add(self, wanted: Tensor, found: Tensor) -> None:
        """Take the scores of a batch, (B, classes) each."""
        best = wanted.topk(min(2, wanted.shape[1]), dim=1).values
        telling = best[:, 0] - best[:, -1] > MARGIN
        same = wanted.argmax(dim=1) == found.argmax(dim=1)
        self.views += len(wanted)
        self.same += int(same.sum())
        self.telling += int(telling.sum())
        self.same_telling += int((same & telling).sum())
        self.largest = max(self.largest, float((wanted - found).abs().max()))
        self.divergence += float(_divergence(wanted, found).sum())
        self.finite = self.finite and bool(torch.isfinite(found).all())


def _divergence(wanted: Tensor, found: Tensor) -> Tensor:
    """Kullback-Leibler of each row, nats; of scores of several labels the sum over classes."""

    def part(p: Tensor, q: Tensor) -> Tensor:
        return (p * (p.clamp_min(_TINY) / q.clamp_min(_TINY)).log()).sum(dim=1)

    p, q = wanted.double(), found.double()
    if bool(((p.sum(dim=1) - 1).abs() < 1e-3).all()):
        return part(p, q)
    return part(p, q) + part(1 - p, 1 - q)


def agreement(
    wanted: Callable[[Tensor], Tensor],
    found: Callable[[Tensor], Tensor],
    views: Iterable[Tensor],
) -> Agreement:
    """Compare two functions of clips (1, 3, T, S, S) -> scores (1, classes), view by view.

    Raises:
        QuantizationError: there are no views, or scores that are no numbers.
    """
    sums = _Sums()
    with torch.inference_mode():
        for view in views:
            clip = view[None]
            sums.add(wanted(clip).float(), found(clip).float())
    if not sums.views:
        raise QuantizationError(
            "no view is left to compare on", fix="calibrate on more, or longer, videos"
        )
    if not sums.finite:
        raise QuantizationError("the quantized model's scores are not finite")
    return Agreement(
        views=sums.views,
        same_top1=100 * sums.same / sums.views,
        telling=sums.telling,
        same_top1_telling=100 * sums.same_telling / sums.telling if sums.telling else None,
        max_difference=sums.largest,
        divergence=sums.divergence / sums.views,
    )


def require(found: Agreement, name: str) -> None:
    """Raises QuantizationError: too many views that tell have another best class."""
    if not found.holds:
        raise QuantizationError(
            f"{name} in int8 is not the model any more",
            where=f"{found.views} held-out views",
            expected=f"the same top-1 in {LEAST:g} % of the views whose float32 margin is over "
            f"{100 * MARGIN:g} %",
            found=f"{found.same_top1_telling:.2f} % of {found.telling}; {found.told}",
            fix="calibrate on videos like those it will see, on more of them (--calibrate), or "
            "stay with fp32",
        )
