"""The journal of a collection: which videos are done, from which content, into which files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptv_hub.errors import EvaluationError
from ptv_hub.runs.database import Database
from ptv_hub.zoo.documents import flat

FOLDER = "_journal"
"""Below the output: what begins with an underscore, readers of data sets leave out."""
_TOLD = 6
"""Settings that differ, at most, that an error names."""
_TABLES = """
CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sessions (number INTEGER PRIMARY KEY, started TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE videos (
    name TEXT PRIMARY KEY, source TEXT NOT NULL, told TEXT NOT NULL, quick TEXT NOT NULL,
    content TEXT NOT NULL, files TEXT NOT NULL, rows INTEGER NOT NULL, reason TEXT, error TEXT,
    seconds REAL NOT NULL, decode_seconds REAL NOT NULL, model_seconds REAL NOT NULL
);
"""
_COLUMNS = (
    "name, source, told, quick, content, files, rows, reason, error, seconds, decode_seconds, "
    "model_seconds"
)


@dataclass(frozen=True)
class Entry:
    """What became of one video."""

    name: str
    source: str
    """``Found.key``."""
    told: str
    quick: str
    content: str
    files: dict[str, int]
    """Path below the output folder -> bytes."""
    rows: int
    reason: str | None = None
    error: str | None = None
    seconds: float = 0.0
    """Length of the video."""
    decode_seconds: float = 0.0
    model_seconds: float = 0.0

    def stands(self, out: Path) -> bool:
        """Whether its files are there as they were written."""
        try:
            return all((out / name).stat().st_size == size for name, size in self.files.items())
        except OSError:
            return False


class Ledger(Database):
    """One process's journal of a collection."""

    VERSION = 1001
    """Above those of evaluations: neither is taken for the other."""

    def begin(self, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Write what the run is, unless it stands there, and that a session of it starts."""
        with self._transaction() as database:
            if self.is_new:
                self._set_up(database, _TABLES)
                told = json.dumps(dict(settings))
                database.execute("INSERT INTO header VALUES ('settings', ?)", (told,))
            database.execute(
                "INSERT INTO sessions (started, facts) VALUES (datetime('now'), ?)",
                (json.dumps(dict(facts)),),
            )
        self.is_new = False

    def settings(self) -> dict[str, Any]:
        with self._guard():
            rows = self._database.execute("SELECT value FROM header WHERE name = 'settings'")
            found: dict[str, Any] = json.loads(rows.fetchone()[0])
        return found

    def add(self, *entries: Entry) -> None:
        """Keep what became of videos; on the disk when this returns. Raises WriteError."""
        rows = [
            (
                *(one.name, one.source, one.told, one.quick, one.content, json.dumps(one.files)),
                *(one.rows, one.reason, one.error),
                *(one.seconds, one.decode_seconds, one.model_seconds),
            )
            for one in entries
        ]
        marks = ", ".join("?" * 12)
        with self._transaction() as database:
            database.executemany(f"INSERT OR REPLACE INTO videos VALUES ({marks})", rows)

    def entries(self) -> list[Entry]:
        with self._guard():
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM videos").fetchall()
        names = _COLUMNS.replace("\n", " ").split(", ")
        told = [dict(zip(names, row, strict=True)) for row in rows]
        return [Entry(**{**one, "files": json.loads(one["files"])}) for one in told]


def known(out: Path, settings: Mapping[str, Any]) -> dict[str, Entry]:
    """Name -> what became of it, over all journals of a folder; what is done before what failed.

    Raises:
        EvaluationError: a journal of other settings, or a damaged one.
    """
    found: dict[str, Entry] = {}
    for path in sorted((out / FOLDER).glob("*.sqlite")):
        with Ledger(path, new=False) as ledger:
            if ledger.is_new:
                continue  # killed before its first word
            _same(settings, ledger.settings(), path)
            for one in ledger.entries():
                other = found.get(one.name)
                if other is None or other.reason is not None:
                    found[one.name] = one
    return found


def _same(mine: Mapping[str, Any], theirs: Mapping[str, Any], where: Path) -> None:
    ours, others = dict(flat(json.loads(json.dumps(dict(mine))))), dict(flat(theirs))
    names = [name for name in {**others, **ours} if ours.get(name) != others.get(name)]
    if names:
        told = names[:_TOLD]
        more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
        raise EvaluationError(
            f"the folder holds what other settings gave; different are: {', '.join(told)}{more}",
            where=where,
            expected=", ".join(f"{name} {str(others.get(name))[:40]}" for name in told),
            found=", ".join(f"{name} {str(ours.get(name))[:40]}" for name in told),
            fix="give the same again to go on, or another folder",
        )
