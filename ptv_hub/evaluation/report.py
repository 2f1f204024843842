"""Results of evaluations -> ``report.md`` and ``report.html``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptv_hub import html
from ptv_hub import markdown as tables
from ptv_hub.evaluation.result import ClassResult, Comparison, EvalResult
from ptv_hub.files import write_text
from ptv_hub.zoo.facts import METRICS

_FAILURES = 100
_CLASSES = 15


def write_report(result: EvalResult, folder: Path) -> None:
    """Write ``report.md`` and ``report.html``. Raises WriteError."""
    for name, text in (("report.md", markdown(result)), ("report.html", page(result))):
        write_text(folder / name, text)


def verdict(result: EvalResult) -> str:
    """The headline number in a sentence that says what it is worth."""
    row = _headline(result)
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
    return said


def _headline(result: EvalResult) -> Comparison:
    for row in result.comparisons:
        if row.metric == result.metric:
            return row
    return Comparison(
        metric=result.metric, published=None, measured=None, difference=None, comparable=False
    )


@dataclass(frozen=True)
class _Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Bars:
    """Classes and their percents; a table of the worst and best in Markdown."""

    classes: tuple[ClassResult, ...]
    measure: str


@dataclass(frozen=True)
class _Section:
    title: str
    parts: tuple[str | _Table | _Bars, ...]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def numbers(result: EvalResult) -> _Table:
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
    return _Table(columns, tuple(rows), columns[1:])


def _counts(result: EvalResult) -> _Table:
    counts = result.counts
    rows = [
        ("listed", str(counts.listed)),
        ("scored", f"{counts.scored} ({counts.coverage:.2f} %)"),
        ("failed", str(counts.failed)),
    ]
    if counts.pending:
        rows.append(("not tried yet", str(counts.pending)))
    return _Table(("videos", "number"), tuple(rows), ("number",))


def _sections(result: EvalResult) -> Iterator[_Section]:
    methods = [row.interval for row in result.comparisons if row.interval]
    yield _Section(
        "Reported and measured",
        (verdict(result) + ".", numbers(result), *(f"Interval: {m}." for m in methods)),
    )
    if result.differs:
        told = "Other than the published protocol, and not to be compared with its numbers: "
        yield _Section("Not the published protocol", (told + "; ".join(result.differs) + ".",))
    if result.apart:
        yield _Section(
            "Not compared with the published numbers",
            tuple(f"{text[:1].upper()}{text[1:]}." for text in result.apart),
        )
    if result.cautions:
        yield _Section(
            "To bear in mind", tuple(f"{text[:1].upper()}{text[1:]}." for text in result.cautions)
        )
    yield _Section("Coverage", (_counts(result),))
    if result.failures:
        reasons = tuple((r, str(n)) for r, n in result.failures_by_reason.items())
        listed = tuple((f.id, one_line(f.error)) for f in result.failures[:_FAILURES])
        more = len(result.failures) - len(listed)
        yield _Section(
            "Failures by reason",
            (
                _Table(("reason", "videos"), reasons, ("videos",)),
                _Table(("video", "what happened"), listed),
                *((f"And {more} more: all are in result.json.",) if more else ()),
            ),
        )
    measure = "accuracy" if result.metric == "top1" else "average precision"
    shown = tuple(row for row in result.classes if row.value is not None)
    if shown:
        worst_first = tuple(sorted(shown, key=lambda row: (row.value or 0.0, row.index)))
        yield _Section(f"{measure.capitalize()} of each class", (_Bars(worst_first, measure),))
    if result.confusions:
        pairs = tuple((p.label, p.predicted, str(p.videos)) for p in result.confusions)
        yield _Section(
            "Most frequent confusions",
            (_Table(("class", "taken for", "videos"), pairs, ("videos",)),),
        )
    if result.hardest:
        score = "score of its class" if result.metric == "top1" else "average precision"
        rows = tuple(
            (v.id, ", ".join(v.labels), v.predicted, f"{v.score:.4f}") for v in result.hardest
        )
        yield _Section(
            "Worst videos", (_Table(("video", "labels", "predicted", score), rows, (score,)),)
        )
    yield from _circumstances(result)


def _circumstances(result: EvalResult) -> Iterator[_Section]:
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
    yield _Section("Protocol", (_Table(("", "value"), tuple(rows)),))
    if result.notes:
        notes = tuple((note, str(count)) for note, count in result.notes.items())
        yield _Section("Notes", (_Table(("note", "videos"), notes, ("videos",)),))
    digests = (
        ("weights (tensors)", result.weights_digest or "none"),
        ("list of videos", result.videos_digest),
    )
    yield _Section("Digests", (_Table(("of", "sha256"), digests),))
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
    yield _Section(
        "Environment",
        (
            _Table(("seconds", "sum"), times, ("sum",)),
            _Table(("started", "rank", "device", "batches of", "versions"), sessions),
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
                shown = part if isinstance(part, _Table) else _ends(part)
                lines += [tables.table(shown.columns, shown.rows, right=shown.right), ""]
    return "\n".join(lines)


def _ends(bars: _Bars) -> _Table:
    """The worst and the best classes of many."""
    rows = bars.classes
    if len(rows) > 2 * _CLASSES:
        rows = rows[:_CLASSES] + rows[-_CLASSES:]
    columns = ("class", "videos", f"{bars.measure}, %")
    cells = tuple((row.label, str(row.videos), _percent(row.value)) for row in rows)
    return _Table(columns, cells, columns[1:])


def page(result: EvalResult) -> str:
    """The report as a page that needs nothing but itself."""
    content: list[html.Html] = []
    for section in _sections(result):
        content.append(html.element("h2", section.title))
        for part in section.parts:
            if isinstance(part, str):
                content.append(html.element("p", part))
            elif isinstance(part, _Table):
                content.append(html.table(part.columns, part.rows, right=part.right))
            else:
                content.append(_bars(part))
    return html.page(title(result), *content)


_ROW, _LEFT, _WIDTH = 18, 330, 760  # pixels: height of a row, where bars begin, whole width


def _bars(bars: _Bars) -> html.Html:
    """A bar for each class, the worst first."""
    marks: list[html.Html] = []
    room = _WIDTH - _LEFT - 110
    for number, row in enumerate(bars.classes):
        value, y = row.value or 0.0, number * _ROW
        title = html.element("title", f"{row.label}: {value:.2f} % of {row.videos} videos")
        marks += [
            html.element(
                "text",
                _short(row.label),
                x=_LEFT - 8,
                y=y + 13,
                text_anchor="end",
                fill="var(--text)",
            ),
            html.element(
                "rect", title, x=_LEFT, y=y + 3, width=round(room * value / 100, 1),
                height=_ROW - 6, fill="#2b6cb0",
            ),
            html.element(
                "text",
                f"{value:.1f} % ({row.videos})",
                x=round(_LEFT + room * value / 100, 1) + 6,
                y=y + 13,
                fill="var(--faint)",
            ),
        ]  # fmt: skip
    height = len(bars.classes) * _ROW
    return html.element(
        "figure",
        html.element(
            "svg",
            *marks,
            viewBox=f"0 0 {_WIDTH} {height}",
            width=_WIDTH,
            role="img",
            font_size=12,
            font_family="system-ui, sans-serif",
        ),
        html.element("figcaption", f"{bars.measure} in percent (videos), worst first"),
    )


def _short(label: str) -> str:
    return label if len(label) <= 50 else f"{label[:49]}…"
