"""Where a hard pass by a kd-tree beats a plain one: the figures behind the choice in skem/tree.py."""

from time import process_time

import numpy as np

from benchmarks.studies.problems import generator
from skem._kernels.tree import Tree
from skem._kernels.tree_pass import assign_by_tree
from skem.engine import Source
from skem.families import Gaussian
from skem.summary import summarize

# Rows, columns, components, and the median distance to the nearest neighbour in standard deviations.
WORK = [
    (100_000, 2, 10, 4), (1_000_000, 2, 10, 4), (1_000_000, 2, 50, 4), (1_000_000, 2, 50, 2), (100_000, 3, 50, 4),
    (1_000_000, 3, 50, 4), (1_000_000, 3, 50, 2), (1_000_000, 4, 50, 4),
]  # fmt: skip
REPEATS = 5


def rows(n, d, n_components, distance):
    """Clouds of random shapes about centres strewn evenly, and which row is of which."""
    rng = generator(f"tree/{n}/{d}/{n_components}/{distance}")
    centers = rng.uniform(size=(n_components, d))
    apart = np.linalg.norm(centers[:, None] - centers, axis=2) + np.diag(np.full(n_components, np.inf))
    root = 0.3 * np.tril(rng.normal(size=(n_components, d, d))) + np.eye(d)
    labels = rng.integers(n_components, size=n).astype(np.int32)
    noise = np.einsum("nij,nj->ni", root[labels], rng.normal(size=(n, d)))
    return noise + centers[labels] * distance / np.median(apart.min(axis=1)), labels


def measure(X, labels, n_components):
    """Seconds of a plain pass, of one by the tree and of building it; how many labels differ."""
    family = Gaussian().bind(summarize(X, None, "affine"))
    source, summary = Source(X, None, family), family.summary_
    given = source.assign_given(n_components, codes=labels)
    theta, log_weights = family.mle(given.stats), np.log(given.n_k / given.n_k.sum())
    part = family.whitened(theta)
    begin = process_time()
    tree = Tree(X, summary.origin, summary.scale)
    building = process_time() - begin
    whole, ours = np.empty_like(labels), labels.copy()
    own, thin, seconds = labels[tree.order], np.zeros(n_components, np.uint8), []
    for _ in range(REPEATS):
        begin = process_time()
        source.run(log_weights, theta, assign="hard", labels_in=labels, labels=whole)
        middle = process_time()
        assign_by_tree(tree, part.mean, part.factor, log_weights + part.offset, thin, own, ours)
        seconds.append((middle - begin, process_time() - middle))
    plain, by_tree = np.median(seconds, axis=0)
    return plain, by_tree, building, int((whole != ours).sum())


def main():
    print("| rows, columns, components | apart | plain pass | by the tree | building it | passes until it has paid |")
    print("|---|---|---|---|---|---|")
    for n, d, n_components, distance in WORK:
        plain, by_tree, building, differ = measure(*rows(n, d, n_components, distance), n_components)
        assert differ == 0, "the tree gives other labels"
        ms = [f"{1e3 * seconds:.1f} ms" for seconds in (plain, by_tree)]
        paid = f"{building / (plain - by_tree):.0f}" if plain > by_tree else "never"
        print(f"| {n:,}, {d}, {n_components} | {distance} | {ms[0]} | {ms[1]} | {1e3 * building:.0f} ms | {paid} |")


if __name__ == "__main__":
    main()
