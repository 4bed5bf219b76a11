"""The contract of a component family."""

import copy
from typing import Any

import numpy as np

from skem._kernels.parts import Linear
from skem.families.merging import merge_groups
from skem.families.traits import Traits
from skem.suffstats import Parameters, SuffStats


class Family(Traits):
    """A parametric family p(x | theta) for the components of a mixture.

    The defaults serve an exponential family, log p(x | theta) = <w, T(x)> + c + log h(x), whose feature map T the
    kernels know: such a family writes `natural` and the verbs below, and no Cython.

    A fit works on a bound clone (`bind`): the user's object holds hyperparameters only. All K-sized algebra is in
    internal coordinates, (x - origin) / scale; `attributes` and `parameters` translate to and from the user's.

    Verbs every family has, K = n_components, rows and theta in internal coordinates:

    - ``mle(stats, theta=None)`` -> theta of largest likelihood; the old theta serves components without mass
    - ``log_likelihood(theta, stats)`` -> (K,), base measure left out
    - ``sample(theta, counts, rng)`` -> rows in the user's units, counts[k] of component k, in that order
    - ``attributes(theta)`` -> dict of public arrays in the user's units, and ``parameters(**public)``, its inverse
    - ``n_parameters(n_features, n_components)`` -> int

    Verbs of a conjugate family, where prior, statistics and posterior are one type:

    - ``prior(n_components)`` -> SuffStats; merged with statistics it is the posterior
    - ``mode(posterior)``, ``expect(posterior)``, ``draw(posterior, rng)`` -> theta: the point of largest density, the
      expectation that gives E log p(x | theta), a draw; all of one shape
    - ``log_normalizer(posterior)`` -> (K,), or a float where components share parameters
    - ``log_density(prior, theta)`` -> float, of all components together
    - ``log_predictive(posterior, X)`` -> (n, K), base measure left out
    - optional, where components share parameters: ``merged_log_normalizers(prior, stats, first, second)`` ->
      (n_pairs,), the log normaliser of the posterior if two components were merged, for many pairs at once

    Verbs that lead from a fitted mixture to others, `columns` and `rest` being lists that hold every column once:

    - ``marginal(theta, columns, rest)`` -> theta of these columns alone
    - ``conditional(theta, given, rest, values)`` -> theta of the rest, where the given columns have these values
    - ``log_terms(log_weights, theta)`` -> `QuadraticTerms`, or terms of their kind, whose log sum exp is the log
      density of rows as the user has them, the Jacobian of the internal coordinates left out

    A family whose internal coordinates are no places between which distances mean anything has ``coordinates(X)`` ->
    (n, p), which are; starts and cuts use them.

    A family that is scored by distances may have ``whitened(theta)`` -> `Centred` with a matrix F_k for every
    component, whatever its structure: hard passes over many rows of few columns then go by a tree.

    A family that contains a simpler one as a limit has ``nested()`` -> that family, bound to the same data,
    ``embed(theta)`` -> theta of its own with the densities of a simpler one's, and ``widen(theta, stats)`` -> places
    beyond to start from, given such a theta and the statistics of a pass there. Where updates come closer to the limit
    and never there, ``limit(before, theta)`` -> the theta there, or None where the last update did not lead there.

    An algorithm names the verbs it requires and is refused in one sentence where one is missing. Beside the verbs a
    family in pure Python has ``features(X)`` -> (n, m), its T(x), and may have ``log_prob(X, theta)`` -> (n, K) in
    place of `natural`; it is slower, and under the same laws. Features may be a CSR matrix: then
    ``natural(theta, columns)`` has those weights only that belong to some columns of it.
    """

    #: of the data, on a bound clone
    summary_: Any
    #: variance that rounding took from each column, in internal coordinates; None where rows are taken as exact
    rounding_: Any = None
    #: changes of units the family is closed under: "affine", "columns", "scalar", "scale" or None, see `summarize`
    equivariance: Any = None
    #: T(x), see `skem._kernels.parts.Linear`
    feature_map = "x"
    #: kind of sequential sweep in `skem._kernels.collapsed`, or None; see `collapsed_arrays`
    collapsed_kind: str | None = None
    # -- data side -------------------------------------------------------------------------------

    def bind(self, summary):
        """Return a clone bound to the data's coordinates and spread.

        Parameters
        ----------
        summary : skem.summary.Summary

        Returns
        -------
        family : Family
        """
        # scikit-learn's clone by hand: it looks the constructor's parameters up every time
        bound = type(self).__new__(type(self))
        bound.__dict__ = {name: copy.deepcopy(value) for name, value in vars(self).items() if not name.endswith("_")}
        bound.summary_ = summary
        bound._bind()
        return bound

    def _bind(self):
        """Translate hyperparameters to internal coordinates; called on the bound clone."""

    def natural(self, theta):
        """Natural parameters (K, m) and offsets (K,), base measure left out."""
        raise NotImplementedError(f"{type(self).__name__} has no natural parameters; it must define scorer()")

    def scorer(self, theta):
        """How a pass scores a row: a `Linear` or `Centred` part."""
        return Linear(self.feature_map, *self.natural(theta))

    def collector(self, theta, part, assign):
        """Which sums a pass with this assignment collects; those of `part`, its scorer at theta, by default."""
        return part

    def start_collector(self, n_components, before=None):
        """Which sums a pass over rows of given labels collects, where there is no theta yet.

        Parts with tails look at the rows as scorers do, for the latent scales that they weigh them by.

        Parameters
        ----------
        n_components : int
        before : SuffStats, default=None
            Of the pass before; None in the first.

        Returns
        -------
        part : Linear, Centred or Several
        """
        return Linear(self.feature_map)

    #: passes that a start needs before its statistics are exact
    n_start_passes = 1

    def is_near(self, before, after):
        """Whether statistics summed about those before have kept their digits."""
        return True

    def unit(self):
        """Units that make the columns alike, in internal coordinates: ndarray of shape (n_features,)."""
        unit = np.sqrt(self.summary_.variance)
        if self.equivariance == "scalar":
            unit = np.full_like(unit, np.sqrt(self.summary_.variance.mean()))
        # in float precision, for weights and repeated rows to see the same bits: rows between two seeds are common in
        # rounded data, and rounding must not choose for them
        return unit.astype(np.float32).astype(np.float64)

    def tail_power(self):
        """Power of the distance by which the log density falls off, 0 where units are fixed: for all columns or each.

        Returns
        -------
        power : int or int ndarray of shape (n_features,)
        """
        return {None: 0, "scale": 1}.get(self.equivariance, 2)

    def share_out(self, stats, n_k):
        """Statistics of the labels of a soft start, `start_share` of them exchanged for what all rows have.

        Soft assignments never leave a probability of zero, so that a start must not have one.

        Parameters
        ----------
        stats : SuffStats
        n_k : ndarray of shape (n_components,)

        Returns
        -------
        stats : SuffStats
        """
        share = self.start_share
        if share == 0.0:
            return stats
        common = stats.pool().scale((share / n_k.sum() * n_k)[:, None])
        return stats.scale(1.0 - share).merge(common)

    def fall(self, theta):
        """Powers of the distance by which the components' densities fall far out, or None: as a Gaussian's.

        Returns
        -------
        power : ndarray of shape (n_components,) or None
            inf for components that fall as a Gaussian does.
        """
        return

    def statistics(self, n_k, sums):
        """Sufficient statistics from the sums of a pass."""
        return SuffStats({"n": n_k, "total": sums["features"]})

    def mle_step(self, n_components):
        """`statistics`, `mle` and `scorer` in one compiled step with the same results, or None where there is none.

        A family that changes one of the three changes this verb as well.

        Returns
        -------
        step : skem._kernels.ascent.Step or None
        """

    def mode_step(self, prior):
        """`statistics`, `mode` and `scorer` in one compiled step, with the log prior density of theta as its penalty.

        Parameters
        ----------
        prior : SuffStats

        Returns
        -------
        step : skem._kernels.ascent.Step or None
        """

    def expect_step(self, prior):
        """`statistics`, `expect` and `scorer` in one compiled step; its penalty is -KL(q(theta) || prior).

        Parameters
        ----------
        prior : SuffStats

        Returns
        -------
        step : skem._kernels.ascent.Step or None
        """

    def log_base_measure(self, X):
        """Log h(x) of each row of X (user's units): ndarray of shape (n,), or a number where all are equal."""
        return 0.0

    # -- parameter side --------------------------------------------------------------------------

    def log_likelihood(self, theta, stats):
        """Complete-data log-likelihood of the statistics, base measure left out.

        Returns
        -------
        terms : ndarray of shape (n_components,)
        """
        weights, offset = self.natural(theta)
        return (weights * stats.total).sum(axis=1) + offset * stats.n

    def collapsed_arrays(self, posterior):
        """What `skem._kernels.collapsed.Collapsed` makes a posterior of this family from.

        Returns
        -------
        arrays : dict
        """
        return posterior.to_dict()["arrays"]

    def mode_from(self, posterior, theta):
        """`mode` of a family that has no closed form for it, sought from the parameters before (None where none are).

        Returns
        -------
        theta : Parameters
            Of no smaller density than the one given.
        """
        return self.mode(posterior)

    def degenerate(self, stats):
        """Which components' data are flat, so that their likelihood is unbounded without a constraint.

        Returns
        -------
        flags : bool ndarray of shape (n_components,)
        """
        return np.zeros(stats.n_components, dtype=bool)

    def constant_columns(self):
        """Columns that never change, where that lets components' data be flat.

        Returns
        -------
        columns : intp ndarray
            Positions in X.
        """
        can_be_flat = type(self).degenerate is not Family.degenerate
        return np.flatnonzero(self.summary_.constant & can_be_flat)

    #: mass up to which a component counts as degenerate, too: its likelihood says more of the rows than of a cluster
    least_mass = 0.0

    def worth(self, stats):
        """What groups of rows are worth to `agglomerate`: their largest log-likelihoods, of shape (n_groups,)."""
        return self.log_likelihood(self.mle(stats), stats)

    def agglomerate(self, stats, n_left):
        """Merge groups of rows, the pair first that loses the least of the largest likelihood.

        Parameters
        ----------
        stats : SuffStats
            Of the groups, each with mass.
        n_left : int
            How many groups to leave.

        Returns
        -------
        labels : int32 ndarray of shape (n_groups,)
            From 0 to n_left - 1, numbered by their first groups.
        """
        return merge_groups(self, stats, n_left)

    #: nats that a row of such a component can gain in each column before a constraint stops it; as of `Gaussian`, half
    #: the log of the inverse of `skem.families.covariance.common.EIGENVALUE_FLOOR`
    spike = 10.4

    #: the public parameter of shape (n_components, n_features), as `parameters` takes it
    location: str | None = None

    def shape_of_parameters(self, parameters):
        """Read n_components and n_features off public parameters.

        Parameters
        ----------
        parameters : dict

        Returns
        -------
        n_components, n_features : int
        """
        if self.location not in parameters:
            raise ValueError(f"{type(self).__name__}() is built from {self.location}, got {sorted(parameters)}")
        shape = np.shape(parameters[self.location])
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"{self.location} must have shape (n_components, n_features), got {shape}")
        return shape

    def log_parameter_jacobian(self, n_components):
        """Log density that a prior of theta gains when it is read in the user's units instead of internal ones."""
        return 0.0

    def summary_of_parameters(self, summary, attributes):
        """Coordinates for a mixture built from parameters alone; `summary` is the identity's.

        Returns
        -------
        summary : Summary
        """
        return summary

    def parameters(self, **attributes: Any) -> Parameters:
        """Build theta from public attributes, the inverse of `attributes`.

        Returns
        -------
        theta : Parameters
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be built from parameters")

    def of_columns(self, columns):
        """Return an unbound family for some of the columns, with default hyperparameters.

        Parameters
        ----------
        columns : list of int

        Returns
        -------
        family : Family
        """
        return type(self)()

    def restrict(self, columns):
        """Return `of_columns`, bound to these columns of the data.

        Parameters
        ----------
        columns : list of int

        Returns
        -------
        family : Family
        """
        return self.of_columns(columns).bind(self.summary_.take(columns))


__all__ = ["Family", "Parameters", "SuffStats"]
