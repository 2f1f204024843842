"""What the code that reads or writes a layout does otherwise than a model, and no key says."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ptv_hub.weights.layouts import OFFICIAL
from ptv_hub.weights.mmaction2 import MMACTION2
from ptv_hub.weights.native import NATIVE
from ptv_hub.weights.official import PYSLOWFAST
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.builder_specs import ATTENTION_EPS, NATIVE_ATTENTION_EPS, MViTSpec
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import known

log = logging.getLogger("ptv_hub")

_EPSILONS = {
    NATIVE: ("PySlowFast", NATIVE_ATTENTION_EPS),
    OFFICIAL: ("PyTorchVideo", ATTENTION_EPS),
    PYSLOWFAST: ("PyTorchVideo", ATTENTION_EPS),
}
"""Layout -> whose code reads it, and the epsilon within an MViT's attention there."""


def builds_it_so(layout: str, item: Entry) -> bool:
    """Whether the code that writes a layout builds the entry's network as the entry has it.

    PyTorchVideo's RoIAlign is not aligned, and the layer norms in its MViT's attention have
    another epsilon than those of PySlowFast's own.
    """
    if layout == OFFICIAL and item.head.aligned:
        return False
    eps = _attention_eps(item)
    return eps is None or (layout == NATIVE) == (eps == NATIVE_ATTENTION_EPS)


def _attention_eps(item: Entry) -> float | None:
    return item.builder.attention_norm_eps if isinstance(item.builder, MViTSpec) else None


def warn_of_other_code(item: Entry, weights: OpenedWeights) -> None:
    """Say in the log where the code that wrote a file runs it otherwise than the entry's model."""
    for told in _differences(item, weights):
        log.warning("%s%s; 'ptv-hub identify' names its own entries", weights.path, told)


def _differences(item: Entry, weights: OpenedWeights) -> Iterator[str]:
    if weights.layout == MMACTION2 and item.head.pooling != "global":
        yield (
            f" is MMAction2's: its head and its input are others than those of {item.name}, and so"
            " are the scores"
        )
    aligned = weights.own_word.aligned
    if item.head.takes_boxes and aligned not in (None, item.head.aligned):
        how = "aligned" if item.head.aligned else "not aligned"
        yield (
            f": its config says DETECTION.ALIGNED: {aligned}, and RoIAlign of {item.name} is {how}:"
            " the scores are others"
        )
    eps = _attention_eps(item)
    if weights.layout == NATIVE and eps not in (None, NATIVE_ATTENTION_EPS):
        yield (
            f": PySlowFast's layer norms within attention have epsilon {NATIVE_ATTENTION_EPS:g},"
            f" those of {item.name} {eps:g}: logits differ by some 1e-5"
        )


def notes(models: tuple[str, ...], to: str) -> tuple[str, ...]:
    """What the code that reads a layout does otherwise than the models at hand, in words."""
    found = [item for item in known() if item.name in models]
    heads = {item.head.pooling for item in found}
    if to in (NATIVE, PYSLOWFAST) and "global" in heads:
        return (
            "the model's head pools over the whole map; PySlowFast's pools in windows, unless"
            " MULTIGRID.SHORT_CYCLE is True: its scores at the test crop are others",
        )
    if to == MMACTION2 and "windowed" in heads:
        return (
            "the model's head pools in windows; MMAction2's pools over the whole map: its scores"
            " at the test crop are others",
        )
    if to == NATIVE and "boxes" in heads:
        flags = " or ".join(sorted({str(item.head.aligned) for item in found}))
        return (
            "PySlowFast takes the same file for a classifier and for a detector: its config says"
            " which (DETECTION.ENABLE), and whether RoIAlign is aligned (DETECTION.ALIGNED, here"
            f" {flags})",
        )
    owner, theirs = _EPSILONS.get(to, ("", None))
    epsilons = {_attention_eps(item) for item in found} - {None, theirs}
    if theirs is not None and epsilons:
        return (
            f"{owner}'s layer norms within attention have epsilon {theirs:g}, the model's"
            f" {epsilons.pop():g}: its logits differ by some 1e-5 where that code runs the file",
        )
    return ()
