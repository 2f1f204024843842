"""What in an attestation cannot be: it contradicts itself, or what is known already.

One contradiction refuses the whole of it: who wrote it looked at something else than they say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ptv_hub.attestation.records import Attestation, SeenFile, SeenModel
from ptv_hub.evaluation.metrics import wilson_interval
from ptv_hub.evaluation.reproduced import reproduced
from ptv_hub.evaluation.result import Comparison
from ptv_hub.verification.goldens import Golden
from ptv_hub.zoo.entry import Artifact, Entry, Measured

_OFF = 1e-4
"""Largest difference between two people's outputs; as ``numbers.TOLERANCE``."""
_SUM_OFF = 1e-3


@dataclass(frozen=True)
class Contradiction:
    where: str
    expected: str
    found: str

    @property
    def told(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


def contradictions(
    made: Attestation, entries: Mapping[str, Entry], goldens: Mapping[str, Golden]
) -> list[Contradiction]:
    """All that there are.

    Args:
        entries: name -> what the manifests say now.
        goldens: digest -> outputs that are known now, of drawn weights too.
    """
    return [Contradiction(*one) for one in _all(made, entries, goldens)]


_Found = Iterator[tuple[str, str, str]]


def _all(made: Attestation, entries: Mapping[str, Entry], goldens: Mapping[str, Golden]) -> _Found:
    for name, count in Counter(model.name for model in made.models).items():
        if count > 1:
            yield name, "a model once", f"{count} times"
    for model in made.models:
        item = entries.get(model.name)
        if item is None:
            yield model.name, "a model of the manifests", "a name that none of them has"
            continue
        yield from _of_files(model, item)
        yield from _of_tensors(model, item)
        if model.golden is not None:
            yield from _of_golden(model, model.golden, item, goldens)
        if model.measured is not None:
            yield from _of_measured(model, model.measured, item)
    yield from _of_two_models(made)


def _of_files(model: SeenModel, item: Entry) -> _Found:
    expected = [artifact.url for artifact in item.artifacts]
    found = [file.url for file in model.files]
    if found != expected:
        yield f"{model.name}: files", ", ".join(expected), ", ".join(found) or "none"
        return
    for file, artifact in zip(model.files, item.artifacts, strict=True):
        where = f"{model.name}: {artifact.zoo} zoo's file"
        if file.zoo != artifact.zoo:
            yield where, f"the {artifact.zoo} zoo", f"the {file.zoo} zoo"
        yield from _of_bytes(where, file, artifact)


def _of_bytes(where: str, file: SeenFile, artifact: Artifact) -> _Found:
    if file.sha256 is None or file.size is None:
        return
    vouched = f"({artifact.hash_source})"
    if artifact.sha256 not in (None, file.sha256):
        yield f"{where}: sha256", f"{artifact.sha256} {vouched}", file.sha256
    elif not artifact.may_be(file.sha256):
        yield f"{where}: sha256", f"{artifact.sha256_begins}... {vouched}", file.sha256
    if artifact.size not in (None, file.size):
        yield f"{where}: size", f"{artifact.size} bytes {vouched}", f"{file.size} bytes"
    tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).date().isoformat()
    if file.on is not None and file.on > tomorrow:
        yield f"{where}: day", "a day that has been", file.on


def _of_tensors(model: SeenModel, item: Entry) -> _Found:
    digests = [file.digest for file in model.files if file.digest is not None]
    equal = None if len(digests) < 2 else len(set(digests)) == 1
    if model.tensors_equal != equal:
        told = ", ".join(digest[:12] for digest in digests) or "none"
        yield (
            f"{model.name}: tensors_equal",
            f"{equal}, by the digests {told}",
            str(model.tensors_equal),
        )
    first = model.preferred
    if first is None or first.digest is None:
        return
    if item.digest not in (None, first.digest):
        yield f"{model.name}: digest", f"{item.digest} (the manifest)", first.digest
    hashes: dict[str, SeenFile] = {}
    for file in model.files:
        other = hashes.setdefault(file.sha256, file) if file.sha256 else file
        if (other.digest, other.size) != (file.digest, file.size):
            yield f"{model.name}: {file.zoo} zoo's file", "of equal hashes equal contents", "others"


def _of_two_models(made: Attestation) -> _Found:
    """Weights that are two models' by equal right are one's by mistake."""
    owners: dict[str, str] = {}
    for model in made.models:
        for digest in {file.digest for file in model.files if file.digest is not None}:
            owner = owners.setdefault(digest, model.name)
            if owner != model.name:
                yield f"{model.name}: digest", "tensors of its own", f"those of {owner}"


def _of_golden(
    model: SeenModel, golden: Golden, item: Entry, goldens: Mapping[str, Golden]
) -> _Found:
    where, first = f"{model.name}: golden", model.preferred
    digest = None if first is None else first.digest
    if (golden.entry, golden.digest) != (model.name, digest):
        yield where, f"of {model.name}, digest {digest}", f"of {golden.entry}, {golden.digest}"
    spec, activation = item.input, item.protocol.activation
    asked = (spec.num_frames, spec.crop_size, 0, activation)
    given = (golden.num_frames, golden.crop_size, golden.seed, golden.activation)
    if asked != given:
        yield f"{where}: clip", str(asked), str(given)
    scores = {"scores": golden.scores, **{video.id: video.scores for video in golden.videos}}
    for what, values in {"logits": golden.logits, **scores}.items():
        if len(values) != item.num_classes or not all(map(math.isfinite, values)):
            yield f"{where}: {what}", f"{item.num_classes} finite numbers", f"{len(values)}, or not"
        elif what != "logits" and not _are_scores(values, activation):
            yield f"{where}: {what}", f"what a {activation} gives", f"a sum of {sum(values):.4f}"
    known = goldens.get(golden.digest)
    if known is None:
        return
    if known.attested_by is None:
        yield where, "weights that were trained", known.weights
    elif len(known.logits) != len(golden.logits) or _off(known, golden) > _OFF:
        yield where, f"the outputs that are attested already ({known.attested_by})", "others"


def _are_scores(values: tuple[float, ...], activation: str) -> bool:
    within = all(0 <= value <= 1 for value in values)
    return within and (activation != "softmax" or abs(sum(values) - 1) <= _SUM_OFF)


def _off(one: Golden, other: Golden) -> float:
    return max(abs(a - b) for a, b in zip(one.logits, other.logits, strict=True))


def _of_measured(model: SeenModel, number: Measured, item: Entry) -> _Found:
    where = f"{model.name}: measured"
    if number.scored > number.listed:
        yield where, f"at most {number.listed} videos scored", str(number.scored)
    figures = (number.top1, number.top5, number.mean_average_precision)
    if any(value is not None and not 0 <= value <= 100 for value in figures):
        yield where, "percent", str(figures)
        return
    published = item.published
    if number.reproduced is None:
        return
    if number.top1 is None or published is None or published.top1 is None:
        if item.protocol.metric == "top1":
            yield f"{where}: reproduced", "null, without two numbers", number.reproduced
        return
    interval = wilson_interval(round(number.top1 * number.scored / 100), number.scored)
    row = Comparison(
        metric="top1",
        published=published.top1,
        measured=number.top1,
        difference=number.top1 - published.top1,
        low=interval.low,
        high=interval.high,
        comparable=True,
    )
    expected = reproduced(row, number.lost)
    if expected != number.reproduced:
        yield f"{where}: reproduced", str(expected), number.reproduced
