"""PySlowFast's own networks (``s1.pathway0_stem.conv.weight``), as tables.

Source: ``slowfast/models/video_model_builder.py``, ``resnet_helper.py``, ``stem_helper.py`` at
287ec007. Shapes never differ from the official ones. C2D and I3D have a pool in time behind the
first stage, which is a block of its own (``blocks.2``) in the official layout and shifts those
behind it. X3D's stem has its names crossed: what PySlowFast calls ``conv_xy`` PyTorchVideo calls
``conv_t``.
"""

from __future__ import annotations

from ptv_hub.weights.rules import Rule, Scheme
from ptv_hub.weights.shapes import (
    depthwise,
    has_two_pathways,
    has_two_stems,
    sees_time,
    stem_sees_time,
    trunk,
)
from ptv_hub.weights.transformations import FOLD_SHORTCUT_NORM, SPLIT_QKV

NATIVE = "native"

_BLOCK = (
    ("branch1.", "branch1_conv."),
    ("branch1_bn.", "branch1_norm."),
    ("branch2.a.", "branch2.conv_a."),
    ("branch2.b.", "branch2.conv_b."),
    ("branch2.c.", "branch2.conv_c."),
    ("branch2.a_bn.", "branch2.norm_a."),
    ("branch2.c_bn.", "branch2.norm_c."),
)
_PLAIN = (*_BLOCK, ("branch2.b_bn.", "branch2.norm_b."))
_EXCITED = (
    *_BLOCK,
    ("branch2.b_bn.", "branch2.norm_b.0."),
    ("branch2.se.fc1.", "branch2.norm_b.1.block.0."),
    ("branch2.se.fc2.", "branch2.norm_b.1.block.2."),
)
_STEM = (("conv.", "conv."), ("bn.", "norm."))
_X3D_STEM = (("conv_xy.", "conv.conv_t."), ("conv.", "conv.conv_xy."), ("bn.", "norm."))

_BLOCKS = {2: 1, 3: 2, 4: 3, 5: 4}
_BLOCKS_BEHIND_A_POOL = {2: 1, 3: 3, 4: 4, 5: 5}
"""``sN`` -> its number among the official blocks."""


