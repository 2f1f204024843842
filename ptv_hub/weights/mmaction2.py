"""MMAction2's networks (``backbone.layer1.0.conv1.conv.weight``), as tables.

Source: ``mmaction/models/backbones/`` (``resnet3d.py``, ``resnet3d_slowonly.py``,
``resnet3d_slowfast.py``, ``resnet3d_csn.py``, ``x3d.py``) and ``heads/`` at 4d6c9347. Its heads
pool over the whole map and give logits; its SlowFast puts the fast pathway's features first, and
takes every alpha-th frame for the slow one. All this is part of an entry, none of it of a file.
"""

from __future__ import annotations

from ptv_hub.weights.rules import Rule, Scheme, Shapes
from ptv_hub.weights.shapes import depthwise, has_two_stems, of_images, sees_time, stem_sees_time
from ptv_hub.weights.transformations import (
    ADD_EPSILON,
    ADD_TIME_AXIS,
    FOLD_SHORTCUT_NORM,
    LINEAR_TO_CONVOLUTION,
    ROLL_CLASSIFIER,
)

MMACTION2 = "mmaction2"

_BLOCKS = {1: 1, 2: 2, 3: 3, 4: 4}
_BLOCKS_BEHIND_A_POOL = {1: 1, 2: 3, 3: 4, 4: 5}
"""``layerN`` -> its number among the official blocks."""

_PLAIN = (("conv2.conv.", "branch2.conv_b."), ("conv2.bn.", "branch2.norm_b."))
_SEPARATED = (("conv2.0.conv.", "branch2.conv_b."), ("conv2.0.bn.", "branch2.norm_b."))
"""CSN: a sequence of one convolution."""
_EXCITED = (
    ("conv2.conv.", "branch2.conv_b."),
    ("conv2.bn.", "branch2.norm_b.0."),
    ("se_module.fc1.", "branch2.norm_b.1.block.0."),
    ("se_module.fc2.", "branch2.norm_b.1.block.2."),
)


def _module(own: str, convolution: str, norm: str) -> tuple[Rule, Rule]:
    """A ``ConvModule``: a convolution and its batch norm."""
    return Rule(f"{own}.conv.", convolution), Rule(f"{own}.bn.", norm)


def _stages(
    own: str, inside: str, blocks: dict[int, int], middle: tuple[tuple[str, str], ...]
) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for layer, number in blocks.items():
        mine, theirs = f"{own}layer{layer}.*.", f"blocks.{number}.{inside}res_blocks.*."
        for name, letter in (("conv1", "a"), ("conv3", "c")):
            branch = f"{theirs}branch2."
            rules += _module(mine + name, f"{branch}conv_{letter}.", f"{branch}norm_{letter}.")
        rules += [Rule(mine + a, theirs + b) for a, b in middle]
        rules += _module(f"{mine}downsample", f"{theirs}branch1_conv.", f"{theirs}branch1_norm.")
    return tuple(rules)


def _resnet(
    blocks: dict[int, int], head: int, middle: tuple[tuple[str, str], ...] = _PLAIN
) -> tuple[Rule, ...]:
    return (
        *_module("backbone.conv1", "blocks.0.conv.", "blocks.0.norm."),
        *_stages("backbone.", "", blocks, middle),
        Rule("cls_head.fc_cls.", f"blocks.{head}.proj."),
    )


def _slowfast() -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for way, name in enumerate(("slow", "fast")):
        own, inside = f"backbone.{name}_path.", f"multipathway_blocks.{way}."
        rules += _module(f"{own}conv1", f"blocks.0.{inside}conv.", f"blocks.0.{inside}norm.")
        rules += _stages(own, inside, _BLOCKS, _PLAIN)
    for number, name in enumerate(("conv1", "layer1", "layer2", "layer3")):
        fusion = f"blocks.{number}.multipathway_fusion."
        own = f"backbone.slow_path.{name}_lateral"
        rules += _module(own, f"{fusion}conv_fast_to_slow.", f"{fusion}norm.")
    return (*rules, Rule("cls_head.fc_cls.", "blocks.6.proj."))


def _of_images(shapes: Shapes) -> bool:
    return of_images(shapes) or not (sees_time(shapes) or stem_sees_time(shapes))


RESNET = Scheme(
    MMACTION2,
    "a SlowOnly",
    _resnet(_BLOCKS, 5),
    fits=lambda s: sees_time(s) and not stem_sees_time(s) and not depthwise(s),
)
POOLED_RESNET = Scheme(MMACTION2, "an I3D", _resnet(_BLOCKS_BEHIND_A_POOL, 6), fits=stem_sees_time)
IMAGE_RESNET = Scheme(
    MMACTION2,
    "a C2D without a pool in time",
    _resnet(_BLOCKS, 5),
    (ADD_TIME_AXIS,),
    fits=_of_images,
)
POOLED_IMAGE_RESNET = Scheme(
    MMACTION2,
    "a C2D with a pool in time",
    _resnet(_BLOCKS_BEHIND_A_POOL, 6),
    (ADD_TIME_AXIS,),
    fits=_of_images,
    refusal="its first max pool has no padding (55 pixels of 112, not 56); PyTorchVideo's has",
)
CSN = Scheme(
    MMACTION2,
    "an interaction-reduced CSN",
    _resnet(_BLOCKS, 5, _SEPARATED),
    (ADD_EPSILON,),
    fits=depthwise,
)
SLOWFAST = Scheme(MMACTION2, "a SlowFast", _slowfast(), (ROLL_CLASSIFIER,))
X3D = Scheme(
    MMACTION2,
    "an X3D",
    (
        Rule("backbone.conv1_s.conv.", "blocks.0.conv.conv_t."),
        Rule("backbone.conv1_t.conv.", "blocks.0.conv.conv_xy."),
        Rule("backbone.conv1_t.bn.", "blocks.0.norm."),
        *_stages("backbone.", "", _BLOCKS, _EXCITED),
        *_module("backbone.conv5", "blocks.5.pool.pre_conv.", "blocks.5.pool.pre_norm."),
        Rule("cls_head.fc1.", "blocks.5.pool.post_conv."),
        Rule("cls_head.fc2.", "blocks.5.proj."),
    ),
    (LINEAR_TO_CONVOLUTION, FOLD_SHORTCUT_NORM),
    fits=has_two_stems,
)

SCHEMES = (RESNET, POOLED_RESNET, IMAGE_RESNET, POOLED_IMAGE_RESNET, CSN, SLOWFAST, X3D)
