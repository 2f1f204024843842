"""What a file holds, and which checks of ``verify`` it passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from ptv_hub.attestation.records import SeenFile
from ptv_hub.errors import CheckpointError, LayoutError
from ptv_hub.models.builders import VideoModel
from ptv_hub.text import visible
from ptv_hub.verification.drawn_videos import drawn_videos
from ptv_hub.verification.goldens import Golden, drawn_clip, nine_digits
from ptv_hub.verification.identity import check_identity
from ptv_hub.verification.keys import check_keys
from ptv_hub.verification.numbers import golden_of, outputs
from ptv_hub.verification.records import Check
from ptv_hub.verification.tensors import check_tensors
from ptv_hub.verification.walk import verify
from ptv_hub.verification.weights_file import check_file, obtain
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry

_SHOWN = 10


def looked_at(item: Entry, seen: SeenFile, path: Path, *, whole: bool) -> SeenFile:
    """A file that was brought, with what it holds and what ``verify`` says of it.

    Args:
        whole: all levels, the network run and all; else those of the file alone.
    """
    weights = OpenedWeights(path, item, checked=True)
    all_levels = verify(item, weights=weights, progress=False).checks if whole else None
    checks = _alone(item, weights) if all_levels is None else all_levels
    own = tuple(check for check in checks if check.level not in ("spec", "accuracy"))
    seen = seen.model_copy(update={"checks": own})
    try:
        file = weights.file
    except CheckpointError:
        return seen
    epoch = file.training.get("epoch")
    kinds = Counter(str(t.dtype).removeprefix("torch.") for t in file.tensors.values())
    facts: dict[str, object] = {
        "container": f"{file.format}: {visible(file.container)}"[:200],
        "keys": len(file.tensors),
        "dtypes": dict(sorted(kinds.items())),
        "training": tuple(visible(str(name))[:200] for name in list(file.training)[:50]),
        "epoch": epoch if type(epoch) is int else None,
    }
    with suppress(LayoutError):
        facts |= {"layout": weights.layout, "digest": weights.digest}
    return seen.model_copy(update=facts)


def _alone(item: Entry, weights: OpenedWeights) -> list[Check]:
    """The levels file, keys and tensors."""
    subject = obtain(item, weights, progress=False)
    checks, readable = check_file(item, subject)
    try:
        if not readable:
            return checks
        tensors, found = weights.official, weights.digest
    except LayoutError:
        return checks
    of_keys, fits = check_keys(item, tensors)
    if fits:
        of_keys.append(check_identity(item, subject))
    return [*checks, *of_keys, *check_tensors(item, tensors, found, weights.file.metadata)]


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The first official keys whose tensors are not the same in both, and how many there are."""
    keys = [
        key
        for key in sorted({*one, *other})
        if key not in one or key not in other or not _same(one[key], other[key])
    ]
    more = [f"and {len(keys) - _SHOWN} more"] if len(keys) > _SHOWN else []
    return (*(visible(key) for key in keys[:_SHOWN]), *more)


def _same(one: Tensor, other: Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    # As bytes: a NaN is not equal to itself.
    mine, theirs = (t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other))
    return torch.equal(mine, theirs)


def golden(model: VideoModel, digest: str, *, url: str, by: str) -> Golden:
    """What the model gives for the drawn clip of seed 0, and for one view of each drawn video.

    Raises:
        WriteError: the cache folder, where videos are drawn, cannot be written.
    """
    item, spec = model.entry, model.entry.input
    found = outputs(model, drawn_clip(spec.num_frames, spec.crop_size))
    of_clip = golden_of(model, found, digest, weights=f"{item.name}: {url}")
    videos = () if item.head.takes_boxes else drawn_videos(model)
    return nine_digits(of_clip.model_copy(update={"videos": videos, "attested_by": by}))
