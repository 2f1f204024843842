"""Looking at a model while it is trained: statistics measured anew, then a metric on the side.

A look sees the centre crop of the clip in the middle of each video: one view, where the
published protocols take up to thirty. It shows how a run goes; ``evaluate`` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from ptv_hub.errors import PtvHubError
from ptv_hub.evaluation.metrics import mean_average_precision, top_k
from ptv_hub.models.builders import VideoModel, activated
from ptv_hub.training.clips import LookClips, Replaced, Sample, collate, collate_sound

Part = TypeVar("Part")


@dataclass(frozen=True)
class Looked:
    """What a look saw."""

    value: float
    """The protocol's metric, percent."""
    loss: float
    """Cross entropy of the scores, the mean over videos (of several labels: and over classes)."""
    top5: float | None
    """Percent; ``None`` of several labels a video, and of fewer than six classes."""
    videos: int
    """That were scored; broken ones may be left out."""


def measure_statistics(
    model: VideoModel, batches: Iterable[Any], count: int, device: torch.device
) -> None:
    """Measure the statistics of batch norms over ``count`` batches, by ``fvcore``'s precise BN."""
    from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats

    if get_bn_modules(model):
        update_bn_stats(model, _inputs(batches, device), count)


def _inputs(batches: Iterable[Any], device: torch.device) -> Iterator[Tensor]:
    for batch in batches:
        if isinstance(batch, PtvHubError):
            raise batch
        yield (batch.content if isinstance(batch, Replaced) else batch)[0].to(device)


def average_statistics(model: nn.Module) -> None:
    """Give all processes the mean of their batch norms' statistics, so that all are one model."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for buffer in model.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer.div_(dist.get_world_size())


def look(
    model: VideoModel,
    clips: LookClips,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    skip_broken: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Looked | None:
    """Metric and loss over all processes' videos; ``None`` if no class occurs.

    Leaves the model in eval mode. ``skip_broken`` leaves out videos that cannot be decoded;
    ``between`` is called after each batch.
    """
    protocol = model.entry.protocol
    own = list(range(rank, len(clips), world))
    gather = collate_sound if skip_broken else collate
    loader: DataLoader[Sample] = DataLoader(
        Subset(clips, own), batch_size=batch_size, num_workers=workers, collate_fn=gather
    )
    scores: list[Tensor] = []
    targets: list[Tensor] = []
    model.eval()
    with activated(model, protocol.activation), torch.inference_mode():
        for batch in loader:
            if isinstance(batch, PtvHubError):
                raise batch
            between()
            if batch is None:
                continue
            scores.append(model(batch[0].to(device)).float().cpu())
            targets.append(batch[1])
    found = _gathered((_joined(scores), _joined(targets)), world)
    if not any(len(s) for s, _ in found):
        return None
    all_scores = np.concatenate([s for s, _ in found if len(s)])
    all_targets = np.concatenate([t for s, t in found if len(s)])
    return _looked(all_scores, all_targets, several=protocol.metric == "mean_average_precision")


_LEAST = 1e-7
"""The score that counts for one of 0: its logarithm is a number."""


def _looked(scores: NDArray[Any], targets: NDArray[Any], *, several: bool) -> Looked | None:
    sure = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
    if several:
        value = mean_average_precision(scores, targets.astype(np.uint8))
        losses = -np.where(targets > 0, np.log(sure), np.log1p(-sure))
        return None if value is None else Looked(value, float(losses.mean()), None, len(targets))
    count = len(targets)
    loss = -float(np.log(sure[np.arange(count), targets]).mean())
    right = 100.0 * float((scores.argmax(1) == targets).mean())
    five = top_k(scores, targets, 5) if scores.shape[1] > 5 else None
    return Looked(right, loss, None if five is None else 100.0 * five / count, count)


def _joined(parts: Sequence[Tensor]) -> NDArray[Any]:
    return torch.cat(list(parts)).numpy() if parts else np.empty(0)


def _gathered(mine: Part, world: int) -> list[Part]:
    if world == 1:
        return [mine]
    found = [mine] * world
    dist.all_gather_object(found, mine)
    return found
