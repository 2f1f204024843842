"""Crops: sizes and offsets as the reference takes them, by hand and for any size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptv_hub.errors import UsageError
from ptv_hub.inference.crops import crop_offsets, scaled_size


@pytest.mark.parametrize(
    ("height", "width", "size", "offsets"),
    [
        (256, 340, 256, ((0, 0), (0, 42), (0, 84))),
        (256, 455, 256, ((0, 0), (0, 100), (0, 199))),  # 199 / 2 is rounded up
        (340, 256, 256, ((0, 0), (42, 0), (84, 0))),
        (256, 256, 256, ((0, 0), (0, 0), (0, 0))),
        (257, 301, 224, ((17, 0), (17, 39), (17, 77))),
    ],
)
def test_crops_by_hand(height, width, size, offsets):
    assert crop_offsets(height, width, size, 3) == offsets
    assert crop_offsets(height, width, size, 1) == (offsets[1],)


@settings(deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 600), st.integers(1, 9))
def test_crops_lie_inside_and_reach_both_ends(height, width, size, crops):
    if size > min(height, width):
        with pytest.raises(UsageError):
            crop_offsets(height, width, size, crops)
        return
    offsets = crop_offsets(height, width, size, crops)
    assert len(offsets) == crops
    assert all(0 <= top <= height - size and 0 <= left <= width - size for top, left in offsets)
    if crops > 1:
        along = [offset[height <= width] for offset in offsets]
        assert along[0] == 0
        assert along[-1] == max(height, width) - size
        assert along == sorted(along)


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((240, 426), (256, 454)), ((320, 240), (341, 256)), ((200, 200), (256, 256))],
)
def test_sizes_by_hand(size, scaled):
    assert scaled_size(*size, 256) == scaled
