"""Multivariate Gaussian components."""

import numbers

import numpy as np
from scipy.special import gammaln
from sklearn.base import clone

from skem._compat import Interval, StrOptions, check_numbers
from skem._kernels.agglomerate import Groups
from skem._kernels.gaussian import moments, natural
from skem._kernels.parts import Centred, Linear
from skem.families.base import Family, Parameters
from skem.families.covariance import DISTINCT, STRUCTURES
from skem.families.margins import conditional_factor, marginal_factor
from skem.families.named_priors import SHRINKAGE, named_dof, named_scatter
from skem.log_sum_exp import QuadraticTerms
from skem.suffstats import Moments

LOG_2PI = np.log(2.0 * np.pi)
# The linear pass loses about eps x (the terms of a squared distance that cancel one another); beyond this size of
# them, where the loss would pass 1e-11, differences are formed first.
LINEAR_REACH = 1e-11 / np.finfo(np.float64).eps
# From this many columns the centred pass is the faster one, too.
LINEAR_COLUMNS = 32
# From this many columns gathering a component's rows costs less than the products of pairs that it saves.
GATHER_COLUMNS = 4
# An update of more operations than this would keep a signal waiting; the Python around it no longer counts.
STEP_FLOPS = 1e8
# Spread of the pseudo-row that each of the groups to be merged has besides its own rows, in variances of the data.
MERGING_RIDGE = 0.05
# Verbs that need a conjugate prior.
CONJUGATE = {"prior", "mode", "expect", "draw", "log_normalizer", "log_density", "log_predictive"}


