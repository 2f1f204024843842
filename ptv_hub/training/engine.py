"""The training loop, on Lightning Fabric: it brings devices, processes and mixed precision.

One process, or as many as ``torchrun`` started; nothing here knows more of it than a rank and
a number. Whatever is random depends on the seed and the place in the run alone, so that the
result is the same for any number of processes (with ``sync_bn``) and any interruption.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from ptv_hub import checkpoint, layouts
from ptv_hub.builders import VideoModel, build
from ptv_hub.digest import digest
from ptv_hub.entry import Record
from ptv_hub.errors import DataError, MissingExtra, TrainingError, UsageError, WriteError
from ptv_hub.load import load_weights
from ptv_hub.pyslowfast_config import Config
from ptv_hub.recipe import Recipe, learning_rate
from ptv_hub.training.clips import Batches, LookClips, TrainingClips, collate
from ptv_hub.training.export import export
from ptv_hub.training.logs import RunLog
from ptv_hub.training.looks import average_statistics, look, measure_statistics
from ptv_hub.training.modules import keep_still, prepare_model, seed_dropout
from ptv_hub.training.optimizer import LOSSES, make_optimizer, set_learning_rate
from ptv_hub.training.source import Check, Source, check_videos
from ptv_hub.training.state import BEST, LAST, Position, read_position, restore, save

__all__ = ["Progress", "TrainingResult", "train"]

log = logging.getLogger("ptv_hub")

LOG_PERIOD = 10
"""Steps from one row of ``steps.csv`` to the next, as PySlowFast logs."""


@dataclass(frozen=True)
class Progress:
    """Where a run is; given to ``report``."""

    kind: Literal["check", "step", "look"]
    done: int
    """Videos looked at, or steps of the epoch."""
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float = math.nan
    learning_rate: float = math.nan
    metric: str = ""
    value: float | None = None
    """Of a look: percent."""


class TrainingResult(Record):
    """What came out of a run."""

    name: str
    output: str
    last: str
    """The checkpoint after the last step."""
    best: str | None
    """The checkpoint with the best look; null where nothing was watched."""
    model: str
    """``local-dir:`` address of the best (else the last) model with its class names."""
    epochs: int
    steps: int
    loss: float
    """Mean of the last epoch."""
    metric: str
    last_value: float | None
    """Percent, over ``videos`` held-out videos, the centre crop of one clip each."""
    best_value: float | None
    best_epoch: int | None
    videos: int
    chance: float | None
    """Percent, of guessing among the classes; null for mAP."""
    control: float | None
    """The best model's value with the frames of each clip shuffled; null if not asked for."""
    digest: str
    """Of the exported tensors."""
    data: str
    """Digest of the data."""
    started_from: str
    processes: int
    seconds: float
    """Of this sitting."""
    environment: dict[str, str]


