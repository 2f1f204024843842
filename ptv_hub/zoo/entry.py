"""What one model of the zoo *is*: frozen records, parsed once, unknown fields refused.

Nothing here imports torch or touches a file. Words are those of the field and of
PySlowFast's configs; sizes are pixels, times are seconds, rates are frames per second,
accuracies are percent.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from ptv_hub.zoo.names import Below, Line, Name

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def first_fault(error: Exception) -> str:
    """Why a record could not be read: the first of its faults, and where it is."""
    return first_faults(error, most=1)


def first_faults(error: Exception, *, most: int = 5, within: object = None) -> str:
    """Why a record could not be read: its faults, and where each is, in one line.

    Of a list's item that has a name ``within`` the data that was read, the name is told in
    place of its number.
    """
    if not isinstance(error, ValidationError):
        return next(iter(str(error).splitlines()), type(error).__name__)
    told = ((_place(problem["loc"], within), problem["msg"]) for problem in error.errors()[:most])
    return "; ".join(f"{place}: {fault}" if place else fault for place, fault in told)


def _place(location: tuple[int | str, ...], data: object) -> str:
    words: list[str] = []
    for step in location:
        data = _item(data, step)
        name = _item(data, "name") if isinstance(step, int) else None
        if name is None:
            words.append(str(step))
        else:
            words[-1:] = [str(name)]
    return ".".join(words)


def _item(data: object, step: int | str) -> object:
    if isinstance(step, int):
        return data[step] if isinstance(data, list) and step < len(data) else None
    return data.get(step) if isinstance(data, dict) else None


class ArtifactRow(Record):
    """One file that can be fetched, as a manifest's row names it."""

    zoo: Line
    """Which collection it belongs to: ``pyslowfast`` or ``official``, or a name of one's own."""
    layout: Line
    """Key scheme of the file, a name of ``layouts.LAYOUTS``."""
    path: Below
    """Address of the file below the manifest's ``base_url``."""
    size: Annotated[int, Field(gt=0)] | None = None
    """Bytes, null where nobody has stated them."""
    sha256: Sha256 | None = None
    sha256_begins: Annotated[str, Field(pattern=r"^[0-9a-f]{8,63}$")] | None = None
    """The first digits of the file's sha256, where its owner states no more than these."""
    hash_source: Line | None = None
    """Who vouches for size and hash; null exactly when there is neither."""

    @model_validator(mode="after")
    def _hash_has_source(self) -> Self:
        stated = (self.size, self.sha256, self.sha256_begins)
        if all(fact is None for fact in stated) != (self.hash_source is None):
            raise ValueError("hash_source must be given exactly when size or a hash is")
        return self

    def may_be(self, sha256: str) -> bool:
        """Whether the first digits of a file's hash are those that its owner states, if any."""
        return self.sha256_begins is None or sha256.startswith(self.sha256_begins)


BESIDE = "beside:"
"""With a folder behind it in place of an address: the files lie there, beside their manifest."""


class Artifact(ArtifactRow):
    """One file that can be fetched, or that lies beside its manifest."""

    base_url: Line
    """The address that ``PTV_HUB_MIRROR`` stands in for, without a final slash."""

    @property
    def url(self) -> str:
        """Its address; of a file beside its manifest the path from where that folder lies."""
        base = self.base_url
        return f"{Path(base).name if base.startswith(BESIDE) else base}/{self.path}"

    @property
    def beside(self) -> Path | None:
        """The file itself, where it lies beside its manifest: nothing is to be fetched then."""
        if not self.base_url.startswith(BESIDE):
            return None
        return Path(self.base_url.removeprefix(BESIDE)) / self.path

    @model_validator(mode="after")
    def _vouched_for(self) -> Self:
        if self.beside is not None and (self.sha256 is None or self.size is None):
            raise ValueError("a file beside its manifest needs size and sha256")
        return self


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


