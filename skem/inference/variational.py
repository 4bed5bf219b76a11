"""Soft assignments and a distribution over theta."""

from skem.inference.base import Algorithm


class VariationalBayes(Algorithm):
    """Mean-field variational Bayes: maximises the bound E_q[log p(x, z, theta)] + H(q) <= log p(x).

    At a state whose q(theta) came from earlier responsibilities the bound with the best q(z) is the score of the
    pass minus KL(q(theta) || prior) (Attias 2000; Bishop 2006, section 10.2).
    """

    assign = "soft"
    update = "expect"
    compiled = True
