"""What a model says of one video: the record, and how a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptv_hub.inference import over_time
from ptv_hub.inference.over_time import ScoresOverTime, percent
from ptv_hub.pages import figure, notebook
from ptv_hub.text import visible
from ptv_hub.zoo.records import Record

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class ClassScore(Record):
    """One class and its score: a probability, after softmax or sigmoid."""

    label: str
    index: int
    score: float


class Moment(Record):
    """What one clip alone says, over its crops."""

    start: float
    """Seconds from the beginning of the video."""
    end: float
    predictions: tuple[ClassScore, ...]
    """The clip's own best classes, best first."""
    scores: tuple[float, ...]
    """The clip's scores of the classes of ``Prediction.predictions``, in their order."""


class Prediction(Record):
    """What a model says of one video, and how it was asked."""

    video: str
    """As it was given: a path, or what stands for frames."""
    model: str
    """The entry's name."""
    dataset: str
    """Whose classes these are."""
    predictions: tuple[ClassScore, ...]
    """Best first."""
    views: str
    """Clips x crops."""
    clip_sampling: str
    """As of ``Protocol``."""
    activation: str
    """As of ``Protocol``: what makes scores of logits."""
    ensemble: str
    """As of ``Protocol``: how views become one score."""
    duration: float
    """Seconds."""
    timeline: tuple[Moment, ...] | None = None
    """The scores of each clip, where they were asked for."""
    notes: tuple[str, ...] = ()
    """What differs from the published protocol, or was wrong with the file, in words."""

    def __repr__(self) -> str:
        best = [f"{one.label} {one.score:.3f}" for one in self.predictions[:1]]
        said = visible(best[0] if best else "no class")
        more = "" if self.timeline is None else f", {len(self.timeline)} clips"
        name = visible(Path(self.video).name)
        return f"<Prediction {name}: {said} ({self.model}, {self.views}{more})>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return notebook.table(
            Path(self.video).name,
            [(one.label, percent(one.score)) for one in self.predictions],
            notes=(f"{self.model} ({self.dataset}), {self.views} views", *self.notes),
        )

    @property
    def over_time(self) -> ScoresOverTime:
        """What a picture shows of it; without a timeline the whole video alone."""
        moments = self.timeline or ()
        return ScoresOverTime(
            labels=tuple(one.label for one in self.predictions),
            scores=tuple(one.score for one in self.predictions),
            spans=tuple((moment.start, moment.end) for moment in moments),
            of_clips=tuple(moment.scores for moment in moments),
            duration=self.duration,
        )

    def plot(self) -> Figure:
        """The scores over time, a line a class; without a timeline a bar a class.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        found = self.over_time
        return figure.figure_of(lambda size: over_time.plot(found, size), figure.Size(960, 320))

    def to_pandas(self) -> pandas.DataFrame:
        """A row a class, and with a timeline then a row a class of each clip.

        Columns: ``video``; ``start`` and ``end`` in seconds, NaN for the whole video; ``rank``
        from 1; ``label``; ``index``; ``score``, 0 to 1. Of each clip its own best classes.

        Raises:
            MissingExtra: pandas is not installed.
        """
        whole = (float("nan"), float("nan"))
        groups: list[tuple[tuple[float, float], Sequence[ClassScore]]] = [(whole, self.predictions)]
        groups += [((one.start, one.end), one.predictions) for one in self.timeline or ()]
        rows = [
            (self.video, *span, rank, one.label, one.index, one.score)
            for span, classes in groups
            for rank, one in enumerate(classes, 1)
        ]
        names = ("video", "start", "end", "rank", "label", "index", "score")
        return notebook.data_frame({n: [row[at] for row in rows] for at, n in enumerate(names)})
