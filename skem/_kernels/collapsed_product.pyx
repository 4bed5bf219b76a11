"""The collapsed pass of blocks of columns that are independent given the component; moves.pyx tells the rest."""

cimport skem._kernels._panels as pn
from skem._kernels._panels cimport Row
from skem._kernels.moves cimport Moves


cdef class ProductMoves(Moves):
    """Posteriors of two blocks of columns side by side, the second of which may be two again.

    Parameters
    ----------
    kind : {"product"}
    first, second : Moves
        Of the same number of components. Their labels count for nothing.
    n_k : ndarray of shape (K,)
    alpha : ndarray of shape (K,) or float
    """

    cdef Moves _first, _second

    def __init__(self, str kind, Moves first, Moves second, n_k, alpha):
        if first.n_components != second.n_components:
            raise ValueError(f"blocks have {first.n_components} and {second.n_components} components")
        self._first, self._second = first, second
        self._set_up(kind, first.n_components, first.n_features + second.n_features, n_k, alpha)

    @property
    def posterior(self):
        """The posteriors of all blocks as a dict of new arrays, called by the place of the block and their names."""
        second = self._second.posterior
        if not isinstance(self._second, ProductMoves):
            second = {("0", name): value for name, value in second.items()}
        later = {(str(int(place) + 1), name): value for (place, name), value in second.items()}
        return {("0", name): value for name, value in self._first.posterior.items()} | later

    cdef Py_ssize_t _work_of_row(self):
        return self._first._work_of_row() + self._second._work_of_row()

    cdef void _change(self, Py_ssize_t k, Row *row, double w, bint observe) noexcept nogil:
        cdef Row part = pn.whole_row(row.x, self._first.n_features)
        self._first._forget_terms(k)
        self._first._change(k, &part, w, observe)
        part = pn.whole_row(row.x + self._first.n_features, self._second.n_features)
        self._second._forget_terms(k)
        self._second._change(k, &part, w, observe)
        self.n_repairs = self._first.n_repairs + self._second.n_repairs

    cdef void _score_all(self, Row *row, double w, Py_ssize_t own) noexcept nogil:
        cdef Py_ssize_t k
        cdef Row part = pn.whole_row(row.x, self._first.n_features)
        self._first._score_all(&part, w, own)
        part = pn.whole_row(row.x + self._first.n_features, self._second.n_features)
        self._second._score_all(&part, w, own)
        for k in range(self.n_components):
            self._score[k] = self._first._score[k] + self._second._score[k]
