"""The crops of a protocol as arithmetic: frame sizes -> offsets. Pure, no torch.

The arithmetic is that of pytorchvideo's ``short_side_scale`` and ``uniform_crop``.
"""

from __future__ import annotations

import math

from ptv_hub.errors import UsageError


def scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) after the short side became ``short_side``, the long side floored."""
    if width < height:
        return math.floor(float(height) / width * short_side), short_side
    return short_side, math.floor(float(width) / height * short_side)


def crop_offsets(height: int, width: int, size: int, num_crops: int) -> tuple[tuple[int, int], ...]:
    """(top, left) of each square crop, spread evenly over the long side.

    Three are left, centre and right, or top, centre and bottom of a portrait; one is the centre.
    Odd rests go to the left or the top (``ceil``).
    """
    if min(height, width) < size:
        raise UsageError("a crop is larger than the frame", expected=size, found=(height, width))
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if num_crops == 1:
        return ((top, left),)
    room = max(height, width) - size
    along = [-(-room * crop // (num_crops - 1)) for crop in range(num_crops)]
    return tuple((offset, left) if height > width else (top, offset) for offset in along)