class InputSpec(Record):
    """What a model wants to see: sampling in time, sizes, colours, pathways.

    The numbers are bounded: a stranger's record must not ask for a clip of terabytes.
    """

    num_frames: Frames
    """Frames of one clip as the model takes it (of a SlowFast: of its fast pathway)."""
    sampling_rate: Annotated[int, Field(gt=0, le=100_000)]
    """Frames of a video at ``target_fps`` from one frame of the clip to the next."""
    target_fps: Annotated[int, Field(gt=0, le=100_000)] = 30
    sampling: Sampling
    short_side: Pixels
    """The short side of a frame after resizing, pixels."""
    crop_size: Pixels
    """Side of the square test crop, pixels."""
    train_crop_size: Pixels
    """Side of the square training crop, pixels; the head's average pool is sized for it."""
    train_jitter: tuple[Pixels, Pixels]
    """Smallest and largest short side in training, pixels."""
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    """Per channel, of values / 255."""
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
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
        return 1 if self.slowfast_alpha is None else 2


class Protocol(Record):
    """How a video becomes one score a class: the published test protocol."""

    num_clips: Annotated[int, Field(gt=0, le=10_000)]
    num_crops: Annotated[int, Field(gt=0, le=1_000)]
    clip_sampling: Literal["release", "main", "centred"] = "release"
    """Clip starts as in pytorchvideo 0.1.5 ("release"), at its head since April 2022 ("main"), or
    in the middle of equal parts, as in MMAction2 ("centred")."""
    activation: Literal["softmax", "sigmoid"]
    """Applied at each position of the head, before the mean over positions."""
    ensemble: Literal["mean", "max"]
    """Over the views of a video. PySlowFast sums, which ranks as the mean does."""
    metric: Literal["top1", "mean_average_precision"]

    @property
    def num_views(self) -> int:
        return self.num_clips * self.num_crops


class Published(Record):
    """The row of the zoo's table, as printed; null what it does not print."""

    top1: float | None = None
    top5: float | None = None
    mean_average_precision: float | None = None
    gflops: float | None = None
    """Multiply-adds of one view at test size plus those of its batch norms, 1e9."""
    params_millions: float | None = None
    per_norm_element: Literal[5, 2] = 5
    """Operations that the table counts for each element into a batch norm: fvcore's 5 of a model
    in training mode (PySlowFast), or its 2 of one in eval mode (MMAction2)."""
    decimals: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (2, 2)
    """How many decimals the table prints of GFLOPs and of parameters."""
    url: Line
    """The row's link, as printed."""

    @property
    def printed(self) -> tuple[str | None, str | None]:
        """GFLOPs and millions of parameters as the table prints them."""
        pairs = zip((self.gflops, self.params_millions), self.decimals, strict=True)
        told = [None if value is None else f"{value:.{places}f}" for value, places in pairs]
        return told[0], told[1]


class ValidationSet(Record):
    """By what the list of the videos is known that the published numbers were measured on."""

    fewest: Annotated[int, Field(gt=0)]
    """Videos of the smallest copy in use; links die, and copies lose some."""
    most: Annotated[int, Field(gt=0)]
    """Videos of the owners' list."""
    digests: tuple[Sha256, ...] = ()
    """Of lists (``Listing.digest``) that are known to be it, whatever their number of videos."""
    source: str
    """Who says so."""


class Erratum(Record):
    """A figure of the table that does not hold: shown with both numbers, never hidden."""

    field: Line
    """The field of the entry, dotted: ``published.gflops``."""
    printed: Line
    found: Line
    reason: Line


class License(Record):
    """What the owners state, and what they do not."""

    code: Line
    weights: Line | None = None
    note: str = ""

    @property
    def caution(self) -> str | None:
        """What to know before the weights are used or passed on; ``None`` where nothing is."""
        if self.weights is None:
            return "the owners state no licence for these weights"
        if re.search(r"(?i)\bNC\b|non-?commercial", self.weights):
            return f"the licence of these weights ({self.weights}) forbids commercial use"
        return None


