"""Every instruction set gives the same fits: those of the widest one up to rounding, and the same labels."""

import pickle

import numpy as np
import pytest
from public_estimators import run_python

from skem._kernels.passes import simd_width

#: lanes of a vector of doubles
WIDTHS = {"avx512": 8, "avx2": 4, "plain": 2}

FITS = """
import pickle, sys, warnings
import numpy as np
from public_estimators import CLASSES, COVARIANCES, MIXTURES, make
from skem._kernels.passes import simd_width
from skem.families import Gaussian, Poisson

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)


def rows(n, d, spread):
    return rng.normal(scale=spread, size=(4, d))[rng.integers(4, size=n)] + rng.normal(size=(n, d))


DATA = {
    "few columns": rows(700, 5, 3.0),
    "many columns": rows(300, 37, 1.0),
    "float32": rows(500, 3, 4.0).astype(np.float32),
    "narrow": np.where(np.arange(400)[:, None] % 2, 1e-4, 1.0) * rows(400, 4, 1.0) + [[0.0, 0.0, 40.0, 0.0]],
}
COUNTS = rng.poisson(rng.integers(1, 9, size=(3, 6))[rng.integers(3, size=400)]).astype(float)
SIZE = dict(n_components=3, n_clusters=3, max_iter=12, tol=0.0, n_init=1, random_state=0)


def cells():
    for cls in CLASSES:
        if cls.__name__ == "MixtureSelection":  # its fits end by their own tolerance, one pass sooner or later
            continue
        # twelve iterations are no end, and a race may send another of its starts on than one more digit would
        size = SIZE | {"init": "k-means"} if cls in MIXTURES else SIZE
        for name, X in DATA.items():
            for structure in COVARIANCES if cls.__name__ != "KMeans" else COVARIANCES[:1]:
                params = {"family": Gaussian(structure), "covariance_type": structure}
                yield f"{cls.__name__}, {structure}, {name}", make(cls, **size, **params), X
        if cls in MIXTURES:
            yield f"{cls.__name__}, poisson", make(cls, family=Poisson(), **size), COUNTS


def numbers(estimator, X):
    found = {name: value for name, value in vars(estimator).items()
             if name.endswith("_") and isinstance(value, np.ndarray | float)}
    found |= {f"draws: {name}": value for name, value in vars(estimator).get("draws_", {}).items()}
    for method in ("predict", "predict_proba", "score_samples", "transform"):
        if hasattr(estimator, method):
            found[method] = getattr(estimator, method)(X)
    return found


fits = {name: numbers(estimator.fit(X), X) for name, estimator, X in cells()}
with open(sys.argv[1], "wb") as file:
    pickle.dump((simd_width, fits), file)
"""


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """Lanes and published numbers of every estimator, by instruction set."""
    if simd_width < WIDTHS["avx2"]:
        pytest.skip("one instruction set only")
    found = {}
    for name in WIDTHS:
        path = tmp_path_factory.mktemp("simd") / name
        run_python(FITS, str(path), SKEM_SIMD=name)
        found[name] = pickle.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("name", ["avx2", "plain"])
def test_fits_agree(fits, name):
    _, expected = fits["avx512"]
    width, found = fits[name]
    assert width == WIDTHS[name]
    assert found.keys() == expected.keys()
    for cell, numbers in expected.items():
        for key, value in numbers.items():
            value, other = np.asarray(value), np.asarray(found[cell][key])
            if value.dtype.kind in "iu":
                np.testing.assert_array_equal(other, value, err_msg=f"{cell}: {key}")
            else:
                tolerance = 1e-10 if value.dtype == np.float64 else 1e-6
                np.testing.assert_allclose(
                    other, value, rtol=tolerance, atol=tolerance * np.abs(value).max(), err_msg=f"{cell}: {key}"
                )
