"""Write the table of families x cells into README.md and families.md; `python docs/family_table.py`.

Nothing in it is written by hand: a mark stands where the algorithm of the cell takes the family.
"""

import sys
from pathlib import Path

import skem
from skem import families
from skem.families import Family

HERE = Path(__file__).parent
FILES = (HERE.parent / "README.md", HERE / "families.md")
BEGIN, END = "<!-- families: written by docs/family_table.py -->", "<!-- families: end -->"

#: a cell's column and an estimator of it
CELLS = {
    "EM": skem.EMMixture(),
    "classification EM": skem.ICMMixture(update="mle"),
    "MAP-EM": skem.MAPMixture(),
    "ICM": skem.ICMMixture(),
    "variational": skem.VariationalMixture(),
    "Bayesian k-means": skem.BayesianKMeans(),
    "Gibbs": skem.GibbsMixture(),
}
#: what else a family may have, and the verbs for it
VERBS = {"`marginal`": "marginal", "`conditional`": "conditional", "`modes`": "log_terms"}


def abilities(family):
    """One bool a column of the table."""
    cells = [estimator._algorithm().takes(family) for estimator in CELLS.values()]
    return *cells, *(family.has(verb) for verb in VERBS.values()), getattr(family, "sparse", False)


def rows():
    """(label, abilities) of every public family; structures that differ in what they offer have rows of their own."""
    for name in families.__all__:
        cls = getattr(families, name)
        if cls is Family:
            continue
        structures, groups = cls().structures(2), {}
        for family in structures:
            groups.setdefault(abilities(family), []).append(family.get_params())
        varied = [key for key in structures[0].get_params() if len({repr(f.get_params()[key]) for f in structures}) > 1]
        for able, members in groups.items():
            names = ", ".join(f'`"{member[key]}"`' for member in members for key in varied)
            yield (f"`{name}`: {names}" if len(groups) > 1 else f"`{name}`"), able


def table():
    """The table, in Markdown."""
    head = ["family", *CELLS, *VERBS, "sparse rows"]
    lines = [head, ["---", *["---"] * (len(head) - 1)]]
    lines += [[label, *("✓" if able else "" for able in marks)] for label, marks in rows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def updated(text):
    """A file's text with the table made anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    for file in FILES:
        if BEGIN in (text := file.read_text(encoding="utf-8")):
            file.write_text(updated(text), encoding="utf-8")
        else:
            sys.exit(f"{file.name} has no place for the table")
