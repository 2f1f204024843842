"""An entry -> pytorchvideo's network for it, from one closed table over ``pytorchvideo.models``.

Upstream: ``pytorchvideo/models/*.py``, and ``slowfast/models/ptv_model_builder.py`` for how
PySlowFast calls them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ptv_hub.models.heads import pool_globally
from ptv_hub.models.hollow import counting, hollow
from ptv_hub.models.plain import make_plain
from ptv_hub.models.pytorchvideo_imports import light_imports
from ptv_hub.zoo.builder_specs import EfficientX3DSpec, MViTSpec, ResNetSpec, SlowFastSpec, X3DSpec
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.input_spec import InputSpec


def made(entry: Entry, device: str) -> nn.Module:
    """``network`` on a device, of plain parts; on ``meta`` without memory and without numbers."""
    with (
        hollow() if device == "meta" else torch.device(device),
        warnings.catch_warnings(),
        light_imports(),
    ):
        # pytorchvideo 0.1.5 uses torch.jit.script on import; its users can do nothing about it.
        warnings.simplefilter("ignore")
        net = network(entry)
    make_plain(net)
    return net


def network(entry: Entry) -> nn.Module:
    """The entry's network as pytorchvideo builds it, but for what its head does otherwise."""
    net = _BUILDERS[entry.builder.name](entry)
    blocks = getattr(net, "blocks", None)
    if entry.head.pooling == "global" and isinstance(blocks, nn.ModuleList):
        pool_globally(blocks)
    return net


def head_side(spec: InputSpec) -> int:
    """Side of the last map at the training crop, for which the heads' pools are sized.

    All convolutional networks reduce height and width 32 times, rounding up.
    """
    return -(-spec.train_crop_size // 32)


Kernels = Sequence[Sequence[tuple[int, int, int]]]

_ONE, _THREE = (1, 1, 1), (3, 1, 1)


def _resnet(entry: Entry) -> nn.Module:
    """C2D, I3D and Slow: one ResNet, told apart by temporal kernels, pools and strides."""
    from pytorchvideo.models.resnet import create_resnet

    spec = entry.builder
    assert isinstance(spec, ResNetSpec)
    if entry.head.takes_boxes:
        return _slow_with_boxes(entry)
    stem, stages, temporal_pool, stride = _RESNETS[spec.name]
    side = head_side(entry.input)
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
    side = head_side(entry.input)
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
    side = head_side(entry.input)
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
    if entry.head.takes_boxes:
        return _slowfast_with_boxes(entry)
    frames, side = entry.input.num_frames, head_side(entry.input)
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


def _slow_with_boxes(entry: Entry) -> nn.Module:
    from pytorchvideo.models.resnet import create_resnet_with_roi_head

    spec = entry.builder
    assert isinstance(spec, ResNetSpec)
    return _detector(
        entry,
        create_resnet_with_roi_head(
            model_depth=spec.depth,
            model_num_class=entry.num_classes,
            dropout_rate=spec.dropout,
            head_pool_kernel_size=(entry.input.num_frames, 1, 1),
        ),
    )


def _slowfast_with_boxes(entry: Entry) -> nn.Module:
    from pytorchvideo.models.slowfast import create_slowfast_with_roi_head

    spec, alpha, frames = entry.builder, entry.input.slowfast_alpha, entry.input.num_frames
    assert isinstance(spec, SlowFastSpec)
    assert alpha is not None
    return _detector(
        entry,
        create_slowfast_with_roi_head(
            slowfast_channel_reduction_ratio=(spec.beta_inv,),
            slowfast_conv_channel_fusion_ratio=spec.fusion_ratio,
            slowfast_fusion_conv_kernel_size=(spec.fusion_kernel, 1, 1),
            slowfast_fusion_conv_stride=(alpha, 1, 1),
            model_depth=spec.depth,
            model_num_class=entry.num_classes,
            dropout_rate=spec.dropout,
            stem_dim_outs=(64, 64 // spec.beta_inv),
            head_pool_kernel_sizes=((frames // alpha, 1, 1), (frames, 1, 1)),
        ),
    )


def _detector(entry: Entry, net: Any) -> nn.Module:
    """A network for clips and boxes, its RoIAlign as the entry says."""
    net.detection_head.roi_layer.aligned = entry.head.aligned
    found: nn.Module = net
    return found


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


def _efficient_x3d(entry: Entry) -> nn.Module:
    from pytorchvideo.models.accelerator.mobile_cpu.efficient_x3d import create_x3d

    spec = entry.builder
    assert isinstance(spec, EfficientX3DSpec)
    net: nn.Module = create_x3d(
        num_classes=entry.num_classes, dropout=spec.dropout, expansion=spec.expansion
    )
    if not spec.dropout:  # upstream then leaves it out
        net.dropout = nn.Identity()
    return net


def _mvit(entry: Entry) -> nn.Module:
    from pytorchvideo.models.vision_transformers import create_multiscale_vision_transformers

    spec = entry.builder
    assert isinstance(spec, MViTSpec)
    doubled = [[block, 2.0] for block in spec.widening_blocks]
    with counting():
        net: nn.Module = create_multiscale_vision_transformers(
            spatial_size=entry.input.crop_size,
            temporal_size=entry.input.num_frames,
            depth=spec.depth,
            embed_dim_mul=doubled,
            atten_head_mul=doubled,
            pool_q_stride_size=[[block, 1, 2, 2] for block in spec.widening_blocks],
            pool_kv_stride_adaptive=list(spec.kv_stride),
            pool_kvq_kernel=None if spec.pool_kernel is None else list(spec.pool_kernel),
            head_dropout_rate=spec.dropout,
            head_num_classes=entry.num_classes,
        )
    for name, norm in net.named_modules():
        if isinstance(norm, nn.LayerNorm) and ".attn." in name:
            norm.eps = spec.attention_norm_eps
    return net


_BUILDERS: dict[str, Callable[[Entry], nn.Module]] = {
    **dict.fromkeys(_RESNETS, _resnet),
    "csn": _csn,
    "r2plus1d": _r2plus1d,
    "slowfast": _slowfast,
    "x3d": _x3d,
    "efficient_x3d": _efficient_x3d,
    "mvit": _mvit,
}
