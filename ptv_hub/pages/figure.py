"""matplotlib's figures -> PNG, and SVG for pages: one library, in the colours of the stylesheet.

A figure is drawn in units of a page's pixels (matplotlib's points at 72 to the inch). A picture for
a page is drawn twice, for wide pages and for phones: letters keep their size on both.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ptv_hub.errors import MissingExtra
from ptv_hub.pages.look import colours
from ptv_hub.pages.svg import Mark, for_page
from ptv_hub.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Size:
    """Of a picture, in pixels of a page."""

    width: float
    height: float
    narrow: bool = False
    """Whether it is for a phone: fewer words."""


@dataclass(frozen=True)
class Drawn:
    """A picture for a page, as two SVG elements of which the stylesheet shows one."""

    wide: str
    narrow: str


PHONE = 350
"""Width of the pictures for phones."""


def require_matplotlib(needed_for: str) -> None:
    """Raises MissingExtra where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", needed_for=needed_for) from error


def styled() -> AbstractContextManager[None]:
    """Figures that are made and saved within look as all do."""
    import matplotlib

    look = colours()
    rows: Any = {
        "figure.dpi": 72,
        "figure.facecolor": look["paper"],
        "axes.facecolor": "none",
        "axes.edgecolor": look["line"],
        "axes.labelcolor": look["faint"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": look["line"],
        "grid.linewidth": 0.8,
        "xtick.color": look["line"],
        "ytick.color": look["line"],
        "xtick.labelcolor": look["faint"],
        "ytick.labelcolor": look["faint"],
        "text.color": look["text"],
        "text.parse_math": False,  # what others wrote is no mathematics
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 12,
        "axes.labelsize": 12,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "legend.fontsize": 12,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "path.simplify": False,
    }
    context: AbstractContextManager[None] = matplotlib.rc_context(rows)
    return context


def empty(
    size: Size, *, left: float = 54, right: float = 14, top: float = 12, bottom: float = 46
) -> tuple[Figure, Axes]:
    """A figure of one pair of axes with margins of so many pixels. Within ``styled``."""
    figure = _figure_class()(figsize=(size.width / 72, size.height / 72))
    across, up = size.width - left - right, size.height - top - bottom
    place = (left / size.width, bottom / size.height, across / size.width, up / size.height)
    return figure, figure.add_axes(place)


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that a notebook shows, whatever backend it has."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=144)
            return file.getvalue()

    return ShownFigure


def figure_of(draw: Callable[[Size], Figure], size: Size) -> Figure:
    """What a function draws, as a figure of matplotlib to look at or to go on with."""
    require_matplotlib("a picture")
    with styled():
        return draw(size)


def png(draw: Callable[[Size], Figure], size: Size, *, scale: int = 2) -> bytes:
    """A PNG on paper, ``scale`` pixels to each of a page; the same bytes each time."""
    require_matplotlib("a picture as PNG")
    file = io.BytesIO()
    with styled():
        draw(size).savefig(file, format="png", dpi=72 * scale, metadata={"Software": None})
    return file.getvalue()


def drawn(
    draw: Callable[[Size], Figure],
    wide: Size,
    narrow: Size,
    *,
    name: str,
    told: str,
    marks: Sequence[Mark] = (),
) -> Drawn:
    """A picture for a page.

    Args:
        draw: what draws it at either size.
        name: tells the pictures of one page apart.
        told: the picture in words, for who does not see it.
        marks: what in it has words of its own, or leads somewhere.
    """
    require_matplotlib("the pictures of a page")
    shown = []
    for size, kind in ((wide, "wide-only"), (narrow, "narrow")):
        file = io.BytesIO()
        with styled(), _salted(f"{name}-{kind}"):
            facts: Mapping[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            draw(size).savefig(file, format="svg", transparent=True, metadata=facts)
        shown.append(for_page(file.getvalue(), kind=kind, told=told, marks=marks))
    return Drawn(*shown)


def _salted(salt: str) -> AbstractContextManager[None]:
    """The names within an SVG are the same each time, and no other picture's."""
    import matplotlib

    context: AbstractContextManager[None] = matplotlib.rc_context({"svg.hashsalt": salt})
    return context


def place_words(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    words: Sequence[str],
    *,
    line: Sequence[tuple[float, float]] = (),
    **facts: Any,
) -> list[Any]:
    """Write words beside points, each at the first place around it that touches nothing drawn.

    The axes' limits have to be settled. ``line`` joins points that words keep off, too. Words for
    which there is no room stay out; the list has ``None`` in their place.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure: Any = axes.figure
    canvas: Any = FigureCanvasAgg(figure)
    letters = canvas.get_renderer()
    inside = axes.get_window_extent()
    axes.autoscale_view()
    pixels = axes.transData.transform(list(points))
    taken = [_around(at, 8.0) for at in pixels]
    corners = axes.transData.transform(list(line)) if line else ()
    for a, b in itertools.pairwise(corners):
        taken += [_around(a + (b - a) * step / 40, 1.0) for step in range(41)]
    placed: list[Any] = []
    for word, (x, y) in zip(words, pixels, strict=True):
        text = axes.annotate(visible(word), (x, y), xycoords="figure points", **facts)
        text.set_in_layout(False)
        for dx, dy, across, up in _PLACES:
            text.xy = (x + dx, y + dy)
            text.set(position=text.xy, ha=across, va=up)
            box = text.get_window_extent(letters)
            found = (box.x0, box.y0, box.x1, box.y1)
            if inside.x0 <= box.x0 and box.x1 <= figure.bbox.x1 - 2 and _free(found, taken):
                taken.append(found)
                placed.append(text)
                break
        else:
            text.remove()
            placed.append(None)
    return placed


_PLACES = (
    (10, 0, "left", "center"),
    (-10, 0, "right", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    *((9, up, "left", "center") for up in (12, -12, 22, -22)),
    *((-9, up, "right", "center") for up in (12, -12, 22, -22)),
)

Box = tuple[float, float, float, float]
"""Left, low, right, high; pixels."""


def _around(at: Sequence[float], reach: float) -> Box:
    return (at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach)


def _free(wanted: Box, taken: Iterable[Box]) -> bool:
    left, low, right, high = wanted
    return not any(left < b[2] and right > b[0] and low < b[3] and high > b[1] for b in taken)
