"""Log-normal components: Gaussian in the logarithms."""

import numpy as np

from skem.families.gaussian import Gaussian
from skem.families.positive import check_positive
from skem.log_sum_exp import QuadraticTerms


class LogNormal(Gaussian):
    """Positive numbers whose logarithms are N(mean_k, covariance_k): ``p(x | k) = N(log x) / prod_j x_j``.

    All of `Gaussian`, its structures, priors and cells, in the logarithms: `means_` and `covariances_` are those of
    log x, with x in the data's units, so that ``exp(means_)`` are the medians of the components' columns. Rows go in
    and come out as they are, and densities are densities of x: they compare with those of `Gaussian` and `Gamma`.

    Parameters
    ----------
    covariance_type : str, default="full"
        As of `Gaussian`.
    mean_prior : array-like of shape (n_features,), default=None
        Mean of log x.
    mean_precision_prior, degrees_of_freedom_prior : float, default=None
        As of `Gaussian`.
    covariance_prior : {"default", "kurihara", "mclust"} or array-like, default=None
        Prior scatter of log x.

    Notes
    -----
    Logarithms are taken once a fit, of the dtype of X. `modes` are those of the density of x: a single component's is
    exp(mean - covariance 1).

    References
    ----------
    Aitchison & Brown (1957), The lognormal distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import LogNormal
    >>> rng = np.random.default_rng(0)
    >>> X = rng.lognormal([[0.0, 1.0]] * 300 + [[3.0, 2.0]] * 300, 0.5)
    >>> mixture = EMMixture(n_components=2, family=LogNormal("diag"), random_state=0).fit(X)
    >>> np.sort(np.exp(mixture.means_[:, 0])).round()
    array([ 1., 20.])
    """

    domain = "positive numbers"
    positive_only = True
    # steps of x are none of log x
    _parameter_constraints = {k: v for k, v in Gaussian._parameter_constraints.items() if k != "rounding"}
    rounding = 0.0

    def __init__(
        self,
        covariance_type="full",
        *,
        mean_prior=None,
        mean_precision_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
    ):
        super().__init__(
            covariance_type,
            mean_prior=mean_prior,
            mean_precision_prior=mean_precision_prior,
            degrees_of_freedom_prior=degrees_of_freedom_prior,
            covariance_prior=covariance_prior,
            rounding=0.0,
        )

    def encode(self, X):
        check_positive(X, self)
        return np.log(X)

    def decode(self, X):
        return np.exp(X)

    def log_base_measure(self, X):
        return super().log_base_measure(X) - X.sum(axis=1, dtype=np.float64)

    def sample(self, theta, counts, rng):
        return self.decode(super().sample(theta, counts, rng))

    def log_terms(self, log_weights, theta):
        terms, scale = super().log_terms(log_weights, theta), self.summary_.scale
        # the logarithm of the Jacobian is linear in log x: it moves the peaks, to where they are peaks of x
        shift = np.linalg.solve(terms.A, np.broadcast_to(scale, terms.centers.shape)[..., None])[..., 0]
        level = self.summary_.to_user(terms.centers).sum(axis=1) - 0.5 * shift @ scale
        return QuadraticTerms(terms.A, c=terms.c - level, centers=terms.centers - shift)
