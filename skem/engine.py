"""A pass over the data: rows in, statistics and objective terms out."""

import copy
import os
from typing import Any, NamedTuple

import numpy as np

from skem import labels_in_float, rough_passes
from skem._kernels.ascent import ascend, spread
from skem._kernels.csr import PreparedCSR
from skem._kernels.field import Field
from skem._kernels.parts import Linear, placed
from skem._kernels.passes import Prepared, run_pass, set_thread_cap
from skem.canonical import canonical_rows
from skem.in_python import PassInPython
from skem.rows import column_range, is_sparse
from skem.suffstats import SuffStats

# Rows handed to NumPy at a time where a family computes features or base measures itself.
BLOCK = 1 << 13

if hasattr(os, "register_at_fork"):
    # OpenMP's worker threads do not survive a fork, and waiting for them would hang the child
    os.register_at_fork(after_in_child=lambda: set_thread_cap(1))


class Pass(NamedTuple):
    """What a pass brings back.

    Attributes
    ----------
    score : float
        Weighted sum of the rows' log sum exp (of their best scores in a hard pass), base measure left out. A pass
        that neither collects nor comes without outputs may lack what all components share.
    moved : int
        Rows of a hard pass that changed their label.
    n_k : ndarray of shape (n_components,)
        Component masses.
    stats : SuffStats or None
        The family's statistics; None where the pass only scored.
    error : float, default=0.0
        By how much the log sum exp of a row may be off in a rough pass, an estimate; else it is exact but for double's
        rounding.
    """

    score: float
    moved: int
    n_k: np.ndarray
    stats: SuffStats | None
    error: float = 0.0


