"""Multivariate Gaussian components."""

import numbers

import numpy as np
from sklearn.base import clone

from skem._compat import Interval, StrOptions, check_numbers
from skem._kernels.agglomerate import Groups
from skem._kernels.gaussian import moments, natural
from skem._kernels.parts import Centred, Linear
from skem.families.base import Parameters
from skem.families.covariance import DISTINCT, STRUCTURES
from skem.families.covariance.common import along
from skem.families.margins import conditional_factor, marginal_factor
from skem.families.merging import worth_of_groups
from skem.families.named_priors import SHRINKAGE
from skem.families.normal_wishart import LOG_2PI, NormalInverseWishart
from skem.log_sum_exp import QuadraticTerms
from skem.rounding import variance_of
from skem.suffstats import Moments

# The linear pass loses about eps x (the terms of a squared distance that cancel one another); beyond this size of
# them, where the loss would pass 1e-11, differences are formed first.
LINEAR_REACH = 1e-11 / np.finfo(np.float64).eps
# From this many columns the centred pass is the faster one of full covariances, too.
LINEAR_COLUMNS = 32
# From this many columns gathering a component's rows costs less than the products of pairs that it saves.
GATHER_COLUMNS = 4
# Standard deviations that sums may be taken away from a mean, for the scatter about it to keep its digits.
NEAR = 5.0
# An update of more operations than this would keep a signal waiting; the Python around it no longer counts.
STEP_FLOPS = 1e8
# Spread of the pseudo-row that each of the groups to be merged has besides its own rows, in variances of the data.
MERGING_RIDGE = 0.05


