"""Frames of uint8 -> what a model takes, from its input spec alone, as it was evaluated.

In this order, each step on float32: values / 255, minus mean, over std; short side by bilinear
interpolation (``align_corners=False``, no antialiasing), the long side floored; square crops;
pathways. That is ``Ptvkinetics``, ``Ptvssv2`` and ``Ptvcharades`` in test mode of PySlowFast's
``slowfast/datasets/ptv_datasets.py``. Sizes are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ptv_hub.errors import UnknownName, WrongInput
from ptv_hub.inference.crops import crop_offsets, scaled_size
from ptv_hub.inference.views import segment_indices, uniform_indices
from ptv_hub.models.builders import slow_frames, taken
from ptv_hub.weights.named import entry_of
from ptv_hub.zoo.input_spec import InputSpec, SegmentSampling

ModelInput = Tensor | list[Tensor]
"""One clip (3, T, S, S), or the pathways [slow (3, T // alpha, S, S), fast (3, T, S, S)]."""

Place = Literal["left", "center", "right"]
_PLACES: dict[str, int] = {"left": 0, "center": 1, "right": 2}


def transform(model: object, *, crop: Place = "center") -> ClipTransform:
    """The test-time transform of a model: frames in, model input out.

    Args:
        model: a loaded model, what ``load`` takes, or an ``InputSpec``.
        crop: which square of a wide frame: ``left``, ``center`` or ``right`` (of a portrait:
            top, centre, bottom).

    Returns:
        A callable that pickles and works in a ``DataLoader``; see ``ClipTransform``.

    Raises:
        UnknownName: no such crop, or no such model; and of its name as ``entry``.
    """
    if crop not in _PLACES:
        raise UnknownName("crop", crop, _PLACES)
    return ClipTransform(input_spec(model), crop)


def input_spec(model: object) -> InputSpec:
    """The input spec of a loaded model, a name, an ``Entry``, or an ``InputSpec`` itself."""
    if isinstance(model, InputSpec):
        return model
    return entry_of(
        model,
        failed="no input spec to be read from this",
        expected="a model of ptv_hub.load, a name, an Entry or an InputSpec",
    ).input


@dataclass(frozen=True)
class ClipTransform:
    """Frames of one clip -> the input of a model, without the batch axis."""

    spec: InputSpec
    crop: Place = "center"

    def __call__(self, frames: object) -> ModelInput:
        """Sample, normalise, resize, crop and pack.

        Args:
            frames: RGB, of shape (T, H, W, 3) or (T, 3, H, W): uint8, or float from 0 to 1; a
                tensor on any device, an array, or a list of frames. A batch, (B, T, H, W, 3) or
                (B, T, 3, H, W), gives a batch. Another number of frames than the model's is
                sampled as the protocol samples a clip (of an SSv2 model: a whole video). The
                numbers are those of the way from a video, whichever axis is last: bit for bit on
                a CPU, and as a device's kernels round on it. Sides of 3 pixels are taken for the
                colours only if they are last.

        Returns:
            float32 on the device of the frames, (3, T, S, S), or the pathways; of a batch with
            its axis before.

        Raises:
            WrongInput: another shape or type, or float values that are not from 0 to 1.
        """
        clip = _frames(frames)
        if clip.dim() == 4:
            return pack_pathways(self._view(clip), self.spec)
        return pack_pathways(torch.stack([self._view(one) for one in clip]), self.spec)

    def _view(self, clip: Tensor) -> Tensor:
        """(T, H, W, 3) -> (3, T, S, S)."""
        count = self.spec.num_frames
        if len(clip) != count:
            segments = isinstance(self.spec.sampling, SegmentSampling)
            taken = (segment_indices if segments else uniform_indices)(len(clip), count)
            clip = clip[list(taken)]
        if clip.is_floating_point():
            _require_unit_range(clip)
        scaled = torch.stack([prepare(frame, self.spec) for frame in clip], dim=1)
        # A copy of the crop alone: it is not to keep, or pickle, the clip around it.
        return crops(scaled, self.spec, 3)[_PLACES[self.crop]].contiguous()


def _frames(frames: object) -> Tensor:
    """Frames as (T, H, W, 3), or a batch of such."""
    if isinstance(frames, Sequence) and not isinstance(frames, (str, bytes)) and len(frames):
        try:
            frames = torch.stack([torch.as_tensor(_as_array(frame)) for frame in frames])
        except (RuntimeError, TypeError, ValueError) as error:
            raise _wrong("a list of frames of several shapes or types") from error
    if isinstance(frames, np.ndarray) and (frames.dtype == np.uint8 or frames.dtype.kind == "f"):
        # torch warns of arrays that are not writable, and refuses negative strides.
        frames = torch.from_numpy(np.require(frames, requirements=["C", "W"]))
    if not isinstance(frames, Tensor):
        raise _wrong(f"a {type(frames).__name__}")
    fit = frames.dtype == torch.uint8 or frames.is_floating_point()
    if fit and frames.dim() in (4, 5) and frames.shape[-1] != 3 and frames.shape[-3] == 3:
        frames = frames.movedim(-3, -1)  # (..., C, H, W) -> (..., H, W, C), no copy
    if not fit or frames.dim() not in (4, 5) or frames.shape[-1] != 3:
        raise _wrong(f"{str(frames.dtype).removeprefix('torch.')} of shape {tuple(frames.shape)}")
    if 0 in frames.shape:
        raise _wrong(f"no pixel: shape {tuple(frames.shape)}")
    return frames


def _as_array(frame: object) -> object:
    return frame if isinstance(frame, Tensor) else np.asarray(frame)


def _require_unit_range(clip: Tensor) -> None:
    low, high = (float(value) for value in clip.aminmax())
    # A resize by cubics passes 0 and 1 a little; bytes and normalised values pass them by far.
    if not -0.5 <= low <= high <= 1.5:
        raise _wrong(f"float values from {low:g} to {high:g}")


def _wrong(found: str) -> WrongInput:
    return WrongInput(
        "not the frames of a clip",
        expected="uint8, or float from 0 to 1, RGB, of shape (T, H, W, 3) or (T, 3, H, W), or a "
        "batch of such",
        found=found,
        fix="frames.permute(1, 0, 2, 3) turns (3, T, H, W) into (T, 3, H, W)",
    )


def prepare(frame: Tensor, spec: InputSpec, *, out: Tensor | None = None) -> Tensor:
    """One frame of shape (H, W, 3) -> normalised and resized, float32, shape (3, h, w).

    The frame is of uint8, or float from 0 to 1; the result is on its device.

    A frame at a time and once, however many clips and crops see it; the numbers are those of
    the reference, which does it a clip at a time. ``out``: a contiguous tensor to write to.
    """
    height, width = frame.shape[:2]
    size = scaled_size(height, width, spec.short_side)
    if out is None:
        out = torch.empty(3, *size, device=frame.device)
    # Bilinear interpolation to the same size is each value times one.
    same = size == (height, width)
    direct = same and spec.channel_order == "rgb"
    values = out if direct else torch.empty(3, height, width, device=frame.device)
    values.copy_(frame.permute(2, 0, 1))  # (H, W, C) -> (C, H, W)
    if not frame.is_floating_point():
        values.div_(255.0)
    values.sub_(values.new_tensor(spec.mean)[:, None, None])
    values.div_(values.new_tensor(spec.std)[:, None, None])
    if spec.channel_order == "bgr":
        values = values.flip(0)
    if not same:
        # functional.interpolate with a place to write to. Three images of one channel: as one
        # image of three, torch takes another kernel where it has one thread, and rounds otherwise.
        torch.ops.aten.upsample_bilinear2d.out(
            values[:, None], list(size), False, None, None, out=out[:, None]
        )
    elif values is not out:
        out.copy_(values)
    return out


def prepare_clip(frames: Tensor, spec: InputSpec) -> Tensor:
    """Frames of uint8, (T, H, W, 3) -> prepared, float32, (3, T, h, w), on their own device.

    ``prepare`` of all frames at once: for a GPU, whose kernels round otherwise.
    """
    height, width = frames.shape[1:3]
    size = scaled_size(height, width, spec.short_side)
    values = frames.permute(0, 3, 1, 2).float().div_(255.0)  # (T, H, W, C) -> (T, C, H, W)
    values.sub_(values.new_tensor(spec.mean)[:, None, None])
    values.div_(values.new_tensor(spec.std)[:, None, None])
    if spec.channel_order == "bgr":
        values = values.flip(1)
    if size != (height, width):
        values = torch.nn.functional.interpolate(values, size, mode="bilinear", align_corners=False)
    return values.transpose(0, 1)


def crops(clip: Tensor, spec: InputSpec, num_crops: int) -> list[Tensor]:
    """Square views of a prepared clip: (3, T, h, w) -> ``num_crops`` of (3, T, S, S), no copies."""
    size = spec.crop_size
    offsets = crop_offsets(clip.shape[2], clip.shape[3], size, num_crops)
    return [clip[:, :, top : top + size, left : left + size] for top, left in offsets]


def pack_pathways(view: Tensor, spec: InputSpec) -> ModelInput:
    """A view (..., T, S, S) as the model takes it: itself, or [slow, fast] of two pathways."""
    if spec.slowfast_alpha is None:
        return view
    frames = slow_frames(view.shape[-3], spec.slowfast_alpha, spec.slow_frames)
    return [taken(view, frames), view]
