"""Boxes in videos, as a file lists them: CSV with a header, AVA's own CSV, or JSON."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from ptv_hub.errors import UsageError
from ptv_hub.zoo.records import Record, first_fault

Number = Annotated[float, Field(allow_inf_nan=False)]

_FORMS = (
    "CSV with a header that names time, x1, y1, x2, y2 (seconds, pixels of the video; and video if"
    " it is of several), AVA's CSV without a header (video, second, x1, y1, x2, y2 as shares of the"
    ' frame), or JSON: [{"time": 1.5, "box": [x1, y1, x2, y2]}, ...]'
)


class Box(Record):
    """A box in one frame of a video."""

    time: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Seconds from the beginning of the video."""
    box: tuple[Number, Number, Number, Number]
    """x1, y1, x2, y2: pixels of the video's own frames, from the upper left corner."""
    relative: bool = False
    """Whether they are shares of the frame's width and height, 0 to 1, as in AVA's files."""
    video: str | None = None
    """Name of the video's file, with or without its suffix, where a list is of several."""

    @model_validator(mode="after")
    def _corners(self) -> Self:
        x1, y1, x2, y2 = self.box
        if not (x1 < x2 and y1 < y2):
            raise ValueError(f"x1 < x2 and y1 < y2 do not hold for {self.box}")
        if self.relative and not all(0 <= side <= 1 for side in self.box):
            raise ValueError(f"shares of the frame go from 0 to 1, not as in {self.box}")
        return self

    def is_in(self, video: str) -> bool:
        """Whether it is a box of this video, by the name of its file."""
        name = Path(video).name
        return self.video in (None, name, Path(name).stem)


def read_boxes(path: str | os.PathLike[str]) -> tuple[Box, ...]:
    """The boxes that a file lists, in its order; a box that AVA's file lists once for each of its
    actions comes once.

    Raises:
        UsageError: the file cannot be read, is of no known form, or lists a box that is none.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("a list of boxes cannot be read", where=path, found=error) from error
    found = _of_json(path, text) if path.suffix.lower() == ".json" else list(_of_csv(path, text))
    if not found:
        raise UsageError("a list of boxes is empty", where=path, expected=_FORMS)
    return tuple(dict.fromkeys(found))


def _of_json(path: Path, text: str) -> list[Box]:
    try:
        return TypeAdapter(list[Box]).validate_python(json.loads(text))
    except (json.JSONDecodeError, ValidationError) as error:
        raise _not_understood(path, error) from error


def _of_csv(path: Path, text: str) -> Iterator[Box]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    named = {"time", "x1", "y1", "x2", "y2"} <= set(header)
    columns = {name: header.index(name) for name in header} if named else _AVA
    for line, row in enumerate(rows[1:] if named else rows, 2 if named else 1):
        if len(row) <= max(columns[name] for name in ("time", "x1", "y1", "x2", "y2")):
            short = ValueError(f"{len(row)} cells: {', '.join(row)}")
            raise _not_understood(f"{path}:{line}", short)
        try:
            cell = {name: row[place].strip() for name, place in columns.items()}
            corners = [cell[name] for name in ("x1", "y1", "x2", "y2")]
            yield Box.model_validate(
                {
                    "time": cell["time"],
                    "box": corners,
                    "relative": not named,
                    "video": cell.get("video") or None,
                }
            )
        except (IndexError, ValidationError) as error:
            raise _not_understood(f"{path}:{line}", error) from error


_AVA = {"video": 0, "time": 1, "x1": 2, "y1": 3, "x2": 4, "y2": 5}
"""Columns of AVA's files, which go on with an action and a person or a score."""


def _not_understood(where: object, error: Exception) -> UsageError:
    return UsageError(
        "a list of boxes is not understood", where=where, expected=_FORMS, found=first_fault(error)
    )
