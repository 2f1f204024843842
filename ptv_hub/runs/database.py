"""An SQLite file into which what is done goes at once, and stays.

What is written is one transaction, synced to the disk: a process killed at any moment, or a
machine that loses power, loses at most the last video or two. The rollback journal is used and
not WAL, which does not work on network drives.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from typing_extensions import Self

from ptv_hub.errors import EvaluationError, WriteError


class Database:
    """One file, open; written by one process alone. A context manager."""

    VERSION: int

    def __init__(self, path: Path | None, *, new: bool = True) -> None:
        """Open a file, if allowed a new one where there is none; ``None`` keeps it in memory.

        Raises:
            EvaluationError: the file is none of these, or of another version.
            WriteError: it cannot be written.
        """
        self.path = path
        where = ":memory:"
        if path is not None:
            # Writable for those too who only read: what a killed process left is rolled back.
            where = f"{path.resolve().as_uri()}?mode={'rwc' if new else 'rw'}"
        with self._guard("opened"):
            self._database = sqlite3.connect(
                where, uri=True, timeout=60, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA synchronous = FULL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, self.VERSION):
            raise self._foreign(f"format {version}")
        self.is_new = version == 0

    def _set_up(self, database: sqlite3.Connection, tables: str) -> None:
        """Make the tables of a new file, within a transaction."""
        for statement in tables.split(";")[:-1]:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {self.VERSION}")

    def _foreign(self, found: str) -> EvaluationError:
        return EvaluationError(
            "a journal was written by another version of ptv_hub",
            where=self.path,
            expected=f"format {self.VERSION}",
            found=found,
            fix="use that version, or another --out",
        )

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guard("written"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # on a full disk SQLite has done it itself
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _guard(self, wanted: str = "read") -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise WriteError(
                f"the journal cannot be {wanted}",
                where=self.path,
                found=error,
                fix="make room, or mend the disk, and run the same again: what was done is kept",
            ) from error
        except sqlite3.DatabaseError as error:
            raise EvaluationError(
                "a journal is damaged, or not one",
                where=self.path,
                found=error,
                fix="move it away and run the same again; only its videos are done anew",
            ) from error


def alone(path: Path, stack: ExitStack) -> None:
    """Hold a journal, whose folder is made, until ``stack`` is left.

    Raises:
        EvaluationError: another process holds it.
        WriteError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(FileLock(path.with_suffix(".lock"), timeout=0))
    except Timeout as error:
        raise EvaluationError(
            "another process writes into this folder",
            where=path.parent,
            fix="wait for it, or give another --out",
        ) from error
    except OSError as error:
        raise WriteError.because(error, path.parent, fix="give another --out") from error
