"""Level ``tensors``: the numbers in the file, by themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ptv_hub.verification.initialisation import at_initialisation
from ptv_hub.verification.records import Check, Verdict
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.repository import stated_by


def check_tensors(
    entry: Entry, tensors: Mapping[str, Tensor], digest: str, metadata: Mapping[str, str]
) -> list[Check]:
    """The checks on official-layout tensors; ``metadata`` is a safetensors header's."""
    checks = [_digest(entry, digest)]
    if "digest" in metadata:
        checks.append(_header(digest, metadata["digest"]))
    numbers = {key: _computable(t) for key, t in tensors.items() if _is_number(key, t)}
    return [*checks, _finite(numbers), _batch_norm(numbers), _initialisation(numbers)]


def _is_number(key: str, tensor: Tensor) -> bool:
    """Whether it is what such a tensor of a network is: fractions, or one count of batches."""
    if key.endswith(".num_batches_tracked"):
        return tensor.dim() == 0 and not tensor.is_floating_point()
    return tensor.is_floating_point() and tensor.numel() > 0


def _computable(tensor: Tensor) -> Tensor:
    """The same numbers in a type that torch computes with: float8 is data alone."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor


def _check(name: str, verdict: Verdict, **facts: str | None) -> Check:
    return Check(level="tensors", name=name, verdict=verdict, **facts)


def _digest(entry: Entry, found: str) -> Check:
    if entry.digest is None:
        note = "nobody has stated the digest of these weights"
        return _check("digest", "unknown", found=found, note=note)
    verdict: Verdict = "holds" if entry.digest == found else "fails"
    return _check("digest", verdict, expected=entry.digest, found=found, note=stated_by(entry))


def _header(digest: str, stated: str) -> Check:
    """Whether the tensors are those that the file's writer hashed: damage, not identity."""
    verdict: Verdict = "holds" if stated == digest else "fails"
    note = "the file's own claim: its tensors are as when it was written"
    return _check("digest in its header", verdict, expected=stated, found=digest, note=note)


def _finite(tensors: Mapping[str, Tensor]) -> Check:
    wrong = []
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            nan, inf = int(tensor.isnan().sum()), int(tensor.isinf().sum())
            counts = [f"{n} {what}" for n, what in ((nan, "NaN"), (inf, "infinite")) if n]
            wrong.append(f"{key}: {', '.join(counts)} of {tensor.numel()}")
    more = [f"and {len(wrong) - 3} tensors more"] if len(wrong) > 3 else []
    return _check(
        "finite",
        "fails" if wrong else "holds",
        expected="no NaN, nothing infinite",
        found="; ".join([*wrong[:3], *more]) or f"none in {len(tensors)} tensors",
    )


def _batch_norm(tensors: Mapping[str, Tensor]) -> Check:
    """Statistics that a network can have gathered from data.

    Single channels of variance 0 occur in trained networks (a channel that died); a negative
    variance, a layer without any, or one whose statistics are still 0 and 1, do not.
    """
    stems = [k.removesuffix("running_var") for k in tensors if k.endswith(".running_var")]
    wrong: list[str] = []
    dead = 0
    for stem in stems:
        var, mean = tensors[f"{stem}running_var"], tensors.get(f"{stem}running_mean")
        dead += int((var == 0).sum())
        if (var < 0).any():
            wrong.append(f"{stem}running_var: negative")
        elif (var == 0).all():
            wrong.append(f"{stem}running_var: 0 throughout")
        elif (var == 1).all() and (mean is None or (mean == 0).all()):
            wrong.append(f"{stem}running_var: 1 throughout, no batch was ever seen")
    more = [f"and {len(wrong) - 3} layers more"] if len(wrong) > 3 else []
    counters = {int(t) for k, t in tensors.items() if k.endswith(".num_batches_tracked")}
    notes = [f"{dead} channel{'' if dead == 1 else 's'} of variance 0"] if dead else []
    if counters:
        low, high = min(counters), max(counters)
        notes.append(f"batches counted: {low}" + ("" if low == high else f" to {high}"))
    return _check(
        "batch norm",
        "fails" if wrong else "holds",
        expected="running variances positive, not all 1",
        found="; ".join([*wrong[:3], *more]) or f"so in {len(stems)} layers",
        note="; ".join(notes) or None,
    )


def _initialisation(tensors: Mapping[str, Tensor]) -> Check:
    parts = at_initialisation(tensors)
    untouched = [part for part in parts if part.untouched]
    counted = ", ".join(f"{part.fresh} of {part.total} {part.name}" for part in parts)
    return _check(
        "not as initialised",
        "fails" if untouched else "holds",
        expected="weights that training has moved",
        found=f"still as initialised: {counted}",
        note=f"not trained: {', '.join(part.name for part in untouched)}" if untouched else None,
    )
