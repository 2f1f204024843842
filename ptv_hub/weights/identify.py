"""Whose weights are these? The entries that a file may be, and on what evidence.

``identify`` tells of a stray file, ``convert`` names the model it wrote; against one entry
``attribution`` weighs them. Only bytes tell look-alikes apart: a hash, a digest, a pin.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from ptv_hub.containers.kind import Format
from ptv_hub.errors import CheckpointError, Inexpressible, LayoutError
from ptv_hub.models.builders import shapes
from ptv_hub.weights import layouts
from ptv_hub.weights.lookalikes import same_model
from ptv_hub.weights.mmaction2 import MMACTION2
from ptv_hub.weights.official import classifier_of
from ptv_hub.weights.opened import OpenedWeights, begins_as_stated
from ptv_hub.weights.other_code import builds_it_so
from ptv_hub.weights.own_word import recorded_in
from ptv_hub.weights.rules import Shapes
from ptv_hub.weights.shapes import num_classes, trained
from ptv_hub.zoo.entry import Artifact, Entry
from ptv_hub.zoo.manifest import entries, known
from ptv_hub.zoo.records import Record

Evidence = Literal[
    "file hash",
    "digest",
    "the hash in the file's name",
    "keys, shapes and the file's own word",
    "keys and shapes",
    "keys and shapes but for the head",
]
"""The strongest first. A hash or digest proves; of a hash in a name there are but eight digits;
keys, shapes, and what the file says of itself (the config in a PySlowFast checkpoint, the metadata
of safetensors) only agree."""


class Candidate(Record):
    name: str
    evidence: Evidence
    """The strongest there is."""


def has_tensors(weights: OpenedWeights, item: Entry) -> bool:
    """Whether the digest is the stated one; tensors of another number are not hashed for it."""
    return (
        item.digest is not None
        and item.num_params in (None, weights.num_params)
        and item.digest == weights.digest
    )


def has_bytes(weights: OpenedWeights, artifact: Artifact) -> bool:
    """Whether the file's hash is the published one; a file of another size is not hashed for it."""
    return (
        artifact.sha256 is not None
        and artifact.size in (None, weights.size)
        and artifact.sha256 == weights.sha256
    )


def candidates(weights: OpenedWeights) -> tuple[Candidate, ...]:
    """The entries that a file may be, those with the strongest evidence only.

    Raises:
        CheckpointError: the file cannot be read, or no layout names its keys.
    """
    found: dict[str, tuple[Entry, Evidence]] = {}
    readings = [weights.read_by(scheme) for scheme in weights.readings]
    counted = [(have, trained(have)) for have in readings]
    possible = [item for item in known() if _comes_in(item, weights)]
    for item in possible:
        evidence = _of_bytes(item, weights) or _of_shapes(item, weights, counted)
        if evidence is not None:
            found[item.name] = item, evidence
    if not found:
        found = {
            item.name: (item, _BUT_FOR_HEAD)
            for item in possible
            if any(fits_but_for_head(item, have) for have in readings)
        }
    strongest = min((evidence for _, evidence in found.values()), key=EVIDENCE.index, default=None)
    best = [(item, evidence) for item, evidence in found.values() if evidence == strongest]
    return tuple(
        Candidate(name=item.name, evidence=evidence)
        for number, (item, evidence) in enumerate(best)
        if evidence in _OF_BYTES
        or item == weights.entry
        or not _told_already(item, [other for other, _ in best[:number]])
    )


def _comes_in(item: Entry, weights: OpenedWeights) -> bool:
    """Whether the entry's weights come in the file's layout: MMAction2's own are its alone, unless
    a conversion says that it wrote them so."""
    if weights.own_word.excludes(item):
        return False
    if item.name in weights.own_word.names:
        return True
    if not builds_it_so(weights, item):
        return False
    if weights.layout == layouts.OFFICIAL:
        return True
    theirs = any(artifact.layout == MMACTION2 for artifact in item.artifacts)
    return theirs == (weights.layout == MMACTION2)


def _told_already(item: Entry, named: Sequence[Entry]) -> bool:
    return item.zoo is not None and any(same_model(item, other) for other in named)


EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)

_BUT_FOR_HEAD: Evidence = "keys and shapes but for the head"


_OF_BYTES: tuple[Evidence, ...] = EVIDENCE[:3]


def _of_bytes(item: Entry, weights: OpenedWeights) -> Evidence | None:
    if any(has_bytes(weights, artifact) for artifact in item.artifacts):
        return "file hash"
    if len(weights.readings) == 1 and has_tensors(weights, item):
        return "digest"
    return "the hash in the file's name" if any(begins_as_stated(weights, item)) else None