class Paper(Record):
    title: Line
    authors: Line
    year: int
    url: Line


Depth = Literal[50, 101, 152]


class ResNetSpec(Record):
    """C2D, I3D, Slow, CSN and R(2+1)D of ``pytorchvideo.models``."""

    name: Literal["c2d", "c2d_nopool", "i3d", "i3d_strided", "i3d_heavy", "slow", "csn", "r2plus1d"]
    """``c2d_nopool`` has no pool in time; ``i3d_strided`` halves time in stem and pool, and
    ``i3d_heavy`` has a temporal kernel in every block (MMAction2's two I3D)."""
    depth: Depth
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


BlockCount = Annotated[int, Field(ge=0, le=128)]


class SlowFastSpec(Record):
    """``pytorchvideo.models.slowfast``; alpha and frames stand in the input spec."""

    name: Literal["slowfast"] = "slowfast"
    depth: Depth
    fusion_kernel: Annotated[int, Field(gt=0, le=128)]
    """Temporal kernel of the fusion from the fast to the slow pathway, frames."""
    temporal_kernel_blocks: tuple[BlockCount, BlockCount, BlockCount, BlockCount]
    """Blocks of each stage with the stage's temporal kernel; the others have 1."""
    beta_inv: Annotated[int, Field(gt=0, le=64)] = 8
    """Channels of the slow pathway to one of the fast."""
    fusion_ratio: Annotated[int, Field(gt=0, le=64)] = 2
    """Channels that the fusion gives to one channel of the fast pathway."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


Factor = Annotated[float, Field(gt=0, le=16)]
"""X3D-XL, the largest that was published, has 2.9, 5 and 2.25."""


class X3DSpec(Record):
    """``pytorchvideo.models.x3d``, expansion factors as in PySlowFast's configs."""

    name: Literal["x3d"] = "x3d"
    width_factor: Factor
    depth_factor: Factor
    bottleneck_factor: Factor
    dim_c1: Annotated[int, Field(gt=0, le=512)] = 12
    dim_c5: Annotated[int, Field(gt=0, le=16_384)] = 2048
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


class EfficientX3DSpec(Record):
    """``pytorchvideo.models.accelerator.mobile_cpu.efficient_x3d``: X3D for mobile processors."""

    name: Literal["efficient_x3d"] = "efficient_x3d"
    expansion: Literal["XS", "S", "M", "L"]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


class MViTSpec(Record):
    """``pytorchvideo.models.vision_transformers``; frames and crop stand in the input spec."""

    name: Literal["mvit"] = "mvit"
    depth: Annotated[int, Field(gt=0)]
    """Blocks."""
    widening_blocks: tuple[Annotated[int, Field(gt=0)], ...]
    """Blocks, counted from 0, from which on there are twice the channels and heads, and that
    halve height and width of the queries."""
    kv_stride: tuple[int, int, int]
    """Of the first block's pools of keys and values: frames, height, width."""
    pool_kernel: tuple[int, int, int] = (3, 3, 3)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


BuilderSpec = Annotated[
    ResNetSpec | SlowFastSpec | X3DSpec | EfficientX3DSpec | MViTSpec, Field(discriminator="name")
]


class HeadSpec(Record):
    """How the head makes one score of the last map: no file of weights says it."""

    pooling: Literal["windowed", "global", "token", "boxes"] = "windowed"
    """Averages over windows of the training crop's size, scores at each, then their mean
    (PySlowFast, PyTorchVideo); or over the whole map (MMAction2, PySlowFast's multigrid); or the
    class token alone (transformers); or over what RoIAlign cuts out for each box (detection)."""
    aligned: bool = False
    """Of boxes: whether RoIAlign takes pixels for squares with a centre, half a pixel away from
    their corner (detectron2's default, and so PySlowFast's), or not (PyTorchVideo's hub)."""

    @property
    def takes_boxes(self) -> bool:
        return self.pooling == "boxes"


