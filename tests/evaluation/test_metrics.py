"""The numbers of the protocols, held to PySlowFast's own."""

from __future__ import annotations

import numpy as np
import pytest

from ptv_hub.evaluation import metrics
from tests import GOLDEN

GOLDEN = np.load(GOLDEN / "metrics.npz")


def test_map_with_ties_and_empty_classes_is_pyslowfasts():
    scores, marks = GOLDEN["multilabel_scores"], GOLDEN["multilabel_labels"]
    assert (~marks.any(axis=0)).any()
    found = metrics.mean_average_precision(scores, marks)
    assert found == pytest.approx(float(GOLDEN["mean_average_precision"]), abs=1e-6)


def test_top1_and_top5_are_pyslowfasts():
    scores, labels = GOLDEN["scores"], GOLDEN["labels"]
    found = [100 * metrics.top_k(scores, labels, k) / len(labels) for k in (1, 5)]
    # PySlowFast's are float32.
    assert found == pytest.approx(GOLDEN["top1_top5"].tolist(), abs=1e-5)


def test_top_k_of_few_classes():
    scores = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    labels = np.array([0, 1])
    assert metrics.top_k(scores, labels, 1) == 1
    assert metrics.top_k(scores, labels, 2) == 2
    assert metrics.top_k(scores, labels, 5) is None


def test_accuracy_of_each_class_and_what_it_is_taken_for():
    labels = np.array([0, 0, 0, 1, 2, 2])
    said = np.array([0, 1, 1, 1, 0, 2])
    scores = np.eye(4, dtype=np.float32)[said]
    found = metrics.class_accuracies(scores, labels)
    np.testing.assert_allclose(found, [100 / 3, 100, 50, np.nan])
    assert metrics.confusions(scores, labels, 5) == [(0, 1, 2), (2, 0, 1)]
    assert metrics.confusions(scores, labels, 1) == [(0, 1, 2)]


def test_map_leaves_out_classes_that_do_not_occur():
    scores = np.array([[0.9, 0.5], [0.1, 0.6]], np.float32)
    marks = np.array([[1, 0], [0, 0]], np.uint8)
    assert metrics.mean_average_precision(scores, marks) == 100.0
    assert metrics.mean_average_precision(scores, 0 * marks) is None
    np.testing.assert_array_equal(metrics.average_precisions(scores, marks), [100.0, np.nan])


def test_the_precision_of_a_video_ranks_its_own_classes():
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]], np.float32)
    marks = np.array([[0, 1, 0], [0, 0, 1]], np.uint8)
    np.testing.assert_allclose(metrics.video_precisions(scores, marks), [100, 100 / 3])


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # By the closed form of Wilson (1927), computed by hand.
    [(50, 100, 40.383153, 59.616847), (0, 10, 0.0, 27.753279), (10, 10, 72.246721, 100.0)],
)
def test_wilson_interval(correct, total, low, high):
    found = metrics.wilson_interval(correct, total)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


def test_the_bootstrap_interval_holds_the_number_and_repeats():
    scores, marks = GOLDEN["multilabel_scores"][:, :12], GOLDEN["multilabel_labels"][:, :12]
    one, two = (metrics.bootstrap_interval(scores, marks) for _ in range(2))
    assert one == two
    number = metrics.mean_average_precision(scores, marks)
    assert 0 < one.low < number < one.high < 100


def test_too_few_videos_have_no_bootstrap_interval():
    scores, marks = GOLDEN["multilabel_scores"][:10], GOLDEN["multilabel_labels"][:10]
    assert metrics.bootstrap_interval(scores, marks) is None
