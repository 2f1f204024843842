"""What goes into an exported file: from its inputs, by the model, to scores or logits."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ptv_hub.engines.folding import fold
from ptv_hub.errors import UsageError
from ptv_hub.models.builders import VideoModel, slow_frames
from ptv_hub.zoo.input_spec import InputSpec


@dataclass(frozen=True)
class Options:
    """How the file is to look from outside."""

    dtype: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    """What it computes in, or at least keeps its weights in; inputs and outputs are float32."""
    batch: int | None = None
    """Views at once; ``None`` for any number."""
    with_preprocessing: bool = False
    """Take frames of uint8 at crop size in place of a normalised clip."""
    pathways: Literal["together", "separate"] = "together"
    """Of a SlowFast: one clip, split inside, or an input each."""
    output: Literal["scores", "logits"] = "scores"

    @property
    def tolerance(self) -> float:
        """Largest difference of a score that is still the model's."""
        return 1e-4 if self.dtype == "fp32" else 1e-2


class Graph(nn.Module):
    """A model between the inputs and outputs that a file has.

    Takes ``clip`` (B, 3, T, S, S) float; or ``frames`` (B, T, S, S, 3) uint8 with preprocessing;
    or ``slow``, ``fast``. Returns float32, shape (B, num_classes).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: VideoModel, options: Options, *, compute: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        spec = model.entry.input
        if options.pathways == "separate" and (
            spec.num_pathways == 1 or options.with_preprocessing
        ):
            raise UsageError(
                "separate pathways are not for this",
                found=f"{model.entry.name}, which has one pathway"
                if spec.num_pathways == 1
                else "with preprocessing, which takes frames",
                fix="leave it out",
            )
        if options.batch is not None and options.batch < 1:
            raise UsageError("a batch of no view", found=options.batch, expected="1 or more")
        if options.dtype == "int8" and options.with_preprocessing:
            raise UsageError(
                "int8 is calibrated on normalised clips, and preprocessing takes frames",
                fix="leave --with-preprocessing out",
            )
        self.spec, self.options = spec, options
        self.num_classes = model.entry.num_classes
        self.dtype = compute
        # Folded, since a converter that folds batch norms loses the names of their convolutions.
        source = fold(model)[0] if options.dtype == "int8" else model
        self.model = traceable(source, dtype=self.dtype)
        self.model.activation = None
        if options.output == "scores":
            self.model.activation = model.entry.protocol.activation
        self.register_buffer("mean", torch.tensor(spec.mean), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std), persistent=False)

    @property
    def input_names(self) -> tuple[str, ...]:
        if self.options.pathways == "separate":
            return ("slow", "fast")
        return ("frames",) if self.options.with_preprocessing else ("clip",)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Without the batch axis."""
        frames, side = self.spec.num_frames, self.spec.crop_size
        if self.options.with_preprocessing:
            return {"frames": (frames, side, side, 3)}
        whole = (3, frames, side, side)
        if self.options.pathways == "separate":
            assert self.spec.slowfast_alpha is not None
            return {"slow": (3, frames // self.spec.slowfast_alpha, side, side), "fast": whole}
        return {"clip": whole}

    def forward(self, *inputs: Tensor) -> Tensor:
        if self.options.with_preprocessing:
            inputs = (normalised(inputs[0], self.mean, self.std, self.spec),)
        clips = [clip.to(self.dtype) for clip in inputs]
        scores: Tensor = self.model(clips if len(clips) > 1 else clips[0])
        return scores.float()

    def inputs(self, frames: Tensor) -> tuple[Tensor, ...]:
        """What the file takes for frames (B, T, S, S, 3) of uint8."""
        if self.options.with_preprocessing:
            return (frames,)
        return self.of_clip(normalised(frames, self.mean, self.std, self.spec).contiguous())

    def of_clip(self, clip: Tensor) -> tuple[Tensor, ...]:
        """What a file without preprocessing takes for clips (B, 3, T, S, S)."""
        if self.options.pathways == "together":
            return (clip,)
        alpha = self.spec.slowfast_alpha
        assert alpha is not None
        return clip[:, :, slow_frames(clip.shape[2], alpha, self.spec.slow_frames)], clip


def normalised(frames: Tensor, mean: Tensor, std: Tensor, spec: InputSpec) -> Tensor:
    """(B, T, H, W, 3) of uint8 -> (B, 3, T, H, W), the arithmetic of ``transforms.prepare``."""
    values = (frames.float() / 255.0 - mean) / std
    if spec.channel_order == "bgr":
        values = values.flip(-1)
    return values.permute(0, 4, 1, 2, 3)


def example(spec: InputSpec, batch: int) -> Tensor:
    """Drawn frames (B, T, S, S, 3) of uint8: noise in patches, which pools do not even out."""
    draw = torch.Generator().manual_seed(0)
    side = -(-spec.crop_size // 16)
    shape = (batch, spec.num_frames, side, side, 3)
    patches = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    whole = patches.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    return whole[:, :, : spec.crop_size, : spec.crop_size].contiguous()


def trace(graph: Graph) -> ExportedProgram:
    """The graph as a program of plain operations, with a batch axis as its options say."""
    batch = graph.options.batch
    # With a batch of one, torch takes the one for a constant.
    inputs = graph.inputs(example(graph.spec, batch or 2))
    axis = {} if batch else {0: Dim("batch")}
    with torch.no_grad():
        return torch.export.export(
            named(graph), inputs, dynamic_shapes=tuple(axis for _ in inputs), strict=False
        )


def named(graph: Graph) -> nn.Module:
    """The graph under a forward whose arguments have the inputs' names, which torch keeps."""
    if graph.input_names == ("slow", "fast"):
        return _Pathways(graph)
    return _Frames(graph) if graph.input_names == ("frames",) else _Clip(graph)


class _Named(nn.Module):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.inner = graph  # "graph" is a name that torch.fx takes for itself

    def scores(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.inner(*inputs)
        return found


class _Clip(_Named):
    def forward(self, clip: Tensor) -> Tensor:
        return self.scores(clip)


class _Frames(_Named):
    def forward(self, frames: Tensor) -> Tensor:
        return self.scores(frames)


class _Pathways(_Named):
    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return self.scores(slow, fast)


def traceable(model: VideoModel, *, dtype: torch.dtype = torch.float32) -> VideoModel:
    """A copy in eval mode of plain operations only; ``model`` is not changed.

    What stands in the way in pytorchvideo 0.1.5: X3D's Swish is an autograd function of its
    own, which is no operation of any file format, and pools have no kernel for half precision
    on CPUs.

    In float32 the tensors are shared with ``model``. In another type they are converted, and
    the copy computes in it but for its pools, which stay in float32.
    """
    shared: list[object] = [model.entry]
    if dtype is torch.float32:
        shared += model.state_dict(keep_vars=True).values()
    net = copy.deepcopy(model, {id(one): one for one in shared}).eval()
    for parent in list(net.modules()):
        for name, module in parent.named_children():
            if type(module).__name__ == "Swish":
                setattr(parent, name, nn.SiLU())
            elif dtype is not torch.float32 and isinstance(module, _POOLS):
                setattr(parent, name, _InFloat32(module))
    # torch's own: a model refuses 16 bits on a CPU, but this copy is for another engine to run.
    return net if dtype is torch.float32 else nn.Module.to(net, dtype)


_POOLS = (nn.AvgPool3d, nn.MaxPool3d, nn.AdaptiveAvgPool3d)


class _InFloat32(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(x.float())
        return y.to(x.dtype)
