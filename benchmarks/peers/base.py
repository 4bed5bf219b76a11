"""What a library offers to be measured."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import ClassVar, NamedTuple

import numpy as np


class Parameters(NamedTuple):
    """A fitted Gaussian mixture."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class Fit(NamedTuple):
    """A timed fit.

    `result` is what the fit found, Parameters or centres; None where the library takes no start, so that its result
    has nothing to be compared with.
    """

    seconds: float
    result: Parameters | np.ndarray | None


class Peer:
    """A library. Subclasses say what they offer, and time one fit of an exact number of iterations from a given start.

    Importing a subclass's module must not import the library: the methods do.
    """

    name = ""
    #: what pip calls it, and what import does
    distribution = ""
    module = ""
    #: covariance structures of EM, of variational Bayes, and dtypes of k-means
    mixtures: ClassVar[tuple[str, ...]] = ()
    bayesian: ClassVar[tuple[str, ...]] = ()
    kmeans_dtypes: ClassVar[tuple[str, ...]] = ()
    mixture_dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def version(self):
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None

    def installed(self):
        return find_spec(self.module) is not None

    def use_threads(self, n_threads):
        """For libraries that read neither OMP_NUM_THREADS nor the process's affinity."""

    def fit_mixture(self, X, start, structure, n_iter):
        """EM of `n_iter` iterations, each an E-step and an M-step."""
        raise NotImplementedError

    def fit_classes(self, X, probabilities, n_iter):
        """EM of latent classes of zeros and ones; the result is the mean log-likelihood after `n_iter` M-steps."""
        raise NotImplementedError

    def prepare_bayesian(self, X, start, structure):
        """Whatever variational Bayes starts from, for `fit_bayesian`."""
        raise NotImplementedError

    def fit_bayesian(self, X, prepared, structure, n_iter):
        raise NotImplementedError

    def fit_kmeans(self, X, centers, n_iter):
        raise NotImplementedError