class Source:
    """Rows with their weights, seen through a bound family.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, any strides
        Or a CSR matrix in canonical format, for a family that takes them.
    sample_weight : ndarray of shape (n,) or None
    family : Family
        Bound to a summary of the data.
    index : intp ndarray of shape (m,), default=None
        Rows of X to work on, in this order, without a copy of them; weights, labels and all else that comes by row
        are then of length m.
    coding : Coding, default=None
        The rows of X as bytes, for a family whose parts are linear in small whole numbers.
    """

    #: whether every pass scores all components, so that compiled iterations may take its place
    exact = True

    def __init__(self, X, sample_weight, family, index=None, coding=None):
        self.X = X
        self.index = index
        self.coding = coding
        self.weight = sample_weight
        self.family = family
        self._total_second: dict[int, np.ndarray] = {}
        self._total: np.ndarray | None = None
        self._farthest: float | None = None
        self._in_python = PassInPython()
        #: whether float tells nearly all components apart in hard passes, as far as is known
        self.float_tells = True

    def seen_by(self, family):
        """Return the same rows, seen through a family bound to the same summary."""
        other = copy.copy(self)
        other.family = family
        other._in_python = PassInPython()
        return other

    def __len__(self):
        return self.X.shape[0] if self.index is None else len(self.index)

    def take(self, rows):
        """Rows by slice."""
        return self.X[rows] if self.index is None else self.X[self.index[rows]]

    def internal(self, rows):
        """Rows in internal coordinates, one after the other in memory; CSR rows stay what they are."""
        X = self.family.summary_.to_internal(self.take(rows))
        return X if is_sparse(X) else np.ascontiguousarray(X)

    def canonical(self):
        """Distinct rows of the source in canonical order, by position; see `skem.canonical.canonical_rows`."""
        return canonical_rows(self.X, self.weight)

    @property
    def total_weight(self):
        """Sum of the weights."""
        return float(len(self)) if self.weight is None else float(self.weight.sum())

    def blocks(self):
        """Slices of rows for work that NumPy does."""
        return (slice(start, min(start + BLOCK, len(self))) for start in range(0, len(self), BLOCK))

    def may_be_rough(self, n_components, theta, compiled):
        """Whether rough soft passes may be faster than exact ones, compiled or not, as far as the rows can tell."""
        if not self.exact or self.family.has("features"):
            return False
        return rough_passes.serves(self, self.family.scorer(theta), n_components, compiled)

    @property
    def farthest(self):
        """Largest distance of a row from a column's mean, in the column's standard deviations; found once."""
        if self._farthest is None:
            summary = self.family.summary_
            ends = (np.stack(column_range(self.X, self.weight)) - summary.origin) / summary.scale - summary.mean
            self._farthest = float((np.abs(ends) / np.sqrt(summary.variance)).max())
        return self._farthest

    def log_base(self):
        """Weighted sum of log h(x), the Jacobian of the internal coordinates included."""
        total = 0.0
        for rows in self.blocks():
            terms = self.family.log_base_measure(self.take(rows))
            if np.ndim(terms) == 0:
                total += terms * (rows.stop - rows.start if self.weight is None else float(self.weight[rows].sum()))
            else:
                total += float(terms.sum() if self.weight is None else self.weight[rows] @ terms)
        return total - self.total_weight * self.family.summary_.log_jacobian

    def run(self, log_weights, theta=None, *, collect=True, collector=None, assign="soft", weighted=True, rough=False,
            **rows):  # fmt: skip
        """Run one pass.

        Parameters
        ----------
        log_weights : ndarray of shape (n_components,)
        theta : Parameters or None
            None scores no data: the rows' own `codes` or `log_prior` decide.
        collect : bool, default=True
            Whether to sum statistics.
        collector : Linear or Centred, default=None
            What to sum; None means what the family wants at theta.
        assign : {"soft", "hard", "draw", "given"}, default="soft"
        weighted : bool, default=True
            Whether rows carry their weights; responsibilities are asked for without.
        rough : bool, default=False
            Whether scores may be off by what the result's `error` says, where that is the faster way.
        **rows : dict
            Row state and outputs, see `skem._kernels.passes.run_pass`. `scores` lack what all components share.

        Returns
        -------
        result : Pass
        """
        family = self.family
        weight = self.weight if weighted else None
        log_weights = np.ascontiguousarray(log_weights, dtype=np.float64)
        if family.has("features"):
            score, moved, n_k, features = self._in_python.run(
                self, log_weights, theta, collect, assign=assign, weight=weight, **rows
            )
            return self._pass(score, moved, n_k, [{"features": features}] if collect else [], second={})
        part = None if theta is None else family.scorer(theta)
        collectors = placed(collector or family.collector(theta, part, assign), self.X.shape[1]) if collect else []
        result, error, second = None, 0.0, {}
        if rough and weighted and assign == "soft" and not rows:
            result, error = rough_passes.run(self, log_weights, part, collectors)
        score, moved, n_k, sums = result or self._once(
            log_weights, part, collectors, assign=assign, sample_weight=weight, **rows
        )
        for i, shared, first, width in self._shared(part):
            if rows.get("lse") is not None:
                # scores are left as they are: far out the shared term would drown what tells components apart
                rows["lse"] += self._shared_term(shared, first, width)
            if collect or not rows:
                second[i] = self._second_of_all(shared, first, width)
                score -= 0.5 * spread(shared.factor, second[i])
        return self._pass(score, moved, n_k, sums, second=second)._replace(error=error)

    def _shared(self, part):
        """What a pass leaves out because all components share it: place of the part, term, first column and width."""
        own = [] if part is None else [
            (i, getattr(one, "shared", None), first, width)
            for i, (one, first, width) in enumerate(placed(part, self.X.shape[1]))
        ]  # fmt: skip
        return [term for term in own if term[1] is not None]

    def _once(self, log_weights, part, collectors, **rows):
        """Set a pass up and run it."""
        result = labels_in_float.run(self, log_weights, part, collectors, **rows)
        if result is not None:
            return result
        return self._prepare(log_weights, part, collectors, **rows).once()

    def _prepare(self, log_weights, part, collectors, **rows):
        """Set a pass up."""
        summary = self.family.summary_
        if part is not None:
            scorers = placed(part, self.X.shape[1])
            log_weights = log_weights + part.offset
        else:
            # the latent scales of rows that no score assigns
            scorers = [place for place in collectors if getattr(place[0], "dof", None) is not None]
        if is_sparse(self.X):
            weights = None if part is None else part.weights
            return PreparedCSR(
                self.X, len(log_weights), log_weights, weights, bool(collectors), index=self.index, **rows
            )
        return Prepared(
            self.X, summary.origin, summary.scale, len(log_weights), log_weights, scorers, collectors,
            index=self.index, coding=self._coding_of([own for own, _, _ in [*scorers, *collectors]]),
            blind=part is None, **rows,
        )  # fmt: skip

    def _coding_of(self, parts):
        """Rows as bytes, where they serve all parts of a pass."""
        return self.coding if self.coding is not None and self.coding.serves(parts) else None

    def _pass(self, score, moved, n_k, sums, *, second):
        """What a pass brings back, from its flat sums and the second moments that are shared, by collector."""
        # statistics may live long, and are not to keep all of the sums
        n_k = np.array(n_k)
        if not sums:
            return Pass(score, moved, n_k, None)
        for i, moments in second.items():
            sums[i]["shared"] = moments
        return Pass(score, moved, n_k, self.family.statistics(n_k, *sums))

    def ascend(self, steps, log_weights, theta, *, convergence, penalty, constant, max_updates, patience, labels,
               late=False):  # fmt: skip
        """Alternate passes and updates, compiled, until they end or are better left off.

        Parameters
        ----------
        steps : pair of skem._kernels.ascent.Step and WeightStep
        log_weights : ndarray of shape (n_components,)
        theta : Parameters
            Where to start.
        convergence : Convergence
            Judges every pass.
        penalty : float
            What the objective adds to the score of the first pass.
        constant : float
            What it adds to that of every pass.
        max_updates : int
        patience : float
            Where more updates are behind and, by their gains, seem to be left, it is as if the step declined.
        labels : int32 ndarray of shape (n,)
            Written where the last pass is the one after `max_updates`.
        late : bool, default=False
            Whether a pass is judged by the bound that the update after it reaches; there is none after `max_updates`.

        Returns
        -------
        objectives : list of float
            One a pass; none of a late one whose update a step declined.
        converged : bool
        ended : bool
            Whether the run is over; otherwise it is to be gone on from the last pass.
        before : Pass or None
            What the last pass had its parameters from; None where it is still the start.
        last : Pass or None
            The last pass; None where it came after `max_updates`, and wrote labels instead.
        """
        prepared, second = self._prepare_ascent(steps[0], log_weights, theta)
        objectives, converged, ended, before = ascend(
            prepared, steps[0], steps[1], convergence, np.ascontiguousarray(log_weights, dtype=np.float64), penalty,
            constant, max_updates, patience, labels, late,
        )  # fmt: skip
        last = None if len(objectives) > max_updates else prepared.results()
        before, last = (results and self._pass(*results, second=second) for results in (before, last))
        return objectives, converged, ended, before, last

    def _prepare_ascent(self, step, log_weights, theta):
        """A soft pass at these parameters with its step, and the second moments that all components share, if any."""
        part = self.family.scorer(theta)
        shared = self._shared(part)
        second = {i: self._second_of_all(*term) for i, *term in shared}
        step.begin(theta, *(second[0], shared[0][1].factor) if shared else (None, None))
        collectors = placed(self.family.collector(theta, part, "soft"), self.X.shape[1])
        return self._prepare(log_weights, part, collectors, sample_weight=self.weight), second

    def field(self, steps, log_weights, theta, n_runs):
        """Compiled runs side by side.

        Parameters
        ----------
        steps : pair of skem._kernels.ascent.Step and WeightStep
        log_weights : ndarray of shape (n_components,)
        theta : Parameters
            Passes are of the kind that these parameters want; runs that need another kind decline.
        n_runs : int

        Returns
        -------
        field : skem._kernels.field.Field
        to_pass : callable
            Maps a run to its last `Pass`.
        """
        prepared, second = self._prepare_ascent(steps[0], log_weights, theta)
        field = Field(prepared, steps[0], steps[1], n_runs)
        return field, lambda run: self._pass(*field.results(run), second=second)

    def finish(self, log_weights, theta, labels):
        """Write the rows' most probable components at the end of a soft run.

        Parameters
        ----------
        log_weights : ndarray of shape (n_components,)
        theta : Parameters
        labels : int32 ndarray of shape (n,)
            Written.

        Returns
        -------
        score : float or None
            The exact score, where those of the passes are bounds of it.
        """
        self.run(log_weights, theta, collect=False, assign="hard", labels=labels)

    def _run_one(self, *place, collect=False, **rows):
        """A pass with one component, for a part that all components share and the columns it is placed on."""
        summary, parts = self.family.summary_, [place]
        return run_pass(
            self.X, summary.origin, summary.scale, 1, np.zeros(1), [] if collect else parts, parts if collect else [],
            index=self.index, sample_weight=self.weight, **rows,
        )  # fmt: skip

    def _second_of_all(self, shared, first, d):
        """Second moments (d, d) of all rows about the shared part's mean, summed once however many passes there are."""
        if first not in self._total_second:
            rows, columns = np.tril_indices(d)
            second = np.empty((d, d))
            second[rows, columns] = self._run_one(shared, first, d, collect=True)[3][0]["features"][0, d:]
            second[columns, rows] = second[rows, columns]
            self._total_second[first] = second
        return self._total_second[first]

    @property
    def total(self):
        """Weighted sum of the rows in internal coordinates, summed once however many passes there are."""
        if self._total is None:
            self._total = self._run_one(Linear("x"), 0, self.X.shape[1], collect=True)[3][0]["features"][0].copy()
        return self._total

    def _shared_term(self, shared, first, width):
        """What a pass left out of each row's density."""
        term = np.empty(len(self))
        self._run_one(shared, first, width, lse=term)
        return term

    def assign_given(self, n_components, *, codes=None, resp=None, about=None):
        """Statistics of rows whose labels or responsibilities are given.

        Parameters
        ----------
        n_components : int
        codes : int32 ndarray of shape (n,), default=None
        resp : ndarray of shape (n, n_components), default=None
        about : SuffStats, default=None
            Of components near those of the rows, where any are known: they save a pass.

        Returns
        -------
        result : Pass
        """
        given: dict[str, Any]
        if resp is None:
            given = {"codes": np.ascontiguousarray(codes, dtype=np.int32)}
            # a row of unknown label (-1) is shared out, so that its pass must look at scores
            given["assign"] = "given" if given["codes"].min(initial=0) >= 0 else "soft"
        else:
            with np.errstate(divide="ignore"):
                given = {"log_prior": np.maximum(np.log(np.ascontiguousarray(resp, dtype=np.float64)), -1e300)}
        n_left = self.family.n_start_passes
        # what is known stands for the first pass, unless the rows turn out to be far from it
        known = about if n_left > 1 else None
        n_left -= known is not None
        while n_left:
            collector = self.family.start_collector(n_components, about)
            result = self.run(np.zeros(n_components), collector=collector, **given)
            n_left -= known is None or self.family.is_near(known, result.stats)
            about, known = result.stats, None
        return result
