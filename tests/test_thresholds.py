"""Thresholds along lines against every threshold worked out for itself."""

import numpy as np
import pytest

from skem._kernels.thresholds import best_thresholds

ROWS, VARIANCE = 3.0, 0.02


def by_hand(x, weight, least):
    """Score of each number of rows on the lower side, -inf where equal values would part."""
    order = np.argsort(x, kind="stable")
    x, weight = x[order], weight[order]
    scores = np.full(len(x), -np.inf)
    for at in range(1, len(x)):
        if x[at] > x[at - 1]:
            scores[at] = 0.0
            for side in (slice(None, at), slice(at, None)):
                mass = weight[side].sum()
                scatter = (weight[side] * (x[side] - np.average(x[side], weights=weight[side])) ** 2).sum()
                variance = (scatter + mass * least + ROWS * VARIANCE) / (mass + ROWS)
                scores[at] += mass * (np.log(mass) - 0.5 * np.log(variance))
    return scores


@pytest.mark.parametrize("least", [0.0, 0.3])
@pytest.mark.parametrize("digits", [None, 0], ids=["distinct", "repeated"])
def test_the_best_threshold_of_each_line(digits, least):
    rng = np.random.default_rng(0)
    lines = rng.standard_normal((4, 60)) + 3.0 * (rng.random((4, 60)) < 0.3)
    lines = lines if digits is None else lines.round(digits)
    weight = rng.integers(1, 4, size=60) * 1.0
    order = np.argsort(lines, axis=1)
    at, score = best_thresholds(lines, order, weight, np.full(4, least), ROWS, VARIANCE)
    for line, x in enumerate(lines):
        scores = by_hand(x, weight, least)
        assert score[line] == pytest.approx(scores.max(), rel=1e-12)
        assert scores[at[line]] == pytest.approx(scores.max(), rel=1e-12)


def test_one_value_has_no_threshold():
    lines = np.vstack([np.ones(5), np.arange(5.0)])
    at, score = best_thresholds(lines, np.argsort(lines, axis=1), np.ones(5), np.zeros(2), ROWS, VARIANCE)
    assert score[0] == -np.inf
    assert np.isfinite(score[1])
    assert 1 <= at[1] <= 4