def _of_shapes(
    item: Entry, weights: OpenedWeights, readings: Sequence[tuple[Shapes, int]]
) -> Evidence | None:
    """``readings``: the shapes as each table reads them, and how many parameters they are."""
    # Equal shapes have equal sums: most of the zoo need not be built to be told apart.
    if not any(
        item.num_params in (None, count) and have == shapes(item) for have, count in readings
    ):
        return None
    own = weights.own_word.is_of(item)
    return "keys, shapes and the file's own word" if own else "keys and shapes"


def fits_but_for_head(item: Entry, have: Shapes) -> bool:
    """Whether shapes under official keys are the entry's, but for the number of classes."""
    if item.num_params is not None and _body(item, have) != trained(have):
        return False
    expected = shapes(item)
    if have.keys() != expected.keys():
        return False
    differ = [key for key in have if have[key] != expected[key]]
    head = f"{classifier_of(have)}."
    return all(key.startswith(head) and have[key][1:] == expected[key][1:] for key in differ)


def _body(item: Entry, have: Shapes) -> int | None:
    """The entry's parameters if it had as many classes as there are; ``None`` without a head.

    Sums that differ are of shapes that differ: an entry need not be built to be told from most.
    """
    head = classifier_of(have)
    bias, weight = have.get(f"{head}.bias", ()), have.get(f"{head}.weight", ())
    if item.num_params is None or len(bias) != 1 or not weight:
        return None
    return item.num_params + (bias[0] - item.num_classes) * (math.prod(weight[1:]) + 1)


# ---------------------------------------------------------------------------- a stray file


class Identity(Record):
    """What ``identify`` found out about a file that can be read safely."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Of the file."""
    format: Format
    container: str
    wrapper: str
    """Prefixes of wrappers around the keys: ``module.``."""
    layout: str | None
    """``None`` where no layout names the keys; ``problem`` says why, and where it is not enough."""
    problem: str | None
    not_mapped: str | None = None
    """Which storages are read into memory, and why: those that cannot be mapped."""
    num_tensors: int
    dtypes: tuple[str, ...]
    transformations: tuple[str, ...] = ()
    """What loading it does beyond renaming, in order: ``name: what it does``."""
    digest: str | None
    num_classes: int | None
    datasets: tuple[str, ...]
    """Data sets of the manifest with as many classes."""
    candidates: tuple[Candidate, ...]
    own_word: str | None
    """Which model a run's checkpoint says it is; proves nothing."""
    training: tuple[str, ...]
    """What the file holds beside the weights: ``epoch``, ``optimizer_state``, ``cfg``."""
    training_bytes: int
    safe: Literal[True] = True
    """An unsafe file has no identity: reading it is an ``UnsafeFile`` error."""


def identify(path: str | os.PathLike[str]) -> Identity:
    """What the weights file at ``path`` is: container, layout, and whose. Nothing in it is run.

    Raises:
        UnreadableFile, UnsafeFile, CheckpointError: it is no checkpoint, or no safe one.
    """
    weights = OpenedWeights(Path(path))
    file = weights.file
    problem = None
    layout = found_digest = None
    likely: tuple[Candidate, ...] = ()
    have: Shapes = {}
    steps: tuple[str, ...] = ()
    try:
        layout = weights.layout
        have = weights.read_by(weights.readings[0])
        likely = candidates(weights)
        found_digest = weights.digest
        steps = tuple(f"{step.name}: {step.does}" for step in weights.converted.steps)
    except Inexpressible as error:
        problem, layout = str(error), error.layout
    except LayoutError as error:
        problem = str(error)
    classes = num_classes(have)
    return Identity(
        path=str(file.path),
        size=weights.size,
        sha256=weights.sha256,
        format=file.format,
        container=file.container,
        wrapper=file.prefix,
        layout=layout,
        problem=problem,
        not_mapped=file.not_mapped,
        num_tensors=len(file.tensors),
        dtypes=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in file.tensors.values()})),
        transformations=steps,
        digest=found_digest,
        num_classes=classes,
        datasets=tuple(dict.fromkeys(e.dataset for e in entries() if e.num_classes == classes)),
        candidates=likely,
        own_word=_said(weights),
        training=tuple(file.training),
        training_bytes=_tensor_bytes(file.training),
    )


def _said(weights: OpenedWeights) -> str | None:
    try:
        own = recorded_in(weights.file)
    except CheckpointError as error:
        return error.what
    return None if own is None else f"{own.name}, {own.num_classes} classes, {own.source}"


def _tensor_bytes(value: object) -> int:
    """Bytes of all tensors in nested plain data, each list and tensor counted once."""
    total, seen, waiting = 0, set[int](), [value]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
    return total