class Gaussian(Family):
    """Gaussians N(x | mean_k, covariance_k).

    ``log p(x | k) = -d/2 log 2 pi + log |F_k| - |F_k (x - mean_k)|^2 / 2``, F_k'F_k the precision.

    The conjugate prior is normal-inverse-Wishart (for variances normal-inverse-gamma with shape nu / 2
    and rate scatter / 2): mean_k | covariance_k ~ N(m0, covariance_k / kappa0), covariance_k ~ IW(nu0, S0). Modes are
    taken in (mean, covariance), as in mclust.

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
        offer maximum likelihood only.
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
        None or "default" means 0.02 nu0 diag(variance). "kurihara" is the prior of Kurihara & Welling's code on
        standardised columns: 0.01 nu0 times the largest eigenvalue of the correlations, nu0 = d + 1 (for one variance
        a column or component its marginal, with 2). "mclust" is Fraley & Raftery's: the covariance, or the mean of
        the variances, over K^(2/d), nu0 = d + 2; since it depends on the number of components K, evidences across
        K do not compare under it. Both have kappa0 = 0.01; what is given beside a name replaces its numbers.

    Notes
    -----
    With scatters W_k, masses n_k and covariance_k = lambda_k C_k, C_k = D_k A_k D_k', |A_k| = 1, maximum likelihood
    has closed forms but for these models. "VEI", "VEE" and "VEV" alternate between the volumes
    lambda_k = tr(W_k C_k^-1) / (d n_k) and what is common, the mean of W_k / lambda_k (of its ordered eigenvalues for
    "VEV") scaled to determinant 1. "EVE" and "VVE" alternate between the shapes, diag(D' W_k D) suitably scaled, and
    plane rotations of the common D, each to the angle at which sum_k tr(W_k covariance_k^-1) is least; Flury &
    Gautschi (1986) rotate, too, Browne & McNicholas (2014) majorise. An update starts from the covariances before and
    takes at most ten rounds, so that every one raises the likelihood.

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models.
    Browne & McNicholas (2014), Estimating common principal components in high dimensions.
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation and model-based clustering.
    Kurihara & Welling (2009), Bayesian k-means as a maximization-expectation algorithm.

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
    }

    def __init__(
        self,
        covariance_type="full",
        *,
        mean_prior=None,
        mean_precision_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
    ):
        self.covariance_type = covariance_type
        self.mean_prior = mean_prior
        self.mean_precision_prior = mean_precision_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior

    @property
    def _structure(self):
        return STRUCTURES[self.covariance_type]

    @property
    def _prior_name(self):
        """Name of the prior, None where its scatter is given in numbers."""
        if self.covariance_prior is None:
            return "default"
        return self.covariance_prior if isinstance(self.covariance_prior, str) else None

    @property
    def equivariance(self):  # type: ignore[override] # a structure's own, where the base has a constant
        """Changes of units that the covariance structure is closed under."""
        return self._structure.equivariance

    @property
    def collapsed_kind(self):  # type: ignore[override]
        """Kind of the sequential sweep."""
        return self._structure.collapsed_kind

    def structures(self, n_features):
        if self._prior_name is None:
            # a scatter given in numbers has the shape of one structure
            return [self]
        # in one dimension it only matters whether components share the variance
        names = DISTINCT if n_features > 1 else ("full", "tied")
        return [clone(self).set_params(covariance_type=name) for name in names]

    def has(self, verb):
        return (self._structure.conjugate or verb not in CONJUGATE) and super().has(verb)

    # -- data side -------------------------------------------------------------------------------

    def _bind(self):
        summary, d = self.summary_, self.summary_.n_features
        if d > 1 and len(self.covariance_type) == 1:
            raise ValueError(f"covariance_type={self.covariance_type!r} is for data of one column; these have {d}")
        name = self._prior_name or "default"
        self.prior_mean_ = summary.mean
        if self.mean_prior is not None:
            self.prior_mean_ = summary.to_internal(check_numbers(self.mean_prior, "mean_prior", (d,)))
        kappa = SHRINKAGE[name] if self.mean_precision_prior is None else self.mean_precision_prior
        nu = self.degrees_of_freedom_prior
        self.prior_kappa_ = float(kappa)
        self.prior_nu_ = named_dof(name, self._structure, d) if nu is None else float(nu)
        if self._structure.collect == "full" and self.prior_nu_ <= d - 1:
            raise ValueError(f"degrees_of_freedom_prior = {self.prior_nu_:g} must exceed d - 1 = {d - 1}")

    def _prior_scatter(self, n_components):
        """S0 of one component in internal coordinates."""
        structure, summary = self._structure, self.summary_
        if self._prior_name is not None:
            return named_scatter(self._prior_name, structure, summary, self.prior_nu_, n_components)
        expected = np.shape(structure.diagonal(np.ones(summary.n_features)))
        given = check_numbers(self.covariance_prior, "covariance_prior", expected)
        if not structure.is_proper(given):
            raise ValueError(f"covariance_prior must be {structure.proper}")
        return structure.from_user(given, summary.scale)

    @property
    def _feature_map(self):
        """T(x) of the linear pass; None where that is never taken."""
        if self._structure.feature_map in ("x_pairs", "x_squares") and self.summary_.n_features >= LINEAR_COLUMNS:
            return None
        return self._structure.feature_map

    def scorer(self, theta):
        mean, factor = theta.mean, theta.factor
        structure, d = self._structure, mean.shape[1]
        offset = np.ascontiguousarray(theta.offset)
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

    def origin_collector(self, mean, n_components):
        d = self.summary_.n_features
        mean = np.zeros((n_components, d)) if mean is None else mean
        return Centred(self._structure.collect, mean)

    def statistics(self, n_k, sums):
        structure, d = self._structure, self.summary_.n_features
        mean, nu, scatter = moments(structure.name, n_k, sums["features"], sums.get("mean"), sums.get("shared"), d)
        return Moments({"kappa": n_k, "mean": mean, "nu": nu, "scatter": scatter}, structure.shared)

    def mle_step(self, n_components):
        structure, d = self._structure, self.summary_.n_features
        if structure.collect == "full" and n_components * d**3 > STEP_FLOPS:
            return None
        reach = -1.0 if self._feature_map is None else LINEAR_REACH
        return structure.step(n_components, self.summary_.variance, reach)

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

    def prior(self, n_components):
        structure, d = self._structure, self.summary_.n_features
        scatter = self._prior_scatter(n_components)
        nu = self.prior_nu_
        if not structure.shared:
            scatter = np.broadcast_to(scatter, structure.shape(n_components, d))
            nu = np.full(n_components, nu)
        arrays = {
            "kappa": np.full(n_components, self.prior_kappa_),
            "mean": np.tile(self.prior_mean_, (n_components, 1)),
            "nu": nu,
            "scatter": scatter,
        }
        return Moments(arrays, structure.shared)

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
        factor, log_det, flags = structure.constrain(covariance, self.summary_.variance)
        found = self._point(mean, factor, log_det)
        if theta is not None and structure.is_worse(stats, theta, found, bool(np.any(flags))):
            return self._point(mean, theta.factor, theta.offset)
        return found

    def mode(self, posterior):
        d = self.summary_.n_features
        divisor = self._structure.mode_dof(posterior.nu, d, posterior.n_components)
        return self._constrained(posterior.mean, self._structure.ratio(posterior.scatter, divisor))

    def expect(self, posterior):
        structure, d = self._structure, self.summary_.n_features
        root, log_det = structure.factorize(posterior.scatter)
        factor = structure.scale_factor(root, np.sqrt(posterior.nu))
        offset = 0.5 * structure.expected_log_det(posterior.nu, log_det, d) - 0.5 * d / posterior.kappa
        return self._point(posterior.mean, factor, offset)

    def draw(self, posterior, rng):
        structure, d = self._structure, self.summary_.n_features
        factor = structure.draw(posterior.nu, structure.factorize(posterior.scatter)[0], d, rng)
        noise = rng.standard_normal(posterior.mean.shape) / np.sqrt(posterior.kappa)[:, None]
        mean = posterior.mean + structure.unwhiten(factor, noise)
        return self._point(mean, factor, structure.log_det(factor, d))

    def log_normalizer(self, posterior):
        structure, d = self._structure, self.summary_.n_features
        means = 0.5 * d * (LOG_2PI - np.log(posterior.kappa))
        covariances = structure.log_wishart_norm(posterior.nu, structure.factorize(posterior.scatter)[1], d)
        return float(means.sum() + covariances) if structure.shared else means + covariances

    def merged_log_normalizers(self, prior, stats, first, second):
        """Log normaliser of the posterior of all components of a shared covariance, were two of them merged.

        Parameters
        ----------
        prior, stats : Moments
        first, second : intp ndarray of shape (n_pairs,)

        Returns
        -------
        log_normalizers : ndarray of shape (n_pairs,)
        """
        apart, d = self._structure.apart, self.summary_.n_features

        def spread(weight, deviation):
            if stats.scatter.ndim == 2:
                return (weight[:, None] * deviation)[:, :, None] * deviation[:, None, :]
            squares = weight[:, None] * deviation**2
            return squares if stats.scatter.ndim == 1 else squares.sum(axis=1)

        def pull(kappa, mean):
            return spread(prior.kappa[0] * kappa / (prior.kappa[0] + kappa), mean - prior.mean[0])

        i, j, posterior = stats.take(first), stats.take(second), prior.merge(stats)
        kappa = i.kappa + j.kappa
        share = j.kappa / kappa
        between = spread(i.kappa * share, j.mean - i.mean)
        merged = pull(kappa, i.mean + share[:, None] * (j.mean - i.mean))
        scatter = posterior.scatter + between + merged - pull(i.kappa, i.mean) - pull(j.kappa, j.mean)
        log_kappa = np.log(posterior.kappa)
        log_kappa = log_kappa.sum() - log_kappa[first] - log_kappa[second] + np.log(prior.kappa[0] + kappa)
        means = 0.5 * d * (LOG_2PI * (len(posterior.kappa) - 1) - log_kappa)
        return means + apart.log_wishart_norm(posterior.nu, apart.factorize(scatter)[1], d)

    def log_density(self, prior, theta):
        structure, d = self._structure, self.summary_.n_features
        power = structure.log_density_dof(prior.nu, d, prior.n_components)
        deviation = structure.whiten(theta.factor, theta.mean - prior.mean)
        terms = power * structure.log_det(theta.factor, d) - 0.5 * structure.trace(theta.factor, prior.scatter)
        pull = -0.5 * (prior.kappa * (deviation**2).sum(axis=1)).sum()
        return float(np.sum(terms) + pull - np.sum(self.log_normalizer(prior)))

    def log_parameter_jacobian(self, n_components):
        log_scale = np.log(self.summary_.scale)
        return -float(n_components * log_scale.sum() + self._structure.log_volume(log_scale, n_components))

    def log_likelihood(self, theta, stats):
        structure = self._structure
        deviation = structure.whiten(theta.factor, stats.mean - theta.mean)
        spread = structure.per_component(structure.trace(theta.factor, stats.scatter), len(stats.kappa))
        return stats.kappa * (theta.offset - 0.5 * (deviation**2).sum(axis=1)) - 0.5 * spread

    def log_predictive(self, posterior, X):
        """Log density of each row under each component's Student-t predictive, base measure left out."""
        structure, d = self._structure, self.summary_.n_features
        kappa, nu = posterior.kappa, posterior.nu
        root, log_det = structure.factorize(posterior.scatter)
        inflate = np.log1p(1.0 / kappa)
        share = kappa / (kappa + 1.0)
        if structure.collect == "diag" and not structure.isotropic:
            root = np.broadcast_to(root, posterior.mean.shape)
            gain = gammaln(0.5 * (nu + 1.0)) - gammaln(0.5 * nu) + 0.5 * LOG_2PI - 0.5 * np.log(np.pi)
            squares = np.stack([((X - m) * f) ** 2 for m, f in zip(posterior.mean, root, strict=True)], axis=1)
            tails = np.log1p(share[:, None] * squares).sum(axis=2)
            return d * gain - 0.5 * (d * inflate + log_det) - 0.5 * (nu + 1.0) * tails
        if structure.isotropic:
            upper, volume = 0.5 * (nu + d), d * log_det
        else:
            upper, volume = 0.5 * (nu + 1.0), log_det
        lower = upper - 0.5 * d
        gain = gammaln(upper) - gammaln(lower) + 0.5 * d * (LOG_2PI - np.log(np.pi))
        tails = np.log1p(share * structure.distances(root, posterior.mean, X))
        return gain - 0.5 * (d * inflate + volume) - upper * tails

    def sample(self, theta, counts, rng):
        structure = self._structure
        noise = rng.standard_normal((int(np.sum(counts)), self.summary_.n_features))
        rows = theta.take(np.repeat(np.arange(len(counts)), counts))
        return self.summary_.to_user(rows.mean + structure.unwhiten(rows.factor, noise))

    def of_columns(self):
        return type(self)(self._structure.of_columns or self.covariance_type)

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
        return Centred("full", theta.mean, np.ascontiguousarray(np.stack(columns, axis=2)), theta.offset)

    def log_terms(self, log_weights, theta):
        _, mean, factor, offset = self.whitened(theta)
        return QuadraticTerms(np.swapaxes(factor, 1, 2) @ factor, c=log_weights + offset, centers=mean)

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

    def agglomerate(self, stats, n_left):
        structure, summary = self._structure, self.summary_
        ridge, scatter = summary.variance, stats.scatter
        if structure.collect == "full":
            # the variance for the sake of columns that say nothing of their own
            ridge = summary.covariance + 1e-6 * np.diag(ridge)
        elif structure.isotropic:
            ridge = ridge.sum()
        if structure.merging == "tied" and ridge.ndim == 1:
            ridge, scatter = np.diag(ridge), np.diag(scatter)
        return Groups(structure.merging, stats.kappa, stats.mean, scatter, MERGING_RIDGE * ridge).merge(n_left)
