"""When a published number counts as reproduced: the interval, and what lost videos can explain."""

from __future__ import annotations

import pytest

from ptv_hub.evaluation.metrics import wilson_interval
from ptv_hub.evaluation.reproduced import in_words, lost, reproduced
from ptv_hub.evaluation.result import Comparison, Counts
from ptv_hub.fetching.hub import entry


def compared(published: float, measured: float, scored: int, metric: str = "top1") -> Comparison:
    interval = wilson_interval(round(measured * scored / 100), scored)
    return Comparison(
        metric=metric,
        published=published,
        measured=measured,
        difference=measured - published,
        low=interval.low,
        high=interval.high,
        comparable=True,
    )


@pytest.mark.parametrize(
    ("published", "measured", "scored", "said"),
    [
        (75.94, 75.60, 19404, "held"),  # 75.60 +- 0.60
        (75.94, 74.70, 19404, "within loss"),  # all lost right: 0.9702 * 75.31 + 2.98 = 76.04
        (75.94, 74.50, 19404, "differs"),  # 0.9702 * 75.11 + 2.98 = 75.85
        (75.94, 78.80, 19404, "within loss"),  # all lost wrong: 0.9702 * 78.22 = 75.89
        (75.94, 79.20, 19404, "differs"),  # 0.9702 * 78.62 = 76.28
        (75.94, 70.00, 300, None),  # 5 points to either side
    ],
)
def test_top1_of_kinetics(published, measured, scored, said):
    share = lost(
        entry("x3d_m"), Counts(listed=scored, scored=scored, failed=0, pending=0), part=False
    )
    assert share == pytest.approx(100 * (1 - scored / 20000))
    assert reproduced(compared(published, measured, scored), share) == said


def test_failed_videos_are_lost_and_pending_ones_not_told():
    counts = Counts(listed=1863, scored=1800, failed=63, pending=0)
    assert lost(entry("slow_r50_charades"), counts, part=False) == pytest.approx(100 * 63 / 1863)
    row = compared(75.94, 75.6, 19404)
    assert reproduced(row, 3.0) == "held"
    assert reproduced(row, 3.0, pending=1) is None


def test_map_has_no_range_that_lost_videos_explain():
    row = compared(34.72, 30.0, 19404, metric="mean_average_precision")
    assert reproduced(row, 0.0) == "differs"
    assert reproduced(row, 1.0) is None
    assert "cannot be told (1.00 % of" in in_words(row.model_copy(update={"lost": 1.0}))
