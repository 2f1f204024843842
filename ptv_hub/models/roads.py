"""The ways that clips go through the kinds of networks: a body, then a head.

``pytorchvideo.models`` has four: blocks in a row; the same with a head for boxes; a transformer;
and X3D for mobile processors. A model has the parts of its network under the same names, so that
their keys are the official ones, and goes one of these ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ptv_hub.zoo.entry import Entry

Net = Any
"""A network with the parts that its kind has, by attribute."""
Pathways = Tensor | list[Tensor]
"""What a body takes: a clip, or the list ``[slow, fast]``."""


@dataclass(frozen=True)
class Road:
    """One kind of networks."""

    body: Callable[[Net, Pathways], Pathways]
    """Clips -> the last map, or tokens: all but the head."""
    head: Callable[[Net, Pathways, Tensor | None], Tensor]
    """What the body gave, and boxes where the head takes them -> one score a class."""
    parts: Callable[[Net], list[nn.Module]]
    """In the order in which the clips meet them, the head last."""
    classifier: Callable[[Net], str]
    """Name of the layer that gives the scores."""
    activation: Callable[[Net], tuple[nn.Module, str]]
    """Where the activation stands: the module that has it, and under which name."""


# ------------------------------------------------------------------------ blocks in a row


def _rowed_body(net: Net, pathways: Pathways) -> Pathways:
    for block in net.blocks[:-1]:
        pathways = block(pathways)
    return pathways


def _rowed_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.blocks[-1](features)
    return scores


ROW = Road(
    _rowed_body,
    _rowed_head,
    parts=lambda net: list(net.blocks),
    classifier=lambda net: f"blocks.{len(net.blocks) - 1}.proj",
    activation=lambda net: (net.blocks[-1], "activation"),
)


# ------------------------------------------------------------------------ with boxes


def _detecting_body(net: Net, pathways: Pathways) -> Pathways:
    for block in net.model.blocks:
        pathways = block(pathways)
    return pathways


def _detecting_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.detection_head(features, boxes)
    return scores.flatten(1)


DETECTION = Road(
    _detecting_body,
    _detecting_head,
    parts=lambda net: [*net.model.blocks, net.detection_head],
    classifier=lambda net: "detection_head.proj",
    activation=lambda net: (net.detection_head, "activation"),
)


# ------------------------------------------------------------------------ transformers


def _tokens(net: Net, clip: Pathways) -> Pathways:
    """(B, 3, T, H, W) -> (B, 1 + tokens, channels), the class token first."""
    x = net.cls_positional_encoding(net.patch_embed(clip))
    shape = net.cls_positional_encoding.patch_embed_shape
    for block in net.blocks:
        x, shape = block(x, shape)
    tokens: Tensor = net.norm_embed(x)
    return tokens


def _of_token(net: Net, tokens: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.head(tokens)
    return scores


TRANSFORMER = Road(
    _tokens,
    _of_token,
    parts=lambda net: [
        *(net.patch_embed, net.cls_positional_encoding),
        *net.blocks,
        *(net.norm_embed, net.head),
    ],
    classifier=lambda net: "head.proj",
    activation=lambda net: (net.head, "activation"),
)


# ------------------------------------------------------------------------ X3D for mobile ones

_STAGES = ("s1", "s2", "s3", "s4", "s5")


def _efficient_body(net: Net, clip: Pathways) -> Pathways:
    for stage in _STAGES:
        clip = getattr(net, stage)(clip)
    return clip


def _efficient_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    # Pooled over the whole map, it is of one position: what is applied to each is applied once.
    x = net.head(features).permute(0, 2, 3, 4, 1)
    scores: Tensor = net.projection(net.dropout(x)).flatten(1)
    return scores if net.act is None else net.act(scores)


EFFICIENT = Road(
    _efficient_body,
    _efficient_head,
    parts=lambda net: [*(getattr(net, stage) for stage in _STAGES), net.head, net.projection],
    classifier=lambda net: "projection.model",
    activation=lambda net: (net, "act"),
)


def road_of(entry: Entry) -> Road:
    """The way of the entry's network."""
    if entry.head.takes_boxes:
        return DETECTION
    return {"mvit": TRANSFORMER, "efficient_x3d": EFFICIENT}.get(entry.builder.name, ROW)
