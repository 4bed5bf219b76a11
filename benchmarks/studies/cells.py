"""What is asked for the number of clusters: skem's estimators and scikit-learn's."""

from time import perf_counter

import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from skem import BayesianKMeans, MixtureSelection, VariationalMixture, families

# Components beyond the true number that an upper bound allows.
SURPLUS = 5
# Weight above which a component of scikit-learn's variational mixture counts.
WEIGHT = 1e-2


def family_of(problem):
    return getattr(families, problem.family)()


def _labelled(problem, n_found, labels, **more):
    """A record of what was found."""
    record = {"found": int(n_found), **more}
    if problem.labels is not None:
        record["ari"] = round(float(adjusted_rand_score(problem.labels, labels)), 4)
    return record


def automatic(problem):
    """The default `BayesianKMeans`, and whether the true labels would have served its objective better."""
    fit = BayesianKMeans(n_components="auto", family=family_of(problem), random_state=0).fit(problem.X)
    record = _labelled(problem, fit.n_components_, fit.labels_, evidence=fit.log_evidence_)
    if problem.labels is not None and record["found"] != problem.n_clusters:
        planted = BayesianKMeans(problem.n_clusters, family=family_of(problem), init=problem.labels).fit(problem.X)
        record["planted"] = {"evidence": planted.log_evidence_, "found": planted.n_components_}
    return record


def variational(problem):
    """`VariationalMixture` from an upper bound."""
    n_components = problem.n_clusters + SURPLUS
    mixture = VariationalMixture(n_components, family=family_of(problem), random_state=0).fit(problem.X)
    return _labelled(problem, len(np.unique(mixture.labels_)), mixture.labels_, evidence=mixture.log_evidence_)


def selection(problem):
    """`MixtureSelection` by BIC over the numbers of components that scikit-learn's sweep has."""
    n_components = range(1, problem.n_clusters + SURPLUS + 1)
    found = MixtureSelection(n_components=n_components, families=family_of(problem), random_state=0).fit(problem.X)
    return _labelled(problem, found.best_estimator_.n_components_, found.labels_)


def _bayesian(problem, weight_prior):
    n_components = min(problem.n_clusters + SURPLUS, len(problem.X))
    mixture = BayesianGaussianMixture(
        n_components=n_components, weight_concentration_prior_type=weight_prior, max_iter=1000, random_state=0
    )
    labels = mixture.fit_predict(problem.X)
    return _labelled(problem, (mixture.weights_ > WEIGHT).sum(), labels, converged=bool(mixture.converged_))


def sklearn_process(problem):
    return _bayesian(problem, "dirichlet_process")


def sklearn_dirichlet(problem):
    return _bayesian(problem, "dirichlet_distribution")


def sklearn_bic(problem):
    """The least BIC of `GaussianMixture` from one component to `SURPLUS` too many."""
    mixtures = [
        GaussianMixture(n_components, max_iter=1000, random_state=0).fit(problem.X)
        for n_components in range(1, problem.n_clusters + SURPLUS + 1)
    ]
    best = min(mixtures, key=lambda mixture: mixture.bic(problem.X))
    return _labelled(problem, best.n_components, best.predict(problem.X))


# By the name in the table; those of skem first.
SKEM = {
    "BayesianKMeans()": automatic,
    "VariationalMixture(K + 5)": variational,
}
# A sweep takes long, so that it meets what scikit-learn meets.
SWEEPS = {"MixtureSelection, least BIC of 1..K + 5": selection}
PEERS = {
    "scikit-learn BayesianGaussianMixture(K + 5), process": sklearn_process,
    "scikit-learn BayesianGaussianMixture(K + 5), Dirichlet": sklearn_dirichlet,
    "scikit-learn GaussianMixture, least BIC of 1..K + 5": sklearn_bic,
}
CELLS = SKEM | SWEEPS | PEERS


def timed(cell, problem):
    """A cell's record with the seconds that it took."""
    begin = perf_counter()
    record = CELLS[cell](problem)
    return record | {"seconds": round(perf_counter() - begin, 4)}
