"""Kinetics, and every data set that is told like it: paths with a label, or a folder a class."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ptv_hub.datasets.annotations import (
    check_names,
    find,
    fold,
    read_json,
    read_rows,
    read_text,
)
from ptv_hub.datasets.listing import Item, Listing, Split
from ptv_hub.errors import AnnotationMissing, DataError
from ptv_hub.files import atomic_write
from ptv_hub.zoo.entry import Entry

_LISTS: dict[Split, tuple[str, ...]] = {
    "train": ("train.csv", "train.txt", "*train*.csv", "*train*.txt"),
    "val": ("val.csv", "val.txt", "validate.csv", "*val*.csv", "*val*.txt"),
    "test": (
        "test.csv",
        "test.txt",
        "val.csv",
        "val.txt",
        "validate.csv",
        "*test*.csv",
        "*val*.csv",
        "*val*.txt",
    ),
}
_NAMES = ("kinetics_classnames.json", "*classnames.json", "*class_names.json")
"""Files of class names that users keep beside the list: name -> index."""
_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
_HEADERS = {"label", "labels", "class", "class_id"}
_FILES = {"path", "file", "filename", "video", "video_path", "name"}


def read(data: Path, videos: Path | None, split: Split, entry: Entry) -> Listing:
    """A list of paths and labels, the owners' annotation CSV, or a folder for each class."""
    if data.is_file():
        return _listed(data, videos, entry)
    path = find(data, _LISTS[split])
    if path is not None:
        return _listed(path, videos, entry)
    return _class_folders(data, split, entry)


def _listed(path: Path, videos: Path | None, entry: Entry) -> Listing:
    files = [path]
    names = find(path.parent, _NAMES)
    if names is not None:
        files.append(names)
        check_names(_indices(names), entry, names)
    first = read_text(path).lstrip().split("\n", 1)[0].casefold()
    if "youtube_id" in first:
        items = tuple(_owners(path, videos or path.parent, entry))
    elif (columns := _table_columns(first)) is not None:
        items = tuple(_rows(path, videos, entry, *columns))
    else:
        items = tuple(_paths(path, videos, entry))
    return Listing(entry.dataset, items, tuple(files))


def _table_columns(head: str) -> tuple[str, str] | None:
    """The names of a table's columns of paths and of labels, if its first line names three or
    more; a list of two needs no names."""
    names = [cell.strip() for cell in next(csv.reader([head]), [])]
    files, labels = ([n for n in names if n in known] for known in (_FILES, _HEADERS))
    return (files[0], labels[0]) if len(names) > 2 and files and labels else None


def _rows(
    path: Path, videos: Path | None, entry: Entry, file_column: str, label_column: str
) -> Iterator[Item]:
    """Items of a table with names over its columns, whatever else it has beside path and label."""
    classes = _classes(entry)
    text = read_text(path).lstrip()
    head, _, rest = text.partition("\n")
    names = [cell.strip().casefold() for cell in next(csv.reader([head]))]
    for number, row in enumerate(csv.reader(rest.splitlines()), 2):
        if not row:
            continue
        if len(row) != len(names):
            raise DataError(
                "a line of the list is not understood",
                where=f"{path}, line {number}",
                expected=f"{len(names)} columns: {', '.join(names)}",
                found=",".join(row)[:120],
            )
        told = dict(zip(names, (cell.strip() for cell in row), strict=True))
        index, problem = _index(told[label_column], classes)
        name = told[file_column]
        file = _located(name, path.parent, videos)
        yield Item(name, file, index, problem, columns=tuple(told.items()))


def _indices(path: Path) -> dict[int, str]:
    content = read_json(path)
    try:
        return {int(index): str(name) for name, index in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            "a file of class names cannot be used",
            where=path,
            expected="an object: name -> index",
            found=error,
        ) from error


def _paths(path: Path, videos: Path | None, entry: Entry) -> Iterator[Item]:
    """Items of ``path label`` lines, blanks or a comma between; labels by number or by name."""
    classes = _classes(entry)
    ids: dict[str, str] = {}  # of each file that was named
    for number, line in enumerate(read_text(path).splitlines(), 1):
        line = line.strip()
        if not line or _is_comment(line, path.parent, videos, classes):
            continue
        fields = _fields(line, classes)
        if fields is None:
            raise DataError(
                "a line of the list is not understood",
                where=f"{path}, line {number}",
                expected="'path label' or 'path,label', the label a number or a class name",
                found=line[:120],
            )
        name, label = fields
        if number == 1 and label.casefold() in _HEADERS:
            continue
        index, problem = _index(label, classes)
        file = _located(name, path.parent, videos)
        # './a.mp4' and 'a.mp4' are one video.
        yield Item(ids.setdefault(os.path.abspath(file), name), file, index, problem)


def _is_comment(line: str, folder: Path, videos: Path | None, classes: dict[str, int]) -> bool:
    """Whether a line is a remark: it begins with ``#``, and is not of a file whose name does."""
    if not line.startswith("#"):
        return False
    fields = _fields(line, classes)
    return fields is None or not os.path.exists(_located(fields[0], folder, videos))


