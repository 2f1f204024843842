"""What the code that reads or writes a layout does otherwise than a model, and no key says."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ptv_hub.weights.layouts import OFFICIAL
from ptv_hub.weights.lookalikes import is_called
from ptv_hub.weights.mmaction2 import MMACTION2
from ptv_hub.weights.native import NATIVE
from ptv_hub.weights.official import PYSLOWFAST
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.builder_specs import ATTENTION_EPS, EPS_MATTERS, NATIVE_ATTENTION_EPS, MViTSpec
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import known

log = logging.getLogger("ptv_hub")

_EPSILONS = {
    NATIVE: ("PySlowFast", NATIVE_ATTENTION_EPS),
    OFFICIAL: ("PyTorchVideo 0.1.5", ATTENTION_EPS),
    PYSLOWFAST: ("PyTorchVideo 0.1.5", ATTENTION_EPS),
}
"""Layout -> whose code reads it, and the epsilon within an MViT's attention there."""


def builds_it_so(weights: OpenedWeights, item: Entry) -> bool:
    """Whether the code that wrote a file builds the entry's network as the entry has it.

    PyTorchVideo's RoIAlign is not aligned, and the layer norms in its MViT's attention have
    another epsilon than those of PySlowFast's own; at its head, whose files name layers twice, the
    same one.
    """
    if weights.layout == OFFICIAL and item.head.aligned:
        return False
    eps = _attention_eps(item)
    if eps is None:
        return True
    if weights.has_aliases:
        return eps == NATIVE_ATTENTION_EPS or not _exists_with_native_eps(item)
    return (weights.layout == NATIVE) == (eps == NATIVE_ATTENTION_EPS)


def _exists_with_native_eps(item: Entry) -> bool:
    wanted = item.builder.model_copy(update={"attention_norm_eps": NATIVE_ATTENTION_EPS})
    return any(other.builder == wanted for other in known())


def _attention_eps(item: Entry) -> float | None:
    return item.builder.attention_norm_eps if isinstance(item.builder, MViTSpec) else None


def warn_of_other_code(item: Entry, weights: OpenedWeights) -> None:
    """Say in the log where the code that wrote a file runs it otherwise than the entry's model."""
    for told in _differences(item, weights):
        log.warning("%s%s; 'ptv-hub identify' names its own entries", weights.path, told)


def _differences(item: Entry, weights: OpenedWeights) -> Iterator[str]:
    # Only written in this layout, by a conversion.
    own = any(is_called(name, item) for name in weights.own_word.names)
    mmaction2s = any(artifact.layout == MMACTION2 for artifact in item.artifacts)
    for layout, whose, other in (
        (MMACTION2, "MMAction2", item.head.pooling != "global"),
        (NATIVE, "PySlowFast", mmaction2s),
        (PYSLOWFAST, "PySlowFast", mmaction2s),
    ):
        if weights.layout == layout and other and not own:
            yield (
                f" is {whose}'s: its head and its input are others than those of {item.name}, and"
                " so are the scores"
            )
    aligned = weights.own_word.aligned
    if item.head.takes_boxes and aligned not in (None, item.head.aligned):
        how = "aligned" if item.head.aligned else "not aligned"
        yield (
            f": its config says DETECTION.ALIGNED: {aligned}, and RoIAlign of {item.name} is {how}:"
            " the scores are others"
        )
    eps = _attention_eps(item)
    head = weights.has_aliases
    owner = "PyTorchVideo at its head" if head else "PySlowFast"
    theirs = head or (weights.layout == NATIVE and not own)
    if theirs and eps not in (
        None,
        NATIVE_ATTENTION_EPS,
    ):
        yield (
            f": the layer norms within attention have epsilon {NATIVE_ATTENTION_EPS:g} in {owner},"
            f" {eps:g} in {item.name}: {EPS_MATTERS}"
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
            f"the layer norms within attention have epsilon {theirs:g} in {owner}, the model's"
            f" {epsilons.pop():g}: where that code runs the file, {EPS_MATTERS}",
        )
    return ()
