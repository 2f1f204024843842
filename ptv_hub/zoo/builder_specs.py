"""What a network is built from: a record for each family of builders, and one for the head."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from ptv_hub.zoo.records import Record

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


Step = Annotated[int, Field(gt=0, le=64)]


ATTENTION_EPS = 1e-5
"""Of the layer norms within attention in PyTorchVideo 0.1.5's MViT, which takes no other."""
NATIVE_ATTENTION_EPS = 1e-6
"""Likewise in PySlowFast's own, whose configs have no key for it, and in PyTorchVideo's since
c85fa64 (2022-02-15), which no release has."""
EPS_MATTERS = "logits differ by 1e-5 to 3e-4 with drawn weights"
"""How much one in place of the other does."""


class MViTSpec(Record):
    """``pytorchvideo.models.vision_transformers``; frames and crop stand in the input spec."""

    name: Literal["mvit"] = "mvit"
    depth: Annotated[int, Field(gt=0, le=128)]
    """Blocks."""
    widening_blocks: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(max_length=6)]
    """Blocks, counted from 0, from which on there are twice the channels and heads, and that
    halve height and width of the queries."""
    kv_stride: tuple[Step, Step, Step]
    """Of the first block's pools of keys and values: frames, height, width."""
    pool_kernel: tuple[Step, Step, Step] | None = (3, 3, 3)
    """Of all pools of queries, keys and values; null for one more than each stride above 1."""
    attention_norm_eps: Annotated[float, Field(gt=0, le=1e-3)] = ATTENTION_EPS
    """Of the layer norms within attention: PyTorchVideo 0.1.5's, or 1e-6 (PySlowFast, torchvision,
    PyTorchVideo at its head). The
    other layer norms have 1e-6 in each of them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _within_depth(self) -> Self:
        if any(block >= self.depth for block in self.widening_blocks):
            raise ValueError(f"widening_blocks go beyond the {self.depth} blocks that there are")
        return self


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


POOLINGS: dict[str, tuple[str, ...]] = {
    "mvit": ("token",),
    "efficient_x3d": ("global",),
    **dict.fromkeys(("slow", "slowfast"), ("windowed", "global", "boxes")),
}
"""Builder -> the ways in which its head can pool; the others pool in windows or over the map."""
