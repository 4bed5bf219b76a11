"""Components seen through some of their columns: alone, or given the rest."""

import numpy as np


def take_columns(theta, columns):
    """Parameters of some columns, where columns are independent and the second axis of every array.

    Parameters
    ----------
    theta : Parameters
    columns : list of int

    Returns
    -------
    theta : Parameters
    """
    arrays = theta.to_dict()["arrays"]
    return type(theta)({name: np.take(value, columns, axis=1) for name, value in arrays.items()}, theta.shared)


def _split(factor, order, n_first):
    """Triangular factors of reordered columns: of the first alone, of the rest given them, and what links the two.

    With G lower triangular, |G x|^2 = |G11 x1|^2 + |G22 x2 + G21 x1|^2: the first term is that of the marginal, the
    second that of the conditional, and no covariance is formed on the way.

    Parameters
    ----------
    factor : ndarray of shape (..., d, d)
        F with F'F the precision.
    order : list of int
        Every column once.
    n_first : int

    Returns
    -------
    first, rest, link : ndarray
        G11, G22 and G21.
    """
    # QL of the reordered factor, by QR from the last column back
    upper = np.asarray(np.linalg.qr(factor[..., order][..., ::-1], mode="r"))
    lower = upper[..., ::-1, ::-1]
    lower = lower * np.sign(np.einsum("...ii->...i", lower))[..., None]
    return lower[..., :n_first, :n_first], lower[..., n_first:, n_first:], lower[..., n_first:, :n_first]


def marginal_factor(structure, factor, columns, rest):
    """Factor of some columns alone, in the structure's shape.

    Parameters
    ----------
    structure : Full
        Or one of its kind.
    factor : ndarray
    columns, rest : list of int
        Every column once.

    Returns
    -------
    factor : ndarray
    """
    if structure.collect == "full":
        return np.ascontiguousarray(_split(factor, columns + rest, len(columns))[0])
    # two shapes that no other number could be mistaken for: are the columns the last axis?
    return np.take(factor, columns, axis=-1) if structure.shape(2, 3)[-1:] == (3,) else factor


def conditional_factor(structure, factor, given, rest, deviation):
    """Factor of the rest given some columns, and how far their deviation moves its mean.

    Parameters
    ----------
    structure : Full
    factor : ndarray
    given, rest : list of int
        Every column once.
    deviation : ndarray of shape (n_components, len(given))
        Of the given columns from their means.

    Returns
    -------
    factor : ndarray
    shift : ndarray of shape (n_components, len(rest)) or float
    """
    if structure.collect == "full":
        _, own, link = _split(factor, given + rest, len(given))
        own = np.ascontiguousarray(own)
        return own, -structure.unwhiten(own, structure.whiten(link, deviation))
    return marginal_factor(structure, factor, rest, given), 0.0
