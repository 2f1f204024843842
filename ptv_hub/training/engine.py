"""A training run from its config to its result: made ready, gone through, written.

One process, or as many as ``torchrun`` started; nothing here knows more of it than a rank and
a number. Whatever is random depends on the seed and the place in the run alone, so that the
result is the same for any number of processes (with ``sync_bn``) and any interruption.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ptv_hub._version import __version__
from ptv_hub.datasets.split_list import LISTED, write_splits
from ptv_hub.environment import versions
from ptv_hub.errors import DataError, UsageError
from ptv_hub.files import ready_folder, sha256_of
from ptv_hub.models.builders import build
from ptv_hub.models.digest import digest
from ptv_hub.training.curves import draw_curves
from ptv_hub.training.epochs import Epochs
from ptv_hub.training.fabric import make_fabric, nodes_of, scaler_of
from ptv_hub.training.listed import as_begun
from ptv_hub.training.loading import training_batches, training_loader
from ptv_hub.training.logs import RunLog
from ptv_hub.training.modules import adapt_model
from ptv_hub.training.optimizer import make_optimizer
from ptv_hub.training.result import Progress, TrainingResult
from ptv_hub.training.source import Check, Source, check_videos
from ptv_hub.training.state import BEST, LAST, Position, published, read_position, restore
from ptv_hub.training.stopping import Stop
from ptv_hub.weights import checkpoint
from ptv_hub.weights.load import load_weights
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.weights.repository import write_repository
from ptv_hub.zoo.pyslowfast import Config
from ptv_hub.zoo.repository import Provenance

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.loggers.logger import Logger
    from lightning.fabric.wrappers import _FabricModule, _FabricOptimizer

log = logging.getLogger("ptv_hub")


def train(
    config: Config,
    source: Source,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    resume: bool = True,
    restart: bool = False,
    check: Check = "full",
    save_every_s: float = 600.0,
    control: bool = False,
    skip_broken: bool = False,
    report: Callable[[Progress], None] | None = None,
    loggers: Sequence[Logger] = (),
) -> TrainingResult:
    """Train the model of a config on data, and write checkpoints, logs and the model.

    Args:
        config: recipe and output folder; the model is ``source.entry``.
        weights: a file to begin from; a classifier for other classes is replaced by a new one.
        device: auto, gpu, cpu, cuda, cuda:1, mps; of several ranks each has a GPU of its own.
        resume: go on from ``last.pyth`` in the output folder if there is one.
        restart: begin anew although there is one.
        check: how the videos are looked at before the first step.
        save_every_s: seconds after which ``last.pyth`` is written within an epoch too.
        control: measure the best model once more with the frames of each clip shuffled.
        skip_broken: let another video take the place of one that cannot be decoded, by a rule
            that a run which goes on repeats; they are listed in the result.
        report: called in the first process as the run goes on.
        loggers: Lightning's loggers (``CSVLogger``, ``TensorBoardLogger``, ``WandbLogger``, ...),
            or what has their methods; of the first process alone they are told.

    Raises:
        DataError: a video that cannot be used, fewer videos than a batch.
        CheckpointError: weights of another model, or an output folder of another run.
        UsageError: there is no such device here.
        TrainingError: the loss is not a number any more.
        Terminated: by SIGTERM; a checkpoint was written, and the same call goes on.
        MissingExtra: Lightning is not installed.
    """
    fabric = make_fabric(device, config.recipe)
    fabric.launch()
    run = _Run(fabric, config, source, weights, skip_broken, loggers)
    told = report if report is not None and fabric.global_rank == 0 else _silence
    with Stop() as stop:
        return run(
            resume=resume and not restart,
            check=check,
            save_every_s=save_every_s,
            control=control,
            report=told,
            stop=stop,
        )


def _silence(progress: Progress) -> None:
    """In place of a ``report`` where there is none, and in all processes but the first."""


class _Run:
    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        source: Source,
        weights: str | os.PathLike[str] | None,
        skip_broken: bool,
        loggers: Sequence[Logger],
    ) -> None:
        self.fabric = fabric
        self.loggers = loggers
        self.skip_broken = skip_broken
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.recipe = config.recipe.for_shards(nodes_of(fabric))
        # What the files say is the recipe as it was asked for; its rates are scaled once only.
        self.config = config.model_copy(update={"entry": source.entry})
        self.source = source
        self.output = Path(config.paths.output)
        self.weights = weights
        self.batch_size = self.recipe.batch_size * self.recipe.shards
        self._check_sizes()

    def _check_sizes(self) -> None:
        if self.batch_size % self.world:
            raise UsageError(
                "a batch cannot be shared evenly among the processes",
                expected=f"a multiple of {self.world} (TRAIN.BATCH_SIZE)",
                found=self.batch_size,
            )
        if len(self.source.train) < self.batch_size:
            raise DataError(
                "there are fewer training videos than one batch takes",
                expected=f"{self.batch_size} or more (TRAIN.BATCH_SIZE)",
                found=len(self.source.train),
                fix="a smaller batch: --batch-size",
            )

    def __call__(
        self,
        *,
        resume: bool,
        check: Check,
        save_every_s: float,
        control: bool,
        report: Callable[[Progress], None],
        stop: Stop,
    ) -> TrainingResult:
        began = time.perf_counter()
        ready_folder(self.output)
        position = file = None
        last = self.output / LAST
        if resume and last.is_file():
            position, file = self._position(last)
        elif self.rank == 0:
            write_splits(self.output / LISTED, self.source.train, self.source.val)
        batches = training_batches(
            self.source, self.recipe, self.batch_size, rank=self.rank, world=self.world
        )
        if position is not None and position.batches != len(batches):
            raise DataError(
                "the output folder holds a run with epochs of another length",
                where=last,
                expected=f"{position.batches} batches",
                found=f"{len(batches)} batches",
                fix="the same number of machines; or another output folder, or --restart",
            )
        if position is None:
            position = Position(
                data=self.source.digest,
                batches=len(batches),
                world=self.world,
                started_from=self._origin(),
            )
        epochs = self._epochs(file, save_every_s, report, stop)
        self._check_videos(check, report, stop)
        run_log = self._log(position)
        status = "aborted"
        try:
            loader = training_loader(
                self.source,
                self.recipe,
                batches,
                skip_broken=self.skip_broken,
                pinned=self.fabric.device.type == "cuda",
            )
            position = epochs.run(loader, batches, position, run_log)
            status = "success"
        finally:
            if run_log is not None:
                run_log.close(status)
                draw_curves(self.output)
        return self._result(epochs, position, control, time.perf_counter() - began)

    def _log(self, position: Position) -> RunLog | None:
        """Of the first rank, going on behind what stands in it."""
        if self.rank:
            return None
        run_log = RunLog(
            self.output,
            epoch=position.epoch,
            step=position.step,
            tensorboard=self.recipe.tensorboard,
            loggers=self.loggers,
        )
        run_log.begin(self.recipe)
        return run_log

    def _check_videos(self, check: Check, report: Callable[[Progress], None], stop: Stop) -> None:
        def looked(done: int, total: int) -> None:
            stop.check()
            report(Progress("check", done, total))

        broken = check_videos(
            (*self.source.train, *self.source.val)[self.rank :: self.world],
            self.source.entry.input,
            check,
            workers=self.recipe.workers,
            progress=looked,
            skip_broken=self.skip_broken,
        )
        for item, failure in broken:
            log.warning("%s cannot be used: %s", item.id, failure.error)
        self.fabric.barrier()

    def _epochs(
        self,
        file: checkpoint.Checkpoint | None,
        save_every_s: float,
        report: Callable[[Progress], None],
        stop: Stop,
    ) -> Epochs:
        """Model and optimizer, as the run begins or as the checkpoint left them."""
        model, optimizer = self._model_and_optimizer(file is None)
        epochs = Epochs(
            self.fabric,
            model,
            optimizer,
            self.source,
            self.config,
            self.recipe,
            save_every_s=save_every_s,
            report=report,
            stop=stop,
            skip_broken=self.skip_broken,
        )
        if file is not None:
            average = epochs.averaged.model if epochs.averaged else None
            restore(file, epochs.bare, optimizer.optimizer, averaged=average)
            scaler = scaler_of(self.fabric)
            if scaler is not None and "scaler_state" in file.training:
                scaler.load_state_dict(file.training["scaler_state"])
        return epochs

    def _origin(self) -> str:
        return "pytorchvideo's initial weights" if self.weights is None else str(self.weights)

    def _position(self, last: Path) -> tuple[Position, checkpoint.Checkpoint]:
        position, file = read_position(last, self.config)
        self.source = as_begun(self.source, position.data, self.output)
        gone = self.source.removed
        if gone:
            more = ", ..." if gone[5:] else ""
            log.warning(
                "%d videos were removed from the list since the run began, and others take their "
                "places: %s%s",
                len(gone),
                ", ".join(gone[:5]),
                more,
            )
        log.info("going on from epoch %d, step %d of %s", position.epoch, position.step, last)
        return position.model_copy(update={"world": self.world}), file

    def _model_and_optimizer(self, fresh: bool) -> tuple[_FabricModule, _FabricOptimizer]:
        entry, recipe = self.source.entry, self.recipe
        torch.manual_seed(recipe.seed)  # of a new classifier, and of a model from scratch
        if self.weights is None or not fresh:
            model = build(entry)
        else:
            weights = OpenedWeights(Path(self.weights), entry)
            model = build(entry, device="meta")
            own = {key: tensor.clone() for key, tensor in weights.official.items()}
            load_weights(model, own, where=weights.path, new_head=True)
        on_gpu = self.fabric.device.type == "cuda"
        adapt_model(model, recipe, rank=self.rank, world=self.world, on_gpu=on_gpu)
        # Depthwise convolutions of three dimensions are a third slower the other way round.
        model.to(memory_format=torch.channels_last_3d)
        optimizer = make_optimizer(model, recipe)
        ready: tuple[_FabricModule, _FabricOptimizer] = self.fabric.setup(model, optimizer)
        return ready

    def _result(
        self, epochs: Epochs, position: Position, control: bool, seconds: float
    ) -> TrainingResult:
        self.fabric.barrier()
        chosen = self.output / (LAST if position.best is None else BEST)
        official = published(chosen)
        with torch.no_grad():
            for key, tensor in epochs.watched.state_dict().items():
                tensor.copy_(official[key])
        shuffled = epochs.look(self.recipe.seed) if control and self.source.val else None
        folder = self.output / "model"
        if self.rank == 0:
            origin = Provenance(
                source=chosen.name,
                sha256=sha256_of(chosen),
                vouched_by=None,
                evidence=f"trained here, from {self._origin()}",
                converted_by=f"ptv_hub {__version__}",
            )
            write_repository(folder, self.source.entry, official, origin)
        entry = self.source.entry
        return TrainingResult(
            name=entry.name,
            output=str(self.output),
            last=str(self.output / LAST),
            best=None if position.best is None else str(self.output / BEST),
            model=f"local-dir:{folder}",
            epochs=position.epoch,
            steps=position.epoch * position.batches,
            loss=position.last_loss,
            metric=entry.protocol.metric,
            last_value=position.last,
            best_value=position.best,
            best_epoch=position.best_epoch,
            videos=len(self.source.watched) if position.watched is None else position.watched,
            chance=None if self.source.num_marks else 100.0 / entry.num_classes,
            skipped=position.skipped,
            control=None if shuffled is None else shuffled.value,
            stopped_early=position.epoch < self.recipe.epochs,
            digest=digest(official),
            data=position.data,
            started_from=position.started_from,
            processes=self.world,
            seconds=round(seconds, 1),
            environment=versions("torch", "pytorchvideo", "lightning", "av"),
        )