def train(
    config: Config,
    source: Source,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    resume: bool = True,
    restart: bool = False,
    check: Check = "full",
    save_every_s: float = 600.0,
    control: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Train the model of a config on data, and write checkpoints, logs and the model.

    Args:
        config: recipe and output folder; the model is ``source.entry``.
        weights: a file to begin from; a classifier for other classes is replaced by a new one.
        resume: go on from ``last.pyth`` in the output folder if there is one.
        restart: begin anew although there is one.
        check: how the videos are looked at before the first step.
        save_every_s: seconds after which ``last.pyth`` is written within an epoch too.
        control: measure the best model once more with the frames of each clip shuffled.
        report: called in the first process as the run goes on.

    Raises:
        DataError: a video that cannot be used, fewer videos than a batch.
        CheckpointError: weights of another model, or an output folder of another run.
        TrainingError: the loss is not a number any more.
        MissingExtra: Lightning is not installed.
    """
    run = _Run(config, source, weights, device, save_every_s, report)
    return run(resume=resume, restart=restart, check=check, control=control)


def _fabric(device: str, recipe: Recipe) -> Any:
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtra("lightning", "train", needed_for="training") from error
    cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    precision = ("16-mixed" if cuda else "bf16-mixed") if recipe.mixed_precision else "32-true"
    # Lightning counts among its talk what is no news; ours goes through `report`.
    for name in ("lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=local,
        num_nodes=max(world // local, 1),
        strategy="ddp" if world > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )


class _Run:
    def __init__(
        self,
        config: Config,
        source: Source,
        weights: str | os.PathLike[str] | None,
        device: str,
        save_every_s: float,
        report: Callable[[Progress], None] | None,
    ) -> None:
        self.fabric = _fabric(device, config.recipe)
        self.fabric.launch()
        self.rank, self.world = self.fabric.global_rank, self.fabric.world_size
        self.recipe = config.recipe.for_shards(self.fabric.strategy.num_nodes if self._many else 1)
        # What the files say is the recipe as it was asked for; its rates are scaled once only.
        self.config = config.model_copy(update={"entry": source.entry})
        self.source = source
        self.output = Path(config.paths.output)
        self.report = report if self.rank == 0 else None
        self.save_every_s = save_every_s
        self._saved_at = time.monotonic()
        self.weights = weights
        self.multi = source.entry.protocol.metric == "mean_average_precision"
        self.marks = source.entry.num_classes if self.multi else None
        self.batch_size = self.recipe.batch_size * self.recipe.shards
        self._check_sizes()

    @property
    def _scaler(self) -> Any:
        """The loss scaler of half precision on a GPU; ``None`` elsewhere."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    @property
    def _many(self) -> bool:
        return bool(self.fabric.world_size > 1)

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
        self, *, resume: bool, restart: bool, check: Check, control: bool
    ) -> TrainingResult:
        began = time.perf_counter()
        self._make_output()
        spec, recipe = self.source.entry.input, self.recipe
        batches = Batches(
            len(self.source.train),
            self.batch_size,
            seed=recipe.seed,
            rank=self.rank,
            world=self.world,
        )
        position = Position(
            data=self.source.digest,
            batches=len(batches),
            world=self.world,
            started_from=self._origin(),
        )
        last = self.output / LAST
        file = None
        if resume and not restart and last.is_file():
            position, file = self._position(last, position)
        model, optimizer = self._model_and_optimizer(file is None)
        bare: VideoModel = model.module if hasattr(model, "module") else model
        if file is not None:
            restore(file, bare, optimizer.optimizer)
            if self._scaler is not None and "scaler_state" in file.training:
                self._scaler.load_state_dict(file.training["scaler_state"])
        check_videos(
            self._share((*self.source.train, *self.source.val)),
            spec,
            check,
            workers=recipe.workers,
            progress=lambda done, total: self._say(Progress("check", done, total)),
        )
        self.fabric.barrier()
        clips = TrainingClips(
            self.source.train,
            spec,
            num_marks=self.marks,
            flip=recipe.random_flip,
            seed=recipe.seed,
            spans=self.source.spans,
        )
        loader: Any = DataLoader(
            clips,
            batch_sampler=batches,
            num_workers=recipe.workers,
            collate_fn=collate,
            pin_memory=self.fabric.device.type == "cuda",
            persistent_workers=recipe.workers > 0,
        )
        run_log = None
        if self.rank == 0:
            run_log = RunLog(
                self.output,
                epoch=position.epoch,
                step=position.step,
                tensorboard=recipe.tensorboard,
            )
        position = self._epochs(model, bare, optimizer, loader, batches, position, run_log)
        if run_log is not None:
            run_log.close()
        return self._result(bare, position, control, time.perf_counter() - began)

    def _make_output(self) -> None:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError.because(error, self.output) from error

    def _origin(self) -> str:
        return "pytorchvideo's initial weights" if self.weights is None else str(self.weights)

    def _share(self, items: Any) -> Any:
        return items[self.rank :: self.world]

    def _say(self, progress: Progress) -> None:
        if self.report is not None:
            self.report(progress)

    def _position(self, last: Path, new: Position) -> tuple[Position, checkpoint.Checkpoint]:
        position, file = read_position(last, self.config)
        for what in ("data", "batches"):
            if getattr(position, what) != getattr(new, what):
                raise DataError(
                    "the output folder holds a run on other data",
                    where=last,
                    expected=f"{what} {getattr(position, what)}",
                    found=f"{what} {getattr(new, what)}",
                    fix="take another output folder, or --restart to overwrite this one",
                )
        log.info("going on from epoch %d, step %d of %s", position.epoch, position.step, last)
        return position.model_copy(update={"world": self.world}), file

    def _model_and_optimizer(self, fresh: bool) -> tuple[Any, Any]:
        entry, recipe = self.source.entry, self.recipe
        torch.manual_seed(recipe.seed)  # of a new classifier, and of a model from scratch
        if self.weights is None or not fresh:
            model = build(entry)
        else:
            file = checkpoint.read(self.weights)
            found = layouts.detect(file.tensors)
            tensors = layouts.convert(file.tensors, found, layouts.OFFICIAL)
            model = build(entry, device="meta")
            own = {key: tensor.clone() for key, tensor in tensors.items()}
            load_weights(model, own, where=file.path, new_head=True)
        prepare_model(model, recipe, rank=self.rank, world=self.world)
        # Depthwise convolutions of three dimensions are a third slower the other way round.
        model.to(memory_format=torch.channels_last_3d)
        optimizer = make_optimizer(model, recipe)
        return self.fabric.setup(model, optimizer)  # type: ignore[no-any-return]

    def _epochs(
        self,
        model: Any,
        bare: VideoModel,
        optimizer: Any,
        loader: Any,
        batches: Batches,
        position: Position,
        run_log: RunLog | None,
    ) -> Position:
        recipe = self.recipe
        for epoch in range(position.epoch, recipe.epochs):
            began = time.perf_counter()
            batches.epoch, batches.first = epoch, position.step
            position = self._epoch(model, bare, optimizer, loader, position, run_log)
            looked = self._due(epoch, recipe.eval_period) and bool(self.source.val)
            saved = self._due(epoch, recipe.checkpoint_period)
            if (looked or saved) and recipe.precise_bn_batches is not None:
                self._measure(bare, loader, batches)
            average_statistics(bare)
            value = self._look(bare) if looked else None
            mean_loss = position.loss_sum / max(len(batches), 1)
            best = position.best
            better = value is not None and (best is None or value > best)
            position = position.model_copy(
                update={
                    "epoch": epoch + 1,
                    "step": 0,
                    "loss_sum": 0.0,
                    "last_loss": mean_loss,
                    "last": value if looked else position.last,
                    **({"best": value, "best_epoch": epoch} if better else {}),
                }
            )
            late = time.monotonic() - self._saved_at >= self.save_every_s
            if saved or looked or late:
                # The best first: were the run killed between the two, it would be written again.
                if better:
                    self._save(BEST, bare, optimizer, position)
                self._save(LAST, bare, optimizer, position)
            if run_log is not None:
                rate = learning_rate(recipe, epoch + 1 - 1 / len(batches))
                run_log.epoch(
                    (epoch + 1) * len(batches),
                    {
                        "epoch": epoch,
                        "learning_rate": rate,
                        "loss": mean_loss,
                        "metric": bare.entry.protocol.metric if looked else "",
                        "value": value,
                        "videos": len(self.source.val) if looked else 0,
                        "seconds": round(time.perf_counter() - began, 3),
                    },
                )
            self._say(
                Progress(
                    "look",
                    len(batches),
                    len(batches),
                    epoch,
                    recipe.epochs,
                    mean_loss,
                    learning_rate(recipe, epoch + 1 - 1 / len(batches)),
                    bare.entry.protocol.metric,
                    value,
                )
            )
        return position

    def _due(self, epoch: int, period: int) -> bool:
        return (epoch + 1) % period == 0 or epoch + 1 == self.recipe.epochs

    def _epoch(
        self,
        model: Any,
        bare: VideoModel,
        optimizer: Any,
        loader: Any,
        position: Position,
        run_log: RunLog | None,
    ) -> Position:
        recipe, epoch = self.recipe, position.epoch
        loss_of = LOSSES[recipe.loss]
        model.train()
        keep_still(bare, recipe)
        total = position.batches
        for step, batch in enumerate(loader, position.step):
            if isinstance(batch, Exception):
                raise batch
            began = time.perf_counter()
            clips, targets = self.fabric.to_device(batch)
            rate = learning_rate(recipe, epoch + step / total)
            set_learning_rate(optimizer.optimizer, rate)
            seed_dropout(bare, _seed(recipe.seed, epoch, step))
            optimizer.optimizer.zero_grad()
            loss = loss_of(model(clips), targets)
            self.fabric.backward(loss)
            if recipe.clip_grad_value is not None:
                self.fabric.clip_gradients(model, optimizer, clip_val=recipe.clip_grad_value)
            elif recipe.clip_grad_norm is not None:
                self.fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_grad_norm)
            optimizer.step()
            # The mean over processes; Fabric's reduction is on all of them.
            value = float(self.fabric.all_reduce(loss.detach(), reduce_op="mean"))
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in epoch {epoch}, step {step}",
                    expected="a number",
                    fix="a smaller learning rate (SOLVER.BASE_LR) or a longer warm-up; "
                    f"{LAST} in {self.output} is from before it",
                )
            position = position.model_copy(
                update={"step": step + 1, "loss_sum": position.loss_sum + value}
            )
            if run_log is not None and ((step + 1) % LOG_PERIOD == 0 or step + 1 == total):
                row = {"epoch": epoch, "step": step, "learning_rate": rate, "loss": value}
                seconds = round(time.perf_counter() - began, 3)
                run_log.step(epoch * total + step + 1, {**row, "seconds": seconds})
            self._say(Progress("step", step + 1, total, epoch, recipe.epochs, value, rate))
            if time.monotonic() - self._saved_at >= self.save_every_s and step + 1 < total:
                self._save(LAST, bare, optimizer, position)
        return position

    def _measure(self, bare: VideoModel, loader: Any, batches: Batches) -> None:
        """Precise batch-norm statistics over the epoch's first batches."""
        assert self.recipe.precise_bn_batches is not None
        batches.first = 0
        count = min(self.recipe.precise_bn_batches, len(batches))
        measure_statistics(bare, loader, count, self.fabric.device)

    def _look(self, bare: VideoModel, shuffle_seed: int | None = None) -> float | None:
        clips = LookClips(
            self.source.val,
            self.source.entry.input,
            num_marks=self.marks,
            shuffle_seed=shuffle_seed,
        )
        return look(
            bare,
            clips,
            batch_size=self.recipe.test_batch_size,
            workers=self.recipe.workers,
            device=self.fabric.device,
            rank=self.rank,
            world=self.world,
        )

    def _save(self, name: str, bare: VideoModel, optimizer: Any, position: Position) -> None:
        if self.rank == 0:
            scaler = None if self._scaler is None else self._scaler.state_dict()
            path = self.output / name
            save(path, bare, optimizer.optimizer, self.config, position, scaler=scaler)
            self._saved_at = time.monotonic()

    def _result(
        self, bare: VideoModel, position: Position, control: bool, seconds: float
    ) -> TrainingResult:
        self.fabric.barrier()
        chosen = self.output / (LAST if position.best is None else BEST)
        tensors = checkpoint.read(chosen).tensors
        official = layouts.convert(tensors, "pyslowfast", layouts.OFFICIAL)
        with torch.no_grad():
            for key, tensor in bare.state_dict().items():
                tensor.copy_(official[key])
        shuffled = self._look(bare, self.recipe.seed) if control and self.source.val else None
        folder = self.output / "model"
        if self.rank == 0:
            export(folder, official, self.source.entry, chosen, self._origin())
        entry = self.source.entry
        return TrainingResult(
            name=entry.name,
            output=str(self.output),
            last=str(self.output / LAST),
            best=None if position.best is None else str(self.output / BEST),
            model=f"local-dir:{folder}",
            epochs=self.recipe.epochs,
            steps=self.recipe.epochs * position.batches,
            loss=position.last_loss,
            metric=entry.protocol.metric,
            last_value=position.last,
            best_value=position.best,
            best_epoch=position.best_epoch,
            videos=len(self.source.val),
            chance=None if self.multi else 100.0 / entry.num_classes,
            control=shuffled,
            digest=digest(official),
            data=position.data,
            started_from=position.started_from,
            processes=self.world,
            seconds=round(seconds, 1),
            environment=_environment(),
        )


def _seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0]) >> 1


def _environment() -> dict[str, str]:
    from importlib.metadata import version

    from ptv_hub._version import __version__

    packages = ("torch", "pytorchvideo", "lightning", "av")
    return {"ptv_hub": __version__, **{name: version(name) for name in packages}}
