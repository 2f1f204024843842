"""What ``predict`` prints of videos: tables, JSON, a line each, or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ptv_hub.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from ptv_hub.inference.predict import ClassScore, Prediction


class Told:
    """What goes to stdout: at once, or (``json``) as one list at the end."""

    def __init__(self, how: str, timeline: bool) -> None:
        self._how, self._timeline = how, timeline
        self._dumped: list[object] = []

    def begin(self) -> None:
        if self._how == "csv":
            span = ["start", "end"] if self._timeline else []
            _csv_line(["video", *span, "rank", "label", "index", "score"])

    def add(self, done: Prediction) -> None:
        if self._how == "csv":
            _print_csv(done, self._timeline)
        elif self._how == "tables":
            _print_prediction(done, self._timeline)
        else:
            dumped = done.model_dump(mode="json", exclude=None if self._timeline else {"timeline"})
            if self._how == "json":
                self._dumped.append(dumped)
            else:
                _json_line(dumped)

    def end(self, failures: Sequence[Mapping[str, object]]) -> None:
        without = [{**failure, "predictions": []} for failure in failures]
        if self._how == "json":
            print_json([*self._dumped, *without])
        elif self._how == "jsonl":
            for failure in without:
                _json_line(failure)


def _json_line(value: object) -> None:
    import json
    import sys

    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _csv_line(values: Sequence[object]) -> None:
    import csv
    import sys

    csv.writer(sys.stdout, lineterminator="\n").writerow(values)
    sys.stdout.flush()


def _print_prediction(done: Prediction, timeline: bool) -> None:
    print_table(
        ["label", "class", "score"],
        [[one.label, str(one.index), f"{one.score:.4f}"] for one in done.predictions],
        right=["class", "score"],
        title=done.video,
    )
    if timeline and done.timeline:
        print_table(
            ["seconds", "best", "score"],
            [
                [f"{moment.start:.2f} - {moment.end:.2f}", best.label, f"{best.score:.4f}"]
                for moment in done.timeline
                for best in moment.predictions[:1]
            ],
            right=["score"],
        )


def _print_csv(done: Prediction, timeline: bool) -> None:
    """A line a class; with a timeline also a line a class of each clip, with its seconds."""
    span = [""] * (2 if timeline else 0)
    groups: list[tuple[list[str], Sequence[ClassScore]]] = [(span, done.predictions)]
    if timeline:
        groups += [
            ([f"{moment.start:.3f}", f"{moment.end:.3f}"], moment.predictions)
            for moment in done.timeline or ()
        ]
    for seconds, classes in groups:
        for rank, one in enumerate(classes, 1):
            _csv_line([done.video, *seconds, rank, one.label, one.index, f"{one.score:.6g}"])
