"""Faiss: k-means in float32."""

from time import perf_counter

from benchmarks.peers.base import Fit, Peer


class Faiss(Peer):
    """Lloyd's k-means on faiss's exact search."""

    name = "faiss"
    distribution = "faiss-cpu"
    module = "faiss"
    kmeans_dtypes = ("float32",)

    def use_threads(self, n_threads):
        import faiss

        faiss.omp_set_num_threads(n_threads)

    def fit_kmeans(self, X, centers, n_iter):
        import faiss

        # all rows, where faiss by itself would take a sample
        kmeans = faiss.Kmeans(X.shape[1], len(centers), niter=n_iter, max_points_per_centroid=len(X), seed=0)
        begin = perf_counter()
        kmeans.train(X, init_centroids=centers.astype("float32"))
        return Fit(perf_counter() - begin, kmeans.centroids)
