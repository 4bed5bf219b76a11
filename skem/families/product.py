"""Columns of mixed kinds, block by block."""

import copy
import itertools

import numpy as np

from skem._compat import StrOptions
from skem._kernels.parts import Several, placed
from skem.families.blocks import Blocks
from skem.families.guess import guess_blocks
from skem.joint import Joint
from skem.summary import Summary


class Product(Blocks):
    """Blocks of columns that are independent given the component, each with a family of its own.

    ``p(x | k) = prod_b p_b(x_b | theta_kb)``: numbers, counts, flags and categories in one mixture.

    Parameters
    ----------
    blocks : list of (name, family, columns) or "auto", default="auto"
        As scikit-learn's ColumnTransformer is declared: columns are positions or names, one or several, a slice, a mask
        or a callable such as ``sklearn.compose.make_column_selector``. Every column belongs to one block. A fit keeps
        the positions in ``family_.blocks``. "auto" guesses blocks as `from_dataframe` does, anew in every fit.

    Notes
    -----
    A block's hyperparameters are ``family__<block>__<name>`` to a search over an estimator, and what a fit publishes of
    it is called after it: ``size__means_`` are the means of a Gaussian block "size", as are ``size__means`` and
    ``size__covariances`` to `from_parameters`.

    Offered are the verbs that every block has. A `StudentT` block whose degrees of freedom may be infinite
    starts, among others, where the product with a `Gaussian` in its place ends, so that its likelihood is never lower.

    References
    ----------
    Hunt & Jorgensen (2011), Clustering mixed data, WIREs Data Mining and Knowledge Discovery 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skem import EMMixture
    >>> from skem.families import Categorical, Gaussian, Poisson, Product
    >>> rows = [[1.2, "red", 0], [0.8, "red", 1], [1.1, "blue", 0], [5.1, "blue", 7], [4.9, "blue", 9], [5.3, "red", 8]]
    >>> X = np.array(rows, dtype=object)
    >>> family = Product([("size", Gaussian("diag"), [0]), ("colour", Categorical(), [1]), ("visits", Poisson(), [2])])
    >>> mixture = EMMixture(n_components=2, family=family, random_state=0).fit(X)
    >>> np.sort(mixture.visits__rates_.ravel()).round(2)
    array([0.33, 8.  ])
    >>> mixture.labels_[:3] == mixture.labels_[3:]
    array([False, False, False])
    """

    domain = "columns of mixed kinds"
    location = "the parameters of all blocks"
    encodes = True
    one_part = False

    _parameter_constraints = {"blocks": [StrOptions({"auto"}), list, tuple]}

    def __init__(self, blocks="auto"):
        self.blocks = blocks

    @classmethod
    def from_dataframe(cls, X):
        """Guess blocks from the columns' types and values.

        Booleans, and whole numbers that are 0 or 1, are "flags" (`Bernoulli`). Strings and categoricals are "levels"
        (`Categorical`), and so are whole numbers of at most 10 different values that are all above 0: codes. Other
        whole numbers from 0 to at most 100 are "counts" (`Poisson`) if there is a 0 among them. All else are
        "measurements" (``Gaussian("diag")``): fractions, whole numbers that never come down to 0, go below it or grow
        large. Whole numbers are told by their values, be they stored as integers or as floats. Columns of strings that
        differ in most rows, names of the rows that is, are warned of.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        family : Product
            To look at and to change: ``family.blocks`` is a list.
        """
        return cls(guess_blocks(X))

    # -- data side -------------------------------------------------------------------------------

    @property
    def equivariance(self):
        """Changes of units that each block is closed under, with its columns."""
        own = [
            (family.equivariance, positions)
            for (_, family), positions in zip(self._families, self._positions(), strict=True)
        ]
        return own[0][0] if len(own) == 1 else tuple(own)

    def _bind(self):
        positions = self._positions()
        ends = np.cumsum([len(own) for own in positions]).tolist()
        self.slices_ = {
            name: slice(end - len(own), end)
            for (name, _), own, end in zip(self._families, positions, ends, strict=True)
        }
        summary = self.summary_
        parts = summary.parts or [summary.take(list(range(s.start, s.stop))) for s in self.slices_.values()]
        self.bound_ = {name: family.bind(part) for (name, family), part in zip(self._families, parts, strict=True)}
        self.summary_ = Summary.join([family.summary_ for family in self.bound_.values()], summary.n_distinct)

    def priors(self):
        families = [self]
        for name, family in self.bound_.items():
            for other in family.priors():
                if other is not family:
                    families.append(copy.copy(self))
                    families[-1].bound_ = {**self.bound_, name: other}
        return families

    def _each(self, verb, *args, able=None):
        """A verb of every block, or of those with the verb `able`, with its own parts of what is joint in `args`."""
        return {
            name: getattr(family, verb)(*(arg.parts[name] if isinstance(arg, Joint) else arg for arg in args))
            for name, family in self.bound_.items()
            if able is None or family.has(able)
        }

    def _joint(self, verb, *args):
        return Joint(self._each(verb, *args))

    def _sum(self, verb, *args):
        return sum(self._each(verb, *args).values())

    def _by_columns(self, verb, X, *args):
        """A verb that takes rows, of every block."""
        return [
            getattr(family, verb)(*(arg.parts[name] for arg in args), np.ascontiguousarray(X[:, self.slices_[name]]))
            for name, family in self.bound_.items()
        ]

    def _several(self, parts):
        places = ((parts[name], own.start, own.stop - own.start) for name, own in self.slices_.items())
        return Several(tuple(places))

    def scorer(self, theta):
        return self._several(self._each("scorer", theta))

    def collector(self, theta, part, assign):
        parts = dict(zip(self.slices_, (own for own, _, _ in placed(part, 0)), strict=True))
        return self._several(
            {name: f.collector(theta.parts[name], parts[name], assign) for name, f in self.bound_.items()}
        )

    def start_collector(self, n_components, before=None):
        return self._several(self._each("start_collector", n_components, before))

    def is_near(self, before, after):
        return all(self._each("is_near", before, after).values())

    @property
    def n_start_passes(self):  # type: ignore[override] # the most of any block's
        """Passes that a start needs before its statistics are exact."""
        return max(family.n_start_passes for family in self.bound_.values())

    def statistics(self, n_k, *sums):
        return Joint({name: f.statistics(n_k, own) for (name, f), own in zip(self.bound_.items(), sums, strict=True)})

    def coordinates(self, X):
        """Return the blocks' coordinates side by side, those of numbers in units that make columns alike."""
        own = []
        for name, family in self.bound_.items():
            block = X[:, self.slices_[name]]
            own.append(family.coordinates(block) if family.has("coordinates") else block / family.unit())
        return np.hstack(own)

    def unit(self):
        return np.concatenate(list(self._each("unit").values()))

    def tail_power(self):
        # a power of the distance is a number like any other beside terms that are quadratic in it
        own = {name: 0 if f.heavy_tails else f.tail_power() for name, f in self.bound_.items()}
        return np.concatenate([np.full(s.stop - s.start, own[name]) for name, s in self.slices_.items()])

    def share_out(self, stats, n_k):
        return Joint({name: f.share_out(stats.parts[name], n_k) for name, f in self.bound_.items()})

    def log_base_measure(self, X):
        return sum(self._by_columns("log_base_measure", X))

    # -- parameter side --------------------------------------------------------------------------

    def prior(self, n_components):
        return self._joint("prior", n_components)

    def mle(self, stats, theta=None):
        return self._joint("mle", stats, theta)

    def mode(self, posterior):
        return self._joint("mode", posterior)

    def mode_from(self, posterior, theta):
        return self._joint("mode_from", posterior, theta)

    def expect(self, posterior):
        return self._joint("expect", posterior)

    def draw(self, posterior, rng):
        return self._joint("draw", posterior, rng)

    def nested(self):
        """Product of the families that the blocks contain, bound to the same data.

        Returns
        -------
        family : Product
        """
        inner = [family.nested() if family.has("nested") else family for family in self.bound_.values()]
        return type(self)(list(zip(self.bound_, inner, self._positions(), strict=True))).bind(self.summary_)

    def embed(self, theta):
        """Theta with the densities of the blocks' simpler families.

        Parameters
        ----------
        theta : Joint

        Returns
        -------
        theta : Joint
        """
        own = self.bound_.items()
        return Joint({name: f.embed(theta.parts[name]) if f.has("nested") else theta.parts[name] for name, f in own})

    def widen(self, theta, stats):
        """Where else to start from, given where the simpler families have ended: where every block that gains does.

        Parameters
        ----------
        theta : Joint
        stats : Joint
            Of a pass at theta.

        Returns
        -------
        starts : list of Joint
        """
        own = self._each("widen", theta, stats, able="nested")
        return [
            Joint({name: own[name][i] if i < len(own.get(name, ())) else part for name, part in theta.parts.items()})
            for i in range(max(map(len, own.values())))
        ]

    def limit(self, before, theta):
        """Theta with those blocks at their simpler families that the last update has led there; see `StudentT.limit`.

        Parameters
        ----------
        before, theta : Joint
            Around the update.

        Returns
        -------
        limit : Joint or None
        """
        own = self._each("limit", before, theta, able="nested")
        there = {name: part for name, part in own.items() if part is not None}
        return Joint({**theta.parts, **there}) if there else None

    def log_likelihood(self, theta, stats):
        return self._sum("log_likelihood", theta, stats)

    def log_normalizer(self, posterior):
        terms = list(self._each("log_normalizer", posterior).values())
        # a block whose components share parameters has one number for all of them
        return sum(terms) if all(np.ndim(term) for term in terms) else float(sum(np.sum(term) for term in terms))

    def merged_log_normalizers(self, prior, stats, first, second):
        """Log normaliser of the posterior of all components, were two of them merged, for many pairs at once.

        Parameters
        ----------
        prior, stats : Joint
        first, second : intp ndarray of shape (n_pairs,)

        Returns
        -------
        log_normalizers : ndarray of shape (n_pairs,)
        """
        total = np.zeros(len(first))
        for name, family in self.bound_.items():
            own_prior, own = prior.parts[name], stats.parts[name]
            terms = family.log_normalizer(own_prior.merge(own))
            if np.ndim(terms):
                merged = own_prior.take([0]).merge(own.take(first).merge(own.take(second)))
                total += terms.sum() - terms[first] - terms[second] + family.log_normalizer(merged)
            else:
                total += family.merged_log_normalizers(own_prior, own, first, second)
        return total

    @property
    def collapsed_kind(self):  # type: ignore[override] # where every block has one
        """Kind of sequential sweep."""
        return "product" if all(family.collapsed_kind for family in self.bound_.values()) else None

    def collapsed_arrays(self, posterior):
        arrays = self._each("collapsed_arrays", posterior)
        return {name: (family.collapsed_kind, arrays[name]) for name, family in self.bound_.items()}

    def log_density(self, prior, theta):
        return self._sum("log_density", prior, theta)

    def log_parameter_jacobian(self, n_components):
        return self._sum("log_parameter_jacobian", n_components)

    def log_predictive(self, posterior, X):
        return sum(self._by_columns("log_predictive", X, posterior))

    def degenerate(self, stats):
        return np.logical_or.reduce(list(self._each("degenerate", stats).values()))

    def constant_columns(self):
        own = zip(self._positions(), self.bound_.values(), strict=True)
        return np.sort(np.concatenate([np.asarray(at)[family.constant_columns()] for at, family in own]))

    @property
    def least_mass(self):  # type: ignore[override] # the most of any block's
        """Mass up to which a component counts as degenerate."""
        return max(family.least_mass for family in self.bound_.values())

    def worth(self, stats):
        return self._sum("worth", stats)

    def n_parameters(self, n_features, n_components):
        own = self.slices_.items()
        return sum(self.bound_[name].n_parameters(s.stop - s.start, n_components) for name, s in own)

    def sample(self, theta, counts, rng):
        own = self._each("sample", theta, counts, rng)
        dtype = np.float64 if all(rows.dtype.kind == "f" for rows in own.values()) else object
        X = np.empty((int(np.sum(counts)), self.summary_.n_features), dtype=dtype)
        for rows, positions in zip(own.values(), self._positions(), strict=True):
            X[:, positions] = rows
        return X

    # -- public parameters -----------------------------------------------------------------------

    def attributes(self, theta):
        own = self._each("attributes", theta)
        return {f"{block}__{name}": value for block, values in own.items() for name, value in values.items()}

    def summary_of_parameters(self, summary, attributes):
        own, parts, first = self._split(attributes), [], 0
        for (name, family), positions in zip(self._families, self._positions(), strict=True):
            part = summary.take(list(range(first, first + len(positions))))
            parts.append(family.summary_of_parameters(part, own[name]))
            first += len(positions)
        return Summary.join(parts, summary.n_distinct)

    def parameters(self, **attributes):
        own = self._split(attributes)
        return Joint({name: family.parameters(**own[name]) for name, family in self.bound_.items()})

    def responses(self, theta):
        """Levels of each column with their probabilities, in the order of the columns of X."""
        items = list(itertools.chain(*self._each("responses", theta).values()))
        return [items[at] for at in np.argsort(list(itertools.chain(*self._positions())))]

    # -- some of the columns ---------------------------------------------------------------------

    def _places(self, columns):
        """Of the blocks that have any of these columns: where each stands among the block's, and among `columns`."""
        places = {}
        for (name, _), own in zip(self._families, self._positions(), strict=True):
            at = [i for i, column in enumerate(columns) if column in own]
            if at:
                places[name] = [own.index(columns[i]) for i in at], at
        return places

    def of_columns(self, columns):
        places = self._places(columns)
        return type(self)([(name, self.bound_[name].of_columns(own), at) for name, (own, at) in places.items()])

    def restrict(self, columns):
        summaries = [self.bound_[name].summary_.take(own) for name, (own, _) in self._places(columns).items()]
        return self.of_columns(columns).bind(Summary.join(summaries, self.summary_.n_distinct))

    def marginal(self, theta, columns, rest):
        others = self._places(rest)
        return Joint({
            name: self.bound_[name].marginal(theta.parts[name], own, others.get(name, [[]])[0])
            for name, (own, _) in self._places(columns).items()
        })  # fmt: skip

    def conditional(self, theta, given, rest, values):
        known, found = self._places(given), {}
        ends = np.cumsum([len(own) for own, _ in known.values()])
        # the values stand block by block, as the rows of the given columns' own product do
        values = dict(zip(known, np.split(values, ends[:-1]), strict=True))
        for name, (own, _) in self._places(rest).items():
            family, theta_of = self.bound_[name], theta.parts[name]
            if name in known:
                found[name] = family.conditional(theta_of, known[name][0], own, values[name])
            else:
                found[name] = family.marginal(theta_of, own, [])
        return Joint(found)


__all__ = ["Product"]
