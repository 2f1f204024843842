"""The training loop: the epochs of a run, their steps, looks and checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch.distributed as dist
from torch.utils.data import DataLoader

from ptv_hub.errors import Terminated
from ptv_hub.models.builders import VideoModel
from ptv_hub.training.averaged import Averaged
from ptv_hub.training.clips import Batches, LookClips, Replaced, Sample
from ptv_hub.training.fabric import scaler_of
from ptv_hub.training.logs import RunLog
from ptv_hub.training.looks import Looked, average_statistics, look, measure_statistics
from ptv_hub.training.losses import Begun, Losses
from ptv_hub.training.modules import keep_still
from ptv_hub.training.optimizer import set_learning_rate
from ptv_hub.training.result import Progress
from ptv_hub.training.source import Source
from ptv_hub.training.state import BEST, LAST, Position, save
from ptv_hub.training.step import Group, Step
from ptv_hub.training.stopping import Stop
from ptv_hub.zoo.pyslowfast import Config
from ptv_hub.zoo.recipe import Recipe, learning_rate

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.wrappers import _FabricModule, _FabricOptimizer

log = logging.getLogger("ptv_hub")
LOG_PERIOD = 10
"""Steps from one row of ``steps.csv`` to the next, as PySlowFast logs."""


class Epochs:
    """The epochs of a run, one after the other.

    Every process goes through all of them; what is written, the first one writes.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: _FabricModule,
        optimizer: _FabricOptimizer,
        source: Source,
        config: Config,
        recipe: Recipe,
        *,
        save_every_s: float,
        report: Callable[[Progress], None],
        stop: Stop,
        skip_broken: bool = False,
    ) -> None:
        """``model`` and ``optimizer`` are as ``fabric`` set them up.

        ``config`` is what checkpoints say of the run; ``recipe`` is what it does, its rates
        scaled for all shards.
        """
        self.fabric = fabric
        self.model = model
        self.bare = cast(VideoModel, model.module)
        self.optimizer = optimizer
        self.source = source
        self.config = config
        self.recipe = recipe
        self.output = Path(config.paths.output)
        self.save_every_s = save_every_s
        self.report = report
        self.stop = stop
        self.skip_broken = skip_broken
        self._told_left_out = False
        self.averaged = None if recipe.ema_decay is None else Averaged(self.bare, recipe.ema_decay)
        self._step = Step(fabric, model, optimizer, source, recipe, self.averaged)
        self._told: set[str] = set()
        self._saved_at = time.monotonic()

    @property
    def watched(self) -> VideoModel:
        """What is looked at and published: the model, or its moving average."""
        return self.bare if self.averaged is None else self.averaged.model

    @property
    def _models(self) -> list[VideoModel]:
        return [self.bare] if self.averaged is None else [self.bare, self.averaged.model]

    def run(
        self,
        loader: DataLoader[Sample | Replaced],
        batches: Batches,
        position: Position,
        run_log: RunLog | None,
    ) -> Position:
        """Go on from ``position`` to the end of the recipe, or until looks find nothing better.

        Raises:
            TrainingError: the loss is not a number any more.
            VideoError: a video cannot be decoded.
            WriteError: a checkpoint or a log cannot be written.
            Terminated: by SIGTERM; ``last.pyth`` is of this moment.
        """
        recipe = self.recipe
        for epoch in range(position.epoch, recipe.epochs):
            if self._has_enough(position):
                break
            began = time.perf_counter()
            batches.epoch, batches.first = epoch, position.step
            position = self._steps(loader, position, run_log)
            looked = self._due(epoch, recipe.eval_period) and bool(self.source.val)
            saved = self._due(epoch, recipe.checkpoint_period)
            if (looked or saved) and recipe.precise_bn_batches is not None:
                self._measure(recipe.precise_bn_batches, loader, batches)
            for model in self._models:
                average_statistics(model)
            found = self._watch(position) if looked else None
            value = None if found is None else found.value
            best = position.best
            better = value is not None and (best is None or value > best)
            position = position.model_copy(
                update={
                    "epoch": epoch + 1,
                    "step": 0,
                    "loss_sum": 0.0,
                    "last_loss": position.loss_sum / max(len(batches), 1),
                    "last": value if looked else position.last,
                    "watched": _videos(found) if looked else position.watched,
                    "in_vain": 0 if better else position.in_vain + int(looked),
                    **({"best": value, "best_epoch": epoch} if better else {}),
                }
            )
            if saved or looked or self._late():
                # The best first: were the run killed between the two, it would be written again.
                if better:
                    self._save(BEST, position)
                self._save(LAST, position)
            self._tell(position, looked, found, time.perf_counter() - began, run_log)
        return position

    def _has_enough(self, position: Position) -> bool:
        """Whether as many looks as the recipe has patience for found nothing better."""
        patience = self.recipe.patience
        return patience is not None and position.in_vain >= patience

    def _watch(self, position: Position) -> Looked | None:
        """The look after an epoch; were the run ended in it, it would begin with it again."""
        try:
            found = self.look()
        except Terminated:
            self._save(LAST, position)
            raise
        listed = len(self.source.watched)
        if _videos(found) < listed and not self._told_left_out:
            self._told_left_out = True
            log.warning(
                "%d of %d watched videos were scored; the others are left out of every look",
                _videos(found),
                listed,
            )
        return found

    def look(self, shuffle_seed: int | None = None) -> Looked | None:
        """Metric and loss over the held-out videos; with a seed, their frames shuffled."""
        clips = LookClips(
            self.source.watched,
            self.source.entry.input,
            num_marks=self.source.num_marks,
            shuffle_seed=shuffle_seed,
        )
        return look(
            self.watched,
            clips,
            batch_size=self.recipe.test_batch_size,
            workers=self.recipe.workers,
            device=self.fabric.device,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            skip_broken=self.skip_broken,
            # Of several processes one cannot leave alone: the others would wait for it.
            between=self.stop.check if self.fabric.world_size == 1 else _go_on,
        )

    def _steps(
        self, loader: DataLoader[Sample | Replaced], position: Position, run_log: RunLog | None
    ) -> Position:
        recipe, epoch, total = self.recipe, position.epoch, position.batches
        self.model.train()
        keep_still(self.bare, recipe)
        alone = self.fabric.world_size == 1

        def told(begun: Begun, loss: float, seconds: float) -> None:
            done = begun.number + 1
            if run_log is not None and (done % LOG_PERIOD == 0 or done == total):
                row = {"epoch": epoch, "step": begun.number, "learning_rate": begun.rate}
                row |= {"loss": loss, "seconds": round(seconds, 3)}
                run_log.step(epoch * total + done, row)
            self.report(Progress("step", done, total, epoch, recipe.epochs, loss, begun.rate))

        losses = Losses(self.fabric, position, self.output, told)
        for step, batch in enumerate(self._loaded(loader), position.step):
            if isinstance(batch, Exception):
                raise batch
            if isinstance(batch, Replaced):
                losses.skip(self._skipped(batch))
                batch = batch.content
            began = time.perf_counter()
            group = Group.of(step, total, recipe.accumulate)
            rate = learning_rate(recipe, epoch + group.first / total)
            set_learning_rate(self.optimizer.optimizer, rate)
            done = self._step(batch, epoch, step, group)
            closes, asked = step == group.last, self.stop.asked
            losses.add(step, done, rate=rate, at=began, closes=closes, asked=asked)
            # Of several processes all end behind the same step: that after the one that asks.
            ending = losses.asked or (alone and asked)
            if closes and (ending or (self._late() and step + 1 < total)):
                losses.settle()
                if ending:
                    self._end(losses.position)
                self._save(LAST, losses.position)
        losses.settle()
        if losses.asked or (alone and self.stop.asked):
            self._end(losses.kept)
        return self._agreed(losses.position)

    def _loaded(self, loader: DataLoader[Any]) -> Iterator[Any]:
        """What the loader gives, until the decoding processes were ended with this one."""
        try:
            yield from loader
        except RuntimeError:
            if not (self.stop.asked and self.fabric.world_size == 1):
                raise

    def _end(self, position: Position) -> None:
        """Keep what was done, and end the run."""
        self._save(LAST, position)
        raise Terminated(
            "ended by SIGTERM",
            where=self.output / LAST,
            found=f"epoch {position.epoch}, {position.step} of {position.batches} steps",
            fix="the same command goes on where it was",
        )

    def _skipped(self, batch: Replaced) -> tuple[str, ...]:
        """The videos that gave no clip, each told once."""
        for one, what in batch.skipped:
            if one not in self._told:
                self._told.add(one)
                log.warning("another video takes the place of %s: %s", one, what)
        return tuple(one for one, _ in batch.skipped)

    def _agreed(self, position: Position) -> Position:
        """The position with what all processes skipped."""
        if self.fabric.world_size == 1:
            return position
        found: list[tuple[str, ...]] = [()] * self.fabric.world_size
        dist.all_gather_object(found, position.skipped)
        every = sorted({one for skipped in found for one in skipped})
        return position.model_copy(update={"skipped": tuple(every)})

    def _due(self, epoch: int, period: int) -> bool:
        return (epoch + 1) % period == 0 or epoch + 1 == self.recipe.epochs

    def _late(self) -> bool:
        return time.monotonic() - self._saved_at >= self.save_every_s

    def _measure(self, count: int, loader: DataLoader[Sample | Replaced], batches: Batches) -> None:
        """Precise batch-norm statistics over the epoch's first batches."""
        batches.first = 0
        for model in self._models:
            measure_statistics(model, loader, min(count, len(batches)), self.fabric.device)

    def _save(self, name: str, position: Position) -> None:
        if self.fabric.global_rank == 0:
            scaler = scaler_of(self.fabric)
            save(
                self.output / name,
                self.watched if name == BEST else self.bare,
                self.optimizer.optimizer,
                self.config,
                position,
                scaler=None if scaler is None else scaler.state_dict(),
                averaged=self.averaged.model if self.averaged and name == LAST else None,
            )
            self._saved_at = time.monotonic()

    def _tell(
        self,
        position: Position,
        looked: bool,
        found: Looked | None,
        seconds: float,
        run_log: RunLog | None,
    ) -> None:
        """Say how the epoch before ``position`` went, in the log and to the caller."""
        epoch, steps, loss = position.epoch - 1, position.batches, position.last_loss
        rate = learning_rate(self.recipe, epoch + 1 - 1 / steps)
        metric = self.source.entry.protocol.metric
        value = None if found is None else found.value
        if run_log is not None:
            run_log.epoch(
                (epoch + 1) * steps,
                {
                    "epoch": epoch,
                    "learning_rate": rate,
                    "loss": loss,
                    "metric": metric if looked else "",
                    "value": value,
                    "val_loss": None if found is None else found.loss,
                    "top5": None if found is None else found.top5,
                    "videos": _videos(found) if looked else 0,
                    "seconds": round(seconds, 3),
                },
            )
        self.report(
            Progress("look", steps, steps, epoch, self.recipe.epochs, loss, rate, metric, value)
        )


def _videos(found: Looked | None) -> int:
    return 0 if found is None else found.videos


def _go_on() -> None:
    """In place of a check where nothing may end."""
