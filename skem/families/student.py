"""Multivariate Student-t components."""

import numbers

import numpy as np
from scipy.special import gammaln
from sklearn.base import clone

from skem._compat import Interval, StrOptions
from skem._kernels.parts import Centred
from skem._kernels.student import StudentMaximumLikelihood, log_scales, log_tail, most_likely_dof
from skem.families.base import Parameters
from skem.families.covariance import CLASSIC
from skem.families.gaussian import STEP_FLOPS, Gaussian
from skem.families.margins import conditional_factor, marginal_factor
from skem.suffstats import ScaledMoments
from skem.tailed_terms import TailedTerms

# Verbs of a Gaussian that need a posterior of theta, or scores that are a quadratic form.
MISSING = {"expect", "draw", "log_normalizer", "log_predictive", "merged_log_normalizers", "whitened"}
# Degrees of freedom while rows with given labels find their means and scales: few, for rows may lie far out.
START_DOF = 3.0
# Degrees of freedom from which on a run that crawls may find them infinite.
MANY = 30.0


class StudentT(Gaussian):
    """Student-t distributions with location mean_k, scale matrix S_k and nu_k degrees of freedom.

    ``log p(x | k) = log G((nu + d) / 2) - log G(nu / 2) - d/2 log(nu pi) + log |F| - (nu + d) / 2 log(1 + q / nu)``,
    q = |F (x - mean)|^2, F'F the inverse of the scale matrix. Clusters with far-out rows, which a Gaussian would
    stretch to or give components of their own, keep their place and width.

    Fitted by EM with a latent scale u for each row: x | u ~ N(mean, S / u), u ~ Gamma(nu / 2, nu / 2). Scales are
    kept within bounds as the covariances of `Gaussian` are, and the posterior mode takes the Gaussian's prior of mean
    and scale matrix, and a flat one of nu. There is no conjugate prior of nu, hence neither variational Bayes nor
    Gibbs sampling.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        Structure of the scale matrices, as for `Gaussian`.
    degrees_of_freedom : {"free", "common"} or float, default="free"
        One a component, one for all, or a given number > 0; inf is the Gaussian.
    bounds : tuple of (low, high), default=(1.0, inf)
        Where degrees of freedom are kept that are not given, 0 < low <= high. With high = inf a fit also starts from
        the converged Gaussian fit, so that its likelihood is never lower.
    mean_prior : array-like of shape (n_features,), default=None
        As for `Gaussian`.
    mean_precision_prior : float, default=None
        As for `Gaussian`.
    degrees_of_freedom_prior : float, default=None
        Degrees of freedom of the prior of the scale matrix, as for `Gaussian`; they have nothing to do with nu.
    covariance_prior : {"default", "kurihara", "mclust"} or array-like, default=None
        Prior scatter, as for `Gaussian`.

    Notes
    -----
    Degrees of freedom that are most likely at infinity come there by ever smaller steps: a run that crawls tries
    whether the Gaussian is likelier, and no heavier tail likelier still.

    The update of maximum likelihood is that of parameter-expanded EM, many times faster than EM where tails are heavy:
    scatters are divided by the sum of the latent scales in place of the rows (Kent, Tyler & Vardi 1994), and nu / 2
    is the most likely shape of a Gamma of free rate for the latent scales.

    A few rows very far out pull degrees of freedom that are not given down to their bound: means then are those of
    so heavy tails, which in small clusters differ from the plain means by sampling error (some hundredths of a standard
    deviation in 300 rows). With inf within the bounds, the Gaussian fit that gives such rows a component of their
    own may be the likeliest; a finite `high` leaves it out.

    References
    ----------
    Peel & McLachlan (2000), Robust mixture modelling using the t distribution, Statistics and Computing 10.
    Liu, Rubin & Wu (1998), Parameter expansion to accelerate EM: the PX-EM algorithm, Biometrika 85.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import StudentT
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.standard_t(3, size=(300, 2)), rng.standard_t(3, size=(300, 2)) + 12.0])
    >>> mixture = EMMixture(2, family=StudentT("spherical", "common"), random_state=0).fit(X)
    >>> mixture.degrees_of_freedom_.shape
    (2,)
    """

    heavy_tails = True
    closed_form = False
    n_start_passes = 4
    collapsed_kind = None
    unbounded = ("degrees_of_freedom",)

    _parameter_constraints = {
        **Gaussian._parameter_constraints,
        "covariance_type": [StrOptions(set(CLASSIC))],
        "degrees_of_freedom": [StrOptions({"free", "common"}), Interval(numbers.Real, 0, np.inf, closed="right")],
        "bounds": ["array-like"],
    }

    def __init__(
        self,
        covariance_type="full",
        degrees_of_freedom="free",
        bounds=(1.0, np.inf),
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
        self.degrees_of_freedom = degrees_of_freedom
        self.bounds = bounds

    def structures(self, n_features):
        if self._prior_name is None:
            return [self]
        names = CLASSIC if n_features > 1 else ("full", "tied")
        return [clone(self).set_params(covariance_type=name) for name in names]

    def has(self, verb):
        if verb == "nested":
            return isinstance(self.degrees_of_freedom, str) and np.max(self.bounds) == np.inf
        return verb not in MISSING and super().has(verb)

    # -- data side -------------------------------------------------------------------------------

    def _bind(self):
        super()._bind()
        bounds = np.asarray(self.bounds, dtype=np.float64)
        if bounds.shape != (2,) or not 0 < bounds[0] <= bounds[1]:
            raise ValueError(f"bounds={self.bounds!r} must be two numbers, 0 < low <= high; inf is allowed")
        fixed = None if isinstance(self.degrees_of_freedom, str) else float(self.degrees_of_freedom)
        self.bounds_ = tuple(bounds.tolist()) if fixed is None else (fixed, fixed)

    def scorer(self, theta):
        structure, factor = self._structure, theta.factor
        if structure.name == "tied":
            factor = factor[None]
        elif structure.collect == "diag":
            factor = np.array(np.broadcast_to(factor[..., None] if structure.isotropic else factor, theta.mean.shape))
        return Centred(structure.collect, theta.mean, factor, np.ascontiguousarray(theta.offset), theta.dof)

    def collector(self, theta, part, assign):
        return part

    def start_collector(self, n_components, before=None):
        return self.scorer(self._start(n_components, before))

    def _start(self, n_components, before):
        """Theta of few degrees of freedom: of all rows in the first pass, later of the statistics before."""
        dof = np.clip(np.full(n_components, START_DOF), *self.bounds_)
        if before is not None:
            return self._update(before, None, dof=dof)
        structure, summary = self._structure, self.summary_
        diagonal = structure.diagonal(summary.variance)
        covariance = np.broadcast_to(diagonal, structure.shape(n_components, summary.n_features))
        factor, log_det, _ = structure.constrain(np.ascontiguousarray(covariance), summary.variance)
        return self._tailed(np.tile(summary.mean, (n_components, 1)), factor, log_det, dof)

    def statistics(self, n_k, sums):
        d, dof = self.summary_.n_features, sums["dof"]
        latent = np.ascontiguousarray(sums["latent"])
        weight, tails = np.ascontiguousarray(latent.T)
        stats = super().statistics(weight, sums)
        columns = d if self._structure.isotropic else 1
        arrays = {
            "kappa": stats.kappa,
            "mean": stats.mean,
            # added up in order, as the compiled step does
            "nu": columns * (np.cumsum(n_k)[-1] if stats.shared else n_k),
            "scatter": stats.scatter,
            "mass": n_k,
            "weight": weight,
            "log_scale": log_scales(n_k, latent, dof, d),
            # slope of the log-likelihood in 1 / nu where nu is infinite
            "slope": np.where(np.isfinite(dof), 0.0, tails + 0.25 * d * (d - 2.0) * n_k),
        }
        return ScaledMoments(arrays, stats.shared)

    def mle_step(self, n_components):
        structure, variance = self._structure, self.summary_.variance
        if structure.collect == "full" and n_components * len(variance) ** 3 > STEP_FLOPS:
            return None
        common = self.degrees_of_freedom == "common"
        return StudentMaximumLikelihood(structure.name, n_components, variance, structure.floor, self.bounds_, common)

    def fall(self, theta):
        return theta.dof + theta.mean.shape[1]

    # -- parameter side --------------------------------------------------------------------------

    def _tailed(self, mean, factor, log_det, dof, shared=None):
        """Theta of these, factors being shared as the structure has them unless the caller knows better."""
        log_det = log_det if np.ndim(log_det) else np.full(len(mean), log_det)
        arrays = {"mean": mean, "factor": factor, "offset": log_det + log_tail(dof, mean.shape[1]), "dof": dof}
        shared = self._structure.shared if shared is None else shared
        return Parameters(arrays, ("factor",) if shared else ())

    def _find_dof(self, stats, expand):
        """Most likely degrees of freedom, and the mean scale by which all scales are to be divided."""
        common, tied = self.degrees_of_freedom == "common", bool(stats.shared)
        return most_likely_dof(stats.mass, stats.weight, stats.log_scale, self.bounds_, common, tied, expand)

    def _update(self, stats, theta, dof=None, expand=True):
        """Theta of scaled moments: means and scales, and degrees of freedom where they are not given."""
        structure, summary, empty = self._structure, self.summary_, stats.mass <= 0
        found, alpha = self._find_dof(stats, expand)
        given = dof
        if given is None:
            dof = np.where(empty, np.clip(START_DOF, *self.bounds_) if theta is None else theta.dof, found)
        mean, covariance = stats.mean, structure.most_likely(stats, summary.variance)
        covariance = covariance / (alpha[0] if stats.shared else alpha.reshape((-1,) + (1,) * (covariance.ndim - 1)))
        if empty.any():
            mean = np.where(empty[:, None], summary.mean if theta is None else theta.mean, mean)
            if not stats.shared:
                flags = np.reshape(empty, (-1,) + (1,) * (covariance.ndim - 1))
                covariance = np.where(flags, structure.diagonal(summary.variance), covariance)
        factor, log_det, held = structure.constrain(covariance, summary.variance)
        if expand and np.any(held):
            # where scales rest on the constraint, the expanded step need not lead upwards
            return self._update(stats, theta, given, expand=False)
        return self._tailed(mean, factor, log_det, dof)

    def mle(self, stats, theta=None):
        return self._update(stats, theta)

    def prior(self, n_components):
        zeros = np.zeros(n_components)
        arrays = super().prior(n_components).to_dict()["arrays"]
        return ScaledMoments(arrays | dict.fromkeys(ScaledMoments.latent, zeros), self._structure.shared)

    def mode_from(self, posterior, theta):
        point = super().mode_from(posterior, theta)
        log_det = self._structure.log_det(point.factor, point.mean.shape[1])
        return self._tailed(point.mean, point.factor, log_det, self._find_dof(posterior, expand=False)[0])

    def log_likelihood(self, theta, stats):
        """Complete-data log-likelihood of rows and latent scales; see `Family.log_likelihood`."""
        structure, d = self._structure, theta.mean.shape[1]
        deviation = structure.whiten(theta.factor, stats.mean - theta.mean)
        spread = structure.per_component(structure.trace(theta.factor, stats.scatter), len(stats.mass))
        log_det = theta.offset - log_tail(theta.dof, d)
        half = np.where(np.isfinite(theta.dof), 0.5 * theta.dof, 1.0)
        scales = half * (stats.log_scale - stats.kappa) + stats.mass * (half * np.log(half) - gammaln(half))
        scales = np.where(np.isfinite(theta.dof), scales, 0.0)
        return stats.mass * log_det + scales - 0.5 * (stats.kappa * (deviation**2).sum(axis=1) + spread)

    # -- the Gaussian within ---------------------------------------------------------------------

    def nested(self):
        """Gaussian that this family contains, bound to the same data.

        Returns
        -------
        family : Gaussian
        """
        names = (
            "covariance_type",
            "mean_prior",
            "mean_precision_prior",
            "degrees_of_freedom_prior",
            "covariance_prior",
            "rounding",
        )
        return Gaussian(**{name: getattr(self, name) for name in names}).bind(self.summary_)

    def embed(self, theta):
        """Theta of infinite degrees of freedom with the densities of a Gaussian's.

        Parameters
        ----------
        theta : Parameters
            Of the Gaussian.

        Returns
        -------
        theta : Parameters
        """
        K, d = theta.mean.shape
        return self._tailed(theta.mean, theta.factor, self._structure.log_det(theta.factor, d), np.full(K, np.inf))

    def widen(self, theta, stats):
        """Where to start from, given where the Gaussian has ended: where heavier tails gain, if anywhere.

        Parameters
        ----------
        theta : Parameters
            That `embed` has made of the Gaussian's.
        stats : ScaledMoments
            Of a pass at theta.

        Returns
        -------
        starts : list of Parameters
        """
        K, d = theta.mean.shape
        slope, mass = stats.slope, stats.mass
        if self.degrees_of_freedom == "common" or stats.shared:
            slope, mass = np.full(K, slope.sum()), np.full(K, mass.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            # E q^2 = d (d + 2) (nu - 2) / (nu - 4) where the covariance is the Gaussian's
            dof = np.where(slope > 0, np.clip(4.0 + 0.5 * d * (d + 2.0) * mass / slope, *self.bounds_), np.inf)
        return [self._with_dof(theta, dof)] if np.isfinite(dof).any() else []

    def limit(self, before, theta):
        """Theta of infinite degrees of freedom where they are many, and an update has made them more.

        That many are most likely at infinity, as a rule, but updates lead there by smaller and smaller steps.

        Parameters
        ----------
        before, theta : Parameters
            Around the update.

        Returns
        -------
        limit : Parameters or None
            None where no component's have grown that are many.
        """
        grown = np.isfinite(theta.dof) & (theta.dof >= MANY) & (theta.dof > before.dof)
        return self._with_dof(theta, np.where(grown, np.inf, theta.dof)) if grown.any() else None

    def _with_dof(self, theta, dof):
        """Theta of other degrees of freedom with the same covariances, as far as these are finite."""
        structure = self._structure
        before, after = (np.maximum(1.0 - 2.0 / own, 0.1) for own in (theta.dof, dof))
        ratio = np.sqrt(before / after)
        factor = structure.scale_factor(theta.factor, ratio.mean() if structure.shared else ratio)
        return self._tailed(theta.mean, factor, structure.log_det(factor, theta.mean.shape[1]), dof)

    # -- for the user ----------------------------------------------------------------------------

    def sample(self, theta, counts, rng):
        structure = self._structure
        rows = theta.take(np.repeat(np.arange(len(counts)), counts))
        noise = rng.standard_normal((int(np.sum(counts)), self.summary_.n_features))
        finite = np.isfinite(rows.dof)
        half = np.where(finite, 0.5 * rows.dof, 1.0)
        scale = np.where(finite, rng.standard_gamma(half) / half, 1.0)
        return self.summary_.to_user(rows.mean + structure.unwhiten(rows.factor, noise) / np.sqrt(scale)[:, None])

    def _apart(self, theta):
        """Structure and factors of scale matrices of their own; those given some columns are never shared."""
        if not self._structure.shared:
            return self._structure, theta.factor
        structure = self._structure.apart
        return structure, np.broadcast_to(theta.factor, (len(theta.mean), *theta.factor.shape))

    def of_columns(self, columns):
        return type(self)("full" if self._structure.shared else self.covariance_type)

    def marginal(self, theta, columns, rest):
        structure, factor = self._apart(theta)
        factor = marginal_factor(structure, factor, columns, rest)
        mean = np.take(theta.mean, columns, axis=1)
        return self._tailed(mean, factor, structure.log_det(factor, len(columns)), theta.dof, shared=False)

    def conditional(self, theta, given, rest, values):
        structure, factor = self._apart(theta)
        deviation = values - theta.mean[:, given]
        own, shift = conditional_factor(structure, factor, given, rest, deviation)
        distance = (structure.whiten(marginal_factor(structure, factor, given, rest), deviation) ** 2).sum(axis=1)
        finite = np.isfinite(theta.dof)
        dof = np.where(finite, theta.dof, 1.0)
        own = structure.scale_factor(own, np.where(finite, np.sqrt((dof + len(given)) / (dof + distance)), 1.0))
        mean = np.take(theta.mean, rest, axis=1) + shift
        return self._tailed(mean, own, structure.log_det(own, len(rest)), theta.dof + len(given), shared=False)

    def log_terms(self, log_weights, theta):
        gaussian, d = super().log_terms(log_weights, theta), theta.mean.shape[1]
        rise = 1.0 + d / theta.dof
        return TailedTerms(gaussian.A * rise[:, None, None], gaussian.c, gaussian.centers, theta.dof + d)

    def n_parameters(self, n_features, n_components):
        own = {"free": n_components, "common": 1}.get(self.degrees_of_freedom, 0)
        return super().n_parameters(n_features, n_components) + own

    def attributes(self, theta):
        found = super().attributes(theta)
        return {
            "means_": found["means_"],
            "scale_matrices_": found["covariances_"],
            "degrees_of_freedom_": theta.dof.copy(),
        }

    def _check_dof(self, degrees_of_freedom, n_components):
        dof = np.array(np.broadcast_to(np.asarray(degrees_of_freedom, dtype=np.float64), (n_components,)))
        if not (dof > 0).all():
            raise ValueError("degrees_of_freedom must be positive")
        return dof

    def summary_of_parameters(self, summary, attributes):
        if "scale_matrices" not in attributes:
            raise ValueError(
                "StudentT() is built from means, scale_matrices and degrees_of_freedom; there are no scale_matrices"
            )
        return super().summary_of_parameters(summary, attributes | {"covariances": attributes["scale_matrices"]})

    def parameters(self, means, scale_matrices, degrees_of_freedom):  # type: ignore[override] # public names
        point = super().parameters(means, scale_matrices)
        dof = self._check_dof(degrees_of_freedom, len(point.mean))
        return self._tailed(point.mean, point.factor, self._structure.log_det(point.factor, point.mean.shape[1]), dof)
