"""Level ``accuracy``: the published numbers, measured by the published protocol."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ptv_hub.datasets.listing import Listing
from ptv_hub.datasets.reading import read_listing
from ptv_hub.evaluation.loop import evaluate
from ptv_hub.evaluation.reproduced import TELLING, in_words, lost, reproduced
from ptv_hub.evaluation.result import Comparison, EvalResult
from ptv_hub.files import ready_folder
from ptv_hub.models.builders import ActionModel
from ptv_hub.verification import repeated
from ptv_hub.verification.records import Check, Verdict
from ptv_hub.zoo.entry import Entry
from ptv_hub.zoo.facts import METRICS, figures


@dataclass(frozen=True)
class Data:
    """The videos to measure on, and how; as in ``read_listing`` and ``evaluation.evaluate``."""

    data: str | os.PathLike[str]
    videos: str | os.PathLike[str] | None = None
    out: str | os.PathLike[str] | None = None
    workers: int = 0
    validation_set: bool = False

    def ready(self, entry: Entry) -> Listing:
        """The videos; seen before the hours in which the rest is done, as is the folder.

        Raises:
            DataError: as ``read_listing``.
            WriteError: ``out`` cannot be written.
        """
        if self.out is not None:
            ready_folder(self.out)
        return read_listing(entry, self.data, videos=self.videos)


def check_accuracy(
    model: ActionModel, data: Data, listing: Listing, *, progress: bool = False
) -> list[Check]:
    """Evaluate a model, and hold its numbers to the published ones.

    Raises:
        DataError, EvaluationError, WriteError: as ``evaluate``.
    """
    entry = model.entry
    before = repeated.kept(entry)
    same_videos = bool(before) and all(item.id in before for item in listing.items)
    with ExitStack() as stack:
        out = data.out
        if out is None and same_videos:
            out = stack.enter_context(TemporaryDirectory(prefix="ptv-hub-"))
        result = evaluate(
            model,
            listing,
            out=out,
            workers=data.workers,
            validation_set=data.validation_set,
            progress=progress,
        )
        if result is None:  # another rank than the first
            return [not_measured(entry)]
        if not same_videos or out is None:
            return accuracy_checks(entry, result)
        now = repeated.predictions(Path(out) / "scores.npz", entry.labels)
    return [*accuracy_checks(entry, result), repeated.check_repeated(before, now)]


def accuracy_checks(entry: Entry, result: EvalResult) -> list[Check]:
    """A check for each published number.

    The headline holds if the published number is held as ``evaluation.reproduced`` defines it,
    and fails if it differs, where the whole list was scored by the published protocol and the
    interval is narrow enough to tell. All else is shown with the reason why it proves nothing.
    """
    checks = []
    for row in result.comparisons:
        if row.published is None:
            continue
        verdict, note = _verdict(entry, result, row, row.published)
        checks.append(
            Check(
                level="accuracy",
                name=METRICS[row.metric],
                verdict=verdict,
                expected=f"{row.published:.2f}",
                found="none" if row.measured is None else f"{row.measured:.2f}",
                note=note,
            )
        )
    return checks


def _verdict(
    entry: Entry, result: EvalResult, row: Comparison, published: float
) -> tuple[Verdict, str]:
    counts = result.counts
    over = f"over {counts.scored} of {counts.listed} videos"
    # Not whose weights they are: that they give the published numbers is what is looked for.
    doubt = () if result.unknown_list is None else (result.unknown_list,)
    reasons = (*result.differs, *doubt, *result.cautions)
    if row.metric != result.metric:
        return "noted", f"{over}; held by the headline number alone"
    if row.low is None or row.high is None:
        return "noted", "; ".join((f"{over}: too few to tell", *reasons))
    interval = f"95 % interval {row.low:.2f} to {row.high:.2f} {over}"
    if row.high - row.low > 2 * TELLING:
        return "noted", "; ".join((f"{interval}: too wide to tell", *reasons))
    share = lost(entry, result.counts, part=result.part is not None)
    row = row.model_copy(update={"comparable": True, "published": published, "lost": share})
    said = reproduced(row, share)
    if said == "held" and not reasons:
        return "holds", interval
    told = in_words(row.model_copy(update={"reproduced": said}))
    if reasons or said != "differs":
        return "noted", "; ".join((interval, *reasons, *([] if reasons else [told])))
    return "fails", f"{interval}; {told}"


def not_measured(entry: Entry) -> Check:
    """The row of a report that was made without videos."""
    known = figures(entry.published)
    stated = ", ".join(f"{name.removesuffix(' %')} {value}" for name, value in known)
    return Check(
        level="accuracy",
        name="accuracy",
        verdict="not checked",
        expected=stated or None,
        note="--data drawn measures it, on videos drawn here"
        if entry.demonstration
        else f"takes the validation videos of {entry.dataset}",
    )
