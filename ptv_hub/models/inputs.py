"""What a model says of clips that it cannot take."""

from __future__ import annotations

from torch import Tensor

from ptv_hub.errors import WrongInput
from ptv_hub.models.architectures import head_side
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec


def checked_clip(item: Entry, clip: Tensor, frames: int) -> None:
    """Raises WrongInput."""
    sides = clip.shape[3:]
    low, high = _side_from(item), _side_to(item)
    if (
        clip.dim() != 5
        or clip.shape[1] != 3
        or clip.shape[2] != frames
        or not all(low <= side and (high is None or side <= high) for side in sides)
        or not clip.is_floating_point()
    ):
        dtype = str(clip.dtype).removeprefix("torch.")
        raise wrong_input(item, f"{dtype} of shape {tuple(clip.shape)}")


def wrong_input(item: Entry, found: str) -> WrongInput:
    """The error for clips that a model does not take."""
    spec = item.input
    fast = f"(B, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size})"
    expected = f"float of shape {fast}"
    if spec.slowfast_alpha is not None:
        frames = spec.num_frames // spec.slowfast_alpha
        slow = f"(B, 3, {frames}, {spec.crop_size}, {spec.crop_size})"
        expected = f"[slow {slow}, fast {fast}], or one clip {fast}, float"
    if _side_to(item) is None:
        expected += f"; height and width may be others, from {_side_from(item)} up"
    return WrongInput(
        f"{item.name} cannot take this input",
        expected=expected,
        found=found,
        fix=f"ptv_hub.transform({item.name!r}) makes the right input from frames",
    )


def _side_from(item: Entry) -> int:
    """Side in pixels from which on the head has something to pool."""
    if item.head.pooling == "token":
        return item.input.crop_size
    return _smallest_side(item.input) if item.head.pooling == "windowed" else 1


def _side_to(item: Entry) -> int | None:
    """Side in pixels that must not be passed: a transformer's places are of one size of crop."""
    return item.input.crop_size if item.head.pooling == "token" else None


def _smallest_side(spec: InputSpec) -> int:
    """Side in pixels from which on the head's pool, sized for the training crop, has a position."""
    return 32 * (head_side(spec) - 1) + 1
