"""Runs of a soft algorithm side by side, compiled as a single one is."""

import numpy as np

from libc.math cimport NAN
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from skem._kernels._job cimport HARD, SOFT
from skem._kernels.ascent cimport Convergence, Step, WeightStep
from skem._kernels.passes cimport Prepared


cdef class Field:
    """Runs on the same rows side by side, each of which may go on for some iterations at a time.

    Parameters
    ----------
    p : Prepared
        A soft pass of one scorer and one collector, which all runs share; its parameters play no part.
    step : Step
    weights : WeightStep
    n_runs : int
    """

    cdef Prepared p
    cdef Step step
    cdef WeightStep weights
    cdef double[:, ::1] sums           # (n_runs, sums_size) of each run's last pass
    cdef double[:, ::1] mean           # (n_runs, K d) that these are about
    cdef double[:, ::1] memory         # (n_runs, step.memory()) of the step

    def __init__(self, Prepared p, Step step, WeightStep weights, Py_ssize_t n_runs):
        cdef Py_ssize_t width = 0 if p.job.scorers[0].mean == NULL else p.job.K * p.job.scorers[0].d
        self.p, self.step, self.weights = p, step, weights
        self.sums, self.mean = np.zeros((n_runs, p.job.sums_size)), np.zeros((n_runs, max(width, 1)))
        self.memory = np.full((n_runs, max(<Py_ssize_t> step.memory(), 1)), np.nan)

    def begin(self, Py_ssize_t run, const int32_t[::1] codes, double share=0.0):
        """Collect the statistics of given labels.

        Parameters
        ----------
        run : int
        codes : int32 ndarray of shape (n,)
            None of them negative.
        share : float, default=0
            How much of each component's statistics is to be that of all rows; sums about means have none.
        """
        cdef Prepared p = self.p
        cdef int n_scorers = p.job.n_scorers, K = p.job.K, k
        cdef Py_ssize_t m = p.job.collectors[0].sums_k, i
        cdef double *n_k = p.job.total + 2
        cdef double *sums = n_k + K
        cdef double mass = 0.0, common
        self.mean[run, :] = 0.0
        self.memory[run, :] = NAN
        if p.means[0] is not None:
            p.means[0][...] = 0.0
        p.job.assign, p.job.given, p.job.codes, p.job.n_scorers = HARD, 1, &codes[0], 0
        try:
            p.run()
        finally:
            p.job.assign, p.job.given, p.job.codes, p.job.n_scorers = SOFT, 0, NULL, n_scorers
        if share:
            for k in range(K):
                mass += n_k[k]
            for i in range(m):
                common = 0.0
                for k in range(K):
                    common += sums[k * m + i]
                for k in range(K):
                    sums[k * m + i] = (1.0 - share) * sums[k * m + i] + share * n_k[k] / mass * common
        memcpy(&self.sums[run, 0], p.job.total, p.job.sums_size * sizeof(double))

    def go_on(self, Py_ssize_t run, Py_ssize_t n_updates, double rest=0.0, Convergence convergence=None):
        """Alternate updates and passes.

        Parameters
        ----------
        run : int
        n_updates : int
        rest : float, default=0
            Gain of an update up to which a run goes on no further.
        convergence : Convergence, default=None
            Judges the end in place of `rest`.

        Returns
        -------
        score : float
            Objective of the last pass, base measure left out.
        n_done : int
            Updates made; fewer than asked for where a step declined, or little was left to gain.
        declined : bool
            Whether a step did.
        """
        cdef Prepared p = self.p
        cdef Step step = self.step
        cdef WeightStep weights = self.weights
        cdef double[::1] log_weights = np.empty(p.job.K)
        cdef size_t size = p.job.sums_size * sizeof(double)
        cdef size_t width = p.job.K * <size_t> p.job.scorers[0].d * sizeof(double)
        cdef bint centred = p.job.scorers[0].mean != NULL
        cdef Py_ssize_t n_done = 0
        cdef bint declined = False
        cdef double score = 0.0, before
        memcpy(p.job.total, &self.sums[run, 0], size)
        if centred:
            memcpy(<double *> p.job.scorers[0].mean, &self.mean[run, 0], width)
        step.enter(&self.memory[run, 0])
        while n_done < n_updates:
            if not weights.update(p.job.K, &p.job.total[2], &log_weights[0]) or not step.update(p, &log_weights[0]):
                declined = True
                break
            step.load(p)
            p.run()
            before, score = score, p.job.total[0] + step.shared + step.penalty + weights.penalty
            n_done += 1
            if convergence is not None:
                if convergence.judge(score) or convergence.is_short():
                    break
            elif n_done > 1 and score - before <= rest:
                break
        step.leave(&self.memory[run, 0])
        memcpy(&self.sums[run, 0], p.job.total, size)
        if centred:
            memcpy(&self.mean[run, 0], p.job.scorers[0].mean, width)
        return score, n_done, bool(declined)

    def enter(self, Py_ssize_t run):
        """Let the step remember what a run has to go on from."""
        self.step.enter(&self.memory[run, 0])

    def masses(self, runs):
        """Component masses (len(runs), K) of the last passes of runs."""
        return np.asarray(self.sums)[runs, 2:2 + self.p.job.K]

    def results(self, Py_ssize_t run):
        """What a run's last pass brought back, as `Prepared.results`."""
        shape = self.p.job.K, self.p.job.scorers[0].d
        mean = None if self.p.means[0] is None else np.asarray(self.mean[run]).reshape(shape)
        return self.p.results(np.asarray(self.sums[run]), [mean])
