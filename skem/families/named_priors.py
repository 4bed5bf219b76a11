"""The Gaussian priors that have a name."""

import numpy as np

# Weight of the default prior's scatter, found by recovery of known partitions.
DEFAULT_SPREAD = 0.02
# What multiplies it where the evidence may choose: from clusters far narrower than all rows to clusters as wide.
PRIOR_SCALES = 2.0 ** np.arange(-4, 7)
SHRINKAGE = {"default": 0.001, "kurihara": 0.01, "mclust": 0.01}


def named_dof(name, structure, d):
    """Degrees of freedom nu0 that go with a name."""
    if name == "kurihara":
        # the marginal of a Wishart with d + 1 degrees of freedom has 2
        return d + 1.0 if structure.collect == "full" else 2.0
    return d + 2.0 if name == "mclust" else structure.prior_dof(d)


def named_scatter(name, structure, summary, nu, n_components):
    """Prior scatter S0 of one component in internal coordinates.

    Parameters
    ----------
    name : {"default", "kurihara", "mclust"}
    structure : Full, Tied, Diag or Spherical
    summary : Summary
    nu : float
        Degrees of freedom nu0 of the prior.
    n_components : int

    Returns
    -------
    scatter : ndarray of shape (d, d), (d,) or float
        In the structure's shape.
    """
    d, variance = summary.n_features, summary.variance
    if name == "default":
        return structure.diagonal(DEFAULT_SPREAD * nu * variance)
    # a constant column has no covariance with any other, and a variance that stands in
    covariance = summary.covariance + np.diag(np.where(summary.constant, variance, 0.0))
    if name == "mclust":
        share = n_components ** (2.0 / d)
        if structure.collect == "full":
            return covariance / share
        # one number for all columns, in the user's units
        mean = (np.diag(covariance) * summary.scale**2).mean()
        return structure.diagonal(mean / summary.scale**2 / share)
    unit = np.full(d, variance.mean()) if structure.equivariance == "scalar" else variance
    widest = np.linalg.eigvalsh(covariance / np.sqrt(np.outer(unit, unit)))[-1]
    wishart = nu if structure.collect == "full" else nu + d - 1.0
    return structure.diagonal(wishart * SHRINKAGE[name] * widest * unit)