class Gaussian(NormalInverseWishart):
    """Gaussians N(x | mean_k, covariance_k).

    ``log p(x | k) = -d/2 log 2 pi + log |F_k| - |F_k (x - mean_k)|^2 / 2``, F_k'F_k the precision.

    The conjugate prior is normal-inverse-Wishart (for variances normal-inverse-gamma with shape nu / 2
    and rate scatter / 2): mean_k | covariance_k ~ N(m0, covariance_k / kappa0), covariance_k ~ IW(nu0, S0). Modes are
    taken in (mean, covariance), as in mclust. Where components share parts of their covariances, the mode is that of
    the same density among the covariances of the model: as the likelihood of further rows it enters every scatter
    and mass.

    Maximum likelihood is constrained: with D the diagonal of the data's
    variance, eigenvalues of D^-1/2 covariance D^-1/2 are held at or above 1e-9.

    Parameters
    ----------
    covariance_type : str, default="full"
        "full": one matrix a component; "tied": one for all; "diag": one variance a column and component; "spherical":
        one variance a component. Or one of the fourteen codes of Celeux & Govaert: volume, shape and orientation of
        the components' ellipsoids, each equal (E) or variable (V), or none (I): "EII", "VII", "EEI", "VEI", "EVI",
        "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"; "E" and "V" of one column. "VVV", "EEE", "VVI"
        and "VII" are the first four names again. Those four, "EII" and "EEI" have the conjugate prior; the others
        offer maximum likelihood and the posterior mode.
    mean_prior : array-like of shape (n_features,), default=None
        Mean m0 in the data's units. None means the data's mean, taken with rows beyond 20 robust standard deviations
        drawn in.
    mean_precision_prior : float, default=None
        Weight kappa0 > 0, in pseudo-rows, behind m0. None means 0.001.
    degrees_of_freedom_prior : float, default=None
        Degrees of freedom nu0. None means d + 2, and 3 for variances (shape 3/2). Must exceed d - 1 for "full" and
        "tied".
    covariance_prior : {"default", "kurihara", "mclust"} or array-like, default=None
        Prior scatter S0 in the data's units: (d, d) for "full" and "tied", (d,) for "diag" and "EEI", a number for
        "spherical" and "EII".
        "default" means 0.02 nu0 diag(variance). None means the same, times the power of two from 1/16 to 64 that has
        the largest evidence: ``family_.prior_scale_``, one for all components, chosen by `BayesianKMeans` and
        `VariationalMixture` as they go, by `MAPMixture`, `ICMMixture` and `GibbsMixture` from a partition by k-means.
        "kurihara" is the prior of Kurihara & Welling's code on standardised columns: 0.01 nu0 times the largest
        eigenvalue of the correlations, nu0 = d + 1 (for one variance a column or component its marginal, with 2).
        "mclust" is Fraley & Raftery's: the covariance, or the mean of the variances, over K^(2/d), nu0 = d + 2; since
        it depends on the number of components K, evidences across K do not compare under it. Both have kappa0 = 0.01;
        what is given beside a name replaces its numbers.
    rounding : "auto", float or array-like of shape (n_features,), default="auto"
        Steps in which the columns were recorded, in the data's units, 0 for exact values. A value x then stands for all
        numbers within half a step of it, and its density is taken as exp of the mean of their log densities, a lower
        bound of their mean density (uniform dequantization in closed form): ``log p(x | k) - tr(P_k R) / 2`` with P_k
        the precision and R the diagonal of step^2 / 12. So no component gets narrower than the rounding, however many
        rows hold one value. "auto" looks for steps where in some column, not a constant one, half of the
        rows or more hold one value (flags, rare counts, grey values), and takes all other data as exact.

    Notes
    -----
    With scatters W_k, masses n_k and covariance_k = lambda_k C_k, C_k = D_k A_k D_k', |A_k| = 1, maximum likelihood
    has closed forms but for these models. "VEI", "VEE" and "VEV" alternate between the volumes
    lambda_k = tr(W_k C_k^-1) / (d n_k) and what is common, the mean of W_k / lambda_k (of its ordered eigenvalues for
    "VEV") scaled to determinant 1. "EVE" and "VVE" alternate between the shapes, diag(D' W_k D) suitably scaled, and
    plane rotations of the common D, each to the angle at which sum_k tr(W_k covariance_k^-1) is least; Flury &
    Gautschi (1986) rotate, too, Browne & McNicholas (2014) majorise. An update starts from the covariances before and
    takes at most ten rounds, so that every one raises the likelihood.

    Rounding adds n_k R to the scatters. Single rows are not moved then (`BayesianKMeans`), nor are updates compiled.

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models.
    Browne & McNicholas (2014), Estimating common principal components in high dimensions.
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation and model-based clustering.
    Kurihara & Welling (2009), Bayesian k-means as a maximization-expectation algorithm.
    Theis, van den Oord & Bethge (2016), A note on the evaluation of generative models, section 3.1 (dequantization).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skem import EMMixture
    >>> from skem.families import Gaussian
    >>> X = load_iris().data
    >>> mixture = EMMixture(n_components=3, family=Gaussian("tied"), random_state=0).fit(X)
    >>> mixture.covariances_.shape
    (4, 4)
    """

    domain = "real"
    location = "means"
    n_start_passes = 2

    _parameter_constraints = {
        "covariance_type": [StrOptions(set(STRUCTURES))],
        "mean_prior": ["array-like", None],
        "mean_precision_prior": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "degrees_of_freedom_prior": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "covariance_prior": [
            "array-like",
            Interval(numbers.Real, 0, None, closed="neither"),
            StrOptions(set(SHRINKAGE)),
            None,
        ],
        "rounding": ["array-like", Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        covariance_type="full",
        *,
        mean_prior=None,
        mean_precision_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
        rounding="auto",
    ):
        self.covariance_type = covariance_type
        self.mean_prior = mean_prior
        self.mean_precision_prior = mean_precision_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.rounding = rounding

    @property
    def _structure(self):
        return STRUCTURES[self.covariance_type]

    @property
    def equivariance(self):
        """Changes of units that the covariance structure is closed under."""
        return self._structure.equivariance

    @property
    def collapsed_kind(self):  # type: ignore[override]
        """Kind of the sequential sweep; none moves rows that are rounded."""
        return self._structure.collapsed_kind if self.rounding_ is None else None

    def structures(self, n_features):
        if self._prior_name is None:
            # a scatter given in numbers has the shape of one structure
            return [self]
        # in one dimension it only matters whether components share the variance
        names = DISTINCT if n_features > 1 else ("full", "tied")
        return [clone(self).set_params(covariance_type=name) for name in names]

    # -- data side -------------------------------------------------------------------------------

    def _bind(self):
        d = self.summary_.n_features
        if d > 1 and len(self.covariance_type) == 1:
            raise ValueError(f"covariance_type={self.covariance_type!r} is for data of one column; these have {d}")
        self._bind_prior()
        self.rounding_ = self._rounding()

    def _rounding(self):
        """Variance of the columns' rounding in internal coordinates, or None where all values are exact."""
        variance, d = self.summary_.rounding, self.summary_.n_features
        if not isinstance(self.rounding, str):
            steps = check_numbers(self.rounding, "rounding", (d,)) if np.ndim(self.rounding) else self.rounding
            if np.any(np.less(steps, 0)):
                raise ValueError(f"rounding={self.rounding!r} must not be negative")
            variance = np.broadcast_to(variance_of(steps / self.summary_.scale), d)
        return None if variance is None or not variance.any() else variance

    def _row_scatter(self):
        """Scatter that rounding adds to every row, in the structure's shape for one component."""
        return self._structure.diagonal(self.rounding_)

    def _score_offset(self, theta):
        """Log densities at the means, less what rounding takes."""
        structure = self._structure
        if self.rounding_ is None:
            return np.ascontiguousarray(theta.offset)
        n_values = theta.mean.shape[1] if structure.isotropic else 1
        return theta.offset - 0.5 * structure.trace(theta.factor, n_values * self._row_scatter())

    @property
    def _feature_map(self):
        """T(x) of the linear pass; None where that is never taken."""
        feature_map = self._structure.feature_map
        return None if feature_map == "x_pairs" and self.summary_.n_features >= LINEAR_COLUMNS else feature_map

    def scorer(self, theta):
        mean, factor = theta.mean, theta.factor
        structure, d = self._structure, mean.shape[1]
        offset = self._score_offset(theta)
        if self._feature_map is not None:
            variance = self.summary_.variance
            weights, constant = natural(structure.name, mean, factor, offset, variance, LINEAR_REACH)
            if weights is not None:
                # x'Px of a tied P is the same for all components: its sum over the rows takes their second moments
                shared = Centred("full", np.zeros((1, d)), factor[None]) if structure.name == "tied" else None
                return Linear(self._feature_map, weights, constant, shared)
        if structure.name == "tied":
            factor = factor[None]
        elif structure.collect == "diag":
            factor = np.array(np.broadcast_to(factor[..., None] if structure.isotropic else factor, mean.shape))
        return Centred(structure.collect, mean, factor, offset)

    def collector(self, theta, part, assign):
        if assign == "hard" and self._structure.name == "full" and theta.mean.shape[1] >= GATHER_COLUMNS:
            # gathers each component's own rows, where products with indicators would cost as much as soft ones
            return Centred("full", theta.mean)
        return part

    def start_collector(self, n_components, before=None):
        # a second pass about the means of the first loses no digits to a far origin
        mean = np.zeros((n_components, self.summary_.n_features)) if before is None else before.mean
        return Centred(self._structure.collect, mean)

    def is_near(self, before, after):
        structure, variance = self._structure, self.summary_.variance
        covariance = structure.ratio(after.scatter, np.maximum(after.nu, 1.0))
        spread = structure.variances(covariance, len(variance)) + structure.floor * variance
        return bool(((after.mean - before.mean) ** 2 <= NEAR**2 * spread).all())

    def statistics(self, n_k, sums):
        structure, d = self._structure, self.summary_.n_features
        mean, nu, scatter = moments(structure.name, n_k, sums["features"], sums.get("mean"), sums.get("shared"), d)
        if self.rounding_ is not None:
            scatter = scatter + along(nu, scatter) * self._row_scatter()
        return Moments({"kappa": n_k, "mean": mean, "nu": nu, "scatter": scatter}, structure.shared)

    def mle_step(self, n_components):
        structure, d = self._structure, self.summary_.n_features
        if self.rounding_ is not None:
            return None
        if structure.collect == "full" and n_components * d**3 > STEP_FLOPS:
            return None
        return structure.step(n_components, self.summary_.variance, self._reach)

    @property
    def _reach(self):
        """The `reach` of compiled steps."""
        return -1.0 if self._feature_map is None else LINEAR_REACH

    def log_base_measure(self, X):
        return -0.5 * self.summary_.n_features * LOG_2PI

    # -- parameter side --------------------------------------------------------------------------

    def _point(self, mean, factor, log_det):
        offset = log_det if np.ndim(log_det) else np.full(len(mean), log_det)
        return Parameters(
            {"mean": mean, "factor": factor, "offset": offset},
            ("factor",) if self._structure.shared else (),
        )

    def _constrained(self, mean, covariance):
        factor, log_det, _ = self._structure.constrain(covariance, self.summary_.variance)
        return self._point(mean, factor, log_det)

    def mle(self, stats, theta=None):
        structure = self._structure
        empty = stats.kappa <= 0
        mean = stats.mean
        covariance = structure.most_likely(stats, self.summary_.variance, theta)
        if empty.any():
            # a component without mass keeps its place, or spreads over the data where it never had one
            mean = np.where(empty[:, None], self.summary_.mean if theta is None else theta.mean, mean)
            if not structure.shared:
                covariance = np.where(
                    np.reshape(empty, (-1,) + (1,) * (covariance.ndim - 1)),
                    structure.diagonal(self.summary_.variance),
                    covariance,
                )
        return self._likelier(stats, mean, covariance, theta)

    def _likelier(self, stats, mean, covariance, theta):
        """Theta of new means with the new covariances, or with the old where the new are less likely."""
        structure = self._structure
        factor, log_det, flags = structure.constrain(covariance, self.summary_.variance)
        found = self._point(mean, factor, log_det)
        if theta is not None and structure.is_worse(stats, theta, found, bool(np.any(flags))):
            return self._point(mean, theta.factor, theta.offset)
        return found

    def log_likelihood(self, theta, stats):
        structure = self._structure
        deviation = structure.whiten(theta.factor, stats.mean - theta.mean)
        spread = structure.per_component(structure.trace(theta.factor, stats.scatter), len(stats.kappa))
        return stats.kappa * (theta.offset - 0.5 * (deviation**2).sum(axis=1)) - 0.5 * spread

    def sample(self, theta, counts, rng):
        structure = self._structure
        noise = rng.standard_normal((int(np.sum(counts)), self.summary_.n_features))
        rows = theta.take(np.repeat(np.arange(len(counts)), counts))
        return self.summary_.to_user(rows.mean + structure.unwhiten(rows.factor, noise))

    def of_columns(self, columns):
        family = type(self)(self._structure.of_columns or self.covariance_type)
        family.rounding = np.take(self.rounding, columns) if np.ndim(self.rounding) else self.rounding
        return family

    def marginal(self, theta, columns, rest):
        factor = marginal_factor(self._structure, theta.factor, columns, rest)
        mean = np.take(theta.mean, columns, axis=1)
        return self._point(mean, factor, self._structure.log_det(factor, len(columns)))

    def conditional(self, theta, given, rest, values):
        deviation = values - theta.mean[:, given]
        factor, shift = conditional_factor(self._structure, theta.factor, given, rest, deviation)
        mean = np.take(theta.mean, rest, axis=1) + shift
        return self._point(mean, factor, self._structure.log_det(factor, len(rest)))

    def whitened(self, theta):
        whiten, axes = self._structure.whiten, np.eye(theta.mean.shape[1])
        columns = [whiten(theta.factor, np.broadcast_to(axis, theta.mean.shape)) for axis in axes]
        return Centred("full", theta.mean, np.ascontiguousarray(np.stack(columns, axis=2)), self._score_offset(theta))

    def log_terms(self, log_weights, theta):
        _, mean, factor, offset, _ = self.whitened(theta)
        peak = log_weights + offset - 0.5 * mean.shape[1] * LOG_2PI
        return QuadraticTerms(np.swapaxes(factor, 1, 2) @ factor, c=peak, centers=mean)

    def n_parameters(self, n_features, n_components):
        return n_components * n_features + self._structure.n_parameters(n_features, n_components)

    def attributes(self, theta):
        scale = self.summary_.scale
        covariances = self._structure.covariance(theta.factor, scale)
        return {"means_": self.summary_.to_user(theta.mean), "covariances_": covariances}

    def _check_parameters(self, means, covariances):
        """Means and covariances as arrays of the right shape, the latter proper."""
        structure = self._structure
        means = check_numbers(means, "means")
        covariances = check_numbers(covariances, "covariances", structure.shape(*means.shape))
        if not structure.is_proper(covariances):
            raise ValueError(f"covariances must be {structure.proper}")
        return means, covariances

    def summary_of_parameters(self, summary, attributes):
        if "covariances" not in attributes:
            raise ValueError("Gaussian() is built from means and covariances; there are no covariances")
        means, covariances = self._check_parameters(attributes["means"], attributes["covariances"])
        variance = self._structure.variances(covariances, means.shape[1]).mean(axis=0) + means.var(axis=0)
        typical = np.full_like(variance, variance.mean()) if self.equivariance == "scalar" else variance
        scale = np.exp2(np.round(0.5 * np.log2(typical)))
        return summary._replace(origin=means.mean(axis=0), scale=scale, variance=variance / scale**2)

    def parameters(self, means, covariances):  # type: ignore[override] # public names of this family
        means, covariances = self._check_parameters(means, covariances)
        # a warm start may bring covariances that rested on the constraint, or are held by that of the new data
        covariances = self._structure.from_user(covariances, self.summary_.scale)
        return self._constrained(self.summary_.to_internal(means), covariances)

    def degenerate(self, stats):
        flags = self._structure.flat(stats, self.summary_.variance)
        return np.broadcast_to(flags, (stats.n_components,)) & (stats.kappa > 0)

    @property
    def least_mass(self):  # type: ignore[override] # as many rows as columns, where the base needs none
        """Mass up to which a component counts as degenerate."""
        return float(self.summary_.n_features)

    def _typical(self):
        """Scatter of a typical row in the structure's shape."""
        structure, summary = self._structure, self.summary_
        if structure.collect == "full":
            # the variance for the sake of columns that say nothing of their own
            return summary.covariance + 1e-6 * np.diag(summary.variance)
        return summary.variance.sum() if structure.isotropic else summary.variance

    def worth(self, stats):
        return worth_of_groups(self._structure, stats, self._typical(), MERGING_RIDGE)

    def agglomerate(self, stats, n_left):
        structure, ridge, scatter = self._structure, self._typical(), stats.scatter
        if structure.merging == "tied" and ridge.ndim == 1:
            ridge, scatter = np.diag(ridge), np.diag(scatter)
        return Groups(structure.merging, stats.kappa, stats.mean, scatter, MERGING_RIDGE * ridge).merge(n_left)
