"""A prediction over time: a picture (PNG), or a page on which the video itself plays.

Both are drawn by matplotlib (the extra ``plot``). The page needs nothing but itself and, unless it
is small, the video where it lies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv_hub.errors import UsageError
from ptv_hub.files import atomic_write, ready_file
from ptv_hub.inference import over_time, playable
from ptv_hub.inference.over_time import ScoresOverTime, percent
from ptv_hub.inference.predict import Prediction
from ptv_hub.inference.video import Source
from ptv_hub.pages import figure
from ptv_hub.pages.figure import Size
from ptv_hub.pages.look import SERIES, colours
from ptv_hub.pages.page import render
from ptv_hub.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".html")

_CELL = (160, 120)  # pixels of one frame of the strip
_STRIP = 6  # frames
_PICTURE = Size(960, 432)


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
        MissingExtra: matplotlib is not installed.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    _require_drawable(path)
    if prediction.timeline is None:
        raise UsageError("the prediction has no timeline", fix="predict(..., timeline=True)")
    strip = playable.stills(
        video,
        [(part + 0.5) / _STRIP for part in range(_STRIP)],
        _CELL,
        duration=prediction.duration,
        fps=fps,
        allow_broken=allow_broken,
    )
    found = prediction.over_time
    if path.suffix.lower() == ".png":
        data = figure.png(lambda size: _picture(prediction, found, strip, size), _PICTURE)
    else:
        data = _page(prediction, found, strip, playable.address(video, path)).encode()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def ready_to_draw(path: Path) -> None:
    """See that a picture can be drawn under this name, before what it shows is computed.

    Raises:
        UsageError, MissingExtra, WriteError: as ``draw_timeline``.
    """
    _require_drawable(path)
    ready_file(path)


def _require_drawable(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            "a picture of another kind", where=path, expected=f"a name in {' or '.join(FORMATS)}"
        )
    figure.require_matplotlib("a picture of the timeline")


def _asked(prediction: Prediction) -> str:
    """How the scores came about, in a line."""
    clips, crops = prediction.views.split("x")
    return (
        f"{prediction.model} ({prediction.dataset}), {clips} clips x {crops} crops, "
        f"{prediction.activation}"
    )


def _picture(prediction: Prediction, found: ScoresOverTime, strip: list[Any], size: Size) -> Figure:
    right, head = 300, 52
    across = size.width - over_time.LEFT - right
    # As high as a frame of a sixth of the axes' width is.
    high = across / len(strip) * _CELL[1] / _CELL[0]
    made, scores = figure.empty(size, right=right, top=head + high + 14)
    place = (over_time.LEFT, size.height - head - high, across, high)
    frames = made.add_axes(
        (place[0] / size.width, place[1] / size.height, across / size.width, high / size.height)
    )
    words: Any = {"x": over_time.LEFT / size.width, "va": "top"}
    name = visible(Path(prediction.video).name)
    made.text(y=1 - 12 / size.height, s=name, size=15, weight="bold", **words)
    made.text(y=1 - 33 / size.height, s=_asked(prediction), color=colours()["faint"], **words)
    length = found.duration or 1.0
    part = length / len(strip)
    for index, picture in enumerate(strip):
        frames.imshow(picture, extent=(index * part, (index + 1) * part, 0, 1), aspect="auto")
    frames.set(xlim=(0, length), ylim=(0, 1), xticks=[], yticks=[])
    over_time.lines(found, scores)
    over_time.named(scores)
    return made


def _page(
    prediction: Prediction, found: ScoresOverTime, strip: list[Any], address: str | None
) -> str:
    timeline = prediction.timeline or ()
    part = found.duration / len(strip)
    return render(
        "timeline.html",
        title=Path(prediction.video).name,
        asked=_asked(prediction),
        notes=prediction.notes,
        video=address,
        duration=found.duration,
        strip=[((n + 0.5) * part, playable.jpeg(picture)) for n, picture in enumerate(strip)],
        chart=over_time.for_page(found),
        left=over_time.LEFT,
        right=over_time.RIGHT,
        width=over_time.WIDE.width,
        classes=[
            (index % SERIES + 1, one.label, one.index, percent(one.score))
            for index, one in enumerate(prediction.predictions)
        ],
        clips=[(m, m.predictions[0].label, percent(m.predictions[0].score)) for m in timeline],
    )
