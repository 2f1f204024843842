"""A prediction over time as a picture: frames above, scores of the best classes below.

PNG by matplotlib (the extra ``plot``), or a page of HTML that needs nothing else.
"""

from __future__ import annotations

import bisect
import io
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ptv_hub.errors import MissingExtra, UsageError
from ptv_hub.files import atomic_write, ready_file
from ptv_hub.html import Html, element, image, page, table
from ptv_hub.inference.predict import Moment, Prediction
from ptv_hub.inference.video import Source, open_video

FORMATS = (".png", ".html")

# Okabe and Ito's colours: told apart by colour-blind readers too, on white and on dark.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7a7a7a")
_CELL = (160, 120)  # pixels of one frame of the strip
_STRIP = 6  # frames


def draw_timeline(
    prediction: Prediction,
    video: Source,
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    allow_broken: bool = False,
) -> None:
    """Write the picture of a prediction that was made with ``timeline=True``.

    Args:
        prediction: of ``predict``.
        video: what it is a prediction of; its frames are read once more.
        path: ends in ``.png`` or ``.html``.
        fps, allow_broken: as given to ``predict``.

    Raises:
        UsageError: another suffix, or a prediction without a timeline.
        MissingExtra: matplotlib is not installed, and a PNG is wanted.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            "a picture of another kind", where=path, expected=f"a name in {' or '.join(FORMATS)}"
        )
    if prediction.timeline is None:
        raise UsageError("the prediction has no timeline", fix="predict(..., timeline=True)")
    if suffix == ".png":
        _matplotlib()
    strip = _strip(video, prediction.duration, fps, allow_broken)
    data = _png(prediction, strip) if suffix == ".png" else _page(prediction, strip).encode()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def ready_to_draw(path: Path) -> None:
    """See that a picture can be drawn under this name, before what it shows is computed.

    Raises:
        UsageError, MissingExtra, WriteError: as ``draw_timeline``.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError("a picture of another kind", where=path, expected=" or ".join(FORMATS))
    if path.suffix.lower() == ".png":
        _matplotlib()
    ready_file(path)


def _strip(video: Source, duration: float, fps: float | None, allow_broken: bool) -> list[Any]:
    """Pictures of the middle of each of ``_STRIP`` equal parts of the video, cut to one size."""
    from PIL import Image, ImageOps

    with open_video(video, fps=fps, allow_broken=allow_broken) as opened:
        seconds = opened.timestamps.seconds
        middles = [(part + 0.5) / _STRIP * duration for part in range(_STRIP)]
        places = [max(bisect.bisect_right(seconds, at) - 1, 0) for at in middles]
        small = {
            place: ImageOps.fit(Image.fromarray(frame), _CELL)
            for place, frame in opened.frames(set(places))
        }
    return [small[place] for place in places]


def _middle(moment: Moment) -> float:
    return (moment.start + moment.end) / 2


def _asked(prediction: Prediction) -> str:
    """How the scores came about, in a line."""
    clips, crops = prediction.views.split("x")
    return (
        f"{prediction.model} ({prediction.dataset}), {clips} clips x {crops} crops, "
        f"{prediction.activation}"
    )


def _percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def _plain(label: str) -> str:
    """Without what matplotlib would read as mathematics."""
    return label.replace("$", r"\$")


def _matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", needed_for="a PNG of the timeline") from error


