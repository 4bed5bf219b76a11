"""Extrapolated runs beside plain ones from the same starts: how many passes they take, and where they end."""

import argparse

import numpy as np

from skem.engine import Source
from skem.families import Bernoulli, Categorical, Gaussian, Poisson, StudentT
from skem.inference.em import EM, MAPEM
from skem.inference.extrapolation import METHODS
from skem.inference.model import Model
from skem.inference.variational import VariationalBayes
from skem.summary import summarize
from skem.weights import DirichletWeights

# Objectives that differ by no more than this share are the same.
ALIKE = 1e-10
# Nats at which two runs have ended at other optima.
ELSEWHERE = 1e-6
# Plain passes below which nothing is to be gained.
SLOW = 100

CELLS = {"em": EM, "map": MAPEM, "vb": VariationalBayes}


def _classes(rng):
    """Answers of latent classes, as numbers from 0, and how many classes and levels there are."""
    n_components, n_levels = int(rng.integers(2, 6)), int(rng.integers(3, 5))
    n, d = int(rng.integers(200, 1500)), int(rng.integers(5, 13))
    logits = rng.uniform(0.4, 1.2) * rng.normal(size=(n_components, d, n_levels))
    codes = rng.integers(n_components, size=n)
    return (logits[codes] + rng.gumbel(size=(n, d, n_levels))).argmax(axis=2), n_components


def bernoulli(rng):
    X, n_components = _classes(rng)
    return Bernoulli(), np.minimum(X, 1), n_components


def categorical(rng):
    X, n_components = _classes(rng)
    return Categorical(categories=int(X.max()) + 1), X, n_components


def poisson(rng):
    n_components, d = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    rates = rng.uniform(2.0, 10.0) * np.exp(rng.uniform(0.3, 0.7) * rng.normal(size=(n_components, d)))
    return Poisson(), rng.poisson(rates[rng.integers(n_components, size=int(rng.integers(200, 1500)))]), n_components


def _rows(rng):
    """Rows of Gaussians that overlap."""
    n_components, d, n = int(rng.integers(2, 6)), int(rng.integers(1, 6)), int(rng.integers(200, 1500))
    codes = rng.integers(n_components, size=n)
    root = np.tril(0.3 * rng.normal(size=(n_components, d, d))) + np.eye(d)
    rows = np.einsum("nij,nj->ni", root[codes], rng.normal(size=(n, d)))
    return rows + rng.uniform(1.5, 3.5) * rng.normal(size=(n_components, d))[codes] / np.sqrt(d), n_components


def full(rng):
    return Gaussian(), *_rows(rng)


def diag(rng):
    return Gaussian("diag"), *_rows(rng)


def student(rng):
    X, n_components = _rows(rng)
    return StudentT(degrees_of_freedom=4.0), X / np.sqrt(rng.chisquare(4.0, size=len(X)) / 4.0)[:, None], n_components


PROBLEMS = {make.__name__: make for make in (bernoulli, categorical, poisson, full, diag, student)}


def near_seeds(rng, X, n_components):
    """Components of rows by the nearest of some rows drawn at random."""
    rows = X / X.std(axis=0)
    seeds = rows[rng.choice(len(X), size=n_components, replace=False)]
    return ((rows[:, None] - seeds) ** 2).sum(axis=2).argmin(axis=1)


def start(family, X, codes, n_components):
    """Model, source and first state of a run."""
    X = np.asarray(X, dtype=np.float64)
    family = family.bind(summarize(X, None, family.equivariance))
    source = Source(X, None, family)
    model = Model.build(family, DirichletWeights(1.0), n_components, source)
    return model, source, source.assign_given(n_components, codes=codes.astype(np.int32))


def compare(family, X, codes, n_components, tol, methods=tuple(METHODS), cell=EM):
    """Passes of each method until it is as good as the plain run ends, and nats that it ends above it.

    Returns
    -------
    passes : int
        Of the plain run.
    others : dict of str to (int, float)
    """
    model, source, given = start(family, X, codes, n_components)

    def run(algorithm):
        return algorithm.run(model, source, algorithm.start(model, given))

    plain = run(cell(tol=tol, max_iter=50_000))
    goal = plain.objective - ALIKE * abs(plain.objective)

    def passes(fit):
        reached = np.array(fit.objectives) >= goal
        return 1 + int(reached.argmax()) if reached.any() else len(fit.objectives)

    fits = {method: run(cell(tol=tol, max_iter=50_000, accelerate=method)) for method in methods}
    others = {method: (passes(fit), fit.objective - plain.objective) for method, fit in fits.items()}
    return passes(plain), others


def problems(number):
    """Every family's problem of that number, from two starts: at random and near seeds."""
    for name, make in PROBLEMS.items():
        rng = np.random.default_rng([number, *name.encode()])
        family, X, n_components = make(rng)
        yield name, family, X, rng.integers(n_components, size=len(X)), n_components
        yield name, family, X, near_seeds(rng, X, n_components), n_components


def report(name, records, method):
    """A line about the problems of a family that are slow."""
    slow = [(plain, others[method][0]) for plain, others in records if plain >= SLOW]
    ratios = [plain / passes for plain, passes in slow]
    together = sum(plain for plain, _ in slow) / max(1, sum(passes for _, passes in slow))
    ends = np.array([others[method][1] for _, others in records])
    quartiles = " ".join(f"{ratio:6.1f}" for ratio in np.quantile(ratios or [1.0], [0.0, 0.25, 0.5]))
    lower, higher = int((ends < -ELSEWHERE).sum()), int((ends > ELSEWHERE).sum())
    counts = f"{len(ratios):4d} {quartiles} {together:6.1f}   {lower:4d} {higher:4d} of {len(ends):4d}"
    print(f"{name:12s} {method:9s} {counts} {ends.min():10.1e}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.leaps", description=__doc__)
    parser.add_argument("--problems", type=int, default=20, help="problems of each family, of two starts each")
    parser.add_argument("--tol", type=float, default=1e-10)
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--families", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--cell", default="em", choices=list(CELLS), help="algorithm that is extrapolated")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args(arguments)
    cell = CELLS[options.cell]
    records = {name: [] for name in options.families}
    for number in range(options.first, options.first + options.problems):
        for name, *problem in problems(number):
            if name in records and cell().takes(problem[0]):
                records[name].append(compare(*problem, options.tol, options.methods, cell))
    print("family       method    slow   times fewer passes         lower higher          lowest end")
    print("                            least quarter median in all")
    records["all"] = [record for rows in records.values() for record in rows]
    for name, rows in records.items():
        for method in options.methods if rows else ():
            report(name, rows, method)


if __name__ == "__main__":
    main()
