"""Results of evaluations in words and tables -> ``report.md``; ``report_page`` shows the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ptv_hub import markdown as tables
from ptv_hub.evaluation.reproduced import in_words
from ptv_hub.evaluation.result import ClassResult, Comparison, EvalResult
from ptv_hub.zoo.facts import METRICS

_FAILURES = 100
_CLASSES = 15


def verdict(result: EvalResult) -> str:
    """The headline number in a sentence that says what it is worth."""
    row = headline(result)
    name = METRICS[row.metric]
    if row.measured is None:
        return f"no {name}: none of {result.counts.listed} videos is scored"
    said = f"{name} {row.measured:.2f} over {result.counts.scored} of {result.counts.listed} videos"
    if row.low is not None and row.high is not None:
        said += f" (95 % interval {row.low:.2f} to {row.high:.2f})"
    if row.published is None:
        return f"{said}; nothing is published to compare it with"
    if row.difference is None:
        return f"{said}; not comparable with the published {row.published:.2f}"
    said += f"; published {row.published:.2f}, difference {row.difference:+.2f}"
    if row.inside is not None:
        said += f"; the published number lies {'inside' if row.inside else 'outside'} the interval"
    return f"{said}; {in_words(row)}" if row.lost is not None else said


def headline(result: EvalResult) -> Comparison:
    """The headline number beside the published one."""
    for row in result.comparisons:
        if row.metric == result.metric:
            return row
    return Comparison(
        metric=result.metric, published=None, measured=None, difference=None, comparable=False
    )


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and which columns hold figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()


@dataclass(frozen=True)
class Classes:
    """Classes and their percents; a table of the worst and best in Markdown."""

    classes: tuple[ClassResult, ...]
    measure: str


@dataclass(frozen=True)
class Section:
    """A title, and what stands below it."""

    title: str
    parts: tuple[str | Table | Classes, ...]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def numbers(result: EvalResult) -> Table:
    """Published and measured, metric by metric."""
    wrong = result.metrics_failures_wrong.model_dump()
    rows = []
    for row in result.comparisons:
        interval = "-" if row.low is None else f"{_percent(row.low)} to {_percent(row.high)}"
        rows.append(
            (
                METRICS[row.metric],
                _percent(row.published),
                _percent(row.measured),
                "-" if row.difference is None else f"{row.difference:+.2f}",
                interval,
                _percent(wrong[row.metric]),
            )
        )
    columns = (
        *("metric", "published", "measured", "difference"),
        *("95 % interval", "failures as wrong"),
    )
    return Table(columns, tuple(rows), columns[1:])


def _counts(result: EvalResult) -> Table:
    counts = result.counts
    rows = [
        ("listed", str(counts.listed)),
        ("scored", f"{counts.scored} ({counts.coverage:.2f} %)"),
        ("failed", str(counts.failed)),
    ]
    if counts.pending:
        rows.append(("not tried yet", str(counts.pending)))
    return Table(("videos", "number"), tuple(rows), ("number",))


def _sections(result: EvalResult) -> Iterator[Section]:
    yield from opening(result)
    yield from failures(result)
    yield from _findings(result)
    yield from circumstances(result)


def opening(result: EvalResult) -> Iterator[Section]:
    """The numbers, and what they are worth."""
    methods = [row.interval for row in result.comparisons if row.interval]
    yield Section(
        "Reported and measured",
        (verdict(result) + ".", numbers(result), *(f"Interval: {m}." for m in methods)),
    )
    if result.differs:
        told = "Other than the published protocol, and not to be compared with its numbers: "
        yield Section("Not the published protocol", (told + "; ".join(result.differs) + ".",))
    if result.apart:
        yield Section(
            "Not compared with the published numbers",
            tuple(f"{text[:1].upper()}{text[1:]}." for text in result.apart),
        )
    if result.cautions:
        yield Section(
            "To bear in mind", tuple(f"{text[:1].upper()}{text[1:]}." for text in result.cautions)
        )
    yield Section("Coverage", (_counts(result),))


def failures(result: EvalResult) -> Iterator[Section]:
    """What could not be scored, if there is any."""
    if result.failures:
        reasons = tuple((r, str(n)) for r, n in result.failures_by_reason.items())
        listed = tuple((f.id, one_line(f.error)) for f in result.failures[:_FAILURES])
        more = len(result.failures) - len(listed)
        yield Section(
            "Failures by reason",
            (
                Table(("reason", "videos"), reasons, ("videos",)),
                Table(("video", "what happened"), listed),
                *((f"And {more} more: all are in result.json.",) if more else ()),
            ),
        )


def measure_of(result: EvalResult) -> str:
    """What is told of each class."""
    return "accuracy" if result.metric == "top1" else "average precision"


def _findings(result: EvalResult) -> Iterator[Section]:
    measure = measure_of(result)
    shown = tuple(row for row in result.classes if row.value is not None)
    if shown:
        worst_first = tuple(sorted(shown, key=lambda row: (row.value or 0.0, row.index)))
        yield Section(f"{measure.capitalize()} of each class", (Classes(worst_first, measure),))
    if result.confusions:
        pairs = tuple((p.label, p.predicted, str(p.videos)) for p in result.confusions)
        yield Section(
            "Most frequent confusions",
            (Table(("class", "taken for", "videos"), pairs, ("videos",)),),
        )
    if result.hardest:
        score = "score of its class" if result.metric == "top1" else "average precision"
        rows = tuple(
            (v.id, ", ".join(v.labels), v.predicted, f"{v.score:.4f}") for v in result.hardest
        )
        yield Section(
            "Worst videos", (Table(("video", "labels", "predicted", score), rows, (score,)),)
        )


def circumstances(result: EvalResult) -> Iterator[Section]:
    """Protocol, notes, digests, environment."""
    protocol, spec = result.protocol, result.input
    rows = [
        ("views", f"{protocol.num_clips} clips x {protocol.num_crops} crops"),
        ("clip sampling", protocol.clip_sampling),
        ("activation", f"{protocol.activation} at each position of the head"),
        ("over the views", "maximum" if protocol.ensemble == "max" else "mean"),
        ("frames", f"{spec.num_frames}, every {spec.sampling_rate}th at {spec.target_fps} a second")
        if spec.clip_seconds
        else ("frames", f"{spec.num_frames}, one of each segment of the video"),
        ("size", f"short side {spec.short_side}, crop {spec.crop_size}"),
        ("run as", f"{result.backend}, {result.dtype}"),
        ("annotation", ", ".join(result.files) or "given in Python"),
        ("part", result.part or "all of it"),
    ]
    yield Section("Protocol", (Table(("", "value"), tuple(rows)),))
    if result.notes:
        notes = tuple((note, str(count)) for note, count in result.notes.items())
        yield Section("Notes", (Table(("note", "videos"), notes, ("videos",)),))
    digests = (
        ("weights (tensors)", result.weights_digest or "none"),
        ("list of videos", result.videos_digest),
    )
    yield Section("Digests", (Table(("of", "sha256"), digests),))
    times = (
        ("in the model", f"{result.model_seconds:.1f}"),
        ("decoding, over all workers", f"{result.decode_seconds:.1f}"),
    )
    sessions = tuple(
        (
            f"{session['started']} UTC",
            f"{session['rank'] + 1} of {session['world_size']}",
            f"{session['device']}, {session['threads']} threads",
            f"{session['batch_views']} views, {session['workers']} workers",
            f"ptv_hub {session['ptv_hub']}, torch {session['torch']}, PyAV {session['av']}, "
            f"Python {session['python']}, {session['platform']}",
        )
        for session in result.sessions
    )
    yield Section(
        "Environment",
        (
            Table(("seconds", "sum"), times, ("sum",)),
            Table(("started", "rank", "device", "batches of", "versions"), sessions),
        ),
    )


def one_line(error: str) -> str:
    """An error of several lines for a cell of a table."""
    return "; ".join(line.strip() for line in error.splitlines())


def title(result: EvalResult) -> str:
    """The model and the data set it was run on."""
    return f"{result.model} on {result.dataset}"


def markdown(result: EvalResult) -> str:
    """The report as Markdown."""
    lines = [f"# {tables.text(title(result))}", ""]
    for section in _sections(result):
        lines += [f"## {section.title}", ""]
        for part in section.parts:
            if isinstance(part, str):
                lines += [tables.text(part), ""]
            else:
                shown = part if isinstance(part, Table) else _ends(part)
                lines += [tables.table(shown.columns, shown.rows, right=shown.right), ""]
    return "\n".join(lines)


def _ends(bars: Classes) -> Table:
    """The worst and the best classes of many."""
    rows = bars.classes
    if len(rows) > 2 * _CLASSES:
        rows = rows[:_CLASSES] + rows[-_CLASSES:]
    columns = ("class", "videos", f"{bars.measure}, %")
    cells = tuple((row.label, str(row.videos), _percent(row.value)) for row in rows)
    return Table(columns, cells, columns[1:])
