"""The normal-inverse-Wishart prior of Gaussian components, and all that it answers in closed form."""

import copy
from typing import Any

import numpy as np
from scipy.special import gammaln

from skem._compat import check_numbers
from skem._kernels.posterior_steps import ExpectStep, ModeStep
from skem.families.base import Family
from skem.families.named_priors import PRIOR_SCALES, SHRINKAGE, named_dof, named_scatter
from skem.suffstats import Moments

LOG_2PI = np.log(2.0 * np.pi)
# Verbs that need a prior whose normaliser is known.
CONJUGATE = {"expect", "draw", "log_normalizer", "log_predictive"}


class NormalInverseWishart(Family):
    """Prior and posterior of means and covariances; mixed into the family of the components.

    The family has a structure of its covariances. Where that is not `conjugate`, the prior is the density of
    unrestricted covariances, taken at those of the model, and there is but its mode.
    """

    _structure: Any
    covariance_prior: Any
    mean_prior: Any
    mean_precision_prior: Any
    degrees_of_freedom_prior: Any
    _point: Any
    _reach: Any
    _likelier: Any
    #: what a regulariser adds to the scatter of each row, in the shape of one covariance
    _added: Any = None

    def has(self, verb):
        return (self._structure.conjugate or verb not in CONJUGATE) and super().has(verb)

    # -- hyperparameters -------------------------------------------------------------------------

    @property
    def _prior_name(self):
        """Name of the prior, None where its scatter is given in numbers."""
        if self.covariance_prior is None:
            return "default"
        return self.covariance_prior if isinstance(self.covariance_prior, str) else None

    def _bind_prior(self):
        """Translate the prior's hyperparameters to internal coordinates."""
        summary, d = self.summary_, self.summary_.n_features
        name = self._prior_name or "default"
        self.prior_mean_ = summary.mean
        if self.mean_prior is not None:
            self.prior_mean_ = summary.to_internal(check_numbers(self.mean_prior, "mean_prior", (d,)))
        kappa = SHRINKAGE[name] if self.mean_precision_prior is None else self.mean_precision_prior
        nu = self.degrees_of_freedom_prior
        self.prior_kappa_ = float(kappa)
        self.prior_nu_ = named_dof(name, self._structure, d) if nu is None else float(nu)
        self.prior_scale_ = 1.0
        if self._structure.collect == "full" and self.prior_nu_ <= d - 1:
            raise ValueError(f"degrees_of_freedom_prior = {self.prior_nu_:g} must exceed d - 1 = {d - 1}")

    def _prior_scatter(self, n_components):
        """S0 of one component in internal coordinates."""
        structure, summary = self._structure, self.summary_
        if self._prior_name is not None:
            return self.prior_scale_ * named_scatter(self._prior_name, structure, summary, self.prior_nu_, n_components)
        expected = np.shape(structure.diagonal(np.ones(summary.n_features)))
        given = check_numbers(self.covariance_prior, "covariance_prior", expected)
        if not structure.is_proper(given):
            raise ValueError(f"covariance_prior must be {structure.proper}")
        return structure.from_user(given, summary.scale)

    def priors(self):
        if self.covariance_prior is not None or not self._structure.conjugate:
            return [self]
        families = []
        for scale in PRIOR_SCALES:
            family = copy.copy(self)
            family.prior_scale_ = scale
            families.append(family)
        return families

    # -- verbs -----------------------------------------------------------------------------------

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

    def mode(self, posterior):
        return self.mode_from(posterior, None)

    def mode_from(self, posterior, theta):
        structure = self._structure
        K, d = posterior.mean.shape
        # the posterior density is the likelihood of so many rows, which no means take any from
        divisor = structure.mode_dof(posterior.nu, d, K)
        arrays = {
            "kappa": np.broadcast_to(divisor, (K,)),
            "mean": posterior.mean,
            "nu": divisor,
            "scatter": posterior.scatter,
        }
        rows = Moments(arrays, posterior.shared)
        return self._likelier(rows, posterior.mean, structure.most_likely(rows, self.summary_.variance, theta), theta)

    def expect(self, posterior):
        structure, d = self._structure, self.summary_.n_features
        root, log_det = structure.factorize(posterior.scatter)
        factor = structure.scale_factor(root, np.sqrt(posterior.nu))
        offset = 0.5 * structure.expected_log_det(posterior.nu, log_det, d) - 0.5 * d / posterior.kappa
        return self._point(posterior.mean, factor, offset)

    def mode_step(self, prior):
        structure, d, K = self._structure, self.summary_.n_features, prior.n_components
        if not (structure.conjugate and self.closed_form) or self.mle_step(K) is None:
            return None
        return ModeStep(
            structure.name, prior, self.summary_.variance, structure.floor, self._reach,
            structure.mode_dof(0.0, d, K), structure.log_density_dof(prior.nu, d, K),
            self.log_parameter_jacobian(K) - float(np.sum(self.log_normalizer(prior))),
        )  # fmt: skip

    def expect_step(self, prior):
        structure = self._structure
        if not (structure.conjugate and self.closed_form) or self.mle_step(prior.n_components) is None:
            return None
        return ExpectStep(
            structure.name, prior, self.summary_.variance, structure.floor, self._reach,
            float(np.sum(self.log_normalizer(prior))), self._added,
        )  # fmt: skip

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
