"""PyTorchVideo's own keys, and PySlowFast's wrapper around its models, as tables.

Each kind of networks has its own beginnings. The wrapper (``slowfast/models/ptv_model_builder.py``
upstream) puts ``model.`` before every key, which is also how the official keys of a network with
a head for boxes begin: the other keys tell which it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ptv_hub.weights.rules import Rule, Scheme
from ptv_hub.weights.transformations import JOIN_ALIASES

OFFICIAL = "official"
PYSLOWFAST = "pyslowfast"

_TRANSFORMERS = "patch_embed."
_FAMILIES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("a model of PyTorchVideo", ("blocks.",), None),
    (
        "a multiscale vision transformer of PyTorchVideo",
        ("blocks.", "patch_embed.", "cls_positional_encoding.", "norm_embed.", "head.proj."),
        _TRANSFORMERS,
    ),
    (
        "a network of PyTorchVideo with a head for boxes",
        ("model.blocks.", "detection_head."),
        "detection_head.",
    ),
)
"""What it is, how its official keys begin, and which of them no other family has."""


def _schemes(layout: str, prefix: str) -> tuple[Scheme, ...]:
    return tuple(
        Scheme(
            layout,
            family,
            tuple(Rule(prefix + begun, begun) for begun in keys),
            (JOIN_ALIASES,) if mark == _TRANSFORMERS else (),
            whole=True,
            mark=mark,
        )
        for family, keys, mark in _FAMILIES
    )


def _efficient_keys() -> list[str]:
    """How the keys of PyTorchVideo's X3D for mobile processors begin."""
    convolution = ("kernel.conv.", "kernel.bn.")
    found = [
        f"s1.pathway0_stem_{name}.{part}" for name in ("conv_xy", "conv") for part in convolution
    ]
    for stage in (2, 3, 4, 5):
        inside = [f"{name}.{part}" for name in ("_res_proj", *_LAYERS) for part in convolution]
        inside += ["layers.se.se.block.0.", "layers.se.se.block.2."]
        found += [f"s{stage}.pathway0_res*.{name}" for name in inside]
    found += [f"head.{name}.{part}" for name in ("conv_5", "lin_5") for part in convolution]
    return [*found, "projection.model."]


_LAYERS = ("layers.conv_0", "layers.conv_1", "layers.conv_2")

_EFFICIENT = Scheme(
    OFFICIAL,
    "an X3D of PyTorchVideo for mobile processors",
    tuple(Rule(key, key) for key in _efficient_keys()),
)
"""By itself: PySlowFast has no wrapper around it, and names its own networks nearly alike."""

SCHEMES = (*_schemes(OFFICIAL, ""), _EFFICIENT)
WRAPPED = _schemes(PYSLOWFAST, "model.")


_CLASSIFIERS = ("head.proj", "detection_head.proj", "projection.model")
_LAST_OF_A_ROW = re.compile(r"(blocks\.\d+\.proj)\.bias")


def classifier_of(keys: Iterable[str]) -> str | None:
    """Name of the layer that gives one score a class, by its official keys; ``None`` where none
    is known, or several can be it."""
    known = set(keys)
    named = [name for name in _CLASSIFIERS if f"{name}.bias" in known]
    # A transformer's blocks have projections too, so that theirs is asked for first.
    rows = [last[1] for key in known if (last := _LAST_OF_A_ROW.fullmatch(key))]
    found = named or rows
    return found[0] if len(found) == 1 else None
