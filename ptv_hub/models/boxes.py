"""Boxes in clips, as the heads for detection take them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ptv_hub.errors import UsageError, WrongInput
from ptv_hub.zoo.entry import Entry

_EXPECTED = (
    "float of shape (N, 5): the number of the clip in the batch, then x1, y1, x2, y2 in pixels of"
    " the clip, x1 <= x2 and y1 <= y2; or a list of a tensor (n, 4) for each clip"
)


def refuse_boxes(entry: Entry, what: str) -> None:
    """Raise UsageError if the entry's model takes boxes, and ``what`` is for clips alone."""
    if entry.head.takes_boxes:
        raise UsageError(
            f"{what} takes clips alone, and {entry.name} scores boxes in them",
            expected="a model that scores whole videos",
            found=f"{entry.arch}, with a head for boxes",
            fix="call it as ptv_hub.load returns it: model(clip, boxes)",
        )


def checked_boxes(
    entry: Entry, boxes: Tensor | Sequence[Tensor] | None, clips: int
) -> Tensor | None:
    """Boxes as RoIAlign takes them, (N, 5); ``None`` for a model that takes none.

    Raises:
        WrongInput: boxes for a model that takes none, none for one that does, or others.
    """
    if not entry.head.takes_boxes:
        if boxes is not None:
            raise WrongInput(
                f"{entry.name} takes no boxes", found=f"{len(boxes)} boxes", fix="leave them out"
            )
        return None
    if boxes is None:
        raise WrongInput(
            f"{entry.name} scores boxes, and there are none",
            expected=_EXPECTED,
            found="a clip alone",
            fix="model(clip, boxes); 'ptv-hub predict NAME VIDEO --boxes FILE' on the command line",
        )
    if not isinstance(boxes, Tensor):
        boxes = _numbered(entry, boxes, clips)
    if torch.compiler.is_compiling() or boxes.device.type == "meta":
        return boxes
    told = _fault(boxes, clips)
    if told is not None:
        raise WrongInput(f"{entry.name} cannot take these boxes", expected=_EXPECTED, found=told)
    return boxes


def _numbered(entry: Entry, boxes: Sequence[Tensor], clips: int) -> Tensor:
    """(n, 4) of each clip -> (N, 5)."""
    if len(boxes) != clips or any(one.dim() != 2 or one.shape[1] != 4 for one in boxes):
        shapes = ", ".join(str(tuple(one.shape)) for one in boxes)
        raise WrongInput(
            f"{entry.name} cannot take these boxes",
            expected=f"{_EXPECTED}; here {clips} of them",
            found=f"a list of {shapes or 'nothing'}",
        )
    numbered = [
        torch.cat([one.new_full((len(one), 1), number), one], dim=1)
        for number, one in enumerate(boxes)
    ]
    return torch.cat(numbered)


def _fault(boxes: Tensor, clips: int) -> str | None:
    """What is wrong with boxes, in words."""
    if boxes.dim() != 2 or boxes.shape[1] != 5 or not boxes.is_floating_point():
        return f"{str(boxes.dtype).removeprefix('torch.')} of shape {tuple(boxes.shape)}"
    if not bool(boxes.isfinite().all()):
        return "a coordinate that is no number"
    numbers = boxes[:, 0]
    if not bool(((numbers >= 0) & (numbers < clips) & (numbers == numbers.floor())).all()):
        return f"a box of clip {numbers.max():g} in a batch of {clips}"
    if not bool((boxes[:, 1:3] <= boxes[:, 3:5]).all()):
        return "a box whose second corner is before its first"
    return None


def whole_frames(clips: Tensor) -> Tensor:
    """A box for each clip (B, 3, T, H, W) that is all of its frames: (B, 5)."""
    count, _, _, height, width = clips.shape
    rows = [[float(number), 0.0, 0.0, float(width), float(height)] for number in range(count)]
    return torch.tensor(rows, device=clips.device)
