"""The limit of a family, to which updates may lead by ever smaller steps."""


class Limit:
    """Where parameters are bound for that come closer to a simpler family, and would never get there.

    Parameters
    ----------
    model : Model
        Its family contains a simpler one.
    has_prior : bool
        Whether the prior's density at theta is part of the objective.
    """

    def __init__(self, model, has_prior):
        self.model = model
        self.has_prior = has_prior

    def of(self, before, state):
        """State at the limit that a step leads to; None where it leads to none.

        Parameters
        ----------
        before, state : State
            Around the step.
        """
        family, prior = self.model.family, self.model.prior
        theta = family.limit(before.theta, state.theta)
        if theta is None:
            return None
        penalty = state.penalty
        if self.has_prior:
            penalty += family.log_density(prior, theta) - family.log_density(prior, state.theta)
        return state._replace(theta=theta, penalty=penalty)

    def leads_back(self, state, following):
        """Whether the likelihood rises on the way back.

        Parameters
        ----------
        state : State
            At the limit.
        following : State
            The update of a pass there.
        """
        return bool(self.model.family.widen(state.theta, following.stats))
