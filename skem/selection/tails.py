"""Whether clusters have heavier tails than Gaussians, and the candidates that do."""

import numpy as np

from skem.engine import Source
from skem.families import Gaussian, StudentT
from skem.suffstats import Parameters


def has_heavy_tails(fitted, X, sample_weight):
    """Whether Student-t components are worth a try, where the best Gaussian ones are known.

    Mardia's kurtosis, the mean fourth power of the rows' distances from their components, is beyond what it would be
    without tails by so much that one more parameter would pay by BIC. It costs one pass.

    Parameters
    ----------
    fitted : BaseMixture
        Of a Gaussian family.
    X : ndarray of shape (n_samples, n_features)
    sample_weight : ndarray of shape (n_samples,) or None

    Returns
    -------
    heavy : bool

    References
    ----------
    Mardia (1970), Measures of multivariate skewness and kurtosis with applications, Biometrika 57.
    """
    part, d = fitted.family_.whitened(fitted._theta), X.shape[1]
    theta = Parameters(
        {"mean": part.mean, "factor": part.factor, "offset": part.offset, "dof": np.full(len(part.mean), np.inf)}
    )
    student = StudentT("full").bind(fitted.family_.summary_)
    stats = Source(X, sample_weight, student).run(fitted._log_weights, theta).stats
    total = stats.mass.sum()
    excess = 4.0 * stats.slope.sum() / np.sqrt(8.0 * d * (d + 2.0) * total)
    return bool(excess > 0 and excess**2 > np.log(total))


def heavier_families(estimator, n_features):
    """Families with heavier tails that stand beside the default ones of an estimator.

    Parameters
    ----------
    estimator : estimator
    n_features : int

    Returns
    -------
    families : list of Family
        Empty where the estimator has a family of its own, or cannot fit these.
    """
    if "family" not in estimator.get_params(deep=False) or estimator.family is not None:
        return []
    families = StudentT(degrees_of_freedom="common").structures(n_features)
    return families if estimator._algorithm().takes(families[0]) else []


def best_gaussian(fitted):
    """The best fit of chains, where it is one of Gaussians; else None.

    Parameters
    ----------
    fitted : list of Fitted

    Returns
    -------
    best : BaseMixture or None
    """
    known = [(own.outcomes[own.position].score, own.best) for own in fitted if own.best is not None]
    known = [(score, fit) for score, fit in known if np.isfinite(score)]
    if not known:
        return None
    best = max(known, key=lambda one: one[0])[1]
    return best if type(getattr(best, "family_", None)) is Gaussian else None