def _fields(line: str, classes: dict[str, int]) -> tuple[str, str] | None:
    """Path and label, without quotes around them and a remark behind them.

    The path may hold blanks, commas and ``#``, the name of a class blanks.
    """
    remark = re.fullmatch(r"(\S.*?[\s,]\s*[\"']?-?\d+[\"']?)\s+#.*", line)
    fields = _split(remark[1] if remark else line, classes)
    if fields is None:
        return None
    path, label = map(_unquoted, fields)
    name = _unquoted(re.sub(r"\s+#.*", "", label))
    return path, name if fold(label) not in classes and fold(name) in classes else label


def _unquoted(text: str) -> str:
    """A text without the quotes around it, as shells and spreadsheets put them."""
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _split(line: str, classes: dict[str, int]) -> tuple[str, str] | None:
    words = line.rsplit(None, 1)
    if (
        len(words) == 2
        and re.fullmatch(r"([\"']?)-?\d+\1", words[1])
        and not words[0].endswith(",")
    ):
        return words[0], words[1]
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    if len(cells) == 2 and all(cells):
        return cells[0], cells[1]
    if len(cells) == 1:
        splits = [(line[: m.start()], line[m.end() :]) for m in re.finditer(r"\s+", line)]
        for path, name in splits:
            if fold(name) in classes:
                return path, name
        for path, name in splits:  # no class of the model; its item will say so
            if len(splits) == 1 or path.lower().endswith(_SUFFIXES):
                return path, name
    return None


def _classes(entry: Entry) -> dict[str, int]:
    return {fold(name): index for index, name in enumerate(entry.labels)}


def _index(label: str, classes: dict[str, int]) -> tuple[tuple[int, ...], str | None]:
    if re.fullmatch(r"-?\d+", label):
        return (int(label),), None
    if fold(label) in classes:
        return (classes[fold(label)],), None
    return (), f"no class is called {label!r}"


def _located(name: str, folder: Path, videos: Path | None) -> str:
    """Where a path of a list points: below the prefix; without one, below the list or from here."""
    if videos is not None:
        return os.path.join(videos, name)
    beside = os.path.join(folder, name)
    return name if not os.path.exists(beside) and os.path.exists(name) else beside


def _owners(path: Path, videos: Path, entry: Entry) -> Iterator[Item]:
    """Items of the owners' CSV: ``label,youtube_id,time_start,time_end,split``."""
    classes = _classes(entry)
    rows = read_rows(path, ",", ("label", "youtube_id", "time_start", "time_end"))
    there = {
        os.path.splitext(name)[0]: os.path.join(folder, name)
        for folder, _, names in os.walk(videos, followlinks=True)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    }
    for number, row in enumerate(rows, 2):
        try:
            span = f"{int(float(row['time_start'])):06d}_{int(float(row['time_end'])):06d}"
        except ValueError as error:
            raise DataError(
                "times of the annotation are no numbers",
                where=f"{path}, line {number}",
                found=f"{row['time_start']!r}, {row['time_end']!r}",
            ) from error
        item_id = f"{row['youtube_id']}_{span}"
        file = there.get(item_id) or there.get(row["youtube_id"])
        index, problem = _index(row["label"], classes)
        columns = tuple((key.casefold(), value) for key, value in row.items() if value)
        there_or_not = file or str(videos / f"{item_id}.mp4")
        yield Item(item_id, there_or_not, index, problem, columns=columns)


def _train_on(folders: Sequence[Path], entry: Entry) -> str | None:
    """What to do with folders of classes that the model does not know."""
    if len(folders) < 2:
        return None
    return (
        f"if the folders are classes of your own: {entry.name} was not trained on them; "
        f"'ptv-hub finetune {entry.name} --data FOLDER -o RUN' trains it, and "
        "'ptv-hub eval RUN/best.pyth --data FOLDER' measures the result"
    )


def _class_folders(data: Path, split: Split, entry: Entry) -> Listing:
    """Items of ``abseiling/ID.mp4``; the folder's name is the class."""
    classes = _classes(entry)
    names = {"train": ("train",), "val": ("val",), "test": ("test", "val")}[split]
    root = next((data / name for name in names if (data / name).is_dir()), data)
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not any(fold(folder.name) in classes for folder in folders):
        raise AnnotationMissing(
            "no annotation in the data folder",
            where=data,
            expected=f"one of {', '.join(_LISTS[split])}, or a folder of videos for each class",
            found=", ".join(sorted(path.name for path in data.iterdir())[:5]) or "nothing",
            fix=_train_on(folders, entry),
        )
    items = []
    for folder in folders:
        index, problem = _index(folder.name, classes)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                items.append(Item(path.relative_to(root).as_posix(), str(path), index, problem))
    return Listing(entry.dataset, tuple(items), (root,))


def write_list(path: str | os.PathLike[str], items: Iterable[Item]) -> None:
    """Write ``path label`` lines; with commas where a path holds a blank.

    Raises:
        WriteError: it cannot be written.
    """
    rows = [(item.id, str(item.labels[0])) for item in items]
    blanks = any(len(name.split()) > 1 for name, _ in rows)
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        if blanks:
            csv.writer(file, lineterminator="\n").writerows(rows)
        else:
            file.writelines(f"{name} {label}\n" for name, label in rows)
