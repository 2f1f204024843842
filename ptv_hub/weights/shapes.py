"""What a state dict's shapes tell of its network, under official names."""

from __future__ import annotations

import math
import re

from ptv_hub.weights.official import classifier_of
from ptv_hub.weights.rules import Shapes

_STEM = "blocks.0.conv.weight"
_FIRST = re.compile(r"^blocks\.\d+\.res_blocks\.\d+\.branch2\.conv_a\.weight$")
_MIDDLE = re.compile(r"^blocks\.\d+\.res_blocks\.\d+\.branch2\.conv_b\.weight$")


def trunk(shapes: Shapes) -> Shapes:
    """Of a network with a head for boxes all but the head, as if it stood by itself."""
    inside = "model."
    return {key.removeprefix(inside): s for key, s in shapes.items() if key.startswith(inside)}


def has_two_stems(shapes: Shapes) -> bool:
    """Whether the stem has a convolution of space and one of time, as that of X3D."""
    return "blocks.0.conv.conv_t.weight" in shapes and "blocks.0.conv.conv_xy.weight" in shapes


def has_two_pathways(shapes: Shapes) -> bool:
    """Whether there is a fast pathway beside the slow one."""
    return "blocks.0.multipathway_blocks.1.conv.weight" in shapes


def of_images(shapes: Shapes) -> bool:
    """Whether its kernels have no axis of time at all."""
    return len(shapes.get(_STEM, ())) == 4


def stem_sees_time(shapes: Shapes) -> bool:
    """Whether the stem's kernel spans more than one frame, as that of I3D."""
    return _frames(shapes.get(_STEM, ())) > 1


def sees_time(shapes: Shapes) -> bool:
    """Whether a block's first kernel spans more than one frame, as those of Slow and I3D."""
    return any(_FIRST.match(key) and _frames(shape) > 1 for key, shape in shapes.items())


def depthwise(shapes: Shapes) -> bool:
    """Whether a block's middle convolution takes each channel by itself, as that of CSN."""
    return any(_MIDDLE.match(key) and shape[1:2] == (1,) for key, shape in shapes.items())


def _frames(shape: tuple[int, ...]) -> int:
    return shape[2] if len(shape) == 5 else 1


_BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")


def trained(have: Shapes) -> int:
    """How many numbers are parameters: statistics and counters are none."""
    return sum(math.prod(shape) for key, shape in have.items() if not key.endswith(_BUFFERS))


def num_classes(have: Shapes) -> int | None:
    """Of the classifier, if there is one."""
    shape = have.get(f"{classifier_of(have)}.bias", ())
    return shape[0] if len(shape) == 1 else None
