"""What makes a model trainable alike by one process and by many, and what keeps parts of it still.

Two things in a network depend on how a batch is cut into processes: the statistics of batch
norms, and the random numbers of dropout. Both are replaced by modules with the same keys that
speak of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ptv_hub.engines.transfers import on_device
from ptv_hub.errors import UsageError
from ptv_hub.models.builders import VideoModel
from ptv_hub.zoo.recipe import Recipe

Module = TypeVar("Module", bound=nn.Module)


def adapt_model(
    model: VideoModel, recipe: Recipe, *, rank: int, world: int, on_gpu: bool = False
) -> None:
    """Replace dropout (and batch norms, where the recipe asks for it), and freeze stages.

    ``on_gpu``: the model will train on GPUs, where torch's own synchronised batch norm runs.

    Raises:
        UsageError: more frozen stages than the model has blocks before its head.
    """
    most = len(model.parts) - 1
    if recipe.frozen_stages > most:
        raise UsageError(
            f"{model.entry.name} has not that many stages to freeze",
            expected=f"0 to {most}: the blocks before the head",
            found=recipe.frozen_stages,
        )
    _replace(model, nn.Dropout, lambda old: BatchDropout(old.p, rank, world))
    if recipe.sync_bn and world > 1:
        _replace(model, nn.BatchNorm3d, _torchs_own if on_gpu else CpuSyncBatchNorm3d.of)
    for block in model.parts[: recipe.frozen_stages]:
        block.requires_grad_(False)


def keep_still(model: VideoModel, recipe: Recipe) -> None:
    """After ``model.train()``: batch norms that must not move their statistics, to eval mode."""
    still = model.parts if recipe.frozen_bn else model.parts[: recipe.frozen_stages]
    for block in still:
        for module in block.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.eval()


def _replace(model: nn.Module, kind: type[Module], new: Callable[[Module], nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is kind:
                setattr(parent, name, new(child))


class BatchDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch from a seed; each process takes its part.

    So the mask of a clip depends on the step and the clip's place in the batch alone: not on
    the number of processes, and not on how often training was interrupted.
    """

    def __init__(self, p: float, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.p = p
        self.rank, self.world = rank, world
        self.seed = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        count = len(x)
        generator = torch.Generator().manual_seed(self.seed)
        keep = torch.rand((self.world * count, *x.shape[1:]), generator=generator) >= self.p
        mine = keep[self.rank * count : (self.rank + 1) * count]
        return x * on_device(mine, x.device).to(x.dtype) / (1 - self.p)


def seed_dropout(model: nn.Module, seed: int) -> None:
    """What the masks of the next step are drawn from."""
    for module in model.modules():
        if isinstance(module, BatchDropout):
            module.seed = seed


def _summed(x: Tensor) -> Tensor:
    """The sum over all processes, of values and, backwards, of gradients."""
    from torch.distributed.nn.functional import all_reduce

    summed: Callable[[Tensor], Tensor] = all_reduce
    return summed(x)


def _torchs_own(norm: nn.Module) -> nn.Module:
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    return convert(norm)


class CpuSyncBatchNorm3d(nn.BatchNorm3d):
    """Batch norm over all processes' clips where torch's own cannot run: on the CPU.

    Every process must have the same number of clips of the same size, as they have here.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm3d) -> CpuSyncBatchNorm3d:
        """The same norm, its parameters and statistics shared."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        new.weight, new.bias = norm.weight, norm.bias
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        new.train(norm.training)
        return new

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(x)
        values = x.float()
        axes = (0, 2, 3, 4)
        # Two passes: the mean first, so that the variance is not a small difference of large sums.
        world = dist.get_world_size()
        mean = _summed(values.mean(axes)) / world
        shifted = values - mean[:, None, None, None]
        variance = _summed(shifted.square().mean(axes)) / world
        self._track(mean.detach(), variance.detach(), world * values.numel() // values.shape[1])
        normed = shifted * torch.rsqrt(variance + self.eps)[:, None, None, None]
        scaled: Tensor = normed * self.weight[:, None, None, None] + self.bias[:, None, None, None]
        return scaled.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """As ``nn.BatchNorm3d``: a moving average, of the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
