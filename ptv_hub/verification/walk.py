"""The road through the levels, from what needs nothing to what needs everything."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from ptv_hub import environment
from ptv_hub.errors import FetchError, HashMismatch, LayoutError
from ptv_hub.models.builders import VideoModel
from ptv_hub.verification import goldens
from ptv_hub.verification.accuracy import Data, check_accuracy, not_measured
from ptv_hub.verification.behaviour import check_behaviour
from ptv_hub.verification.drawn_videos import check_drawn_videos
from ptv_hub.verification.identity import check_identity
from ptv_hub.verification.keys import check_keys
from ptv_hub.verification.numbers import check_numbers, outputs
from ptv_hub.verification.records import LEVELS, Check, VerifyReport
from ptv_hub.verification.spec import check_spec
from ptv_hub.verification.tensors import check_tensors
from ptv_hub.verification.weights_file import Subject, check_file, mismatch, obtain
from ptv_hub.weights.load import with_weights
from ptv_hub.weights.named import named
from ptv_hub.weights.opened import OpenedWeights
from ptv_hub.zoo.entry import Entry


def verify(
    name: str | os.PathLike[str] | Entry,
    *,
    weights: str | os.PathLike[str] | OpenedWeights | None = None,
    spec_only: bool = False,
    record: bool = False,
    data: Data | None = None,
    progress: bool = True,
) -> VerifyReport:
    """Recompute every claim about a model that can be recomputed here.

    Args:
        name: hub name, zoo name, config path, or an ``Entry``.
        weights: a local file in either layout and format, opened already or not; without it the
            entry's own file is fetched.
        spec_only: only what needs no weights: parameters, FLOPs, the table's link.
        record: keep the outputs for these weights, where none are known, to compare with the
            next time.
        data: the validation videos, to measure the accuracy by the published protocol; hours
            for a whole data set, and ``Data.out`` keeps what is done.
        progress: show a bar on stderr while fetching and measuring.

    Returns:
        A report. What does not hold is told in it and not raised: a file that is broken,
        unsafe, or not of this model too. ``report.unavailable`` says why no weights could be
        brought here.

    Raises:
        UnknownName, AmbiguousName: of the name.
        WriteError: no room for temporary files, or for the record.
        DataError, EvaluationError: of ``data``.
    """
    given = None if isinstance(weights, OpenedWeights) else weights
    asked = named(name, given, progress=progress)
    item = asked.entry
    listing = None if data is None or spec_only else data.ready(item)
    checks = check_spec(item)
    if spec_only:
        return _report(item, checks)
    if asked.file is not None:
        weights = OpenedWeights(asked.file, item, checked=True)
    assert weights is None or isinstance(weights, OpenedWeights)
    try:
        subject = obtain(item, weights, progress=progress)
    except HashMismatch as error:
        checks.append(mismatch(error))
        return _report(item, _completed(item, checks, "the file was refused"))
    except FetchError as error:
        checks = _completed(item, checks, "the weights could not be brought here")
        return _report(item, checks, unavailable=str(error))
    measure = None
    if data is not None and listing is not None:
        measure = partial(check_accuracy, data=data, listing=listing, progress=progress)
    return _with_weights(item, checks, subject, record, measure)


def _with_weights(
    item: Entry,
    checks: list[Check],
    subject: Subject,
    record: bool,
    measure: Callable[[VideoModel], list[Check]] | None,
) -> VerifyReport:
    weights = subject.weights
    of_file, readable = check_file(item, subject)
    checks += of_file
    if not readable:
        checks = _completed(item, checks, "the file cannot be read")
        return _report(item, checks, subject)
    try:
        tensors, found = weights.official, weights.digest
    except LayoutError:
        checks = _completed(item, checks, "no layout names the file's keys")
        return _report(item, checks, subject)
    of_keys, fits = check_keys(item, tensors)
    if fits:
        of_keys.append(check_identity(item, subject))
    checks += [*of_keys, *check_tensors(item, tensors, found, weights.file.metadata)]
    if not fits:
        checks = _completed(item, checks, "the model cannot be built from this file")
        return _report(item, checks, subject, found)
    model = with_weights(item, weights)
    spec = item.input
    first = outputs(model, goldens.drawn_clip(spec.num_frames, spec.crop_size))
    checks.append(check_numbers(model, first, found, keep=record))
    checks += [*check_drawn_videos(model, found), *check_behaviour(model, first)]
    if measure is not None:
        checks += measure(model)
    return _report(item, _completed(item, checks, ""), subject, found)


def _completed(item: Entry, checks: list[Check], reason: str) -> list[Check]:
    """With one row for each level that was not reached: nothing is left out silently."""
    reached = {check.level for check in checks}
    rest = [
        Check(level=level, name="all checks", verdict="not checked", note=reason)
        for level in LEVELS
        if level not in reached and level != "accuracy"
    ]
    accuracy = [] if "accuracy" in reached else [not_measured(item)]
    return [*checks, *rest, *accuracy]


def _report(
    item: Entry,
    checks: list[Check],
    subject: Subject | None = None,
    found: str | None = None,
    *,
    unavailable: str | None = None,
) -> VerifyReport:
    golden = goldens.shipped().get(found or "")
    caution = "demonstration, drawn data" if item.demonstration else None
    return VerifyReport(
        name=item.name,
        dataset=item.dataset,
        weights=None if subject is None else str(subject.weights.path),
        origin=None if subject is None else subject.origin,
        digest=found,
        caution=caution if golden is None or golden.attested_by else golden.weights,
        checks=tuple(checks),
        unavailable=unavailable,
        environment={
            **environment.versions("torch"),
            **environment.system(),
            "threads": str(environment.threads()),
        },
    )
