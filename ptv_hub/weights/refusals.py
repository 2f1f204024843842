"""Networks that are known by their keys, and that PyTorchVideo's builders cannot express.

A closed table: each with its name, how it is told, and why it is not served. Their files are
named and refused, never converted into a network that is nearly the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ptv_hub.errors import Inexpressible


@dataclass(frozen=True)
class Refusal:
    layout: str
    name: str
    reason: str
    telling: Callable[[Sequence[str]], list[str]]
    """Of a file's keys those that tell this network; none where it is another."""


def _matching(pattern: str) -> Callable[[Sequence[str]], list[str]]:
    found = re.compile(pattern)
    return lambda keys: [key for key in keys if found.search(key)]


def _native_vit(pattern: str) -> Callable[[Sequence[str]], list[str]]:
    """As ``_matching``, of PySlowFast's transformers alone: others have keys nearly alike."""
    matching, theirs = _matching(pattern), {"patch_embed.proj.weight", "head.projection.weight"}
    return lambda keys: matching(keys) if theirs <= set(keys) else []


def _two_depths(keys: Sequence[str]) -> list[str]:
    """Blocks that only one of MMAction2's two pathways has."""
    blocks: dict[str, set[tuple[str, str]]] = {"slow": set(), "fast": set()}
    for key in keys:
        if found := re.match(r"backbone\.(slow|fast)_path\.(layer\d)\.(\d+)\.", key):
            blocks[found[1]].add((found[2], found[3]))
    if not all(blocks.values()):
        return []
    return [f"{layer}.{block}" for layer, block in sorted(blocks["slow"] ^ blocks["fast"])]


def _bare_laterals(keys: Sequence[str]) -> list[str]:
    """Lateral convolutions without a batch norm behind them."""
    laterals = [key for key in keys if re.search(r"_lateral\.conv\.weight$", key)]
    return [key for key in laterals if key.replace(".conv.weight", ".bn.weight") not in keys]


REFUSALS = (
    Refusal(
        "native",
        "a non-local network of PySlowFast",
        "no builder of PyTorchVideo places a non-local block",
        _matching(r"^s\d\.pathway\d_nonlocal\d+\."),
    ),
    Refusal(
        "native",
        "a contrastive model of PySlowFast",
        "its head is an MLP that gives no classes, around a backbone and its history",
        _matching(r"^(backbone|backbone_hist|module\.backbone)\.s1\."),
    ),
    Refusal(
        "native",
        "a network of PySlowFast with split batch norms",
        "its file was not written by PySlowFast's save_checkpoint, which joins them"
        " (sub_to_normal_bn)",
        _matching(r"^s\d.*\.(split_bn|bn\.bn)\."),
    ),
    Refusal(
        "native",
        "an MViTv2 of PySlowFast",
        "no builder of PyTorchVideo has its relative positions",
        _native_vit(r"^blocks\.\d+\.attn\.rel_pos_[hwt]$"),
    ),
    Refusal(
        "native",
        "an MViT of PySlowFast with queries, keys and values apart",
        "SEPARATE_QKV and POOL_FIRST give the same keys, and pooling first is another function",
        _native_vit(r"^blocks\.\d+\.attn\.q\.weight$"),
    ),
    Refusal(
        "native",
        "a vision transformer of PySlowFast whose places are learned together",
        "it is one of images, or a masked autoencoder's (SEP_POS_EMBED: False); PyTorchVideo's of"
        " videos has places in space apart from those in time",
        _native_vit(r"^pos_embed$"),
    ),
    Refusal(
        "native",
        "an MViT of PySlowFast with a norm behind its patches",
        "NORM_STEM: the models for video of PyTorchVideo's hub have none",
        _native_vit(r"^norm_stem\."),
    ),
    Refusal(
        "native",
        "a reversible transformer of PySlowFast",
        "no builder of PyTorchVideo has reversible blocks",
        _matching(r"^rev_backbone\."),
    ),
    Refusal(
        "mmaction2",
        "a detector of MMAction2 or MMDetection",
        "its head and its cutting of regions are others than PyTorchVideo's, and were not examined",
        _matching(r"^roi_head\."),
    ),
    Refusal(
        "mmaction2",
        "a non-local network of MMAction2",
        "no builder of PyTorchVideo places a non-local block",
        _matching(r"\.non_local_block\."),
    ),
    Refusal(
        "mmaction2",
        "a SlowFast of two depths of MMAction2",
        "PyTorchVideo's builder gives both pathways one depth",
        _two_depths,
    ),
    Refusal(
        "mmaction2",
        "a SlowFast without lateral_norm of MMAction2",
        "its lateral path has neither batch norm nor ReLU, and PyTorchVideo's ReLU there cannot be"
        " made to do nothing",
        _bare_laterals,
    ),
    Refusal(
        "mmaction2",
        "an interaction-preserved CSN (ipcsn) of MMAction2",
        "its bottleneck has one convolution more than PyTorchVideo's",
        _matching(r"^backbone\.layer\d\.\d+\.conv2\.1\."),
    ),
    Refusal(
        "mmaction2",
        "an R(2+1)D R34 of MMAction2",
        "it has basic blocks, factorised twice; PyTorchVideo's R(2+1)D has bottlenecks",
        _matching(r"^backbone\..*\.conv_s\."),
    ),
)


def refuse_known(keys: Iterable[str]) -> None:
    """Raise Inexpressible, with name and reason, if the keys are of a network in the table."""
    keys = list(keys)
    for refusal in REFUSALS:
        if found := refusal.telling(keys):
            raise refused(refusal.name, refusal.reason, refusal.layout, found)


def refused(name: str, reason: str, layout: str, keys: Sequence[str] = ()) -> Inexpressible:
    """The error of a network that is known and not served."""
    return Inexpressible(
        f"{name}: it cannot be expressed with PyTorchVideo's builders",
        layout=layout,
        keys=keys,
        expected="a network that gives the same scores",
        found=f"{reason}{f' ({len(keys)} keys, such as {keys[0]})' if keys else ''}",
        fix="run it with its owners' code",
    )
