"""Every public estimator, found in `skem.__all__`, so that a new one joins the tests as it is exported."""

import inspect
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

import skem
from skem import families
from skem.estimators.base import BaseMixture

# Settings that keep a fit short where the defaults are meant for real work.
SHORT = {
    "GibbsMixture": {"n_chains": 2, "n_draws": 15, "n_burn_in": 10},
    "MixtureSelection": {"n_components": (1, 2, 3)},
}


def _public():
    found = (getattr(skem, name) for name in skem.__all__)
    return [thing for thing in found if inspect.isclass(thing) and issubclass(thing, BaseEstimator)]


CLASSES = _public()
#: the general estimators, without the drop-ins
MIXTURES = [cls for cls in CLASSES if issubclass(cls, BaseMixture)]
COVARIANCES = ["full", "tied", "diag", "spherical"]


def make(cls, **params):
    """A short-running instance; parameters that the class does not have are left out."""
    own = inspect.signature(cls).parameters
    params = {**SHORT.get(cls.__name__, {}), **params}
    return cls(**{name: value for name, value in params.items() if name in own})


def each(*classes, name="estimator", **params):
    """Parametrize a test over short-running instances, each a fresh clone."""
    instances = [pytest.param(make(cls, **params), id=cls.__name__) for cls in classes or CLASSES]
    return pytest.mark.parametrize(name, instances)


each_mixture = each(*MIXTURES)


#: fits of fitted degrees of freedom would take most of the time of scikit-learn's checks: one structure does for all
SLOW = ("StudentT-tied-free", "StudentT-diag-free", "StudentT-spherical-free")
#: what families say of their rows, where scikit-learn's checks can make such rows up from the tags
CHECKED_DOMAINS = ("real", "counts", "levels", "numbers from 0 up")


def public_families():
    """(id, instance) of every public family in each of its structures."""
    for name in families.__all__:
        cls = getattr(families, name)
        if cls is not families.Family:
            for family in cls().structures(2):
                own = [value for value in family.get_params().values() if isinstance(value, str)]
                yield "-".join([name, *own]), family


def takes(estimator, family):
    """Whether the estimator's algorithm takes the family."""
    return estimator._algorithm().takes(family)


def modes():
    """(id, instance) of every public estimator in its main modes."""
    yield from ((cls.__name__, make(cls)) for cls in CLASSES)
    for name, family in public_families():
        if family.domain in CHECKED_DOMAINS and name not in SLOW:
            yield f"EMMixture-{name}", make(skem.EMMixture, family=family)
    for name in families.__all__:
        family = None if name == "Family" else getattr(families, name)()
        if family is not None and family.domain in CHECKED_DOMAINS and takes(make(skem.BayesianKMeans), family):
            yield f"BayesianKMeans-{name}", make(skem.BayesianKMeans, family=family)
    for cls in CLASSES:
        own = inspect.signature(cls).parameters
        for name, value in {"weight_prior": "dirichlet_process", "update": "mle", "covariance_type": "tied"}.items():
            if name in own:
                yield f"{cls.__name__}-{value}", make(cls, **{name: value})


def blobs(n=300, d=3, k=3, seed=0):
    """Rows of k round clouds, shuffled."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=6.0, size=(k, d))
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def fitted_state(estimator):
    """Everything a fitted estimator holds, as bytes that can be compared."""
    return {name: _bytes(value) for name, value in sorted(vars(estimator).items())}


def _bytes(value):
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, BaseEstimator):
        return type(value).__name__, fitted_state(value)
    if hasattr(value, "to_dict"):
        return _bytes(value.to_dict())
    if isinstance(value, dict):
        return {str(key): _bytes(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bytes(item) for item in value]
    return repr(value)


def quietly(function, *args, **kwargs):
    """Call without warnings; here, since worker processes import it by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def fit_and_predict_in_child(estimator, X, expected):
    """End the process with 0 if the estimator, and a fit of its own, predict the expected bytes."""
    predicted = estimator.predict(X).tobytes()
    again = quietly(clone(estimator).fit, X)
    os._exit(0 if predicted == expected and again.predict(X).tobytes() == expected else 3)


def run_python(script, *args, timeout=120, **env):
    """Standard output of a script in a process of its own, where skem and these helpers can be imported."""
    paths = [str(Path(__file__).parent), str(Path(skem.__file__).parents[1])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **env}
    command = [sys.executable, "-c", textwrap.dedent(script), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one_draw(mixture, draw):
    """The Gibbs mixture with one of its draws alone."""
    own = clone(mixture)
    own.family_, own._kept = mixture.family_, [draw]
    return own