def _png(prediction: Prediction, strip: list[Any]) -> bytes:
    from matplotlib.figure import Figure

    timeline = prediction.timeline or ()
    width, height, left, column = 12.0, 5.4, 0.06, 0.62
    # As high as a frame of a sixth of the column's width is.
    strip_height = column * width / len(strip) * _CELL[1] / _CELL[0] / height
    figure = Figure(figsize=(width, height), dpi=120)
    frames = figure.add_axes((left, 0.9 - strip_height, column, strip_height))
    scores = figure.add_axes((left, 0.1, column, 0.78 - strip_height))
    figure.text(left, 0.945, _plain(Path(prediction.video).name), size=13, weight="bold")
    figure.text(left, 0.913, _asked(prediction), color="#64748b", size=9)
    part = prediction.duration / len(strip)
    for index, picture in enumerate(strip):
        frames.imshow(picture, extent=(index * part, (index + 1) * part, 0, 1), aspect="auto")
    frames.set(xlim=(0, prediction.duration), ylim=(0, 1), xticks=[], yticks=[])
    for index, one in enumerate(prediction.predictions):
        colour = _COLOURS[index % len(_COLOURS)]
        scores.plot(
            [_middle(moment) for moment in timeline],
            [100 * moment.scores[index] for moment in timeline],
            color=colour,
            marker="o",
            markersize=4,
            linewidth=2.2 if index == 0 else 1.4,
            label=textwrap.fill(f"{_percent(one.score)}  {_plain(one.label)}", 38),
        )
    scores.set(xlim=(0, prediction.duration), ylim=(0, None))
    scores.set_xlabel("seconds (the middle of each clip)")
    scores.set_ylabel("score, %")
    scores.grid(axis="y", color="#e2e8f0")
    scores.set_axisbelow(True)
    scores.spines[["top", "right"]].set_visible(False)
    if prediction.predictions:
        scores.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
            frameon=False,
            title="whole video",
            alignment="left",
        )
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _page(prediction: Prediction, strip: list[Any]) -> str:
    pictures = []
    for index, picture in enumerate(strip):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
        at = (index + 0.5) / len(strip) * prediction.duration
        pictures.append(image(file.getvalue(), f"the frame at {at:.1f} s", kind="jpeg"))
    rows = [
        [_dot(index, one.label), str(one.index), _percent(one.score)]
        for index, one in enumerate(prediction.predictions)
    ]
    return page(
        Path(prediction.video).name,
        element("p", _asked(prediction), class_="note"),
        *(element("p", note, class_="note") for note in prediction.notes),
        element("div", *pictures, class_="strip", style=f"margin:0 {_RIGHT}% 0 {_LEFT}%"),
        element("figure", _svg(prediction), element("figcaption", _CAPTION)),
        element("h2", "Whole video"),
        table(["label", "class", "score"], rows, right=["class", "score"]),
        element("h2", "Clip by clip"),
        table(["seconds", "best", "score"], _clip_rows(prediction), right=["seconds", "score"]),
    )


_CAPTION = "Score of each clip at its middle; a point says its clip when the pointer rests on it."
_WIDTH, _HEIGHT = 1000.0, 320.0
_LEFT, _RIGHT, _BOTTOM = 5.0, 2.5, 12.0  # margins in percent of the width, and of the height


def _dot(index: int, text: str) -> Html:
    colour = _COLOURS[index % len(_COLOURS)]
    return Html(element("span", "● ", style=f"color:{colour}") + element("span", text))


def _clip_rows(prediction: Prediction) -> Iterable[list[str]]:
    for moment in prediction.timeline or ():
        best = moment.predictions[0]
        span = f"{moment.start:.2f} to {moment.end:.2f}"
        yield [span, best.label, _percent(best.score)]


def _svg(prediction: Prediction) -> Html:
    timeline = prediction.timeline or ()
    highest = max((score for moment in timeline for score in moment.scores), default=0.0)
    step = next((s for s in (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2) if highest <= 5 * s), 0.25)
    top = step * max(1, -(-highest // step))
    left, right = _WIDTH * _LEFT / 100, _WIDTH * (1 - _RIGHT / 100)
    floor = _HEIGHT * (1 - _BOTTOM / 100)
    length = prediction.duration or 1.0

    def x(seconds: float) -> float:
        return round(left + seconds / length * (right - left), 1)

    def y(score: float) -> float:
        return round(floor - score / top * (floor - 8), 1)

    parts: list[Html] = []
    for tick in range(round(top / step) + 1):
        at = y(tick * step)
        parts.append(element("line", x1=left, x2=right, y1=at, y2=at, style="stroke:var(--line)"))
        words = f"{100 * tick * step:.3g} %"
        parts.append(_text(left - 6, at + 4, words, "end"))
    parts += [
        _text(x(length * tick / 5), _HEIGHT - 12, f"{length * tick / 5:.1f} s", "middle")
        for tick in range(6)
    ]
    for index in reversed(range(len(prediction.predictions))):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [(x(_middle(moment)), y(moment.scores[index])) for moment in timeline]
        line = " ".join(f"{a},{b}" for a, b in points)
        width = 3 if index == 0 else 2
        parts.append(
            element("polyline", points=line, fill="none", stroke=colour, stroke_width=width)
        )
        for (a, b), moment in zip(points, timeline, strict=True):
            label = prediction.predictions[index].label
            words = f"{label}: {_percent(moment.scores[index])}, "
            words += f"{moment.start:.2f} to {moment.end:.2f} s"
            parts.append(element("circle", element("title", words), cx=a, cy=b, r=4, fill=colour))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_label="scores of the best classes over time",
    )


def _text(x: float, y: float, words: str, anchor: str) -> Html:
    return element(
        "text", words, x=x, y=y, text_anchor=anchor, font_size=13, style="fill:var(--faint)"
    )
