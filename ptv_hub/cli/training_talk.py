"""What a training run says on stderr as it goes, and the table of what came of it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from ptv_hub.cli.talk import tell
from ptv_hub.cli.which_model import tell_ignored

if TYPE_CHECKING:
    from ptv_hub.training.result import Progress, TrainingResult
    from ptv_hub.training.source import Source
    from ptv_hub.zoo.pyslowfast import Config


class Talk:
    """Progress on stderr: a line that is rewritten in a terminal, a line an epoch elsewhere."""

    def __init__(self) -> None:
        self.speaks = os.environ.get("RANK", "0") == "0"
        self._live = sys.stderr.isatty()

    def begin(self, settings: Config, source: Source) -> None:
        if not self.speaks:
            return
        for text in source.notes:
            tell(f"note: {text}")
        tell_ignored(settings)
        tell(
            f"{source.entry.name}: {len(source.train)} videos to train on, {len(source.val)} to "
            f"watch, {source.entry.num_classes} classes"
        )

    def __call__(self, now: Progress) -> None:
        if now.kind == "look":
            value = "" if now.value is None else f", {now.metric} {now.value:.2f}"
            self._line(
                f"epoch {now.epoch + 1} of {now.epochs}: loss {now.loss:.4f}{value}, "
                f"learning rate {now.learning_rate:.3g}",
                ended=True,
            )
        elif self._live and now.kind == "step":
            self._line(
                f"epoch {now.epoch + 1} of {now.epochs}, step {now.done} of {now.total}: "
                f"loss {now.loss:.4f}"
            )
        elif self._live:
            self._line(f"looking at video {now.done} of {now.total}", ended=now.done == now.total)

    def _line(self, text: str, *, ended: bool = False) -> None:
        typer.echo(f"\r\x1b[2K{text}" if self._live else text, err=True, nl=ended or not self._live)


def rows(result: TrainingResult) -> list[list[str]]:
    rows = [
        ["trained", f"{result.epochs} epochs, {result.steps} steps, from {result.started_from}"],
        ["loss", f"{result.loss:.4f} (mean of the last epoch)"],
    ]
    seen = f"{result.videos} held-out videos, the centre crop of one clip each"
    if result.stopped_early:
        rows.append(["ended early", "looks found nothing better: --patience"])
    if result.last_value is not None:
        rows.append([f"{result.metric}, last", f"{result.last_value:.2f} over {seen}"])
    if result.best_value is not None:
        epoch = (result.best_epoch or 0) + 1
        rows.append([f"{result.metric}, best", f"{result.best_value:.2f} after epoch {epoch}"])
    if result.control is not None:
        chance = "" if result.chance is None else f" (chance {result.chance:.2f})"
        rows.append(["frames shuffled", f"{result.control:.2f}{chance}"])
    if result.skipped:
        more = ", ..." if result.skipped[5:] else ""
        told = f"{len(result.skipped)} videos: {', '.join(result.skipped[:5])}{more}"
        rows.append(["replaced by others", told])
    rows += [
        ["last", result.last],
        *([["best", result.best]] if result.best else []),
        ["model", result.model],
        ["digest", result.digest],
        ["time", f"{result.seconds:.0f} s, {result.processes} processes"],
    ]
    return rows
