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

from ptv_hub.models.checkpointing import Run
from ptv_hub.zoo.entry import Entry

Net = Any
"""A network with the parts that its kind has, by attribute."""
Pathways = Tensor | list[Tensor]
"""What a body takes: a clip, or the list ``[slow, fast]``."""


JOINED: tuple[int] = (99999,)
"""timm's mark of parameters that belong to the layer before them."""


@dataclass(frozen=True)
class Layers:
    """The names of parameters in the order of layers, as patterns that timm reads as well.

    Numbers in a pattern's groups tell its layers apart; what no pattern names is the last layer.
    """

    stem: str
    blocks: tuple[tuple[str, tuple[int] | None], ...]
    """One layer for each block of a stage."""
    stages: tuple[tuple[str, tuple[int] | None], ...]
    """Coarser: one for each stage."""


@dataclass(frozen=True)
class Road:
    """One kind of networks."""

    body: Callable[[Net, Pathways, Run], Pathways]
    """Clips -> the last map, or tokens: all but the head."""
    head: Callable[[Net, Pathways, Tensor | None], Tensor]
    """What the body gave, and boxes where the head takes them -> one score a class."""
    pooled: Callable[[Net, Pathways, Tensor | None], Tensor]
    """The same -> what the classifier sees, the mean over the head's positions."""
    parts: Callable[[Net], list[nn.Module]]
    """In the order in which the clips meet them, the head last."""
    classifier: Callable[[Net], str]
    """Name of the layer that gives the scores."""
    activation: Callable[[Net], tuple[nn.Module, str]]
    """Where the activation stands: the module that has it, and under which name."""
    layers: Layers
    """Which parameters are of one layer, where rates are set a layer."""
    undecayed: tuple[str, ...] = ()
    """Parameters of more than one axis that weight decay leaves alone."""


# ------------------------------------------------------------------------ blocks in a row


def _rowed_body(net: Net, pathways: Pathways, run: Run) -> Pathways:
    for block in net.blocks[:-1]:
        pathways = run(block, pathways)
    return pathways


def _rowed_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.blocks[-1](features)
    return scores


def _rowed_pooled(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    head = net.blocks[-1]
    for part in (head.pool, head.dropout, head.output_pool):
        features = features if part is None else part(features)
    assert isinstance(features, Tensor)
    return features.flatten(1)


def _layers(blocks: str) -> Layers:
    """Of blocks in a row below ``blocks``: the stem, then a layer for each residual block.

    What a SlowFast's pathways do beside each other is one layer; their fusion is of the one before.
    """
    stage = rf"^{blocks}\.(\d+)\.(?:multipathway_blocks\.\d+\.)?res_blocks"
    fusion = rf"^{blocks}\.(\d+)\.multipathway_fusion"
    return Layers(
        stem=rf"^{blocks}\.0\.",
        blocks=((rf"{stage}\.(\d+)\.", None), (fusion, JOINED)),
        stages=((rf"{stage}\.", None), (fusion, None)),
    )


ROW = Road(
    _rowed_body,
    _rowed_head,
    _rowed_pooled,
    parts=lambda net: list(net.blocks),
    classifier=lambda net: f"blocks.{len(net.blocks) - 1}.proj",
    activation=lambda net: (net.blocks[-1], "activation"),
    layers=_layers("blocks"),
)


# ------------------------------------------------------------------------ with boxes


def _detecting_body(net: Net, pathways: Pathways, run: Run) -> Pathways:
    for block in net.model.blocks:
        pathways = run(block, pathways)
    return pathways


def _detecting_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.detection_head(features, boxes)
    return scores.flatten(1)


def _detecting_pooled(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    head = net.detection_head
    maps: Any = features if head.pool is None else head.pool(features)
    x: Tensor = head.roi_layer(maps.squeeze(-3), boxes)  # of one step in time
    for part in (head.pool_spatial, head.dropout):
        x = x if part is None else part(x)
    return (x if head.output_pool is None else head.output_pool(x.unsqueeze(-3))).flatten(1)


DETECTION = Road(
    _detecting_body,
    _detecting_head,
    _detecting_pooled,
    parts=lambda net: [*net.model.blocks, net.detection_head],
    classifier=lambda net: "detection_head.proj",
    activation=lambda net: (net.detection_head, "activation"),
    layers=_layers(r"model\.blocks"),
)


# ------------------------------------------------------------------------ transformers


def _tokens(net: Net, clip: Pathways, run: Run) -> Pathways:
    """(B, 3, T, H, W) -> (B, 1 + tokens, channels), the class token first."""
    x = net.cls_positional_encoding(net.patch_embed(clip))
    shape = net.cls_positional_encoding.patch_embed_shape
    for block in net.blocks:
        x, shape = run(block, x, shape)
    tokens: Tensor = net.norm_embed(x)
    return tokens


def _of_token(net: Net, tokens: Pathways, boxes: Tensor | None) -> Tensor:
    scores: Tensor = net.head(tokens)
    return scores


def _token(net: Net, tokens: Pathways, boxes: Tensor | None) -> Tensor:
    head = net.head
    token: Tensor = head.sequence_pool(tokens)
    return token if head.dropout is None else head.dropout(token)


TRANSFORMER = Road(
    _tokens,
    _of_token,
    _token,
    parts=lambda net: [
        *(net.patch_embed, net.cls_positional_encoding),
        *net.blocks,
        *(net.norm_embed, net.head),
    ],
    classifier=lambda net: "head.proj",
    activation=lambda net: (net.head, "activation"),
    layers=Layers(
        stem=r"^(?:patch_embed|cls_positional_encoding)\.",
        blocks=((r"^blocks\.(\d+)\.", None), (r"^norm_embed\.", JOINED)),
        stages=((r"^blocks\.(\d+)\.", None), (r"^norm_embed\.", JOINED)),
    ),
    undecayed=tuple(
        f"cls_positional_encoding.{name}"
        for name in ("cls_token", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class")
    ),
)


# ------------------------------------------------------------------------ X3D for mobile ones

_STAGES = ("s1", "s2", "s3", "s4", "s5")


def _efficient_body(net: Net, clip: Pathways, run: Run) -> Pathways:
    for stage in _STAGES:
        clip = run(getattr(net, stage), clip)
    return clip


def _efficient_head(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    # Pooled over the whole map, it is of one position: what is applied to each is applied once.
    x = net.head(features).permute(0, 2, 3, 4, 1)
    scores: Tensor = net.projection(net.dropout(x)).flatten(1)
    return scores if net.act is None else net.act(scores)


def _efficient_pooled(net: Net, features: Pathways, boxes: Tensor | None) -> Tensor:
    x: Tensor = net.head(features).permute(0, 2, 3, 4, 1)
    dropped: Tensor = net.dropout(x)
    return dropped.flatten(1)


EFFICIENT = Road(
    _efficient_body,
    _efficient_head,
    _efficient_pooled,
    parts=lambda net: [*(getattr(net, stage) for stage in _STAGES), net.head, net.projection],
    classifier=lambda net: "projection.model",
    activation=lambda net: (net, "act"),
    layers=Layers(
        stem=r"^s1\.",
        blocks=((r"^s(\d+)\.pathway0_res(\d+)\.", None),),
        stages=((r"^s(\d+)\.", None),),
    ),
)


def road_of(entry: Entry) -> Road:
    """The way of the entry's network."""
    if entry.head.takes_boxes:
        return DETECTION
    return {"mvit": TRANSFORMER, "efficient_x3d": EFFICIENT}.get(entry.builder.name, ROW)
