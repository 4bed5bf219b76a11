"""
Topics of raw texts
===================

What are 300 news articles about, and how many topics are there?

From raw text to named topics: articles are counted by words and pairs of words into a sparse matrix, which no
step makes dense. The articles are those of the Lee corpus (Lee, Pincombe & Welsh 2005, Australian news of
2001), read as a file from the test data of gensim, which is not imported: ``pip install "skem[examples]"``.
"""

# %%
# One article a line.
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.metrics import adjusted_rand_score

from skem import BayesianKMeans, EMMixture, ICMMixture
from skem.families import Multinomial, VonMisesFisher

try:
    corpus = distribution("gensim").locate_file("gensim/test/test_data/lee_background.cor")
except PackageNotFoundError:
    sys.exit("the corpus comes with gensim, which is not installed: pip install gensim")
articles = Path(str(corpus)).read_text(encoding="utf-8").splitlines()

# %%
# Terms are words and pairs of words that at least five articles have. Counts stay sparse.
vectorizer = CountVectorizer(ngram_range=(1, 2), stop_words="english", min_df=5)
counts = vectorizer.fit_transform(articles)
terms = vectorizer.get_feature_names_out()
print(f"{counts.shape[0]} articles, {counts.shape[1]} terms, {counts.nnz} counts that are not zero")


def show(labels, probabilities):
    """Print the sizes of the largest topics and the terms that tell each from all articles."""
    overall = np.asarray(counts.sum(axis=0), dtype=float).ravel() / counts.sum()
    for k in np.argsort(-np.bincount(labels), kind="stable")[:8]:
        # what each term adds to the topic's divergence from the whole
        worth = probabilities[k] * np.log(np.maximum(probabilities[k], 1e-12) / overall)
        print(f"{np.count_nonzero(labels == k):4d}  {', '.join(terms[np.argsort(-worth)[:6]])}")


def sums_of(labels):
    """Shares of the terms in each topic, by labels."""
    sums = np.stack([np.asarray(counts[labels == k].sum(axis=0)).ravel() for k in range(labels.max() + 1)])
    return sums / sums.sum(axis=1, keepdims=True)


# %%
# Bayesian k-means finds the number of topics, too. The prior is that a topic uses few of the terms; how few decides how
# fine the topics are: 0.5 finds 18, 0.1 finds 51, and the evidence is highest about here.
family = Multinomial(concentration_prior=0.2)
topics = BayesianKMeans(family=family, random_state=0).fit(counts)
print(f"Bayesian k-means: {topics.n_components_} topics")
show(topics.labels_, topics.probabilities_)

# %%
# EM with as many components: articles may belong to several topics, though hardly any does.
mixture = EMMixture(n_components=topics.n_components_, family=Multinomial(), random_state=0).fit(counts)
sure = np.mean(mixture.predict_proba(counts).max(axis=1) > 0.99)
print(f"EM: {sure:.0%} of the articles belong to one topic with more than 99 %")
show(mixture.labels_, mixture.probabilities_)

# %%
# Spherical k-means compares the directions of the tf-idf weights alone: hard assignments to von Mises-Fisher components
# of one concentration. It takes the number of topics as given.
weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
spherical = ICMMixture(topics.n_components_, family=VonMisesFisher("common"), update="mle", random_state=0).fit(
    weighted
)
print("spherical k-means on tf-idf")
show(spherical.labels_, sums_of(spherical.labels_))

# %%
# K-means on tf-idf needs the number of topics, and has distances in place of probabilities. What a partition is worth
# as a model of the counts, the evidence of Bayesian k-means tells for any labels.
rival = KMeans(topics.n_components_, n_init=10, random_state=0).fit(weighted)
print("k-means on tf-idf")
show(rival.labels_, sums_of(rival.labels_))
print(f"log evidence: {topics.log_evidence_:.0f} of the topics found")
for name, labels in (("spherical k-means", spherical.labels_), ("k-means", rival.labels_)):
    as_start = BayesianKMeans(labels.max() + 1, family=family, init=labels, max_iter=0).fit(counts)
    agreement = adjusted_rand_score(topics.labels_, labels)
    print(
        f"{as_start.log_evidence_:.0f} of {name}, which agrees with them at an adjusted Rand index of {agreement:.2f}"
    )
