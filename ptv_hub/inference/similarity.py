"""Features along a video as a picture: which windows are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptv_hub.pages import figure
from ptv_hub.pages.figure import Size
from ptv_hub.pages.look import colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def plot(values: Tensor, centres: Sequence[float], size: Size) -> Figure:
    """The cosine similarity of each row of ``values`` (rows, ...) to each other, over seconds.

    Without rows an empty picture that says so.
    """
    import torch
    from matplotlib.colors import LinearSegmentedColormap

    made, axes = figure.empty(size)
    if not len(values):
        axes.text(0.5, 0.5, "no windows", ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return made
    flat = torch.nn.functional.normalize(values.float().flatten(1), dim=1)
    alike = (flat @ flat.T).numpy()
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    low, high = centres[0] - half, centres[-1] + half
    shades = LinearSegmentedColormap.from_list("look", [colours()["paper"], colours()["series-1"]])
    shown = axes.imshow(
        alike, extent=(low, high, high, low), cmap=shades, aspect="auto", interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.set(xlabel="seconds", ylabel="seconds")
    made.colorbar(shown, label="cosine similarity")
    return made
