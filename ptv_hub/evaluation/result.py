"""What an evaluation found: numbers with their protocol, counts, digests and environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ptv_hub.evaluation import interval
from ptv_hub.pages import figure, notebook
from ptv_hub.zoo.entry import Reproduced
from ptv_hub.zoo.facts import METRICS
from ptv_hub.zoo.input_spec import InputSpec, Protocol
from ptv_hub.zoo.records import Record

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Metrics(Record):
    """Percent; null for what the data set does not ask for, or cannot be told."""

    top1: float | None = None
    top5: float | None = None
    mean_average_precision: float | None = None


class Counts(Record):
    """Videos."""

    listed: int
    scored: int
    failed: int
    pending: int
    """Not tried yet: the run was interrupted, or its other journals are not here."""

    @property
    def coverage(self) -> float:
        """Scored of listed, percent."""
        return 100 * self.scored / self.listed


class Comparison(Record):
    """A measured number beside the published one."""

    metric: str
    """``top1``, ``top5`` or ``mean_average_precision``."""
    published: float | None
    measured: float | None
    difference: float | None
    """Measured minus published, points; null unless ``comparable``."""
    low: float | None = None
    """95 % interval of the measured number, percent; only of the headline metric."""
    high: float | None = None
    interval: str | None = None
    """How the interval was taken."""
    inside: bool | None = None
    """Whether the published number lies in the interval; null unless ``comparable``."""
    lost: float | None = None
    """Percent of the owners' list without a score; only of the headline metric."""
    reproduced: Reproduced | None = None
    """Whether the published number is (``evaluation.reproduced``); null if it cannot be told."""
    comparable: bool
    """Whether it was measured by the published protocol, on what is known to be the validation
    set, with what are known to be the entry's weights."""


class FailedVideo(Record):
    id: str
    reason: str
    error: str


class ClassResult(Record):
    index: int
    label: str
    videos: int
    """Scored videos that have the class."""
    value: float | None
    """Accuracy (one label a video) or average precision, percent; null where no video has it."""


class Confusion(Record):
    label: str
    predicted: str
    videos: int


class HardVideo(Record):
    """A video that the model does badly on."""

    id: str
    labels: tuple[str, ...]
    predicted: str
    score: float
    """Of its class (one label a video), or the average precision of its labels, 0 to 1."""


class ConfusionMatrix(Record):
    """Which classes were taken for which; of many classes those that were confused most."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Videos: a row a class, a column what it was taken for, and a last column for all others."""


class Confidence(Record):
    """Scores within some bounds, and how often what they say is so."""

    low: float
    """0 to 1, as all but the count; scores reach from here, ``high`` excluded but for 1."""
    high: float
    count: int
    """Of one label a video: videos, each by its best score. Of several: every score."""
    score: float
    """The mean of the scores."""
    right: float
    """The share of them that is so."""


class EvalResult(Record):
    model: str
    """The entry's name."""
    dataset: str
    """Whose classes and protocol."""
    metric: str
    """The headline: ``top1`` or ``mean_average_precision``."""
    metrics: Metrics
    """Over the videos that were scored."""
    metrics_failures_wrong: Metrics
    """Over all videos that were tried, those that failed counted as wrong."""
    counts: Counts
    """Of videos: listed, scored, failed, pending."""
    comparisons: tuple[Comparison, ...]
    """Each measured number beside the published one, percent, with its interval."""
    differs: tuple[str, ...]
    """Why the measured numbers are not those of the published protocol; empty if they are."""
    unknown_list: str | None = None
    """Why the list is not known to be the validation set of the published numbers."""
    unknown_weights: str | None = None
    """Why the weights are not known to be those of the published numbers."""
    cautions: tuple[str, ...]
    """What to bear in mind where they are compared."""
    failures_by_reason: dict[str, int]
    """How many videos could not be scored for which reason."""
    failures: tuple[FailedVideo, ...]
    """These videos."""
    classes: tuple[ClassResult, ...]
    """How each class did."""
    confusions: tuple[Confusion, ...]
    """Of models of one label a video, the most frequent first."""
    hardest: tuple[HardVideo, ...]
    """Those whose own labels got the lowest scores, the worst first."""
    matrix: ConfusionMatrix | None = None
    """Of models of one label a video."""
    reliability: tuple[Confidence, ...] = ()
    """Bounds that hold scores, from low to high."""
    notes: dict[str, int]
    """What was said of videos as they were read, and of how many."""
    protocol: Protocol
    """The one that was run."""
    input: InputSpec
    """What the model saw."""
    part: str | None
    """Which part of the annotation was listed; null for all of it."""
    files: tuple[str, ...]
    """The files of the annotation, by name."""
    weights_digest: str | None
    """Of the tensors; null of a backend that keeps none."""
    videos_digest: str
    """sha256 over ids and labels of the listed videos."""
    backend: str
    """How the model was run: ``eager``, or a backend's name."""
    dtype: str
    """What it was computed in."""
    model_seconds: float
    """Over all videos, in the model."""
    decode_seconds: float
    """Over all videos and decoding workers."""
    sessions: tuple[dict[str, Any], ...]
    """When, where and with what versions the run was, each time that it was started."""

    @property
    def apart(self) -> tuple[str, ...]:
        """Why numbers measured by the published protocol are not compared with the published."""
        return tuple(why for why in (self.unknown_list, self.unknown_weights) if why is not None)

    def _headline(self) -> Comparison | None:
        return next((row for row in self.comparisons if row.metric == self.metric), None)

    def __repr__(self) -> str:
        value = getattr(self.metrics, self.metric)
        said = "no number" if value is None else f"{METRICS[self.metric]} {value:.2f}"
        counts = f"{self.counts.scored} of {self.counts.listed} videos"
        return f"<EvalResult {self.model} on {self.dataset}: {said} over {counts}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = []
        for row in self.comparisons:
            values = (row.measured, row.published, row.low, row.high)
            told = ["-" if value is None else f"{value:.2f}" for value in values]
            within = "-" if row.low is None else f"{told[2]} to {told[3]}"
            rows.append((METRICS[row.metric], told[0], within, told[1]))
        counts = self.counts
        said = f"{counts.scored} of {counts.listed} videos scored, {counts.failed} failed"
        return notebook.table(
            f"{self.model} on {self.dataset}",
            rows,
            columns=("", "measured, %", "95 % interval", "published, %"),
            notes=(said, *self.differs, *self.apart, *self.cautions),
        )

    def plot(self) -> Figure:
        """The headline number with its interval, and the published one.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        row, measured = self._headline(), getattr(self.metrics, self.metric)
        published, within = (row.published, (row.low, row.high)) if row else (None, (None, None))
        name = METRICS[self.metric]
        return figure.figure_of(
            lambda size: interval.plot(name, measured, published, within, size),
            figure.Size(760, 150),
        )

    def to_pandas(self) -> pandas.DataFrame:
        """A row a class.

        Columns: ``index``; ``label``; ``videos``, scored ones that have it; ``value``, its accuracy
        or average precision in percent, NaN where no video has it.

        Raises:
            MissingExtra: pandas is not installed.
        """
        columns: dict[str, Sequence[object]] = {
            name: [getattr(one, name) for one in self.classes]
            for name in ("index", "label", "videos")
        }
        values = [float("nan") if one.value is None else one.value for one in self.classes]
        return notebook.data_frame({**columns, "value": values})

    @property
    def failed(self) -> bool:
        """Whether some listed video has no score."""
        return self.counts.scored < self.counts.listed
