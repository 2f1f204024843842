"""What a run says of itself while it goes on: CSV files, TensorBoard."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv_hub.errors import WriteError
from ptv_hub.files import atomic_write
from ptv_hub.zoo.recipe import Recipe

if TYPE_CHECKING:
    from lightning.fabric.loggers.logger import Logger
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger("ptv_hub")

STEPS = ("epoch", "step", "learning_rate", "loss", "seconds")
EPOCHS = (
    *("epoch", "learning_rate", "loss", "metric", "value", "videos", "seconds"),
    *("val_loss", "top5"),
)
"""``val_loss`` and ``top5`` (percent) are of the videos that are watched, as ``value`` is."""


class RunLog:
    """``steps.csv`` and ``epochs.csv`` of a run, and the same for TensorBoard and for loggers.

    Rows of what an interrupted run had done after its last checkpoint are cut on beginning,
    since they will be written again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        epoch: int,
        step: int,
        tensorboard: bool,
        loggers: Sequence[Logger] = (),
    ) -> None:
        """``loggers``: Lightning's, or what has their methods."""
        self._steps = folder / "steps.csv"
        self._epochs = folder / "epochs.csv"
        _begin(
            self._steps, STEPS, lambda row: (int(row["epoch"]), int(row["step"])) < (epoch, step)
        )
        _begin(self._epochs, EPOCHS, lambda row: int(row["epoch"]) < epoch)
        self._board = _board(folder / "tensorboard") if tensorboard else None
        self._loggers = loggers

    def begin(self, recipe: Recipe) -> None:
        """Tell the loggers what is trained."""
        for logger in self._loggers:
            with suppress(NotImplementedError):  # Fabric's own CSVLogger keeps none
                logger.log_hyperparams(recipe.model_dump(mode="json"))

    def step(self, number: int, row: Mapping[str, Any]) -> None:
        """One step; ``number`` counts from the beginning of the run."""
        _append(self._steps, STEPS, row)
        if self._board is not None:
            for key in ("loss", "learning_rate"):
                self._board.add_scalar(f"Train/{key}", row[key], number)
        told = {f"train/{key}": row[key] for key in ("loss", "learning_rate")}
        for logger in self._loggers:
            logger.log_metrics(told, step=number)

    def epoch(self, number: int, row: Mapping[str, Any]) -> None:
        """One epoch; ``number`` as in ``step``."""
        _append(self._epochs, EPOCHS, row)
        looked = {"loss": row["val_loss"], "top5": row["top5"], row["metric"]: row["value"]}
        told = {key: value for key, value in looked.items() if value not in ("", None)}
        if self._board is not None and told:
            for key, value in told.items():
                self._board.add_scalar(f"Val/{key}", value, number)
            self._board.flush()
        of_epoch = {"train/epoch": row["epoch"], "train/epoch_loss": row["loss"]}
        for logger in self._loggers:
            logger.log_metrics(
                {**of_epoch, **{f"val/{key}": value for key, value in told.items()}}, step=number
            )
            logger.save()

    def close(self, status: str = "success") -> None:
        """``status`` is for the loggers: ``success`` or ``aborted``."""
        if self._board is not None:
            self._board.close()
        for logger in self._loggers:
            logger.finalize(status)


def _board(folder: Path) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.warning("TensorBoard is asked for, but not installed; the CSV files hold the same")
        return None
    return SummaryWriter(str(folder))


def _begin(path: Path, columns: tuple[str, ...], keep: Callable[[dict[str, str]], bool]) -> None:
    rows = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            # A row cut off by a crash has not all of its fields.
            rows = [r for r in csv.DictReader(file) if None not in r.values() and keep(r)]
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _append(path: Path, columns: tuple[str, ...], row: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)
    except OSError as error:
        raise WriteError.because(error, path) from error
