"""What a model wants to see of a video, and the protocol by which it is shown.

Sizes are pixels, times are seconds, rates are frames per second.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from ptv_hub.zoo.records import Record


class SecondsSampling(Record):
    """Clips are spans of seconds of the video, whatever its own rate (Kinetics)."""

    kind: Literal["seconds"] = "seconds"


class FrameSampling(Record):
    """Clips are spans of a folder of frames that are stamped at ``fps`` (Charades)."""

    kind: Literal["frames"] = "frames"
    fps: Annotated[int, Field(gt=0)] = 30


class SegmentSampling(Record):
    """The middle frame of each of ``num_frames`` equal segments of the whole video (SSv2)."""

    kind: Literal["segments"] = "segments"
    fps: Annotated[int, Field(gt=0)] = 30


Sampling = Annotated[SecondsSampling | FrameSampling | SegmentSampling, Field(discriminator="kind")]


SlowFrames = Literal["linspace", "nearest"]


Frames = Annotated[int, Field(gt=0, le=4096)]
Pixels = Annotated[int, Field(gt=0, le=8192)]
CLIP_PIXELS = 1 << 26
"""Of one clip, frames times width times height: 3 GB as a model takes it. 256 frames of 512 x 512
pixels are as many; the zoo's largest clip has 2 % of it."""


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""JSON as Python reads it has NaN and Infinity, of which every score would be NaN."""


class InputSpec(Record):
    """What a model wants to see: sampling in time, sizes, colours, pathways.

    The numbers are bounded: a stranger's record must not ask for a clip of terabytes.
    """

    num_frames: Frames
    """Frames of one clip as the model takes it (of a SlowFast: of its fast pathway)."""
    sampling_rate: Annotated[int, Field(gt=0, le=100_000)]
    """Frames of a video at ``target_fps`` from one frame of the clip to the next."""
    target_fps: Annotated[int, Field(gt=0, le=100_000)] = 30
    """Frames a second that a video is taken to have."""
    sampling: Sampling
    """How the frames of a clip are chosen: by seconds, by frames, or one of each segment."""
    short_side: Pixels
    """The short side of a frame after resizing, pixels."""
    crop_size: Pixels
    """Side of the square test crop, pixels."""
    train_crop_size: Pixels
    """Side of the square training crop, pixels; the head's average pool is sized for it."""
    train_jitter: tuple[Pixels, Pixels]
    """Smallest and largest short side in training, pixels."""
    mean: tuple[Finite, Finite, Finite] = (0.45, 0.45, 0.45)
    """Per channel, of values / 255."""
    std: tuple[Positive, Positive, Positive] = (0.225, 0.225, 0.225)
    """Per channel, of values / 255."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """What the network really sees (the SSv2 and Charades configs ask for BGR, and get RGB)."""
    slowfast_alpha: Annotated[int, Field(gt=0)] | None = None
    """Frames of the fast pathway to one of the slow; null for models with one pathway."""
    slow_frames: SlowFrames = "linspace"
    """Which frames the slow pathway takes: spread from the first to the last (PySlowFast), or
    every alpha-th from the first (MMAction2)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.slowfast_alpha is not None and self.num_frames % self.slowfast_alpha:
            raise ValueError(
                f"num_frames {self.num_frames} is no multiple of alpha {self.slowfast_alpha}"
            )
        if self.num_frames * self.crop_size**2 > CLIP_PIXELS:
            raise ValueError(
                f"a clip of {self.num_frames} frames of {self.crop_size} x {self.crop_size} pixels"
                f" is over {CLIP_PIXELS:,} pixels"
            )
        if self.crop_size > self.short_side:
            raise ValueError(f"crop_size {self.crop_size} is over short_side {self.short_side}")
        if self.crop_size < self.train_crop_size:
            # The head's pool is sized for the training crop: a smaller one gives no position.
            raise ValueError(
                f"crop_size {self.crop_size} is under train_crop_size {self.train_crop_size}"
            )
        return self

    @property
    def clip_seconds(self) -> float | None:
        """Length of one clip in seconds; ``None`` where the whole video is one clip (segments)."""
        if isinstance(self.sampling, SecondsSampling):
            return self.num_frames * self.sampling_rate / self.target_fps
        if isinstance(self.sampling, FrameSampling):
            return ((self.num_frames - 1) * self.sampling_rate + 1) / self.sampling.fps
        return None

    @property
    def num_pathways(self) -> int:
        """2 of a SlowFast, else 1."""
        return 1 if self.slowfast_alpha is None else 2


class Protocol(Record):
    """How a video becomes one score a class: the published test protocol."""

    num_clips: Annotated[int, Field(gt=0, le=10_000)]
    """Of a video, in time."""
    num_crops: Annotated[int, Field(gt=0, le=1_000)]
    """Squares of each clip: the centre, or evenly along the long side of the frame."""
    clip_sampling: Literal["release", "main", "centred"] = "release"
    """Clip starts as in pytorchvideo 0.1.5 ("release"), at its head since April 2022 and with
    PySlowFast's ``DATA.USE_OFFSET_SAMPLING`` ("main"), or in the middle of equal parts, as in
    MMAction2 ("centred")."""
    activation: Literal["softmax", "sigmoid"]
    """Applied at each position of the head, before the mean over positions."""
    ensemble: Literal["mean", "max"]
    """Over the views of a video. PySlowFast sums, which ranks as the mean does."""
    metric: Literal["top1", "mean_average_precision"]
    """The headline number, percent."""

    @property
    def num_views(self) -> int:
        """Of a video: clips x crops."""
        return self.num_clips * self.num_crops
