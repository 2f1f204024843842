"""``ptv-hub predict --boxes``: what a model says of boxes in videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ptv_hub.cli.tables import print_json, print_table
from ptv_hub.cli.talk import tell
from ptv_hub.cli.videos import VideoRun
from ptv_hub.errors import UsageError, VideoError

if TYPE_CHECKING:
    from ptv_hub.inference.detection import BoxPrediction
    from ptv_hub.models.builders import ActionModel

Form = Literal["table", "json", "csv"]


def refuse_others(given: Mapping[str, object]) -> None:
    """Raise UsageError if an option was given that says nothing of boxes."""
    named = [option for option, value in given.items() if value]
    if named:
        raise UsageError("boxes have a clip of their own time each", found=" ".join(named))


def predict_boxes(
    model: ActionModel,
    going: VideoRun,
    boxes: Path,
    top_k: int | None,
    threshold: float | None,
    fps: float | None,
    allow_broken: bool,
    form: Form,
) -> None:
    """Score the boxes of each video and print them."""
    from ptv_hub.inference.box_files import read_boxes
    from ptv_hub.inference.detection import predict_boxes as run
    from ptv_hub.inference.video import has_no_rate

    listed = read_boxes(boxes)
    if len(going.videos) > 1 and any(box.video is None for box in listed):
        raise UsageError(
            "boxes that name no video are of one",
            where=boxes,
            found=f"{len(going.videos)} videos",
            fix="give the list a column 'video', or go through the videos one by one",
        )

    results = []
    for video in going.videos:
        try:
            done = run(
                model,
                video.source,
                listed,
                top_k,
                threshold=threshold,
                fps=fps if has_no_rate(video.source) else None,
                allow_broken=allow_broken,
            )
        except VideoError as error:
            going.failed(video.told, str(error))
            continue
        results.append(done)
        for note in done.notes:
            tell(f"{video.told}: {note}")
    if form == "json":
        print_json([*(done.model_dump(mode="json") for done in results), *going.failures])
    elif form == "csv":
        _print_csv(results)
    else:
        for done in results:
            _print_table(done)
    going.end()


def _print_table(done: BoxPrediction) -> None:
    rows = [
        [f"{box.time:.2f}", _told(box.box), one.label, str(one.index), f"{one.score:.4f}"]
        for box in done.boxes
        for one in box.predictions
    ]
    names = ["seconds", "box", "label", "class", "score"]
    print_table(names, rows, right=["seconds", "class", "score"], title=done.video)


def _told(box: tuple[float, float, float, float]) -> str:
    x1, y1, x2, y2 = box
    return f"{x1:.0f},{y1:.0f} - {x2:.0f},{y2:.0f}"


def _print_csv(results: Sequence[BoxPrediction]) -> None:
    """A line a class of each box; its number is its place among the boxes of the video."""
    import csv
    import sys

    lines = csv.writer(sys.stdout, lineterminator="\n")
    corners = ["x1", "y1", "x2", "y2"]
    lines.writerow(["video", "number", "time", *corners, "rank", "label", "index", "score"])
    for done in results:
        for number, box in enumerate(done.boxes):
            place = [f"{side:.6g}" for side in box.box]
            for rank, one in enumerate(box.predictions, 1):
                told = [rank, one.label, one.index, f"{one.score:.6g}"]
                lines.writerow([done.video, number, f"{box.time:.6g}", *place, *told])