class LeftOut(Record):
    """A row of a table that is not served, and why."""

    name: Line
    """As in the table, or the base name of its file."""
    reason: Line
    url: Line | None = None
    sha256_begins: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


_POOLINGS: dict[str, tuple[str, ...]] = {
    "mvit": ("token",),
    "efficient_x3d": ("global",),
    **dict.fromkeys(("slow", "slowfast"), ("windowed", "global", "boxes")),
}
"""Builder -> the ways in which its head can pool; the others pool in windows or over the map."""


class EntryRow(Record):
    """One row of a manifest: an entry but for what its manifest says of all its rows."""

    name: Name
    """The hub name: ``slowfast_r50``."""
    zoo_name: Line
    """Base name of the file and of the config: ``SLOWFAST_8x8_R50``."""
    config: Line
    """Path of PySlowFast's config, without suffix: ``Kinetics/pytorchvideo/SLOWFAST_8x8_R50``."""
    arch: Line
    """As in the table: ``SlowFast``."""
    depth: Line
    """As in the table: ``R50``; of an X3D its size: ``XS``."""
    pretrain: Line | None = None
    """Data set the training began from; null for none."""
    frame_length: Annotated[int, Field(gt=0)]
    """As in the table, of the slow pathway."""
    sample_rate: Annotated[int, Field(gt=0)]
    builder: BuilderSpec
    num_classes: Annotated[int, Field(gt=0, le=1_000_000)]
    artifacts: tuple[ArtifactRow, ...]
    """In order of preference."""
    input: InputSpec
    head: HeadSpec = HeadSpec()
    protocol: Protocol
    published: Published | None = None
    errata: tuple[Erratum, ...] = ()
    num_params: Annotated[int, Field(gt=0)] | None = None
    digest: Sha256 | None = None
    """Of the tensors (``digest.py``), where somebody has stated it; the zoo's owners never did."""
    paper: Paper | None = None
    demonstration: bool = False
    """Whether it is here to show that things work, and no model of the zoo."""
    zoo: Line | None = None
    """The collection it belongs to, its manifest's; null for those that a plain list shows."""
    dataset: Line | None = None
    """Where it is another than its manifest's."""
    labels: Below | tuple[Line, ...] | None = None
    """Where they are others than its manifest's."""
    license: License | None = None
    """Where it is another than its manifest's."""
    source: Line | None = None
    """Where the row stands, if not where its manifest says."""
    validation: ValidationSet | None = None
    """Of the data set, where it is another than the manifest's; null where nothing is known."""

    @model_validator(mode="after")
    def _pathways(self) -> Self:
        if (self.builder.name == "slowfast") != (self.input.slowfast_alpha is not None):
            raise ValueError(
                "slowfast_alpha must be given for the slowfast builder, and only for it"
            )
        return self

    @model_validator(mode="after")
    def _head_of_builder(self) -> Self:
        poolings = _POOLINGS.get(self.builder.name, ("windowed", "global"))
        if self.head.pooling not in poolings:
            raise ValueError(
                f"a head that pools {self.head.pooling!r} is not for the builder"
                f" {self.builder.name!r}: {' or '.join(poolings)}"
            )
        return self


class Entry(EntryRow):
    """One model of the zoo, with everything that its weights need to be used rightly."""

    dataset: Line
    """Name of the data set the weights were trained for: ``kinetics400``."""
    labels: tuple[Line, ...]
    """Class names in index order; empty where the manifest gives none."""
    artifacts: tuple[Artifact, ...]
    license: License
    source: Line
    """Where the row was read."""

    @property
    def frames(self) -> str:
        """Frame length x sample rate, as in the table: ``8x8``."""
        return f"{self.frame_length}x{self.sample_rate}"

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if self.labels and len(self.labels) != self.num_classes:
            raise ValueError(
                f"num_classes is {self.num_classes}, but there are {len(self.labels)} labels"
            )
        return self
