"""The builder record that ``MODEL``, ``RESNET``, ``X3D`` and ``SLOWFAST`` ask for.

Source: ``slowfast/models/ptv_model_builder.py``, one class of it a function here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptv_hub.zoo.entry import BuilderSpec, ResNetSpec, SlowFastSpec, X3DSpec
from ptv_hub.zoo.pyslowfast.values import Values

ARCHS = {
    "c2d": "C2D",
    "i3d": "I3D",
    "slow": "Slow",
    "csn": "CSN",
    "r2plus1d": "R(2+1)D",
    "slowfast": "SlowFast",
    "x3d": "X3D",
}
"""``MODEL.ARCH``, which is the builder's name too -> as in the table of the zoo."""

STAGE_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _resnet(values: Values) -> ResNetSpec:
    archs = {"c2d": "c2d", "i3d": "i3d", "slow": "slow"}
    arch = values.one_of("MODEL.ARCH", archs)
    _bottlenecks(values)
    _widths(values)
    _strides(values, pathways=1)
    frames = 1 if arch == "slow" else 2
    return _resnet_spec(values, arch, frames)


def _csn(values: Values) -> ResNetSpec:
    values.one_of("MODEL.ARCH", {"csn": "csn"})
    _widths(values, groups=False)
    return _resnet_spec(values, "csn", 8)


def _r2plus1d(values: Values) -> ResNetSpec:
    values.one_of("MODEL.ARCH", {"r2plus1d": "r2plus1d"})
    _widths(values, groups=False)
    return _resnet_spec(values, "r2plus1d", 4)


def _resnet_spec(values: Values, name: Any, frames: int) -> ResNetSpec:
    """``frames``: how many times the network shortens a clip before the head."""
    if values["DATA.NUM_FRAMES"] % frames:
        values.refuse("DATA.NUM_FRAMES", f"a multiple of {frames} for {ARCHS[name]}")
    return ResNetSpec(name=name, depth=_depth(values), dropout=values["MODEL.DROPOUT_RATE"])


def _slowfast(values: Values) -> SlowFastSpec:
    values.one_of("MODEL.ARCH", {"slowfast": "slowfast"})
    _bottlenecks(values)
    _widths(values)
    _strides(values, pathways=2)
    depth: Any = _depth(values)
    blocks = values["RESNET.NUM_BLOCK_TEMP_KERNEL"]
    stages = tuple(row[0] for row in blocks if row)
    if len(stages) != 4 or any(
        not 0 <= count <= most or row != [count, count]
        for row, count, most in zip(blocks, stages, STAGE_DEPTHS[depth], strict=True)
    ):
        values.refuse(
            "RESNET.NUM_BLOCK_TEMP_KERNEL",
            f"for each of 4 stages twice the same number, at most {STAGE_DEPTHS[depth]}",
        )
    kernel = values["SLOWFAST.FUSION_KERNEL_SZ"]
    if kernel < 1 or kernel % 2 == 0:
        values.refuse("SLOWFAST.FUSION_KERNEL_SZ", "an odd number")
    beta = values["SLOWFAST.BETA_INV"]
    if beta < 1 or 64 % beta:
        values.refuse("SLOWFAST.BETA_INV", "a divisor of 64")
    if values["SLOWFAST.FUSION_CONV_CHANNEL_RATIO"] < 1:
        values.refuse("SLOWFAST.FUSION_CONV_CHANNEL_RATIO", "1 or more")
    return SlowFastSpec(
        depth=depth,
        fusion_kernel=kernel,
        temporal_kernel_blocks=stages,
        beta_inv=beta,
        fusion_ratio=values["SLOWFAST.FUSION_CONV_CHANNEL_RATIO"],
        dropout=values["MODEL.DROPOUT_RATE"],
    )


def _x3d(values: Values) -> X3DSpec:
    values.one_of("MODEL.ARCH", {"x3d": "x3d"})
    values.one_of("RESNET.TRANS_FUNC", {"x3d_transform": None})
    if values["X3D.BN_LIN5"]:
        values.refuse("X3D.BN_LIN5", "False")
    return X3DSpec(
        width_factor=values["X3D.WIDTH_FACTOR"],
        depth_factor=values["X3D.DEPTH_FACTOR"],
        bottleneck_factor=values["X3D.BOTTLENECK_FACTOR"],
        dim_c1=values["X3D.DIM_C1"],
        dim_c5=values["X3D.DIM_C5"],
        dropout=values["MODEL.DROPOUT_RATE"],
    )


def _depth(values: Values) -> Any:
    return values.one_of("RESNET.DEPTH", {depth: depth for depth in STAGE_DEPTHS})


def _bottlenecks(values: Values) -> None:
    values.one_of("RESNET.TRANS_FUNC", {"bottleneck_transform": None})


def _widths(values: Values, *, groups: bool = True) -> None:
    values.one_of("RESNET.WIDTH_PER_GROUP", {64: None})
    if groups:
        values.one_of("RESNET.NUM_GROUPS", {1: None})


def _strides(values: Values, pathways: int) -> None:
    for key, usual in (
        ("RESNET.SPATIAL_STRIDES", (1, 2, 2, 2)),
        ("RESNET.SPATIAL_DILATIONS", (1, 1, 1, 1)),
    ):
        expected = [[number] * pathways for number in usual]
        if values[key] != expected:
            values.refuse(key, repr(expected))


MODELS: dict[str, Callable[[Values], BuilderSpec]] = {
    "PTVResNet": _resnet,
    "PTVSlowFast": _slowfast,
    "PTVX3D": _x3d,
    "PTVCSN": _csn,
    "PTVR2plus1D": _r2plus1d,
}
