"""An entry -> its model, from one closed table over ``pytorchvideo.models``.

The parts are pytorchvideo's; what differs between its releases (which heads end in a
softmax), and what trips its users (a SlowFast that overwrites its input list, strides that
are numpy integers) is settled here, once. Upstream: ``pytorchvideo/models/*.py``, and
``slowfast/models/ptv_model_builder.py`` for how PySlowFast calls them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ptv_hub.errors import UnknownName, WrongInput
from ptv_hub.models.heads import pool_globally
from ptv_hub.models.hollow import hollow
from ptv_hub.models.plain import FullPrecision, make_plain
from ptv_hub.models.pytorchvideo_imports import light_imports
from ptv_hub.zoo.entry import (
    Entry,
    InputSpec,
    ResNetSpec,
    SlowFastSpec,
    SlowFrames,
    X3DSpec,
)
from ptv_hub.zoo.origin import Origin

Activation = Literal["softmax", "sigmoid"]

ACTIVATIONS: dict[str | None, Callable[[], nn.Module | None]] = {
    None: lambda: None,
    "softmax": lambda: nn.Softmax(dim=1),
    "sigmoid": nn.Sigmoid,
}


Pathways = Tensor | list[Tensor]
"""What the first block takes: a clip, or the list ``[slow, fast]``."""


class ActionModel(Protocol):
    """What can be called with clips and says what it is: a ``VideoModel``, or a faster one."""

    entry: Entry
    origin: Origin | None
    activation: Activation | None
    training: bool

    def __call__(self, clip: Tensor | Sequence[Tensor], /) -> Tensor:
        """Clips, as ``VideoModel`` takes them -> (B, num_classes)."""

    def eval(self) -> Self: ...

    def to(self, device: torch.device | str, /) -> Self: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


@contextmanager
def activated(model: ActionModel, activation: Activation | None) -> Iterator[None]:
    """Within it the model's head has this activation; after it the one it had before."""
    before = model.activation
    model.activation = activation
    try:
        yield
    finally:
        model.activation = before


