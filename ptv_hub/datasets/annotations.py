"""What the readers of annotations share: files as text and rows, class names, where media lie."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ptv_hub.errors import DataError
from ptv_hub.zoo.entry import Entry


def fold(name: str) -> str:
    """A class name without what spellings differ in: case, underscores, quotes, brackets."""
    return re.sub(r"[\s_]+", " ", re.sub(r"[\[\]\"']", "", name)).strip().casefold()


def check_names(names: dict[int, str], entry: Entry, where: Path) -> None:
    """That an annotation's class names stand at the model's indices.

    Raises:
        DataError: another name, or another number of them.
    """
    if not entry.labels:
        return
    wrong = [
        (index, name)
        for index, name in sorted(names.items())
        if not 0 <= index < len(entry.labels) or fold(name) != fold(entry.labels[index])
    ]
    if wrong or len(names) != len(entry.labels):
        index, name = wrong[0] if wrong else (len(names), "nothing")
        mine = entry.labels[index] if 0 <= index < len(entry.labels) else "nothing"
        raise DataError(
            f"the class names are not in the order of {entry.name}",
            where=where,
            expected=f"{len(entry.labels)} classes, {index}: {mine}",
            found=f"{len(names)} classes, {index}: {name}",
            fix="take the data set's own file; scores would be counted for the wrong classes",
        )


def read_text(path: Path) -> str:
    """The text of an annotation file, with or without a BOM, lines ended in any way.

    Raises:
        DataError: it cannot be read, is empty, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("an annotation file is not UTF-8", where=path, found=error) from error
    except OSError as error:
        raise DataError(
            "an annotation file cannot be read", where=path, found=error.strerror or error
        ) from error
    if not text.strip():
        raise DataError("an annotation file is empty", where=path)
    return text


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises DataError."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError("an annotation file is not JSON", where=path, found=error) from error


def read_rows(path: Path, delimiter: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

    Raises:
        DataError: a column that is not there, or a row with fewer or more fields.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            "an annotation file lacks columns",
            where=path,
            expected=", ".join(columns),
            found=", ".join(reader.fieldnames or ()) or "nothing",
        )
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                "a line of an annotation file has another number of fields than its header",
                where=f"{path}, line {reader.line_num}",
                expected=len(reader.fieldnames or ()),
            )
        rows.append(row)
    return rows


def find(folder: Path, patterns: Iterable[str]) -> Path | None:
    """The first file of a folder that matches, by the order of the patterns."""
    for pattern in patterns:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return found[0]
    return None


class Media:
    """Where the video of an id lies: a folder of frames, or a file with any of its suffixes."""

    def __init__(self, folders: Iterable[Path], suffixes: Sequence[str]) -> None:
        self._suffixes = suffixes
        self._folders = [folder for folder in folders if folder.is_dir()]
        # One look into each folder; asking for 25,000 names one by one takes minutes on a
        # network drive.
        self._names = {folder: {e.name for e in folder.iterdir()} for folder in self._folders}

    def path(self, item_id: str) -> str:
        """Where it lies, or where it was looked for first."""
        for folder, names in self._names.items():
            for suffix in ("", *self._suffixes):
                if item_id + suffix in names:
                    return str(folder / (item_id + suffix))
        return str(self._folders[0] / (item_id + self._suffixes[0]))
