"""Something-Something v2: the owners' JSON files, with frame lists or the ``.webm`` files.

Upstream: ``pytorchvideo/data/ssv2.py``, and PySlowFast's ``DATASET.md`` for the frame lists.
"""

from __future__ import annotations

from pathlib import Path

from ptv_hub.datasets.annotations import Media, check_names, find, fold, read_json
from ptv_hub.datasets.frame_lists import read_frame_list
from ptv_hub.datasets.listing import Frames, Item, Listing, Split
from ptv_hub.errors import AnnotationMissing, DataError
from ptv_hub.zoo.entry import Entry

_FOLDERS = ("frames", "videos", "20bn-something-something-v2", "")
_SUFFIXES = (".webm", ".mp4", ".mkv")


def read(data: Path, videos: Path | None, split: Split, entry: Entry) -> Listing:
    """Items of the frame list where there is one, else of the annotation.

    The annotation's template without brackets is the class's name; ``labels.json`` says its
    index, and has to agree with the model's class names.
    """
    folder = data if data.is_dir() else data.parent
    part = "train" if split == "train" else "validation"
    names_file = _required(folder, "*labels.json")
    annotation = data if data.suffix == ".json" else _required(folder, f"*{part}.json")
    classes = _classes(names_file, entry)
    labels = _labels(annotation, classes)
    lists = ("train.csv",) if split == "train" else ("val.csv", "test.csv")
    frame_list = data if data.suffix == ".csv" else find(folder, lists)
    files = [names_file, annotation]
    roots = [videos] if videos else [folder / name for name in _FOLDERS]
    if frame_list is None:
        media = Media(roots, _SUFFIXES)
        items = [Item(i, media.path(i), *said) for i, said in labels.items()]
        return Listing(entry.dataset, tuple(items), tuple(files))
    root = videos or next(path for path in roots if path.is_dir())
    frames = {i: found.frames for i, found in read_frame_list(frame_list, root).items()}
    notes = []
    left_out = len(labels.keys() - frames.keys())
    if left_out:
        notes.append(
            f"{left_out} videos of {annotation.name} are not in {frame_list.name} and not counted"
        )
    items = [_item(i, found, labels) for i, found in frames.items()]
    return Listing(entry.dataset, tuple(items), (*files, frame_list), tuple(notes))


Said = tuple[tuple[int, ...], "str | None"]


def _item(item_id: str, frames: Frames, labels: dict[str, Said]) -> Item:
    return Item(item_id, frames, *labels.get(item_id, ((), "not in the annotation")))


def _required(folder: Path, pattern: str) -> Path:
    found = find(folder, (pattern,))
    if found is None:
        raise AnnotationMissing(
            "a file of Something-Something v2 is missing",
            where=folder,
            expected=f"{pattern}, as in something-something-v2-labels.json",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing",
        )
    return found


def _classes(path: Path, entry: Entry) -> dict[str, int]:
    """Folded class name -> index."""
    content = read_json(path)
    try:
        names = {int(index): str(name) for name, index in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            "the class names cannot be used",
            where=path,
            expected="an object: name -> index",
            found=error,
        ) from error
    check_names(names, entry, path)
    return {fold(name): index for index, name in names.items()}


def _labels(path: Path, classes: dict[str, int]) -> dict[str, Said]:
    """Id -> label, or what is wrong with it."""
    content = read_json(path)
    found: dict[str, Said] = {}
    try:
        for row in content:
            template = str(row["template"])
            index = classes.get(fold(template))
            said: Said = (
                ((), f"no class is called {template!r}") if index is None else ((index,), None)
            )
            if found.setdefault(str(row["id"]), said) != said:
                found[str(row["id"])] = (), "in the annotation with two labels"
    except (KeyError, TypeError) as error:
        raise DataError(
            "the annotation cannot be used",
            where=path,
            expected="a list of objects with 'id' and 'template'",
            found=f"{type(error).__name__}: {error}",
        ) from error
    return found
