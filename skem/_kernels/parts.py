"""What a family hands to a pass: how to score a row, and which sums to collect."""

from typing import Any, NamedTuple

import numpy as np


class Linear(NamedTuple):
    """Scores <weights_k, T(x)> + offset_k for the feature map T; collects sum r T(x).

    Attributes
    ----------
    feature_map : {"x", "x_squares", "x_norm", "x_pairs", "x_log", "log_both", "one_hot"}
        [x], [x, x^2], [x, |x|^2], [x, x_i x_j for j <= i], [x, log x], [log x, log(1 - x)], or n_codes zeros but for a
        one at each place that x names. The logarithm of 0 is finite, below that of any other number.
    weights : ndarray of shape (n_components, n_features_of_T)
    offset : ndarray of shape (n_components,)
        Weights and offsets may be left out where the part only collects.
    shared : Centred or None
        A term of one component that all of them share and that these scores leave out, since it moves no
        responsibility: only densities and the second moments need it, and those are sums over all rows.
    n_codes : int or None
        Length of T for "one_hot".
    """

    feature_map: str
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None
    shared: "Centred | None" = None
    n_codes: int | None = None


class Centred(NamedTuple):
    """Scores offset_k - |F_k (x - m_k)|^2 / 2 with the difference formed first; collects moments about m_k.

    Attributes
    ----------
    structure : {"full", "diag"}
        Which second moments to collect.
    mean : ndarray of shape (n_components, n_features)
    factor : ndarray of shape (n_components or 1, n_features, n_features) or (n_components, n_features)
        Lower-triangular F_k (one where all share it), or the diagonal of F_k.
    offset : ndarray of shape (n_components,)
        Factors and offsets may be left out where the part only collects.
    dof : ndarray of shape (n_components,) or None
        Degrees of freedom nu_k > 0 of Student-t tails, inf being none. With them the score is
        offset_k - (nu_k + d) / 2 log(1 + q / nu_k), q = |F_k (x - m_k)|^2, and the moments are those of rows whose
        weights are multiplied by u = (nu_k + d) / (nu_k + q). A collector with dof reads what its scorer found.
    """

    structure: str
    mean: np.ndarray
    factor: np.ndarray | None = None
    offset: np.ndarray | None = None
    dof: np.ndarray | None = None


class Several(NamedTuple):
    """Parts side by side, each with columns of its own; scores add up, and each collects its sums.

    Attributes
    ----------
    places : tuple of (part, first column, number of columns)
    """

    places: tuple[tuple[Any, int, int], ...]

    @property
    def offset(self):
        """Sum of the parts' offsets, (n_components,)."""
        return np.sum([part.offset for part, _, _ in self.places], axis=0)


def placed(part, d):
    """Parts with their columns, as a pass over d columns takes them: (part, first column, number of columns)."""
    return list(part.places) if isinstance(part, Several) else [(part, 0, d)]


def is_of_pairs(part):
    """Whether a part is linear in pairs of columns, and leaves out nothing that all components share."""
    return isinstance(part, Linear) and part.feature_map == "x_pairs" and part.shared is None


def is_of_differences(part):
    """Whether a part has differences from means with full factors, or sums their products, without tails."""
    return isinstance(part, Centred) and part.structure == "full" and part.dof is None


def n_linear_features(part, d):
    """Length of T for the d columns of a `Linear` part."""
    lengths = {
        "x": d, "x_squares": 2 * d, "x_norm": d + 1, "x_pairs": d + d * (d + 1) // 2, "x_log": 2 * d,
        "log_both": 2 * d, "one_hot": part.n_codes,
    }  # fmt: skip
    return lengths[part.feature_map]
