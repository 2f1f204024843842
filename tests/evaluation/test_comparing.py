"""Two runs held against each other: numbers worked out by hand, and what is refused."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ptv_hub
from ptv_hub.cli import app
from ptv_hub.datasets.listing import Item, Listing
from ptv_hub.errors import EvaluationError
from ptv_hub.evaluation import comparison_words
from ptv_hub.evaluation.comparing import compare
from ptv_hub.runs.journal import Journal, Row, name_of
from ptv_hub.runs.settings import Header, Settings


def run(folder: Path, name: str, labels: list[tuple[int, ...]], said: list[int | None]) -> Path:
    """A run that says a class of each video with 0.9, or (``None``) has failed on it."""
    entry = ptv_hub.entry(name)
    items = [Item(f"{n}.mp4", "", of) for n, of in enumerate(labels)]
    settings = Settings(
        model=entry.name,
        num_classes=entry.num_classes,
        weights="a" * 64,
        protocol=entry.protocol,
        backend="eager",
        dtype="fp32",
        videos=Listing(entry.dataset, tuple(items), ()).digest,
        keep_views=False,
    )
    header = Header(settings=settings, entry=entry, part=None, files=(), notes=())
    folder.mkdir()
    with Journal(folder / name_of(0)) as journal:
        journal.begin(header, items, {"rank": 0})
        for item, one in zip(items, said, strict=True):
            scores = None
            if one is not None:
                scores = np.full(entry.num_classes, 0.1 / (entry.num_classes - 1), np.float32)
                scores[one] = 0.9
            why = None if one is not None else "broken"
            journal.add(Row(item.id, scores, None, 1, why, why, (), 0.0, 0.0))
    return folder


LABELS = [(n % 6,) for n in range(40)]
RIGHT = [of[0] for of in LABELS]


def changed(places: range | list[int]) -> list[int | None]:
    """Right but at these places."""
    return [(label + 1) % 6 if n in places else label for n, label in enumerate(RIGHT)]


def test_the_difference_of_two_accuracies(tmp_path):
    # Wrong are 0 to 9 by the first, 8 to 10 by the second: 8 are gained, 1 is lost.
    one = run(tmp_path / "one", "motion_x3d", LABELS, changed(range(10)))
    two = run(tmp_path / "two", "motion_x3d", LABELS, changed(range(8, 11)))
    found = compare(one, two)
    assert [r.value for r in found.runs] == pytest.approx([75.0, 92.5])
    assert found.difference == pytest.approx(17.5)
    assert (found.only_first, found.only_second, found.videos) == (1, 8, 40)
    # The chance of at most one of nine on either side: McNemar's test by hand.
    assert found.p_value == pytest.approx(2 * (comb(9, 0) + comb(9, 1)) / 2**9)
    # A difference of mean 17.5 and standard error sqrt(9/40 - 0.175^2)/sqrt(40) = 6.97 points.
    assert found.low == pytest.approx(17.5 - 1.96 * 6.97, abs=1.5)
    assert found.high == pytest.approx(17.5 + 1.96 * 6.97, abs=1.5)
    assert [v.id for v in found.lost] == ["10.mp4"]
    assert sorted(v.id for v in found.gained) == [f"{n}.mp4" for n in range(8)]
    assert found.lost[0].predicted == (
        found.lost[0].labels[0],
        ptv_hub.entry("motion_x3d").labels[5],
    )
    assert "the second is better" in comparison_words.verdict(found)
    back = compare(two, one)
    assert (back.difference, back.p_value) == (-found.difference, found.p_value)
    same = compare(one, one)
    assert (same.difference, same.p_value, same.low, same.high) == (0.0, 1.0, 0.0, 0.0)
    assert "may be chance" in comparison_words.verdict(same)


def test_videos_that_one_run_lacks_are_left_out(tmp_path):
    said = changed([])
    said[0] = None
    one = run(tmp_path / "one", "motion_x3d", LABELS, said)
    two = run(tmp_path / "two", "motion_x3d", LABELS, changed([0, 1]))
    found = compare(one, two)
    assert (found.listed, found.videos, found.only_first) == (40, 39, 1)
    assert "1 of 40 are not scored by both" in str(comparison_words.tests(found).rows)
    none = compare(one, run(tmp_path / "none", "motion_x3d", LABELS, [None] * 40))
    assert (none.videos, none.difference, none.low) == (0, None, None)
    assert "no video is scored by both" in comparison_words.page(none) + comparison_words.verdict(
        none
    )


def test_runs_of_several_labels_are_compared_by_map(tmp_path):
    labels = [(n % 5, 5 + n % 7) for n in range(35)]
    one = run(tmp_path / "one", "slow_r50_charades", labels, [of[0] for of in labels])
    two = run(tmp_path / "two", "slow_r50_charades", labels, [99] * 35)
    found = compare(one, two)
    assert found.metric == "mean_average_precision"
    assert found.difference == found.runs[1].value - found.runs[0].value < 0
    assert found.low <= found.difference <= found.high < 0
    assert found.p_value is None
    assert len(found.lost) == 35
    assert found.gained == ()


def test_what_cannot_be_compared_is_refused(tmp_path):
    one = run(tmp_path / "one", "motion_x3d", LABELS, changed([]))
    fewer = run(tmp_path / "fewer", "motion_x3d", LABELS[:30], changed([])[:30])
    with pytest.raises(EvaluationError, match="different lists") as caught:
        compare(one, fewer)
    assert "10 of 40 are the first's alone, 0 of 30 the second's" in str(caught.value)
    others = [(0,), *LABELS[1:-1], (1,)]
    with pytest.raises(EvaluationError, match="different lists"):
        compare(one, run(tmp_path / "labels", "motion_x3d", others, changed([])))
    with pytest.raises(EvaluationError, match="different things"):
        compare(one, run(tmp_path / "more", "x3d_xs", LABELS, changed([])))
    with pytest.raises(EvaluationError, match="no journal"):
        compare(one, tmp_path)


def test_the_command_compares(tmp_path):
    one = run(tmp_path / "one", "motion_x3d", LABELS, changed(range(10)))
    two = run(tmp_path / "two", "motion_x3d", LABELS, changed(range(8, 11)))
    words = ["eval", "--compare", str(one), str(two)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    for said in ("top-1 +17.50 points over 40 videos", "p = 0.03906", "10.mp4", "gained: 8 videos"):
        assert said in done.output
    stored = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout) == stored
    page = (tmp_path / "out" / "comparison.html").read_text()
    for said in ("+17.50", "10.mp4", "Gained: 8 videos", "var(--series-1)"):
        assert said in page
    assert CliRunner().invoke(app, [*words, "x3d_m"]).exit_code != 0
