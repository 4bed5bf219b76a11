"""What there is to choose from."""

import itertools
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator, clone

from skem._compat import InvalidParameterError
from skem.families import Gaussian


class Chain(NamedTuple):
    """Candidates that differ in the number of components alone, so that each may start from the one before.

    Attributes
    ----------
    estimator : estimator
        Unfitted, all parameters but the number of components set.
    family : str
        Label of the family, or of the estimator where it has none.
    params : dict
        What was set, by name.
    n_components : list of int
        In rising order.
    """

    estimator: Any
    family: str
    params: dict[str, Any]
    n_components: list[int]

    @property
    def name(self):
        """Class of the estimator."""
        return type(self.estimator).__name__


def numbers_of_components(n_components):
    """Sorted numbers of components from one or several.

    Parameters
    ----------
    n_components : int or iterable of int

    Returns
    -------
    values : list of int
    """
    several = [n_components] if isinstance(n_components, numbers.Integral) else list(n_components)
    whole = all(isinstance(value, numbers.Integral) and not isinstance(value, bool) for value in several)
    if not several or not whole or min(several) < 1:
        raise InvalidParameterError(
            "The 'n_components' parameter of MixtureSelection must be a whole number from 1 up, or several of them; "
            f"got {n_components!r}"
        )
    return sorted({int(value) for value in several})


def several(value, name, kind):
    """List of one thing or several, each of which must be of a kind."""
    values = [value] if isinstance(value, kind) or not isinstance(value, Iterable) else list(value)
    if not values or not all(isinstance(item, kind) for item in values):
        raise InvalidParameterError(
            f"The {name!r} parameter of MixtureSelection must be one instance of {kind.__name__}, or several; "
            f"got {value!r}"
        )
    return values


def combinations(param_grid):
    """Dicts of parameters, one for every combination of values.

    Parameters
    ----------
    param_grid : dict, list of dict or None

    Returns
    -------
    params : list of dict
    """
    grids = [param_grid or {}] if param_grid is None or isinstance(param_grid, Mapping) else param_grid
    found = []
    for grid in grids:
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise InvalidParameterError(
                    "The 'param_grid' parameter of MixtureSelection must hold a list of values for each name; "
                    f"got {values!r} for {name!r}"
                )
        found += [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return found


def default_families(estimator, n_features):
    """Every structure of the estimator's family that the data can tell apart and the estimator can fit.

    Parameters
    ----------
    estimator : estimator
    n_features : int

    Returns
    -------
    families : list of Family, or [None] where the estimator knows no families
    """
    if "family" not in estimator.get_params(deep=False):
        return [None]
    family = Gaussian() if estimator.family is None else estimator.family
    return [structure for structure in family.structures(n_features) if estimator._algorithm().takes(structure)]


def label_families(families):
    """Short names of families: what tells those of a class apart, after the class where there are several.

    Parameters
    ----------
    families : list of Family

    Returns
    -------
    labels : list of str
    """
    several_classes = len({type(family) for family in families}) > 1
    own_params = [family.get_params(deep=False) for family in families]
    labels = []
    for family, params in zip(families, own_params, strict=True):
        peers = [peer for other, peer in zip(families, own_params, strict=True) if type(other) is type(family)]
        telling = [
            value if isinstance(value, str) else f"{name}={value!r}"
            for name, value in params.items()
            if any(repr(peer[name]) != repr(value) for peer in peers)
        ]
        name = [type(family).__name__] if several_classes or not telling else []
        labels.append(" ".join([*name, *telling]))
    return labels


def make_chains(estimators, families, param_grid, n_components, n_features, seed):
    """All candidates, in chains.

    Parameters
    ----------
    estimators : list of estimator
    families : list of Family or None
    param_grid : dict, list of dict or None
    n_components : list of int
    n_features : int
    seed : int
        For estimators without a random state of their own.

    Returns
    -------
    chains : list of Chain
    """
    extras, chains = combinations(param_grid), []
    for estimator in estimators:
        offered = default_families(estimator, n_features) if families is None else families
        names = [type(estimator).__name__] if offered == [None] else label_families(offered)
        for (family, name), extra in itertools.product(zip(offered, names, strict=True), extras):
            params = extra if family is None else {"family": family, **extra}
            candidate = clone(estimator).set_params(**{key: clone_value(value) for key, value in params.items()})
            if candidate.get_params(deep=False).get("random_state", seed) is None:
                candidate.set_params(random_state=seed)
            chains.append(Chain(candidate, name, params, n_components))
    return chains


def clone_value(value):
    """Copy of a parameter's value, so that candidates share no object that can be changed."""
    return clone(value) if isinstance(value, BaseEstimator) else value