class VideoModel(FullPrecision):
    """A model of the zoo; its ``state_dict()`` has the official keys (``blocks.0...``).

    Called with one clip, float, shape (B, 3, T, H, W), or, of a model with two pathways,
    with the list ``[slow, fast]`` of shapes (B, 3, T // alpha, H, W) and (B, 3, T, H, W);
    from a plain clip the slow pathway's frames are taken as PySlowFast takes them. H and W
    may be any size that leaves the head a position; the protocol's is ``input.crop_size``.

    Returns (B, num_classes): logits, the mean over the head's positions; or, with an
    activation, PySlowFast's test-time scores: the activation at each position, then the mean.
    """

    def __init__(self, blocks: nn.ModuleList, entry: Entry, activation: Activation | None) -> None:
        super().__init__()
        self.blocks = blocks
        self.entry = entry
        self.origin: Origin | None = None
        self._slow_frames = _slow_frames_of(entry.input)
        self.activation = activation

    @property
    def activation(self) -> Activation | None:
        """What the head applies at each position before the mean; ``None`` returns logits."""
        return self._activation

    @activation.setter
    def activation(self, name: Activation | None) -> None:
        if name not in ACTIVATIONS:
            raise UnknownName(
                "activation",
                name,
                [known for known in ACTIVATIONS if known is not None],
                see="there are: None (logits), 'softmax', 'sigmoid'",
            )
        self._activation: Activation | None = name
        setattr(self.blocks[-1], "activation", ACTIVATIONS[name]())  # noqa: B010 - a Module or None

    def forward(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        return through(self.blocks, self.pathways(clip))

    def pathways(self, clip: Tensor | Sequence[Tensor]) -> Pathways:
        """What the first block takes: checked, and for two pathways a list of our own."""
        spec = self.entry.input
        if self._slow_frames is None:
            if not isinstance(clip, Tensor):
                raise _wrong_input(self.entry, f"a {type(clip).__name__} of {len(clip)}")
            _check(self.entry, clip, spec.num_frames)
            return clip
        if isinstance(clip, Tensor):
            _check(self.entry, clip, spec.num_frames)
            return [clip[:, :, self._slow_frames], clip]
        if len(clip) != 2:
            raise _wrong_input(self.entry, f"a list of {len(clip)}")
        slow, fast = clip
        _check(self.entry, slow, len(self._slow_frames))
        _check(self.entry, fast, spec.num_frames)
        # A new list: pytorchvideo's multi-pathway blocks write into the one they are given.
        return [slow, fast]


def through(blocks: nn.ModuleList, pathways: Pathways) -> Tensor:
    """What the last block returns, each taking what the one before it returned."""
    *body, head = blocks
    for block in body:
        pathways = block(pathways)
    scores: Tensor = head(pathways)
    return scores


def _check(item: Entry, clip: Tensor, frames: int) -> None:
    side = _side_from(item)
    if (
        clip.dim() != 5
        or clip.shape[1] != 3
        or clip.shape[2] != frames
        or clip.shape[3] < side
        or clip.shape[4] < side
        or not clip.is_floating_point()
    ):
        dtype = str(clip.dtype).removeprefix("torch.")
        raise _wrong_input(item, f"{dtype} of shape {tuple(clip.shape)}")


def _wrong_input(item: Entry, found: str) -> WrongInput:
    spec = item.input
    fast = f"(B, 3, {spec.num_frames}, {spec.crop_size}, {spec.crop_size})"
    expected = f"float of shape {fast}"
    if spec.slowfast_alpha is not None:
        frames = spec.num_frames // spec.slowfast_alpha
        slow = f"(B, 3, {frames}, {spec.crop_size}, {spec.crop_size})"
        expected = f"[slow {slow}, fast {fast}], or one clip {fast}, float"
    side = _side_from(item)
    return WrongInput(
        f"{item.name} cannot take this input",
        expected=f"{expected}; height and width may be others, from {side} up",
        found=found,
        fix=f"ptv_hub.transform({item.name!r}) makes the right input from frames",
    )


def _side_from(item: Entry) -> int:
    """Side in pixels from which on the head has something to pool."""
    return 1 if item.head.pooling == "global" else _smallest_side(item.input)


def _smallest_side(spec: InputSpec) -> int:
    """Side in pixels from which on the head's pool, sized for the training crop, has a position.

    All models reduce height and width 32 times, rounding up.
    """
    return 32 * (_head_side(spec) - 1) + 1


def _head_side(spec: InputSpec) -> int:
    return -(-spec.train_crop_size // 32)


def _slow_frames_of(spec: InputSpec) -> list[int] | None:
    if spec.slowfast_alpha is None:
        return None
    return slow_frames(spec.num_frames, spec.slowfast_alpha, spec.slow_frames)


def slow_frames(num_frames: int, alpha: int, how: SlowFrames = "linspace") -> list[int]:
    """Which frames of the fast pathway the slow one takes.

    ``linspace(0, T-1, T // alpha)``, cut, as ``pack_pathway_output`` of PySlowFast's
    ``slowfast/datasets/utils.py``; or the nearest, which is every alpha-th, as
    ``resnet3d_slowfast.py`` of MMAction2.
    """
    if how == "nearest":
        return list(range(0, num_frames, alpha))
    return torch.linspace(0, num_frames - 1, num_frames // alpha).long().tolist()


def build(
    entry: Entry,
    *,
    num_classes: int | None = None,
    activation: Activation | None = None,
    device: str = "cpu",
) -> VideoModel:
    """A model without the zoo's weights, in training mode.

    ``device="meta"`` builds the structure alone, without memory for weights; on a real
    device the weights are initialised as pytorchvideo does. ``num_classes`` other than the
    entry's gives a head of that size, and ``model.entry`` then has no labels.
    """
    if num_classes is not None and num_classes != entry.num_classes:
        entry = entry.model_copy(update={"num_classes": num_classes, "labels": ()})
    with (
        hollow() if device == "meta" else torch.device(device),
        warnings.catch_warnings(),
        light_imports(),
    ):
        # pytorchvideo 0.1.5 uses torch.jit.script on import; its users can do nothing about it.
        warnings.simplefilter("ignore")
        net = _BUILDERS[entry.builder.name](entry)
    make_plain(net)
    blocks = net.blocks
    assert isinstance(blocks, nn.ModuleList)
    if entry.head.pooling == "global":
        pool_globally(blocks)
    return VideoModel(blocks, entry, activation)


@cache
def shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    """Official key -> shape of every tensor in the entry's state dict. Allocates no weights."""
    return {key: tuple(t.shape) for key, t in build(entry, device="meta").state_dict().items()}


Kernels = Sequence[Sequence[tuple[int, int, int]]]

_ONE, _THREE = (1, 1, 1), (3, 1, 1)


def _resnet(entry: Entry) -> nn.Module:
    """C2D, I3D and Slow: one ResNet, told apart by temporal kernels, pools and strides."""
    from pytorchvideo.models.resnet import create_resnet

    spec = entry.builder
    assert isinstance(spec, ResNetSpec)
    stem, stages, temporal_pool, stride = _RESNETS[spec.name]
    side = _head_side(entry.input)
    frames = entry.input.num_frames // (temporal_pool * stride * stride)
    net: nn.Module = create_resnet(
        model_depth=spec.depth,
        model_num_class=entry.num_classes,
        dropout_rate=spec.dropout,
        stem_conv_kernel_size=(stem, 7, 7),
        stem_conv_stride=(stride, 2, 2),
        stem_pool_stride=(stride, 2, 2),
        stage1_pool=nn.MaxPool3d if temporal_pool > 1 else None,
        stage1_pool_kernel_size=(temporal_pool, 1, 1),
        stage_conv_a_kernel_size=tuple(list(kernels) for kernels in stages),
        head_pool_kernel_size=(frames, side, side),
    )
    return net


_TWO_D = ((_ONE,), (_ONE,), (_ONE,), (_ONE,))
_I3D = ((_THREE,), (_THREE, _ONE), (_THREE, _ONE), (_ONE, _THREE))
_RESNETS = {
    "c2d": (1, _TWO_D, 2, 1),
    "c2d_nopool": (1, _TWO_D, 1, 1),
    "i3d": (5, _I3D, 2, 1),
    "i3d_strided": (5, _I3D, 2, 2),
    "i3d_heavy": (5, ((_THREE,), (_THREE,), (_THREE,), (_THREE,)), 2, 1),
    "slow": (1, ((_ONE,), (_ONE,), (_THREE,), (_THREE,)), 1, 1),
}
"""Temporal kernel of the stem, those of the stages, the pool in time behind the first stage, and
the temporal stride of stem and first pool."""


def _csn(entry: Entry) -> nn.Module:
    from pytorchvideo.models.csn import create_csn

    spec = entry.builder
    assert isinstance(spec, ResNetSpec)
    side = _head_side(entry.input)
    net: nn.Module = create_csn(
        model_depth=spec.depth,
        model_num_class=entry.num_classes,
        dropout_rate=spec.dropout,
        stem_pool=nn.MaxPool3d,
        head_pool_kernel_size=(entry.input.num_frames // 8, side, side),
    )
    return net


def _r2plus1d(entry: Entry) -> nn.Module:
    from pytorchvideo.models.r2plus1d import create_r2plus1d

    spec = entry.builder
    assert isinstance(spec, ResNetSpec)
    side = _head_side(entry.input)
    net: nn.Module = create_r2plus1d(
        model_depth=spec.depth,
        model_num_class=entry.num_classes,
        dropout_rate=spec.dropout,
        head_pool_kernel_size=(entry.input.num_frames // 4, side, side),
    )
    return net


def _slowfast(entry: Entry) -> nn.Module:
    from pytorchvideo.models.slowfast import create_slowfast

    spec, alpha = entry.builder, entry.input.slowfast_alpha
    assert isinstance(spec, SlowFastSpec)
    assert alpha is not None
    frames, side = entry.input.num_frames, _head_side(entry.input)
    depths = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[spec.depth]

    def kernels(temporal: Sequence[int]) -> tuple[list[tuple[int, int, int]], ...]:
        """Of each stage: the temporal kernel in its first blocks, 1 in the others."""
        return tuple(
            [(kernel, 1, 1)] * blocks + [_ONE] * (depth - blocks)
            for kernel, blocks, depth in zip(
                temporal, spec.temporal_kernel_blocks, depths, strict=True
            )
        )

    net: nn.Module = create_slowfast(
        slowfast_channel_reduction_ratio=(spec.beta_inv,),
        slowfast_conv_channel_fusion_ratio=spec.fusion_ratio,
        slowfast_fusion_conv_kernel_size=(spec.fusion_kernel, 1, 1),
        slowfast_fusion_conv_stride=(alpha, 1, 1),
        model_depth=spec.depth,
        model_num_class=entry.num_classes,
        dropout_rate=spec.dropout,
        stem_dim_outs=(64, 64 // spec.beta_inv),
        stage_conv_a_kernel_sizes=(kernels((1, 1, 3, 3)), kernels((3, 3, 3, 3))),
        head_pool_kernel_sizes=((frames // alpha, side, side), (frames, side, side)),
    )
    return net


def _x3d(entry: Entry) -> nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    spec = entry.builder
    assert isinstance(spec, X3DSpec)
    net: nn.Module = create_x3d(
        input_clip_length=entry.input.num_frames,
        input_crop_size=entry.input.train_crop_size,
        model_num_class=entry.num_classes,
        dropout_rate=spec.dropout,
        width_factor=spec.width_factor,
        depth_factor=spec.depth_factor,
        bottleneck_factor=spec.bottleneck_factor,
        stem_dim_in=spec.dim_c1,
        head_dim_out=spec.dim_c5,
    )
    return net


_BUILDERS: dict[str, Callable[[Entry], nn.Module]] = {
    **dict.fromkeys(_RESNETS, _resnet),
    "csn": _csn,
    "r2plus1d": _r2plus1d,
    "slowfast": _slowfast,
    "x3d": _x3d,
}
