"""Laws of statistics: a sum over rows, whatever the order, the blocks and the weights."""

import pickle

import numpy as np
import pytest
from families_under_test import CASES, Problem, law

from skem.suffstats import SuffStats

# shared arrays belong to no component, so they cannot be merged one by one
SEPARABLE = [case for case in CASES if not Problem(case).prior.shared]


def arrays(stats):
    return stats.to_dict()["arrays"]


def assert_same(got, expected, rtol=1e-11):
    assert type(got) is type(expected)
    assert got.shared == expected.shared
    for name, value in arrays(expected).items():
        np.testing.assert_allclose(
            arrays(got)[name], value, rtol=rtol, atol=rtol * np.abs(value).max(initial=1.0), err_msg=name
        )


@pytest.fixture
def split():
    return np.array_split(np.arange(25), 4)


@law("mle")
def test_merging_is_joining_the_rows(case, split):
    p = Problem(case)
    parts = [p.stats(rows, weight=p.weight) for rows in split]
    whole = p.stats(weight=p.weight)
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.merge(part)
    assert_same(joined, whole)


@law("mle")
def test_merging_is_associative_and_symmetric(case, split):
    p = Problem(case)
    a, b, c = (p.stats(rows, weight=p.weight) for rows in split[:3])
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(a.merge(b), b.merge(a))


@law("mle")
def test_pooling_is_one_label_for_all(case):
    p = Problem(case)
    pooled = p.stats(weight=p.weight).pool()
    p.labels[:] = 0
    one = p.stats(weight=p.weight)
    assert_same(pooled, one.take([0]))


@law("mle")
def test_scaling_is_weighting(case):
    p = Problem(case)
    assert_same(p.stats(weight=2.5 * p.weight), p.stats(weight=p.weight).scale(2.5))
    twice = np.concatenate([np.arange(25)] * 2)
    assert_same(p.stats(twice), p.stats().scale(2.0))


@law("mle")
def test_responsibilities_are_weights(case):
    # a row half in each component is the row in both with half its weight
    p = Problem(case)
    resp = p.rng.dirichlet(np.ones(2), size=25)
    soft = p.stats(weight=p.weight, resp=resp)
    hard = []
    for k in range(2):
        p.labels[:] = k
        hard.append(p.stats(weight=p.weight * resp[:, k]))
    assert_same(soft, hard[0].merge(hard[1]))


@pytest.mark.parametrize("case", SEPARABLE, ids=[case.name for case in SEPARABLE])
def test_a_leading_axis_of_one_is_merged_with_every_component(case):
    p = Problem(case)
    stats = p.stats()
    single = stats.take([0])
    merged = stats.merge(single)
    for k in range(2):
        assert_same(merged.take([k]), stats.take([k]).merge(single))


@law("mle")
def test_round_trips(case):
    p = Problem(case)
    stats = p.stats()
    for twin in (type(stats).from_dict(stats.to_dict()), pickle.loads(pickle.dumps(stats))):
        assert_same(twin, stats, rtol=0)
    theta = p.family.mle(stats)
    assert_same(pickle.loads(pickle.dumps(theta)), theta, rtol=0)
    assert stats.n_components == 2
    assert_same(stats.take([1, 0, 1]).take([1]), stats.take([0]), rtol=0)


@law("mle")
def test_no_rows_are_the_neutral_element(case):
    p = Problem(case)
    p.labels[:] = 0
    stats = p.stats()
    empty = p.stats(slice(0, 3), weight=np.zeros(25))
    assert_same(stats.merge(empty), stats, rtol=1e-15)
    if p.prior is not None:
        assert_same(p.prior.merge(empty), p.prior, rtol=1e-15)


def test_names_are_told_where_one_is_missing():
    stats = SuffStats({"n": [1.0, 2.0], "total": [[1.0], [3.0]]})
    assert repr(stats) == "SuffStats(n(2,), total(2, 1))"
    with pytest.raises(AttributeError, match=r"no array named 'mean'; there are \['n', 'total'\]"):
        _ = stats.mean


def test_components_are_taken_by_position_and_by_mask():
    stats = SuffStats({"n": [1.0, 2.0], "total": [[3.0], [4.0]]})
    assert stats.take([0, 1]) is stats
    assert stats.take([1, 0]).n.tolist() == [2.0, 1.0]
    # a mask may look like the positions of all
    assert stats.take([False, True]).total.tolist() == [[4.0]]
