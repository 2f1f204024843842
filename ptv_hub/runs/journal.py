"""The journal of an evaluation, into which every scored video goes at once, and stays.

One file a rank, written by that rank alone; how it is kept stands in ``database``. A journal is
whole in itself: it holds the list of videos, the entry and the settings, so that a report needs
nothing else.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ptv_hub.datasets.listing import Item
from ptv_hub.runs.database import Database
from ptv_hub.runs.settings import Header, Settings, same_settings
from ptv_hub.zoo.records import first_fault

VERSION = 1
_WAITING = 16  # rows
_SUFFIX = ".sqlite"
_TABLES = """
CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE items (
    place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, labels TEXT NOT NULL, problem TEXT
);
CREATE TABLE sessions (number INTEGER PRIMARY KEY, started TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE videos (
    id TEXT PRIMARY KEY, scores BLOB, views BLOB, num_views INTEGER NOT NULL,
    reason TEXT, error TEXT, notes TEXT NOT NULL,
    decode_seconds REAL NOT NULL, model_seconds REAL NOT NULL, session INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Row:
    """What became of one video: scores, or the reason why there are none."""

    id: str
    scores: NDArray[np.float32] | None
    """Over all views, (classes,)."""
    views: NDArray[np.float32] | None
    """Of each view, (views, classes), where they are kept."""
    num_views: int
    reason: str | None
    error: str | None
    notes: tuple[str, ...]
    decode_seconds: float
    model_seconds: float


def name_of(rank: int) -> str:
    """File name of a rank's journal."""
    return f"journal-{rank}{_SUFFIX}"


def journals(folder: Path) -> list[Path]:
    """The journals of a folder, by rank."""
    found = folder.glob(f"journal-*{_SUFFIX}")
    return sorted(found, key=lambda path: (len(path.name), path.name))


class Journal(Database):
    """One rank's journal, open."""

    VERSION = VERSION

    def __init__(self, path: Path | None, *, new: bool = True) -> None:
        super().__init__(path, new=new)
        self._session = 0

    def begin(
        self,
        header: Header,
        items: Iterable[Item],
        facts: Mapping[str, Any],
        *,
        started: str | None = None,
    ) -> None:
        """Write what the run is, unless it stands there, and that a session of it starts (now)."""
        with self._transaction() as database:
            if self.is_new:
                self._set_up(database, _TABLES)
                rows = [(name, json.dumps(value)) for name, value in _plain(header).items()]
                database.executemany("INSERT INTO header VALUES (?, ?)", rows)
                listed = [
                    (place, item.id, json.dumps(item.labels), item.problem)
                    for place, item in enumerate(items)
                ]
                database.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", listed)
            cursor = database.execute(
                "INSERT INTO sessions (started, facts) VALUES (coalesce(?, datetime('now')), ?)",
                (started, json.dumps(dict(facts))),
            )
            self._session = cursor.lastrowid or 0
        self.is_new = False

    def add(self, *rows: Row) -> None:
        """Keep what became of a video, or of several; on the disk when this returns.

        Raises:
            WriteError: the disk is full, or gone. All that was kept before still is.
        """
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        row.id,
                        None if row.scores is None else _bytes(row.scores),
                        None if row.views is None else _bytes(row.views),
                        row.num_views,
                        row.reason,
                        row.error,
                        json.dumps(row.notes),
                        row.decode_seconds,
                        row.model_seconds,
                        self._session,
                    )
                    for row in rows
                ],
            )

    def header(self) -> Header:
        with self._guard():
            rows = self._database.execute("SELECT name, value FROM header").fetchall()
        try:
            return Header.model_validate({name: json.loads(value) for name, value in rows})
        except (ValidationError, json.JSONDecodeError) as error:
            raise self._foreign(first_fault(error)) from error

    def items(self) -> list[Item]:
        """The list of videos; where they lay is not kept."""
        with self._guard():
            rows = self._database.execute(
                "SELECT id, labels, problem FROM items ORDER BY place"
            ).fetchall()
        return [Item(i, "", tuple(json.loads(labels)), problem) for i, labels, problem in rows]

    def sessions(self) -> list[dict[str, Any]]:
        """When and on what the run was, each time that it was started."""
        with self._guard():
            rows = self._database.execute("SELECT started, facts FROM sessions").fetchall()
        return [{"started": started, **json.loads(facts)} for started, facts in rows]

    def ids(self) -> dict[str, bool]:
        """Id -> whether it was scored, of every video that was tried."""
        with self._guard():
            rows = self._database.execute("SELECT id, reason IS NULL FROM videos").fetchall()
        return {item_id: bool(scored) for item_id, scored in rows}

    def row(self, item_id: str, *, views: bool = False) -> Row | None:
        """What became of a video; its views only if asked for."""
        for row in self._rows("WHERE id = ?", (item_id,), views):
            return row
        return None

    def _rows(self, where: str, values: tuple[str, ...], views: bool) -> Iterator[Row]:
        with self._guard():
            found = self._database.execute(
                f"SELECT id, scores, {'views' if views else 'NULL'}, num_views, reason, error,"
                f" notes, decode_seconds, model_seconds FROM videos {where}",
                values,
            ).fetchall()
        for item_id, scores, kept, num_views, reason, error, notes, decoding, model in found:
            values_ = None if scores is None else np.frombuffer(scores, "<f4")
            of_views = None if kept is None else np.frombuffer(kept, "<f4").reshape(num_views, -1)
            told = tuple(json.loads(notes))
            yield Row(item_id, values_, of_views, num_views, reason, error, told, decoding, model)


class Writer:
    """Adds rows beside the model's work: a disk takes milliseconds to sync, as a GPU for a video.

    What waits while one transaction is synced goes into the next. A context manager; on
    leaving it all rows are on the disk.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: Queue[Row | None] = Queue(maxsize=_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ptv_hub-journal", daemon=True)

    def add(self, row: Row) -> None:
        """Have a row written. Raises WriteError if an earlier one could not be."""
        if self._error is not None:
            raise self._error
        self._waiting.put(row)

    def _run(self) -> None:
        while True:
            rows = [self._waiting.get()]
            while not self._waiting.empty():
                rows.append(self._waiting.get())
            if self._error is None:
                try:
                    self._journal.add(*(row for row in rows if row is not None))
                except BaseException as error:  # raised where the rows come from
                    self._error = error
            if rows[-1] is None:
                return

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error


def _plain(header: Header) -> dict[str, Any]:
    plain: dict[str, Any] = header.model_dump(mode="json")
    return plain


def _bytes(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f4").tobytes()


def done(folder: Path, settings: Settings) -> dict[str, bool]:
    """Id -> whether it was scored, over all journals of a folder.

    Raises:
        EvaluationError: a journal of another run, or a damaged one.
    """
    found: dict[str, bool] = {}
    for path in journals(folder):
        with Journal(path, new=False) as journal:
            if journal.is_new:
                continue  # killed before its first word
            same_settings(settings, journal.header().settings, path)
            for item_id, scored in journal.ids().items():
                found[item_id] = scored or found.get(item_id, False)
    return found
