"""The journal keeps what it was given, whatever happens to the process and the disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptv_hub.datasets.listing import Item
from ptv_hub.errors import EvaluationError, WriteError
from ptv_hub.fetching.hub import entry
from ptv_hub.runs.journal import Journal, Row, done, journals, name_of
from ptv_hub.runs.settings import Header, Settings, same_settings
from tests import ROOT

X3D = entry("x3d_xs")
ITEMS = [Item("a", "/a", (3,)), Item("b", "/b", ()), Item("c", "/c", (), "no class")]


def settings(**changes) -> Settings:
    base = Settings(
        model="x3d_xs",
        num_classes=4,
        weights="0" * 64,
        protocol=X3D.protocol,
        backend="eager",
        dtype="fp32",
        videos="1" * 64,
        keep_views=True,
    )
    return base.model_copy(update=changes)


def header(**changes) -> Header:
    return Header(
        settings=settings(**changes), entry=X3D, part=None, files=("test.csv",), notes=("n",)
    )


def scored(item_id: str, seed: int = 0) -> Row:
    rng = np.random.default_rng(seed)
    scores, views = rng.random(4, np.float32), rng.random((6, 4), np.float32)
    return Row(item_id, scores, views, 6, None, None, ("a note",), 0.25, 0.5)


def failed(item_id: str) -> Row:
    return Row(item_id, None, None, 0, "damaged", "all of it", (), 0.1, 0.0)


def begun(path: Path, **changes) -> Journal:
    journal = Journal(path)
    journal.begin(header(**changes), ITEMS, {"rank": 0})
    return journal


def test_all_comes_back_to_the_bit(tmp_path):
    path = tmp_path / name_of(0)
    with begun(path) as journal:
        journal.add(scored("a"))
        journal.add(failed("b"))
    with Journal(path, new=False) as journal:
        assert journal.header() == header()
        assert [(i.id, i.labels, i.problem) for i in journal.items()] == [
            (i.id, i.labels, i.problem) for i in ITEMS
        ]
        row, mine = journal.row("a", views=True), scored("a")
        assert row.scores.tobytes() == mine.scores.tobytes()
        assert row.views.tobytes() == mine.views.tobytes()
        assert (row.num_views, row.notes, row.decode_seconds, row.model_seconds) == (
            *(6, ("a note",), 0.25, 0.5),
        )
        assert journal.row("a").views is None
        assert journal.row("b").error == "all of it"
        assert journal.row("c") is None
        assert journal.ids() == {"a": True, "b": False}


def test_every_start_is_a_session(tmp_path):
    for _ in range(3):
        begun(tmp_path / name_of(0)).close()
    with Journal(tmp_path / name_of(0)) as journal:
        assert [session["rank"] for session in journal.sessions()] == [0, 0, 0]


def test_a_second_try_takes_the_place_of_a_failure(tmp_path):
    with begun(tmp_path / name_of(0)) as journal:
        journal.add(failed("a"))
        journal.add(scored("a"))
        assert journal.ids() == {"a": True}


def test_what_is_done_is_read_over_all_ranks(tmp_path):
    with begun(tmp_path / name_of(0)) as journal:
        journal.add(scored("a"))
        journal.add(failed("b"))
    with begun(tmp_path / name_of(10)) as journal:
        journal.add(scored("b"))
    (tmp_path / name_of(2)).touch()  # killed before its first word
    assert [path.name for path in journals(tmp_path)] == [name_of(n) for n in (0, 2, 10)]
    assert done(tmp_path, settings()) == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": "f" * 64}, "weights"),
        ({"videos": "f" * 64}, "videos"),
        ({"dtype": "bf16"}, "dtype bf16"),
        ({"backend": "openvino"}, "backend openvino"),
        ({"model": "x3d_s"}, "model x3d_s"),
        (
            {"protocol": X3D.protocol.model_copy(update={"num_clips": 1})},
            "protocol.num_clips 1",
        ),
    ],
)
def test_another_run_is_refused_and_the_difference_said(tmp_path, changes, said):
    begun(tmp_path / name_of(0)).close()
    with pytest.raises(EvaluationError) as caught:
        done(tmp_path, settings(**changes))
    assert said in str(caught.value)
    assert said.split()[0] in caught.value.what
    same_settings(settings(), settings(), tmp_path)


def test_a_file_that_is_no_journal(tmp_path):
    (tmp_path / name_of(0)).write_bytes(b"not a database, but long enough to be one" * 40)
    with pytest.raises(EvaluationError, match="damaged"):
        done(tmp_path, settings())


def test_a_journal_that_was_cut_short(tmp_path):
    path = tmp_path / name_of(0)
    with begun(path) as journal:
        journal.add(*(scored(f"v{number}", number) for number in range(300)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EvaluationError, match="damaged"):
        done(tmp_path, settings())


def test_a_journal_of_another_version(tmp_path):
    with sqlite3.connect(tmp_path / name_of(0)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(EvaluationError, match="another version"):
        Journal(tmp_path / name_of(0))


def test_a_journal_with_another_header(tmp_path):
    begun(tmp_path / name_of(0)).close()
    with sqlite3.connect(tmp_path / name_of(0)) as database:
        database.execute("UPDATE header SET value = '{}' WHERE name = 'settings'")
    with pytest.raises(EvaluationError, match="another version"):
        done(tmp_path, settings())


def small_disk(monkeypatch) -> None:
    """Have the next connection to a database find room for two pages more."""
    connect = sqlite3.connect

    def narrow(*args, **options) -> sqlite3.Connection:
        database = connect(*args, **options)
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 2}")
        return database

    monkeypatch.setattr(sqlite3, "connect", narrow)


def test_a_full_disk_takes_nothing_that_was_kept(tmp_path, monkeypatch):
    path = tmp_path / name_of(0)
    begun(path).close()
    with monkeypatch.context() as patched:
        small_disk(patched)
        journal = Journal(path)
    with journal:
        kept: list[str] = []

        def fill() -> None:
            for number in range(1000):
                journal.add(scored(f"v{number}", number))
                kept.append(f"v{number}")

        with pytest.raises(WriteError, match="is kept") as caught:
            fill()
        assert "full" in caught.value.found
        assert kept
        assert list(journal.ids()) == kept
    with Journal(path) as journal:
        assert list(journal.ids()) == kept
        journal.add(scored("after"))
        assert journal.ids()["after"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(WriteError, match="cannot be opened"):
        Journal(tmp_path / "no" / name_of(0))


WRITER = """
import sys
from pathlib import Path
from tests.runs.test_journal import begun, scored
journal = begun(Path(sys.argv[1]))
for number in range(100_000):
    journal.add(scored(f"v{number}", number))
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_it_said_was_kept(tmp_path):
    path = tmp_path / name_of(0)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [int(writer.stdout.readline()) for _ in range(25)]
    writer.kill()
    said += [int(line) for line in writer.stdout.read().split("\n") if line.isdigit()]
    writer.wait()
    with Journal(path, new=False) as journal:
        there = journal.ids()
        assert {f"v{number}" for number in said} <= set(there)
        assert len(there) <= len(said) + 1
        for number in range(len(there)):
            assert journal.row(f"v{number}").scores.tobytes() == scored("", number).scores.tobytes()
