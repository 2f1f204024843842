"""Level ``keys``: whether the state dict is, by names and shapes, the one of this model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from torch import Tensor

from ptv_hub.models.builders import build
from ptv_hub.verification.records import Check
from ptv_hub.weights.load import KeyFit, compare
from ptv_hub.weights.official import classifier_of
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.manifest import entries


@cache
def wanted(entry: Entry) -> dict[str, Tensor]:
    """The state dict that the entry's model has, on the meta device: keys, shapes, types."""
    return build(entry, device="meta").state_dict()


def check_keys(entry: Entry, tensors: Mapping[str, Tensor]) -> tuple[list[Check], bool]:
    """The checks on official-layout tensors, and whether the model can be loaded from them."""
    expected = wanted(entry)
    fit = compare(tensors, expected)
    return [_names(fit, len(expected)), _shapes(fit), _classes(entry, tensors)], fit.fits


def _check(name: str, holds: bool, **facts: str | None) -> Check:
    return Check(level="keys", name=name, verdict="holds" if holds else "fails", **facts)


def _names(fit: KeyFit, count: int) -> Check:
    wrong = {"missing": fit.missing, "unexpected": fit.unexpected}
    found = [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in wrong.items() if keys]
    return _check("keys", not found, expected=f"{count} keys", found="; ".join(found) or "these")


def _shapes(fit: KeyFit) -> Check:
    wrong = fit.mismatched
    found = f"{len(wrong)} of another: {_some(wrong, '; ')}" if wrong else "these"
    return _check("shapes", not wrong, expected="those of the model", found=found)


def _some(keys: tuple[str, ...], separator: str = ", ") -> str:
    return separator.join([*keys[:3], *(["..."] if len(keys) > 3 else [])])


def _classes(entry: Entry, tensors: Mapping[str, Tensor]) -> Check:
    head = tensors.get(f"{classifier_of(tensors)}.bias")
    expected = f"{entry.num_classes} classes ({entry.dataset})"
    if head is None or head.dim() != 1:
        return _check("classes", False, expected=expected, found="no classifier that is known")
    found = len(head)
    like = dict.fromkeys(item.dataset for item in entries() if item.num_classes == found)
    labels = len(entry.labels)
    return _check(
        "classes",
        found == entry.num_classes,
        expected=expected,
        found=f"{found} classes" + (f" (as {', '.join(like)})" if like else ""),
        note=f"as many as there are labels: {labels}"
        if labels == found
        else "no labels to count"
        if not labels
        else f"there are {labels} labels",
    )
