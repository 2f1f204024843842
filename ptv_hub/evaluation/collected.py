"""The journals of a run as one, over all its ranks and folders; and its scores as one file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation.metrics import marks
from ptv_hub.files import atomic_write
from ptv_hub.runs.journal import Journal, Row, journals
from ptv_hub.runs.settings import Header, same_settings


class Collected:
    """All journals of a run as one: of a video that stands in several, a row with scores."""

    def __init__(self, opened: Sequence[Journal]) -> None:
        self._opened = opened
        self.header: Header = opened[0].header()
        items: dict[str, Item] = {}
        notes: dict[str, None] = {}
        parts: dict[str | None, None] = {}
        for journal in opened:
            header = journal.header()
            theirs = header.settings.model_copy(update={"videos": self.header.settings.videos})
            same_settings(self.header.settings, theirs, journal.path or Path())
            for item in journal.items():
                if items.setdefault(item.id, item).labels != item.labels:
                    raise EvaluationError(
                        "two journals give a video other labels",
                        where=journal.path,
                        expected=f"{item.id}: {items[item.id].labels}",
                        found=item.labels,
                        fix="join runs over one annotation only",
                    )
            notes |= dict.fromkeys(header.notes)
            parts[header.part] = None
        self.items = list(items.values())
        self.notes = tuple(notes)
        self.part = _joined(parts, len(self.items))
        self._where: dict[str, Journal] = {}
        for journal in opened:
            for item_id, scored in journal.ids().items():
                if scored or item_id not in self._where:
                    self._where[item_id] = journal

    @property
    def sessions(self) -> tuple[dict[str, Any], ...]:
        return tuple(session for journal in self._opened for session in journal.sessions())

    def rows(self, *, views: bool = False) -> Iterator[tuple[Item, Row | None]]:
        """Each listed video with what became of it, in the list's order."""
        for item in self.items:
            journal = self._where.get(item.id)
            yield item, None if journal is None else journal.row(item.id, views=views)


def _joined(parts: dict[str | None, None], count: int) -> str | None:
    if len(parts) == 1:
        return next(iter(parts))
    told = "; ".join(part or "all of a list" for part in parts)
    return f"{count} videos joined from runs over: {told}"


def collect(folders: Sequence[Path], stack: ExitStack) -> Collected:
    """The journals of some folders as one; they stay open with the stack.

    Raises:
        EvaluationError: no journal there, damaged ones, or ones of several runs.
    """
    opened = []
    for folder in folders:
        found = [folder] if folder.is_file() else journals(folder)
        for path in found:
            journal = stack.enter_context(Journal(path, new=False))
            if not journal.is_new:
                opened.append(journal)
        if not found:
            raise EvaluationError(
                "no journal of an evaluation", where=folder, expected="journal-0.sqlite"
            )
    if not opened:
        raise EvaluationError("the journals are empty", where=folders[0])
    return Collected(opened)


def write_scores(collected: Collected, path: Path) -> None:
    """Write ``scores.npz``: what was scored, in the list's order, a row at a time.

    ``ids``; ``labels``, the class of each video or, of several labels, a 0/1 row of all classes;
    ``scores`` over all views (N, classes); ``num_views``; and ``views`` (N, views, classes) where
    they were kept.

    Raises:
        WriteError: it cannot be written.
    """
    settings = collected.header.settings
    rows = [(item, row) for item, row in collected.rows() if row and row.scores is not None]
    items = [item for item, _ in rows]
    if settings.protocol.metric == "top1":
        labels: NDArray[Any] = np.array([item.labels[0] for item in items], np.int64)
    else:
        labels = marks([item.labels for item in items], settings.num_classes)
    shape = (len(rows), settings.num_classes)
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as file,
    ):
        _member(file, "ids", np.array([item.id for item in items], np.str_))
        _member(file, "labels", labels)
        scores = [row.scores for _, row in rows if row.scores is not None]
        _member(file, "scores", np.stack(scores) if scores else np.zeros(shape, np.float32))
        _member(file, "num_views", np.array([row.num_views for _, row in rows], np.int64))
        if settings.keep_views:
            _views_member(file, collected, len(rows))


def _views_member(file: zipfile.ZipFile, collected: Collected, count: int) -> None:
    """``views`` a video at a time: all of a data set's are gigabytes."""
    settings = collected.header.settings
    shape = (count, settings.protocol.num_views, settings.num_classes)
    with file.open("views.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_2_0(
            member, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        for _, row in collected.rows(views=True):
            if row is not None and row.views is not None:
                member.write(row.views.astype("<f4").tobytes())


def _member(file: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
