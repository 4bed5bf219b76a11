"""What fits to the same rows share is found once, and changes no result."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

import skem.memory
from skem import GibbsMixture, MixtureSelection
from skem.families import Gaussian, Poisson
from skem.memory import recall, remembering
from skem.summary import summarize

X = load_iris().data


def test_work_is_done_once_for_the_same_objects():
    done = []

    def work():
        done.append(len(done))
        return done[-1]

    rows, equal = [1.0], [1.0]
    assert [recall(work, (rows,)) for _ in range(2)] == [0, 1]
    with remembering(10):
        assert [recall(work, (rows,), detail) for detail in (1, 1, 2)] == [2, 2, 3]
        assert recall(work, (equal,), 1) == 4
        with remembering(10):
            assert recall(work, (rows,), 1) == 2
        assert recall(work, (rows,), 1) == 2
    assert recall(work, (rows,), 1) == 5
    with remembering(skem.memory.MOST_ROWS + 1):
        assert [recall(work, (rows,)) for _ in range(2)] == [6, 7]


def test_nothing_is_kept_beyond_a_failure():
    with pytest.raises(RuntimeError), remembering(10):
        raise RuntimeError
    assert skem.memory._memory.get() is None


@pytest.mark.parametrize("weighted", [False, True])
def test_a_selection_is_what_it_is_without(monkeypatch, weighted):
    weight = np.arange(len(X)) % 3 + 1.0 if weighted else None
    families = [Gaussian(), Gaussian("EEI"), Gaussian("VEV"), Gaussian("spherical"), Poisson()]
    selection = MixtureSelection(n_components=range(1, 5), families=families, random_state=0)
    shared = selection.fit(X.round(), sample_weight=weight).results_
    monkeypatch.setattr(skem.memory, "MOST_ROWS", 0)
    alone = selection.fit(X.round(), sample_weight=weight).results_
    np.testing.assert_array_equal(shared["score"], alone["score"])


def test_who_draws_on_after_its_start_draws_the_same():
    first = GibbsMixture(3, init="k-means", n_draws=20, n_burn_in=5, random_state=0)
    with remembering(len(X)):
        labels = [first.fit(X).labels_ for _ in range(2)]
    np.testing.assert_array_equal(*labels)
    np.testing.assert_array_equal(labels[0], first.fit(X).labels_)


def test_summaries_differ_by_units_and_rows():
    with remembering(len(X)):
        one, two = (summarize(X, None, units) for units in ("affine", "columns"))
        assert one is two
        assert summarize(X, None, "scalar").scale[0] == summarize(X, None, "scalar").scale[1]
        assert summarize(X, None, None).scale.tolist() == [1.0] * 4
        assert not np.array_equal(summarize(X, np.arange(150.0), "columns").mean, one.mean)
