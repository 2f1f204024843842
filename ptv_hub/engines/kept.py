"""Which layers of which architecture stay in float32 when a model is brought into eight bits.

Found by ``tools/int8_search.py``; what it found stands in docs/performance.md, with how.
"""

from __future__ import annotations

import re
from typing import Literal

from ptv_hub.models.builders import VideoModel

Role = Literal["stem", "gates", "depthwise", "head", "body"]
"""What a layer is in its network: the first block; squeeze and excitation; a convolution of one
channel each; the last block; all else."""

ROLES: tuple[Role, ...] = ("stem", "gates", "depthwise", "head")
"""Those that may be kept: a network of which the body is kept is not quantized."""

KEPT: dict[str, tuple[Role, ...]] = {
    "X3D": ("stem", "head"),
    "Slow": ("head",),
    "C2D": ("head",),
    "I3D": ("head",),
    "SlowFast": ("head",),
    "R(2+1)D": ("head",),
    "CSN": ("head",),
}
"""Architecture -> the roles whose layers stay in float32; of one that is not named, none."""

_GATE = re.compile(r"\.(squeeze|excite)\b|\.norm_b\.1\.block\.")
"""Of a folded network and of one as it was built."""


def kept_of(net: VideoModel) -> tuple[Role, ...]:
    """The roles that stay in float32 for this network."""
    return KEPT.get(net.entry.arch, ())


def role_of(layer: str, net: VideoModel, *, depthwise: bool) -> Role:
    """What a layer is, by the name of its module in the network."""
    head = net.classifier.rpartition(".")[0]
    if layer == head or layer.startswith(f"{head}."):
        return "head"
    if _GATE.search(layer):
        return "gates"
    if layer.startswith(("blocks.0.", "s1.", "patch_embed.")):
        return "stem"
    return "depthwise" if depthwise else "body"
