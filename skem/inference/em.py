"""Soft assignments and a point theta."""

from skem.inference.base import Algorithm


class EM(Algorithm):
    """Expectation-maximization: maximises sum_n log sum_k pi_k p(x_n | theta_k) (Dempster, Laird & Rubin 1977)."""

    assign = "soft"
    update = "mle"
    compiled = True


class MAPEM(Algorithm):
    """EM for the posterior mode: the log-likelihood plus log p(theta) + log p(pi)."""

    assign = "soft"
    update = "mode"
    compiled = True
