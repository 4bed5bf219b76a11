"""Where the components of a fitted mixture lie in two of its columns."""

from typing import Any, NamedTuple

import numpy as np

from skem.families import Exponential, Family, Product
from skem.families.covariance import STRUCTURES


class Components(NamedTuple):
    """What is drawn of components in two columns.

    Attributes
    ----------
    centers : ndarray of shape (n_components, 2) or None
    covariances : ndarray of shape (n_components, 2, 2) or None
        Of Gaussian components; scale matrices of Student-t ones.
    degrees_of_freedom : ndarray of shape (n_components,) or None
        None where all are infinite.
    decode : callable or None
        Maps points in which contours are ellipses to the coordinates of the rows.
    """

    centers: Any = None
    covariances: Any = None
    degrees_of_freedom: Any = None
    decode: Any = None


def _centers(family, published):
    """Means of the components, whatever name they are published under, or None."""
    if isinstance(family, Exponential):
        return 1.0 / published["rates_"]
    return next((published[name] for name in ("means_", "cluster_centers_", "rates_") if name in published), None)


def _in_block(holder, family, published, positions):
    """Components in columns of one family.

    Parameters
    ----------
    holder : object
        Of the `covariance_type`, if there is any.
    family : Family or None
    published : dict
        Attributes by their names.
    positions : list of int
        Among the family's own columns.
    """
    centers = _centers(family, published)
    if centers is None:
        return Components()
    matrices = published.get("covariances_", published.get("scale_matrices_"))
    if matrices is not None:
        matrices = STRUCTURES[holder.covariance_type].matrices(matrices, *np.shape(centers))
        matrices = matrices[:, positions][:, :, positions]
    decode = None if family is None or type(family).decode is Family.decode else family.decode
    return Components(np.asarray(centers)[:, positions], matrices, published.get("degrees_of_freedom_"), decode)


def _side_by_side(*columns):
    """Components in columns that are independent given the component."""
    if any(column.centers is None for column in columns):
        return Components()
    # the median of a log-normal column, say, where the centre is that of its logarithms
    each = [own.centers if own.decode is None else own.decode(own.centers) for own in columns]
    centers = np.concatenate(each, axis=1)
    if any(own.covariances is None or own.degrees_of_freedom is not None or own.decode for own in columns):
        return Components(centers)
    variances = np.stack([own.covariances[:, 0, 0] for own in columns], axis=1)
    return Components(centers, variances[:, :, None] * np.eye(2))


def components_of(estimator, positions):
    """Components of a fitted mixture or k-means in two columns.

    Parameters
    ----------
    estimator : estimator
    positions : list of 2 int

    Returns
    -------
    components : Components
    """
    published, family = vars(estimator), getattr(estimator, "family_", None)
    if not isinstance(family, Product):
        return _in_block(estimator if family is None else family, family, published, positions)
    blocks = []
    for column in positions:
        name, own, columns = next(block for block in family.blocks if column in block[2])
        prefix = f"{name}__"
        its = {full.removeprefix(prefix): value for full, value in published.items() if full.startswith(prefix)}
        blocks.append((own, its, list(columns).index(column)))
    (one, its, at), (other, others, to) = blocks
    if one is other:
        return _in_block(one, one, its, [at, to])
    return _side_by_side(_in_block(one, one, its, [at]), _in_block(other, other, others, [to]))