def _within(own: str, official: str, pairs: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
    return tuple(Rule(own + mine, official + theirs) for mine, theirs in pairs)


def _single(
    blocks: dict[int, int],
    stem: tuple[tuple[str, str], ...] = _STEM,
    block: tuple[tuple[str, str], ...] = _PLAIN,
) -> tuple[Rule, ...]:
    """A network with one pathway, but for its head."""
    rules = list(_within("s1.pathway0_stem.", "blocks.0.", stem))
    for stage, number in blocks.items():
        own, official = f"s{stage}.pathway0_res*.", f"blocks.{number}.res_blocks.*."
        rules += _within(own, official, block)
    return tuple(rules)


def _two() -> tuple[Rule, ...]:
    """SlowFast: each pathway by its number, and the fusions behind the stem and three stages."""
    rules: list[Rule] = []
    for way in (0, 1):
        inside = f".multipathway_blocks.{way}."
        rules += _within(f"s1.pathway{way}_stem.", f"blocks.0{inside}", _STEM)
        for stage, number in _BLOCKS.items():
            own = f"s{stage}.pathway{way}_res*."
            rules += _within(own, f"blocks.{number}{inside}res_blocks.*.", _PLAIN)
    for stage in (1, 2, 3, 4):
        fusion = f"blocks.{stage - 1}.multipathway_fusion."
        pairs = (("conv_f2s.", "conv_fast_to_slow."), ("bn.", "norm."))
        rules += _within(f"s{stage}_fuse.", fusion, pairs)
    return tuple(rules)


RESNET = Scheme(
    NATIVE,
    "a ResNet without a pool in time",
    (*_single(_BLOCKS), Rule("head.projection.", "blocks.5.proj.")),
    fits=lambda shapes: not stem_sees_time(shapes) and not depthwise(shapes),
)
"""Slow, and C2D without its pool."""
POOLED_RESNET = Scheme(
    NATIVE,
    "a ResNet with a pool in time",
    (*_single(_BLOCKS_BEHIND_A_POOL), Rule("head.projection.", "blocks.6.proj.")),
    fits=lambda shapes: stem_sees_time(shapes) or not sees_time(shapes),
)
"""C2D, whose keys and shapes are also those of a C2D without its pool; and I3D."""
SLOWFAST = Scheme(
    NATIVE,
    "a SlowFast",
    (*_two(), Rule("head.projection.", "blocks.6.proj.")),
    fits=has_two_pathways,
)
X3D = Scheme(
    NATIVE,
    "an X3D",
    (
        *_single(_BLOCKS, _X3D_STEM, _EXCITED),
        Rule("head.conv_5.", "blocks.5.pool.pre_conv."),
        Rule("head.conv_5_bn.", "blocks.5.pool.pre_norm."),
        Rule("head.lin_5.", "blocks.5.pool.post_conv."),
        Rule("head.projection.", "blocks.5.proj."),
    ),
    (FOLD_SHORTCUT_NORM,),
    fits=has_two_stems,
)


def _with_boxes(table: Scheme) -> tuple[Rule, ...]:
    """The same keys, of a network with a head for boxes: it has all but its head in ``model``."""
    return tuple(
        Rule(
            rule.own,
            "detection_head.proj." if rule.own == "head.projection." else f"model.{rule.official}",
        )
        for rule in table.rules
    )


SLOW_WITH_BOXES = Scheme(
    NATIVE,
    "a Slow with a head for boxes",
    _with_boxes(RESNET),
    fits=lambda shapes: RESNET.fits(trunk(shapes)) and sees_time(trunk(shapes)),
)
"""Its keys and shapes are those of Slow: only a config (``DETECTION.ENABLE``) tells them apart."""
C2D_WITH_BOXES = Scheme(
    NATIVE,
    "a C2D with a head for boxes",
    _with_boxes(RESNET),
    fits=lambda shapes: RESNET.fits(trunk(shapes)) and not sees_time(trunk(shapes)),
    refusal="no kernel of it spans more than one frame; the networks for detection that are served"
    " are Slow, whose last two stages do, and SlowFast",
)
SLOWFAST_WITH_BOXES = Scheme(
    NATIVE,
    "a SlowFast with a head for boxes",
    _with_boxes(SLOWFAST),
    fits=lambda shapes: has_two_pathways(trunk(shapes)),
)

_PLACES = ("cls_token", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class")
_ATTENTION = (
    *("attn.qkv.", "attn.q.", "attn.k.", "attn.v.", "attn.proj."),
    *(f"attn.{part}_{letter}." for letter in "qkv" for part in ("pool", "norm")),
)
_SAME_IN_A_BLOCK = ("norm1.", *_ATTENTION, "norm2.", "mlp.fc1.", "mlp.fc2.", "proj.")

MVIT = Scheme(
    NATIVE,
    "a multiscale vision transformer",
    (
        *(Rule(name, f"cls_positional_encoding.{name}") for name in _PLACES),
        Rule("patch_embed.proj.", "patch_embed.patch_model."),
        *(Rule(f"blocks.*.{name}", f"blocks.*.{name}") for name in _SAME_IN_A_BLOCK),
        Rule("norm.", "norm_embed."),
        Rule("head.projection.", "head.proj."),
    ),
    (SPLIT_QKV,),
    mark="cls_positional_encoding.",
)
"""MViTv1. A file
with queries, keys and values apart is refused (``refusals``): it is another function or not, and no
key tells."""

SCHEMES = (
    *(RESNET, POOLED_RESNET, SLOWFAST, X3D, MVIT),
    *(SLOW_WITH_BOXES, C2D_WITH_BOXES, SLOWFAST_WITH_BOXES),
)
