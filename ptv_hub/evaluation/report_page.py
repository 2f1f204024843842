"""Results of evaluations -> ``report.html``: pictures, the worst videos, tables to sort."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ptv_hub.errors import MissingExtra, VideoError
from ptv_hub.evaluation import pictures, report
from ptv_hub.evaluation.report import Table
from ptv_hub.evaluation.result import EvalResult, HardVideo
from ptv_hub.files import write_text
from ptv_hub.inference import playable
from ptv_hub.inference.video import Source, is_address
from ptv_hub.pages.figure import Drawn
from ptv_hub.pages.page import render
from ptv_hub.zoo.facts import METRICS

log = logging.getLogger("ptv_hub")

_WORST = 12  # videos that are shown
_STILL = (208, 156)  # pixels
_PREVIEWS = 350_000  # characters of all previews together


def write_report(
    result: EvalResult, folder: Path, videos: Mapping[str, Source] | None = None
) -> None:
    """Write ``report.md`` and ``report.html``.

    ``videos``: where a video lies, by its id. The worst are shown, and play, if it is given.

    Raises:
        WriteError: they cannot be written.
    """
    write_text(folder / "report.md", report.markdown(result))
    write_text(folder / "report.html", page(result, folder, videos))


def page(
    result: EvalResult, folder: Path = Path(), videos: Mapping[str, Source] | None = None
) -> str:
    """The report as a page that lies in a folder; without matplotlib it has no charts."""
    row = report.headline(result)
    shown = [one for one in result.classes if one.value is not None]
    return render(
        "report.html",
        title=report.title(result),
        result=result,
        metric=METRICS[row.metric],
        row=row,
        verdict=report.verdict(result),
        opening=list(report.opening(result)),
        failures=list(report.failures(result)),
        circumstances=list(report.circumstances(result)),
        worst=list(_worst(result.hardest, folder / "report.html", videos or {})),
        classes=sorted(shown, key=lambda one: (one.value or 0.0, one.index)),
        measure=report.measure_of(result),
        confused=[(one.label, one.predicted, one.videos) for one in result.confusions],
        bins=_bins(result),
        calibration=pictures.calibration_error(result.reliability),
        **_pictures(result),
    )


def _bins(result: EvalResult) -> Table:
    """How often what is said with some confidence is so."""
    counted = "videos" if result.metric == "top1" else "scores"
    columns = ("scores, %", counted, "mean score, %", "right, %")
    rows = [
        (
            f"{100 * one.low:.0f} to {100 * one.high:.0f}",
            str(one.count),
            f"{100 * one.score:.1f}",
            f"{100 * one.right:.1f}",
        )
        for one in result.reliability
    ]
    return Table(columns, tuple(rows), right=columns[1:])


def _pictures(result: EvalResult) -> dict[str, Drawn | str | None]:
    drawn: dict[str, Drawn | str | None]
    drawn = dict.fromkeys(("headline", "confusion", "reliability", "missing"))
    try:
        drawn["headline"] = pictures.headline_picture(result)
        if result.matrix is not None:
            drawn["confusion"] = pictures.confusion_picture(result.matrix)
        if result.reliability:
            drawn["reliability"] = pictures.reliability_picture(result.reliability)
    except MissingExtra as error:
        drawn["missing"] = f"{error.what}: {error.fix}"
    return drawn


@dataclass(frozen=True)
class _Shown:
    """One of the worst videos."""

    one: HardVideo
    still: str | None
    video: str | None
    """Where it plays."""


def _worst(
    hardest: tuple[HardVideo, ...], path: Path, videos: Mapping[str, Source]
) -> Iterator[_Shown]:
    room = _PREVIEWS
    for one in hardest[:_WORST]:
        source = videos.get(one.id)
        if source is None or (isinstance(source, str) and is_address(source)):
            yield _Shown(one, None, None)  # nothing is fetched for a picture
            continue
        still: str | None = None
        video: str | None = None
        try:
            still = playable.jpeg(playable.stills(source, [0.5], _STILL)[0])
            video = playable.address(source, path, embedded=0)
            if video is None and room > 0:
                video = playable.preview(source, _STILL)
                room -= len(video)
        except VideoError as error:  # it was readable when it was scored
            log.debug("%s is not shown: %s", one.id, error)
        yield _Shown(one, still, video)
