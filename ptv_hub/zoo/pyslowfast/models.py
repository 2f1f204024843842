"""The builder record that ``MODEL``, ``RESNET``, ``X3D`` and ``SLOWFAST`` ask for.

Source: ``slowfast/models/ptv_model_builder.py``, one class of it a function here.
"""

from __future__ import annotations

from collections.abc import Callable

from ptv_hub.zoo.builder_specs import BuilderSpec, ResNetSpec, SlowFastSpec, X3DSpec
from ptv_hub.zoo.pyslowfast import table
from ptv_hub.zoo.pyslowfast.table import MODEL_NAMES, STAGE_DEPTHS
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


def _resnet(values: Values) -> ResNetSpec:
    arch = _arch(values, "PTVResNet")
    _bottlenecks(values)
    _widths(values)
    _strides(values, pathways=1)
    frames = 1 if arch == "slow" else 2
    return _resnet_spec(values, arch, frames)


def _csn(values: Values) -> ResNetSpec:
    _widths(values, groups=False)
    return _resnet_spec(values, _arch(values, "PTVCSN"), 8)


def _r2plus1d(values: Values) -> ResNetSpec:
    _widths(values, groups=False)
    return _resnet_spec(values, _arch(values, "PTVR2plus1D"), 4)


def _resnet_spec(values: Values, name: str, frames: int) -> ResNetSpec:
    """``frames``: how many times the network shortens a clip before the head."""
    if values["DATA.NUM_FRAMES"] % frames:
        values.refuse("DATA.NUM_FRAMES", f"a multiple of {frames} for {ARCHS[name]}")
    return ResNetSpec.model_validate({"name": name, **table.read(table.RESNET, values)})


def _slowfast(values: Values) -> SlowFastSpec:
    _arch(values, "PTVSlowFast")
    _bottlenecks(values)
    _widths(values)
    _strides(values, pathways=2)
    fields = table.read(table.SLOWFAST, values)
    depth, stages = fields["depth"], fields["temporal_kernel_blocks"]
    blocks = values["RESNET.NUM_BLOCK_TEMP_KERNEL"]
    if len(stages) != 4 or any(
        not 0 <= count <= most or row != [count, count]
        for row, count, most in zip(blocks, stages, STAGE_DEPTHS[depth], strict=True)
    ):
        values.refuse(
            "RESNET.NUM_BLOCK_TEMP_KERNEL",
            f"for each of 4 stages twice the same number, at most {STAGE_DEPTHS[depth]}",
        )
    if fields["fusion_kernel"] < 1 or fields["fusion_kernel"] % 2 == 0:
        values.refuse("SLOWFAST.FUSION_KERNEL_SZ", "an odd number")
    if fields["beta_inv"] < 1 or 64 % fields["beta_inv"]:
        values.refuse("SLOWFAST.BETA_INV", "a divisor of 64")
    if fields["fusion_ratio"] < 1:
        values.refuse("SLOWFAST.FUSION_CONV_CHANNEL_RATIO", "1 or more")
    return SlowFastSpec.model_validate(fields)


def _x3d(values: Values) -> X3DSpec:
    _arch(values, "PTVX3D")
    values.one_of("RESNET.TRANS_FUNC", {"x3d_transform": None})
    if values["X3D.BN_LIN5"]:
        values.refuse("X3D.BN_LIN5", "False")
    return X3DSpec.model_validate(table.read(table.X3D, values))


def _arch(values: Values, model: str) -> str:
    """``MODEL.ARCH``, which must be one that PySlowFast's class ``model`` builds."""
    arch: str = values.one_of(
        "MODEL.ARCH", {arch: arch for arch, name in MODEL_NAMES.items() if name == model}
    )
    return arch


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
