"""The table of a selection: one row a candidate."""

from typing import Any

import numpy as np

from skem.exceptions import listed
from skem.selection.criteria import rank

# Columns of a fit to all rows, and what stands in them where a candidate has failed.
MEASURES = {
    "log_likelihood": np.nan,
    "n_parameters": -1,
    "log_evidence": np.nan,
    "n_found": -1,
    "n_iter": -1,
    "converged": False,
    "degenerate": False,
}


def make_table(chains, fitted, fold_weights=None):
    """Dict of columns, as scikit-learn's `cv_results_`, so that a data frame can be made of it.

    Parameters
    ----------
    chains : list of Chain
    fitted : list of list of Fitted
        For each chain, one a fold.
    fold_weights : ndarray of shape (n_folds,), default=None
        Weight of the rows that each fold is judged by; None where candidates are judged by the rows of their fits.

    Returns
    -------
    table : dict of ndarray or list
    """
    candidates = [
        (chain, n_components, [fold.outcomes[position] for fold in folds])
        for chain, folds in zip(chains, fitted, strict=True)
        for position, n_components in enumerate(chain.n_components)
    ]
    outcomes = [outcomes for _, _, outcomes in candidates]
    table: dict[str, Any] = {
        "estimator": np.array([chain.name for chain, _, _ in candidates]),
        "family": np.array([chain.family for chain, _, _ in candidates]),
        "n_components": np.array([n_components for _, n_components, _ in candidates]),
    }
    extra = dict.fromkeys(name for chain in chains for name in chain.params if name != "family")
    for name in extra:
        table[f"param_{name}"] = [chain.params.get(name) for chain, _, _ in candidates]
    table["params"] = [{**chain.params, "n_components": n_components} for chain, n_components, _ in candidates]
    scores = np.array([[fold.score for fold in folds] for folds in outcomes])
    if fold_weights is None:
        table["score"] = scores[:, 0]
    else:
        table["score"] = scores @ (fold_weights / fold_weights.sum())
        table["std_score"] = scores.std(axis=1)
        table.update({f"split{k}_score": column for k, column in enumerate(scores.T)})
    table["rank"] = rank(table["score"])
    for name, missing in MEASURES.items():
        values = [[fold.measured.get(name, missing) for fold in folds] for folds in outcomes]
        if name in ("converged", "degenerate"):
            joined = [all(row) if name == "converged" else any(row) for row in values]
        elif fold_weights is None or name == "n_parameters":
            joined = [row[0] for row in values]
        else:
            continue
        if any(name in fold.measured for folds in outcomes for fold in folds):
            table[name] = np.array(joined)
    errors = [dict.fromkeys(fold.error for fold in folds if fold.error) for folds in outcomes]
    table["error"] = np.array(["; ".join(distinct) for distinct in errors])
    return table


def name_failures(table):
    """One sentence that names the candidates that have failed, and why.

    Parameters
    ----------
    table : dict

    Returns
    -------
    sentence : str
    """
    errors = table["error"]
    failed = np.flatnonzero(errors != "")
    sizes = dict.fromkeys((str(table["family"][row]), int(table["n_components"][row])) for row in failed)
    names = [f"{family} with n_components={size}" for family, size in sizes]
    return (
        f"{len(failed)} of {len(errors)} candidates failed, and have no score: {listed(names)}; the first by "
        f"{errors[failed[0]]}"
    )


def flat_families(table):
    """Families for which the rows as a whole are flat: even one component is degenerate, and so is every candidate.

    Parameters
    ----------
    table : dict

    Returns
    -------
    names : list of str
    """
    names, flat = table["family"].astype(str), np.asarray(table["degenerate"], dtype=bool)
    single = {name for name, size in zip(names, table["n_components"], strict=True) if size == 1}
    return [name for name in dict.fromkeys(names) if name in single and flat[names == name].all()]
