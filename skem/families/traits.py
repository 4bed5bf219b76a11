"""What a family is before it has seen the data of a fit."""

from typing import ClassVar

from sklearn.base import BaseEstimator


class Traits(BaseEstimator):
    """Flags of a family, the families near it, and how it reads raw rows; the base of `skem.families.Family`."""

    #: what the rows must be, in one word, for documentation and error messages
    domain = "real"
    #: whether rows hold no negative numbers, as scikit-learn's tag of that name
    positive_only = False
    #: whether rows may be CSR, a zero being a zero: features "x", fixed units, and verbs that take such rows
    sparse = False

    #: whether single rows may lie very far out of their components, so that starts must not be led by them
    heavy_tails = False
    #: whether `mle` of given responsibilities is their best theta; where it is but a step there, a hard run goes on
    #: when labels stay, and runs are extrapolated
    closed_form = True
    #: names of public parameters that may be infinite
    unbounded: tuple[str, ...] = ()
    #: share of all rows' statistics that each component of a soft run has at its start, see `share_out`
    start_share = 0.0
    #: whether a pass scores the rows by one compiled part
    one_part = True
    #: whether X may be columns of anything, which `encode` makes numbers of; else it is numbers before
    encodes = False

    #: why the family lacks a verb, where it may be missed: a clause for the error message
    reasons: ClassVar[dict[str, str]] = {}

    def has(self, verb):
        """Whether the family offers a verb."""
        return callable(getattr(self, verb, None))

    def structures(self, n_features):
        """Families of this class that a model of such data may be chosen from, hyperparameters as they are.

        Parameters
        ----------
        n_features : int

        Returns
        -------
        families : list of Family
        """
        return [self]

    def members(self):
        """Families that this one is made of, itself as a rule.

        Returns
        -------
        families : list of Family
        """
        return [self]

    def priors(self):
        """Bound families that differ in their prior alone, of which a model may choose by its evidence.

        Returns
        -------
        families : list of Family
            This one among them, and no other as a rule.
        """
        return [self]

    def learn(self, X):
        """Return the family with what it must know of the raw rows before it can read them; itself, as a rule.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)

        Returns
        -------
        family : Family
        """
        return self

    def encode(self, X):
        """Return the rows as all other verbs see them; as they are, as a rule.

        Parameters
        ----------
        X : array-like or data frame of shape (n, d)

        Returns
        -------
        X : float64 ndarray of shape (n, d)
        """
        return X

    def decode(self, X):
        """Return encoded rows as the user has them, the inverse of `encode` in a family of numbers.

        Parameters
        ----------
        X : ndarray of shape (n, d)

        Returns
        -------
        X : ndarray of shape (n, d)
        """
        return X

    def validate(self, X):
        """Raise ValueError, naming row and column, where X lies outside the family's domain."""


__all__ = ["Traits"]
