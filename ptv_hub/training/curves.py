"""A picture of how a run went: ``epochs.csv`` as curves."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from ptv_hub.files import atomic_write

log = logging.getLogger("ptv_hub")

FILE = "curves.svg"
_LOSSES = {"loss": "training", "val_loss": "watched videos"}
_COLOURS = {"loss": "#2b6cb0", "val_loss": "#c05621", "value": "#2b6cb0", "top5": "#718096"}


def draw_curves(folder: Path) -> Path | None:
    """Losses and accuracies of each epoch of a run, beside its ``epochs.csv``.

    ``None`` where there is nothing to draw yet, or nothing to draw with (the extra ``plot``).

    Raises:
        WriteError: it cannot be written.
    """
    rows = _rows(folder / "epochs.csv")
    if not rows:
        return None
    try:
        # Not pyplot, which asks what screen there is.
        from matplotlib.figure import Figure
    except ImportError:
        log.info("matplotlib is not installed (the extra plot): epochs.csv has no picture")
        return None
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, name in _LOSSES.items():
        left.plot(*_points(rows, key), marker=".", color=_COLOURS[key], label=name)
    left.set(title="loss", xlabel="epoch")
    metric = next((row["metric"] for row in rows if row.get("metric")), "")
    for key, name in {"value": metric, "top5": "top5"}.items():
        found = _points(rows, key)
        if found[0]:
            right.plot(*found, marker=".", color=_COLOURS[key], label=f"{name}, %")
    right.set(title="watched videos", xlabel="epoch", ylim=(0, 100))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False)
    path = folder / FILE
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _points(rows: list[dict[str, str]], key: str) -> tuple[list[int], list[float]]:
    """Epochs, from 1, and values of those that have one."""
    found = [(int(row["epoch"]) + 1, float(row[key])) for row in rows if row.get(key)]
    return [epoch for epoch, _ in found], [value for _, value in found]
