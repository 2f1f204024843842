"""Labels and bars over frames: a panel is drawn once, and laid over each frame that it is for.

Drawn by Pillow in the font that comes with it, which has Latin letters alone. Sizes are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ptv_hub.inference.frames import Frame
from ptv_hub.inference.predict import ClassScore
from ptv_hub.text import visible

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_SMALLEST, _LARGEST = 8, 36
"""Height of the letters."""
_SHARE = 22
"""The short side of a frame to the height of its letters."""
_ROW, _PAD = 1.9, 0.55
"""Of a class, and around all of them, in heights of the letters."""
_FINE = 2
"""Drawn so many times as large, and then made smaller: edges come out smooth."""

_GROUND = (13, 17, 23, 190)
_TRACK = (70, 78, 88, 214)  # not thinner: it takes the ground's place
_BEST, _OTHER = (86, 180, 233, 255), (178, 188, 198, 255)
_WHITE, _GREY = (255, 255, 255, 255), (214, 220, 226, 255)


@dataclass(frozen=True)
class Panel:
    """A picture to lay over a frame, and where."""

    left: int
    top: int
    colours: Frame
    """RGB, (h, w, 3)."""
    cover: Frame
    """0 (the frame is seen) to 255 (the picture is), (h, w, 1)."""
    rows: int
    """Classes that it names."""


def panel(
    said: Sequence[ClassScore], width: int, height: int, *, letters: int | None = None
) -> Panel | None:
    """The best classes of a window, for frames of a size: as many as half of its height holds.

    ``letters`` is their height, by the size of the frame if not given. ``None`` where not even one
    class fits, or there is none.
    """
    unit = letters or min(max(min(width, height) // _SHARE, _SMALLEST), _LARGEST)
    margin = unit // 2
    rows = min(len(said), int((height / 2 - 2 * _PAD * unit) // (_ROW * unit)))
    if rows < 1 or width < 4 * unit:
        return None
    inner = min(width - 2 * margin, 20 * unit) - round(2 * _PAD * unit)
    size = (inner + round(2 * _PAD * unit), round((rows * _ROW + 2 * _PAD) * unit))
    fine = _drawn(said[:rows], unit * _FINE, (size[0] * _FINE, size[1] * _FINE))
    picture = np.asarray(fine.resize(size, Image.Resampling.LANCZOS), np.uint8)
    return Panel(margin, height - margin - size[1], picture[..., :3], picture[..., 3:], rows)


def lay(frame: Frame, over: Panel | None) -> Frame:
    """The frame, uint8 RGB of shape (H, W, 3), with a panel over it; another array."""
    laid: Frame = frame.copy()
    if over is None:
        return laid
    rows, columns = over.cover.shape[:2]
    under = laid[over.top : over.top + rows, over.left : over.left + columns]
    cover = over.cover.astype(np.uint16)
    mixed = (under * (255 - cover) + over.colours * cover + 127) // 255
    under[:] = mixed.astype(np.uint8)
    return laid


def _drawn(said: Sequence[ClassScore], unit: int, size: tuple[int, int]) -> Image.Image:
    """The panel itself, RGBA."""
    # On the ground's own colour, so that smooth edges have no rim of another.
    picture = Image.new("RGBA", size, (*_GROUND[:3], 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), unit // 2, fill=_GROUND)
    font = _font(unit)
    left, right = round(_PAD * unit), size[0] - round(_PAD * unit)
    thick = max(2, round(0.3 * unit))
    for row, one in enumerate(said):
        top = round((_PAD + row * _ROW) * unit)
        figure = f"{100 * one.score:.0f} %"
        room = right - left - font.getlength(figure) - unit / 2
        ink = _WHITE if row == 0 else _GREY
        draw.text((left, top), _fitting(one.label, font, room), ink, font)
        if room > 0:
            draw.text((right, top), figure, ink, font, anchor="ra")
        bar = (left, top + round(1.25 * unit), right, top + round(1.25 * unit) + thick)
        draw.rounded_rectangle(bar, thick // 2, fill=_TRACK)
        length = round((right - left) * min(max(one.score, 0.0), 1.0))
        if length >= thick:
            filled = (left, bar[1], left + length, bar[3])
            draw.rounded_rectangle(filled, thick // 2, fill=_BEST if row == 0 else _OTHER)
    return picture


@cache
def _font(size: int) -> FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # what it gives where a size is asked for
    return font


def _fitting(label: str, font: FreeTypeFont, room: float) -> str:
    """The label, or as much of its beginning as there is room for."""
    text = visible(label)
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text.rstrip()}..." if text else visible(label)[:1]
