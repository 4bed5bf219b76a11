"""Progress of a selection: scikit-learn's callbacks where they are registered."""


class Progress:
    """Reports a selection as a tree of tasks, fit > candidates, and passes on a callback's wish to stop.

    A task is one chain of candidates, those that differ in the number of components alone. A callback that returns true
    at its end leaves out the chains that remain.

    Parameters
    ----------
    selection : MixtureSelection
    max_tasks : int
        Most chains that there may be.
    **data : dict
        X, y and metadata as the user gave them, for the callbacks.
    """

    def __init__(self, selection, max_tasks, **data):
        self.data = {"estimator": selection, **data}
        self.stopped = False
        self.root = None
        if getattr(selection, "_skl_callbacks", None):
            self.root = selection._init_callback_context(max_subtasks=max_tasks)
            self.root.call_on_fit_task_begin(**self.data)

    def watch(self, fit, chains):
        """Fit chains, with a task about each.

        Parameters
        ----------
        fit : callable
            Called as fit(chain).
        chains : list of Chain

        Returns
        -------
        fitted : list
            Results of `fit`; of the first chains alone where a callback has had enough.
        """
        fitted = []
        for chain in chains:
            if self.root is None:
                fitted.append(fit(chain))
                continue
            task = self.root.subcontext("candidates")
            task.call_on_fit_task_begin(**self.data)
            fitted.append(fit(chain))
            self.stopped = bool(task.call_on_fit_task_end(**self.data))
            if self.stopped:
                break
        return fitted

    def finish(self):
        """End the fit; the selection's attributes are published by now."""
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes=dict)
